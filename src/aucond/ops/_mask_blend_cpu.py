"""The blend with its mask terms on a CPU: the reference's numbers in fewer passes over memory.

Eager autograd keeps and fills a new tensor for every intermediate; on a CPU their memory traffic and page faults
are most of the time. Here the forward keeps only its inputs, and both directions walk through the batch a few images
at a time, so that the one scratch buffer they share, and what they have just read, stay in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from aucond.ops._mask_blend_reference import RawTerms, TVNorm, raw_terms
from aucond.ops._second_order import differentiable_gradients

__all__ = ["raw_terms_cpu"]

PIXELS_AT_ONCE = 1 << 18
"""Mask pixels handled at a time: a megabyte in float32, so that all operands of one step fit a shared cache."""

LEAST_PIXELS_COMPILED = 1 << 12
"""Mask pixels of the batch below which loading numba is not worth the wait."""


def raw_terms_cpu(image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm) -> RawTerms:
    """Compute what :func:`~aucond.ops._mask_blend_reference.raw_terms` does, with less memory traffic."""
    result: RawTerms = _RawTerms.apply(image, color, attention, norm)  # type: ignore[no-untyped-call]
    return result


class _RawTerms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm) -> RawTerms:
        ctx.save_for_backward(image, color, attention)
        ctx.norm = norm
        ctx.set_materialize_grads(False)
        compiled = _compiled_for(image, color, attention)
        return (compiled.blend_and_sums if compiled else _blend_and_sums)(image, color, attention, norm)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # Somebody wants to differentiate the result again.
            terms = partial(raw_terms, norm=ctx.norm)
            found = differentiable_gradients(terms, ctx.saved_tensors, upstream, needs)
        else:
            found = _first_gradients(ctx.saved_tensors, ctx.norm, upstream, needs)
        return (*found, None)


@cache
def _compiled_kernels() -> ModuleType | None:
    """The compiled kernels, loaded when first needed; None without numba or without a place for its machine code."""
    try:
        from aucond.ops import _mask_blend_compiled
    except (ImportError, RuntimeError):
        return None
    return _mask_blend_compiled


def _compiled_for(*inputs: Tensor) -> ModuleType | None:
    """The compiled kernels if they are to be had and take these tensors."""
    if inputs[2].numel() < LEAST_PIXELS_COMPILED:
        return None
    kernels = _compiled_kernels()
    return kernels if kernels is not None and kernels.layout_of(*inputs) is not None else None


def _first_gradients(
    inputs: Sequence[Tensor], norm: TVNorm, upstream: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients without a graph, by the compiled kernels if they take these tensors."""
    compiled = _compiled_for(*inputs)
    if compiled is None:
        return _gradients(inputs, norm, upstream, needs)
    for_blend, *for_sums = upstream
    if for_blend is not None:
        for_blend = for_blend.contiguous(memory_format=compiled.layout_of(*inputs))
    found: list[Tensor | None] = compiled.gradients(inputs, norm, (for_blend, *for_sums), needs)
    return found


def _chunks(attention: Tensor) -> Iterator[slice]:
    """Slices of the batch of about ``PIXELS_AT_ONCE`` pixels, at least one image each."""
    batch, _, height, width = attention.shape
    images = max(1, PIXELS_AT_ONCE // (height * width))
    for start in range(0, batch, images):
        yield slice(start, min(start + images, batch))


def _scratch(attention: Tensor, channels: int) -> Tensor:
    """Room for ``channels`` planes of each image of the largest chunk, as flat memory."""
    batch, _, height, width = attention.shape
    images = min(batch, max(1, PIXELS_AT_ONCE // (height * width)))
    return attention.new_empty(images * channels * height * width)


def _steps(mask: Tensor, scratch: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Per axis of masks (B, H, W) the differences of neighbours; each is gone when the next is asked for."""
    for axis in (1, 2):
        pairs = mask.shape[axis] - 1
        shape = [pairs if i == axis else size for i, size in enumerate(mask.shape)]
        room = scratch[: mask.numel() // mask.shape[axis] * pairs].view(shape)
        yield axis, torch.sub(mask.narrow(axis, 1, pairs), mask.narrow(axis, 0, pairs), out=room)


def _blend_and_sums(image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm) -> RawTerms:
    """The blend of Eq. 1; per image total variation, sum of squares and sum of absolute values of the mask."""
    out, mask, scratch = torch.empty_like(image), attention.squeeze(1), _scratch(attention, 1)
    tv, squares, absolutes = (mask.new_zeros(mask.shape[0]) for _ in range(3))
    for chosen in _chunks(attention):
        # As in the reference: lerp has two forms, so that both ends are exact.
        torch.lerp(image[chosen], color[chosen], attention[chosen], out=out[chosen])
        for _, step in _steps(mask[chosen], scratch):
            if norm == "l2":  # A norm reads once, where a square would be written and read again.
                tv[chosen] += torch.linalg.vector_norm(step, 2, dim=(1, 2)).square_()
            else:
                tv[chosen] += step.abs_().sum((1, 2))
        squares[chosen] = torch.linalg.vector_norm(mask[chosen], 2, dim=(1, 2)).square_()
        room = scratch[: mask[chosen].numel()].view_as(mask[chosen])
        absolutes[chosen] = torch.abs(mask[chosen], out=room).sum((1, 2))
    return out, tv, squares, absolutes


def _gradients(
    inputs: Sequence[Tensor], norm: TVNorm, upstream: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor | None]:
    image, color, attention = inputs
    for_blend, *for_sums = upstream
    blends = for_blend is not None
    found = [
        torch.empty_like(value) if need and (blends or value is attention) else None
        for value, need in zip(inputs, needs, strict=True)
    ]
    per_image = [None if v is None else v.to(attention.dtype).reshape(-1, 1, 1, 1) for v in for_sums]
    scratch = _scratch(attention, 3)
    for chosen in _chunks(attention):
        grads = [None if grad is None else grad[chosen] for grad in found]
        mask = attention[chosen]
        if for_blend is not None:
            _blend_gradients(image[chosen], color[chosen], mask, for_blend[chosen], grads, scratch)
        if grads[2] is not None:
            if for_blend is None:
                grads[2].zero_()
            weights = [None if weight is None else weight[chosen] for weight in per_image]
            _add_sum_gradients(grads[2], mask, norm, weights, scratch)
    return found


def _blend_gradients(
    image: Tensor,
    color: Tensor,
    mask: Tensor,
    upstream: Tensor,
    grads: Sequence[Tensor | None],
    scratch: Tensor,
) -> None:
    """Write the gradients of the blend into those of ``grads`` that are wanted."""
    for_image, for_color, for_mask = grads
    room = _laid_out_like(image, scratch)
    if for_mask is not None:
        change = torch.sub(color, image, out=room).mul_(upstream)
        torch.sum(change, 1, keepdim=True, out=for_mask)
    if for_image is not None or for_color is not None:
        weighted = torch.mul(upstream, mask, out=room if for_color is None else for_color)
        if for_image is not None:
            torch.sub(upstream, weighted, out=for_image)


def _laid_out_like(image: Tensor, scratch: Tensor) -> Tensor:
    """Scratch memory as a tensor of the image's shape, in channels_last order if the image is."""
    flat, (batch, channels, height, width) = scratch[: image.numel()], image.shape
    if image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous():
        return flat.view(batch, height, width, channels).permute(0, 3, 1, 2)
    return flat.view(batch, channels, height, width)


def _add_sum_gradients(
    total: Tensor, attention: Tensor, norm: TVNorm, weights: Sequence[Tensor | None], scratch: Tensor
) -> None:
    """Add what the total variation, the squares and the absolute values want of the mask."""
    for_tv, for_squares, for_absolutes = weights
    if for_squares is not None:
        total.addcmul_(attention, 2 * for_squares)
    if for_absolutes is not None:
        total.addcmul_(attention.sign(), for_absolutes)
    if for_tv is None:
        return
    weight = (2 * for_tv if norm == "l2" else for_tv).squeeze(1)
    plane = total.squeeze(1)
    for axis, step in _steps(attention.squeeze(1), scratch):
        step = (step if norm == "l2" else step.sign_()).mul_(weight)
        # Each difference pulls at both of its ends.
        plane.narrow(axis, 1, step.shape[axis]).add_(step)
        plane.narrow(axis, 0, step.shape[axis]).sub_(step)
