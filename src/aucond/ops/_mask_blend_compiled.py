"""The blend with its mask terms on a CPU as one compiled pass forward and one backward.

Imported only when the dispatcher first needs it, as numba takes a moment to load. The unit of work is one row of one
image: what it reads and writes stays in the first-level cache between short loops, each of which touches few enough
arrays to be vectorised. Sums are formed per row in the dtype and added up in float64 over the rows, so the result
depends neither on the number of threads nor on the other images of the batch.
"""

# Kernels are compiled from their bodies; numba's decorator keeps no types.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aucond.ops._mask_blend_reference import RawTerms, TVNorm
from aucond.ops._shares import run_shares

if numba.config.DISABLE_JIT:
    raise ImportError("numba is there, but switched off by NUMBA_DISABLE_JIT")

__all__ = ["blend_and_sums", "gradients", "layout_of"]

PIXELS_A_THREAD = 1 << 15
"""With fewer, calling another thread takes longer than it saves."""

Rows = npt.NDArray[Any]

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
# Sums may be formed in any order, or they could not be vectorised; all else is computed as it is written.
_sum = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})


@_compiled
def _blend(image: Rows, color: Rows, mask: Rows, out: Rows) -> None:
    one = mask.dtype.type(1)
    for x in range(mask.size):
        a, step = mask[x], color[x] - image[x]
        # Two forms, as torch.lerp has them, so that both ends are exact.
        near, far = image[x] + a * step, color[x] - (one - a) * step
        out[x] = near if a + a < one else far


@_sum
def _squared_steps(row: Rows, other: Rows) -> Any:
    total = row.dtype.type(0)
    for x in range(row.size):
        step = other[x] - row[x]
        total += step * step
    return total


@_sum
def _absolute_steps(row: Rows, other: Rows) -> Any:
    total = row.dtype.type(0)
    for x in range(row.size):
        total += abs(other[x] - row[x])
    return total


@_sum
def _sizes(row: Rows) -> Any:
    squares, absolutes = row.dtype.type(0), row.dtype.type(0)
    for x in range(row.size):
        squares += row[x] * row[x]
        absolutes += abs(row[x])
    return squares, absolutes


@_compiled
def _repeat(row: Rows, times: int, out: Rows) -> None:
    """Each value of a row, written ``times`` times: a mask for pixels whose channels lie side by side."""
    for x in range(row.size):
        for c in range(times):
            out[x * times + c] = row[x]


@_compiled
def _forward(
    image: Rows, color: Rows, mask: Rows, out: Rows, sums: Rows, first: int, last: int, l1: bool
) -> None:
    """Rows ``first`` to ``last`` of all images'.

    Images are (B, C, H, W): three planes of W values, or, for channels_last memory, one "plane" of 3 W.
    """
    planes, height = image.shape[1], image.shape[2]
    spread = np.empty(image.shape[3], mask.dtype)
    for row in range(first, last):
        b, y = row // height, row % height
        here = mask[b, y]
        weights = here
        if planes == 1:
            _repeat(here, 3, spread)
            weights = spread
        for c in range(planes):
            _blend(image[b, c, y], color[b, c, y], weights, out[b, c, y])
        below = mask[b, y + 1] if y + 1 < height else here
        if l1:
            tv = float(_absolute_steps(here[:-1], here[1:])) + float(_absolute_steps(here, below))
        else:
            tv = float(_squared_steps(here[:-1], here[1:])) + float(_squared_steps(here, below))
        sums[0, b, y] = tv
        sums[1, b, y], sums[2, b, y] = _sizes(here)


@_compiled
def _for_color(upstream: Rows, mask: Rows, out: Rows) -> None:
    for x in range(mask.size):
        out[x] = upstream[x] * mask[x]


@_compiled
def _for_image(upstream: Rows, mask: Rows, out: Rows) -> None:
    for x in range(mask.size):
        out[x] = upstream[x] - upstream[x] * mask[x]


@_compiled
def _add_product(upstream: Rows, image: Rows, color: Rows, out: Rows) -> None:
    for x in range(out.size):
        out[x] += upstream[x] * (color[x] - image[x])


@_compiled
def _add_sizes(mask: Rows, squares: Any, absolutes: Any, out: Rows) -> None:
    zero, one = mask.dtype.type(0), mask.dtype.type(1)
    for x in range(out.size):
        a = mask[x]
        sign = one if a > zero else (-one if a < zero else zero)
        out[x] += squares * a + absolutes * sign


@_compiled
def _pull(here: Rows, other: Rows, weight: Any, l1: bool, out: Rows) -> None:
    """Add what the difference to a neighbour wants of ``here``; at ties an absolute value wants nothing."""
    zero, one = here.dtype.type(0), here.dtype.type(1)
    if l1:
        for x in range(out.size):
            step = here[x] - other[x]
            out[x] += weight * (one if step > zero else (-one if step < zero else zero))
    else:
        for x in range(out.size):
            out[x] += weight * (here[x] - other[x])


@_compiled
def _backward(
    image: Rows, color: Rows, mask: Rows, upstream: Rows, weights: Rows,
    d_image: Rows, d_color: Rows, d_mask: Rows, wanted: Rows, first: int, last: int, l1: bool,
) -> None:  # fmt: skip
    """Rows as in ``_forward``; ``wanted``: gradients of image, colour, mask; whether there are upstream, tv, sizes."""
    planes, height, across = image.shape[1], image.shape[2], image.shape[3]
    spread, product = np.empty(across, mask.dtype), np.empty(across, mask.dtype)
    for row in range(first, last):
        b, y = row // height, row % height
        here = mask[b, y]
        factors = here
        if planes == 1:
            _repeat(here, 3, spread)
            factors = spread
        if wanted[3]:
            for c in range(planes):
                if wanted[1]:
                    _for_color(upstream[b, c, y], factors, d_color[b, c, y])
                if wanted[0]:
                    _for_image(upstream[b, c, y], factors, d_image[b, c, y])
        if not wanted[2]:
            continue
        total = d_mask[b, y]
        total[:] = 0
        if wanted[3] and planes == 1:
            product[:] = 0
            _add_product(upstream[b, 0, y], image[b, 0, y], color[b, 0, y], product)
            for x in range(total.size):
                total[x] = product[3 * x] + product[3 * x + 1] + product[3 * x + 2]
        elif wanted[3]:
            for c in range(planes):
                _add_product(upstream[b, c, y], image[b, c, y], color[b, c, y], total)
        if wanted[5]:
            _add_sizes(here, weights[1, b], weights[2, b], total)
        if wanted[4]:
            weight = weights[0, b]
            _pull(here[1:], here[:-1], weight, l1, total[1:])
            _pull(here[:-1], here[1:], weight, l1, total[:-1])
            if y > 0:
                _pull(here, mask[b, y - 1], weight, l1, total)
            if y + 1 < height:
                _pull(here, mask[b, y + 1], weight, l1, total)


def layout_of(*values: Tensor) -> torch.memory_format | None:
    """In which layout plain tensors of images and masks all lie in memory without gaps; None if in neither."""
    if all(type(v) in (Tensor, nn.Parameter) for v in values):
        for layout in (torch.contiguous_format, torch.channels_last):
            if all(v.is_contiguous(memory_format=layout) for v in values):
                return layout
    return None


def blend_and_sums(image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm) -> RawTerms:
    """What :func:`~aucond.ops._mask_blend_reference.raw_terms` computes, of tensors that have a layout."""
    out, sums = torch.empty_like(image), np.empty((3, *attention.shape[::2]))
    _in_threads(_forward, attention, *_as_rows(image, color, attention, out), sums, l1=norm == "l1")
    tv, squares, absolutes = torch.from_numpy(sums.sum(2)).to(attention.dtype)
    return out, tv, squares, absolutes


def gradients(
    inputs: Sequence[Tensor], norm: TVNorm, upstream: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients of the blend and the sums, of tensors that have a layout, the blend's upstream among them."""
    for_blend, *for_sums = upstream
    found = [
        torch.empty_like(value) if need and (for_blend is not None or value is inputs[2]) else None
        for value, need in zip(inputs, needs, strict=True)
    ]
    attention, nothing = inputs[2], inputs[0][:0]
    weights = torch.zeros(3, len(attention), dtype=attention.dtype)
    for weight, given, factor in zip(weights, for_sums, (2 if norm == "l2" else 1, 2, 1), strict=True):
        if given is not None:
            torch.mul(given, factor, out=weight)
    wanted = [grad is not None for grad in found] + [for_blend is not None, for_sums[0] is not None]
    wanted.append(for_sums[1] is not None or for_sums[2] is not None)
    blocks = [nothing if v is None else v for v in (for_blend, found[0], found[1])]
    rows = _as_rows(*inputs, *blocks)
    d_mask = attention if found[2] is None else found[2]
    _in_threads(
        _backward, attention, *rows[:4], weights.numpy(), *rows[4:], *_as_rows(d_mask), np.array(wanted),
        l1=norm == "l1",
    )  # fmt: skip
    return found


def _as_rows(*values: Tensor) -> list[Rows]:
    """The memory of images as (B, 3, H, W) or (B, 1, H, 3 W), of masks as (B, H, W)."""
    rows = []
    for value in values:
        value = value.detach()
        if value.shape[1] == 1:
            rows.append(value.squeeze(1).numpy())
        elif value.is_contiguous():
            rows.append(value.numpy())
        else:
            rows.append(value.permute(0, 2, 3, 1).flatten(2).unsqueeze(1).numpy())
    return rows


def _in_threads(kernel: Callable[..., None], attention: Tensor, *arrays: Rows, l1: bool) -> None:
    """Run a kernel over all rows, shared among as many threads as torch has."""
    rows = attention.shape[0] * attention.shape[2]
    count = max(1, min(torch.get_num_threads(), rows, attention.numel() // PIXELS_A_THREAD))
    run_shares(count, lambda i: kernel(*arrays, rows * i // count, rows * (i + 1) // count, l1))
