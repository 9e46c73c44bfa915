"""The blend with its mask terms as one Triton kernel forward and one backward.

Imported only when the dispatcher first needs it. Each program handles ``BLOCK`` consecutive pixels of one image
and all three channels; the mask's neighbours are read again, from the cache. Sums are formed in float32, first per
program and then over an image's programs, so the result does not depend on the order in which programs run.
With logits the sigmoid and the tanh are computed inside and again in the backward, never stored.
"""

# Kernels are Triton's language, not Python's: their arguments have no Python types.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import custom_op

from aucond.ops._mask_blend_reference import RawTerms, TVNorm, raw_terms
from aucond.ops._second_order import differentiable_gradients

__all__ = ["INTERPRETED", "raw_terms_triton", "why_not_triton"]

INTERPRETED: bool = bool(triton.knobs.runtime.interpret)
"""Whether TRITON_INTERPRET was set when this module was imported: then CPU tensors are welcome."""

BLOCK = 1024
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _mask(pointer, b, p, strides_b, strides_p, inside, LOGITS: tl.constexpr):
    value = tl.load(pointer + b * strides_b + p * strides_p, mask=inside, other=0.0).to(tl.float32)
    if LOGITS:
        value = _sigmoid(value)
    return value


@triton.jit
def _color(pointer, inside, LOGITS: tl.constexpr):
    value = tl.load(pointer, mask=inside, other=0.0).to(tl.float32)
    if LOGITS:
        value = 2.0 * _sigmoid(2.0 * value) - 1.0
    return value


@triton.jit
def _sign(x):
    return (x > 0).to(tl.float32) - (x < 0).to(tl.float32)


@triton.jit
def _slope(difference, exists, L1: tl.constexpr):
    if L1:
        slope = _sign(difference)
    else:
        slope = 2.0 * difference
    return tl.where(exists, slope, 0.0)


@triton.jit
def _forward_kernel(
    image, color, mask, out, sums, H, W, blocks,
    i_b, i_c, i_p, c_b, c_c, c_p, m_b, m_p, o_b, o_c, o_p,
    L1: tl.constexpr, LOGITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    b = (program // blocks).to(tl.int64)
    p = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = p < H * W
    a = _mask(mask, b, p, m_b, m_p, inside, LOGITS)
    for channel in tl.static_range(3):
        before = tl.load(image + b * i_b + channel * i_c + p * i_p, mask=inside, other=0.0).to(tl.float32)
        after = _color(color + b * c_b + channel * c_c + p * c_p, inside, LOGITS)
        step = after - before
        # Two forms, as torch.lerp has them, so that both ends are exact.
        blended = tl.where(a < 0.5, before + a * step, after - (1.0 - a) * step)
        tl.store(out + b * o_b + channel * o_c + p * o_p, blended, mask=inside)
    has_right = inside & (p % W < W - 1)
    has_below = p < H * W - W
    right = tl.where(has_right, _mask(mask, b, p + 1, m_b, m_p, has_right, LOGITS) - a, 0.0)
    below = tl.where(has_below, _mask(mask, b, p + W, m_b, m_p, has_below, LOGITS) - a, 0.0)
    if L1:
        variation = tl.abs(right) + tl.abs(below)
    else:
        variation = right * right + below * below
    a = tl.where(inside, a, 0.0)
    here = sums + program.to(tl.int64) * 3
    tl.store(here, tl.sum(variation, 0))
    tl.store(here + 1, tl.sum(a * a, 0))
    tl.store(here + 2, tl.sum(tl.abs(a), 0))


@triton.jit
def _backward_kernel(
    image, color, mask, upstream, for_sums, d_image, d_color, d_mask, H, W, blocks,
    i_b, i_c, i_p, c_b, c_c, c_p, m_b, m_p, u_b, u_c, u_p, di_b, di_c, di_p, dc_b, dc_c, dc_p,
    UPSTREAM: tl.constexpr, SUMS: tl.constexpr, IMAGE: tl.constexpr, COLOR: tl.constexpr, MASK: tl.constexpr,
    L1: tl.constexpr, LOGITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    b = (program // blocks).to(tl.int64)
    p = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = p < H * W
    a = _mask(mask, b, p, m_b, m_p, inside, LOGITS)
    total = tl.zeros([BLOCK], dtype=tl.float32)
    if UPSTREAM:
        for channel in tl.static_range(3):
            grad = tl.load(upstream + b * u_b + channel * u_c + p * u_p, mask=inside, other=0.0).to(
                tl.float32
            )
            if IMAGE:
                tl.store(d_image + b * di_b + channel * di_c + p * di_p, grad * (1.0 - a), mask=inside)
            if COLOR or MASK:
                after = _color(color + b * c_b + channel * c_c + p * c_p, inside, LOGITS)
            if COLOR:
                to_color = grad * a
                if LOGITS:
                    to_color = to_color * (1.0 - after * after)
                tl.store(d_color + b * dc_b + channel * dc_c + p * dc_p, to_color, mask=inside)
            if MASK:
                before = tl.load(image + b * i_b + channel * i_c + p * i_p, mask=inside, other=0.0)
                total += grad * (after - before.to(tl.float32))
    if MASK:
        if SUMS:
            x = p % W
            has_right, has_left = inside & (x < W - 1), inside & (x > 0)
            has_below, has_above = p < H * W - W, inside & (p >= W)
            slopes = _slope(a - _mask(mask, b, p - 1, m_b, m_p, has_left, LOGITS), has_left, L1)
            slopes += _slope(a - _mask(mask, b, p + 1, m_b, m_p, has_right, LOGITS), has_right, L1)
            slopes += _slope(a - _mask(mask, b, p - W, m_b, m_p, has_above, LOGITS), has_above, L1)
            slopes += _slope(a - _mask(mask, b, p + W, m_b, m_p, has_below, LOGITS), has_below, L1)
            weights = for_sums + b * 3
            total += (
                tl.load(weights) * slopes + tl.load(weights + 1) * 2.0 * a + tl.load(weights + 2) * _sign(a)
            )
        if LOGITS:
            total = total * a * (1.0 - a)
        tl.store(d_mask + b * H * W + p, total, mask=inside)


def _device_of(value: Tensor) -> AbstractContextManager[Any]:
    """Kernels start on the current device, which need not be the tensors'."""
    return torch.cuda.device(value.device) if value.is_cuda else nullcontext()


def _pixel_linear(value: Tensor) -> Tensor:
    """The tensor itself if its pixels follow each other at one stride, as in both memory formats, else a copy."""
    height, width = value.shape[2:]
    if height == 1 or width == 1 or value.stride(2) == width * value.stride(3):
        return value
    return value.contiguous()


def _strides(value: Tensor) -> tuple[int, int, int]:
    """Batch, channel and pixel stride; a tensor one pixel wide has its pixel stride in its rows."""
    return value.stride(0), value.stride(1), value.stride(2 if value.shape[3] == 1 else 3)


@custom_op("aucond::mask_blend", mutates_args=())
def _forward_op(
    image: Tensor, color: Tensor, attention: Tensor, l1: bool, logits: bool
) -> tuple[Tensor, Tensor]:
    """Blended image and (B, 3) float32 sums: total variation, squares, absolute values of the mask."""
    image, color, attention = _pixel_linear(image), _pixel_linear(color), _pixel_linear(attention)
    batch, _, height, width = image.shape
    blocks = triton.cdiv(height * width, BLOCK)
    out = _empty_blend(image, color, attention)
    sums = image.new_empty((batch, blocks, 3), dtype=torch.float32)
    m_b, _, m_p = _strides(attention)
    with _device_of(image):
        _forward_kernel[(batch * blocks,)](
            image, color, attention, out, sums, height, width, blocks,
            *_strides(image), *_strides(color), m_b, m_p, *_strides(out),
            L1=l1, LOGITS=logits, BLOCK=BLOCK,
        )  # fmt: skip
    return out, sums.sum(1)


@_forward_op.register_fake
def _forward_fake(
    image: Tensor, color: Tensor, attention: Tensor, l1: bool, logits: bool
) -> tuple[Tensor, Tensor]:
    sums = image.new_empty((image.shape[0], 3), dtype=torch.float32)
    return _empty_blend(_pixel_linear(image), color, attention), sums


def _empty_blend(image: Tensor, color: Tensor, attention: Tensor) -> Tensor:
    dtype = torch.promote_types(torch.promote_types(image.dtype, color.dtype), attention.dtype)
    return torch.empty_like(image, dtype=dtype)


@custom_op("aucond::mask_blend_backward", mutates_args=())
def _backward_op(
    image: Tensor,
    color: Tensor,
    attention: Tensor,
    upstream: Tensor | None,
    for_sums: Tensor | None,
    needs: list[bool],
    l1: bool,
    logits: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of image, colour and mask; one that is not needed comes back empty.

    Without ``upstream`` only the mask has one.
    """
    image, color, attention = _pixel_linear(image), _pixel_linear(color), _pixel_linear(attention)
    batch, _, height, width = image.shape
    blocks = triton.cdiv(height * width, BLOCK)
    d_image, d_color, d_mask = _empty_gradients(image, color, attention, needs)
    grad = None if upstream is None else _pixel_linear(upstream)
    weights = None if for_sums is None else for_sums.contiguous()
    m_b, _, m_p = _strides(attention)
    none = (0, 0, 0)
    with _device_of(image):
        _backward_kernel[(batch * blocks,)](
            image, color, attention, image if grad is None else grad, image if weights is None else weights,
            d_image, d_color, d_mask, height, width, blocks,
            *_strides(image), *_strides(color), m_b, m_p, *(none if grad is None else _strides(grad)),
            *(_strides(d_image) if needs[0] else none), *(_strides(d_color) if needs[1] else none),
            UPSTREAM=grad is not None, SUMS=weights is not None,
            IMAGE=needs[0], COLOR=needs[1], MASK=needs[2], L1=l1, LOGITS=logits, BLOCK=BLOCK,
        )  # fmt: skip
    return d_image, d_color, d_mask


@_backward_op.register_fake
def _backward_fake(
    image: Tensor,
    color: Tensor,
    attention: Tensor,
    upstream: Tensor | None,
    for_sums: Tensor | None,
    needs: list[bool],
    l1: bool,
    logits: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_gradients(_pixel_linear(image), _pixel_linear(color), attention, needs)


def _empty_gradients(
    image: Tensor, color: Tensor, attention: Tensor, needs: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    d_image = torch.empty_like(image) if needs[0] else image.new_empty(0)
    d_color = torch.empty_like(color) if needs[1] else color.new_empty(0)
    d_mask = attention.new_empty(attention.shape) if needs[2] else attention.new_empty(0)
    return d_image, d_color, d_mask


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    image, color, attention, ctx.l1, ctx.logits = inputs
    ctx.save_for_backward(image, color, attention)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, upstream: Tensor | None, for_sums: Tensor | None) -> tuple[Tensor | None, ...]:
    inputs, needs = ctx.saved_tensors, list(ctx.needs_input_grad[:3])
    if torch.is_grad_enabled():  # Somebody wants to differentiate the result again.
        each = (None, None, None) if for_sums is None else for_sums.unbind(1)
        norm: TVNorm = "l1" if ctx.l1 else "l2"
        terms = partial(raw_terms, norm=norm, logits=ctx.logits)
        return (*differentiable_gradients(terms, inputs, (upstream, *each), needs), None, None)
    if upstream is None:  # Only the sums were used, and they know the mask alone.
        needs = [False, False, needs[2] and for_sums is not None]
    if not any(needs):
        return (None,) * 5
    found = _backward_op(*inputs, upstream, for_sums, needs, ctx.l1, ctx.logits)
    return (*(grad if need else None for grad, need in zip(found, needs, strict=True)), None, None)


_forward_op.register_autograd(_backward, setup_context=_setup_context)


def why_not_triton(*values: Tensor) -> str | None:
    """Say why these tensors cannot go through the kernel, or None if they can."""
    for value in values:
        if value.device.type != "cuda" and not (INTERPRETED and value.device.type == "cpu"):
            return f"it needs tensors on a CUDA device (or TRITON_INTERPRET=1 on a CPU), got {value.device}"
        if value.dtype not in DTYPES:
            return f"it computes in float32 for float32, bfloat16 and float16, got {value.dtype}"
    return None


def raw_terms_triton(image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm, logits: bool) -> RawTerms:
    """Compute what :func:`~aucond.ops._mask_blend_reference.raw_terms` does, fused."""
    blended, sums = _forward_op(image, color, attention, norm == "l1", logits)
    tv, squares, absolutes = sums.unbind(1)
    return blended, tv, squares, absolutes
