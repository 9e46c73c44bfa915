"""The blend with its mask terms on a CPU: the reference's numbers in fewer passes over memory.

Eager autograd keeps and fills a new tensor for every intermediate; on a CPU their memory traffic and page faults
are most of the time. Here the forward keeps only its inputs and the backward works in the buffers it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aucond.ops._mask_blend_reference import RawTerms, TVNorm, blend, differentiate

__all__ = ["raw_terms_cpu"]


def raw_terms_cpu(image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm) -> RawTerms:
    """Compute what :func:`~aucond.ops._mask_blend_reference.raw_terms` does, with a cheaper backward."""
    result: RawTerms = _RawTerms.apply(image, color, attention, norm)  # type: ignore[no-untyped-call]
    return result


class _RawTerms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm) -> RawTerms:
        ctx.save_for_backward(image, color, attention)
        ctx.norm = norm
        ctx.set_materialize_grads(False)
        return (blend(image, color, attention), *_sums(attention, norm))

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # Somebody wants to differentiate the result again.
            found = differentiate(ctx.saved_tensors, ctx.norm, False, upstream, needs)
        else:
            found = _gradients(ctx.saved_tensors, ctx.norm, upstream, needs)
        return (*found, None)


def _sums(attention: Tensor, norm: TVNorm) -> tuple[Tensor, Tensor, Tensor]:
    """Per image total variation, sum of squares and sum of absolute values: a norm is read in one pass."""
    order = 2 if norm == "l2" else 1
    mask = attention.squeeze(1)
    tv = mask.new_zeros(mask.shape[0])
    for axis in (1, 2):
        pairs = mask.shape[axis] - 1
        step = mask.narrow(axis, 1, pairs) - mask.narrow(axis, 0, pairs)
        size = torch.linalg.vector_norm(step, order, dim=(1, 2))
        tv += size.square() if norm == "l2" else size
    squares = torch.linalg.vector_norm(mask, 2, dim=(1, 2)).square()
    return tv, squares, torch.linalg.vector_norm(mask, 1, dim=(1, 2))


def _gradients(
    inputs: Sequence[Tensor], norm: TVNorm, upstream: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor | None]:
    image, color, attention = inputs
    for_blend, for_tv, for_squares, for_absolutes = upstream
    grad_image = grad_color = grad_attention = None
    if for_blend is not None:
        buffer = None
        if needs[2]:
            buffer = torch.sub(color, image).mul_(for_blend)
            grad_attention = buffer.sum(1, keepdim=True)
        if needs[0] or needs[1]:
            weighted = for_blend * attention
            grad_color = weighted if needs[1] else None
            grad_image = torch.sub(for_blend, weighted, out=buffer) if needs[0] else None
    if needs[2]:
        grad_attention = torch.zeros_like(attention) if grad_attention is None else grad_attention
        if for_tv is not None:
            _add_tv(grad_attention, attention, norm, _per_image(for_tv, attention))
        if for_squares is not None:
            grad_attention.addcmul_(attention, 2 * _per_image(for_squares, attention))
        if for_absolutes is not None:
            grad_attention.addcmul_(attention.sign(), _per_image(for_absolutes, attention))
    return [grad_image, grad_color, grad_attention]


def _per_image(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).reshape(-1, 1, 1, 1)


def _add_tv(total: Tensor, attention: Tensor, norm: TVNorm, weight: Tensor) -> None:
    """Add the gradient of the total variation to both ends of every pair of neighbours."""
    for axis in (2, 3):
        pairs = attention.shape[axis] - 1
        step = attention.narrow(axis, 1, pairs) - attention.narrow(axis, 0, pairs)
        step = step.mul_(2 * weight) if norm == "l2" else step.sign_().mul_(weight)
        total.narrow(axis, 1, pairs).add_(step)
        total.narrow(axis, 0, pairs).sub_(step)
