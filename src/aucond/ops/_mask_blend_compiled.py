"""The blend with its mask terms on a CPU as one compiled pass forward and one backward.

Imported only when the dispatcher first needs it, as numba takes a moment to load. The unit of work is a block of some
rows of one image: what it reads and writes stays in the cache between simple loops, each of which touches few enough
arrays to be vectorised. Sums are formed per block in the dtype and added up in float64 over the blocks, so the result
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

PIXELS_A_BLOCK = 1 << 12
"""With fewer, starting the loops takes longer than running them."""

Pixels = npt.NDArray[Any]
"""Images as (B, 3, H W), or, for channels_last memory, (B, 1, 3 H W); masks as (B, H W); parts of their rows."""

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
# Sums may be formed in any order, or they could not be vectorised; all else is computed as it is written.
_sum = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})


@_compiled
def _blend(image: Pixels, color: Pixels, mask: Pixels, out: Pixels) -> None:
    one = mask.dtype.type(1)
    for x in range(mask.size):
        a, step = mask[x], color[x] - image[x]
        # Two forms, as torch.lerp has them, so that both ends are exact.
        near, far = image[x] + a * step, color[x] - (one - a) * step
        out[x] = near if a + a < one else far


@_sum
def _squared_steps(row: Pixels, other: Pixels) -> Any:
    total = row.dtype.type(0)
    for x in range(row.size):
        step = other[x] - row[x]
        total += step * step
    return total


@_sum
def _absolute_steps(row: Pixels, other: Pixels) -> Any:
    total = row.dtype.type(0)
    for x in range(row.size):
        total += abs(other[x] - row[x])
    return total


@_sum
def _sizes(row: Pixels) -> Any:
    squares, absolutes = row.dtype.type(0), row.dtype.type(0)
    for x in range(row.size):
        squares += row[x] * row[x]
        absolutes += abs(row[x])
    return squares, absolutes


@_compiled
def _repeat(row: Pixels, times: int, out: Pixels) -> None:
    """Each value of a row, written ``times`` times: a mask for pixels whose channels lie side by side."""
    for x in range(row.size):
        for c in range(times):
            out[x * times + c] = row[x]


@_compiled
def _forward(
    image: Pixels, color: Pixels, mask: Pixels, out: Pixels, sums: Pixels, width: int, rows: int, l1: bool,
    first: int, last: int,
) -> None:  # fmt: skip
    """Blocks ``first`` to ``last`` of all images', of so many rows of so many pixels each."""
    planes, pixels, blocks = image.shape[1], mask.shape[1], sums.shape[2]
    each = 3 if planes == 1 else 1
    spread = np.empty(each * rows * width, mask.dtype)
    for unit in range(first, last):
        b, block = unit // blocks, unit % blocks
        start, end = block * rows * width, min((block + 1) * rows * width, pixels)
        whole = mask[b]
        here = whole[start:end]
        weights = here
        if each == 3:
            weights = spread[: 3 * here.size]
            _repeat(here, 3, weights)
        for c in range(planes):
            part = slice(each * start, each * end)
            _blend(image[b, c][part], color[b, c][part], weights, out[b, c][part])
        next_rows = whole[start + width : end + width]  # of the last block one row less
        above = here[: next_rows.size]
        tv = float(_absolute_steps(above, next_rows) if l1 else _squared_steps(above, next_rows))
        for row in range(0, here.size, width):
            left, right = here[row : row + width - 1], here[row + 1 : row + width]
            tv += float(_absolute_steps(left, right) if l1 else _squared_steps(left, right))
        sums[0, b, block] = tv
        sums[1, b, block], sums[2, b, block] = _sizes(here)


@_compiled
def _for_color(upstream: Pixels, mask: Pixels, out: Pixels) -> None:
    for x in range(mask.size):
        out[x] = upstream[x] * mask[x]


@_compiled
def _for_image(upstream: Pixels, mask: Pixels, out: Pixels) -> None:
    for x in range(mask.size):
        out[x] = upstream[x] - upstream[x] * mask[x]


@_compiled
def _add_product(upstream: Pixels, image: Pixels, color: Pixels, out: Pixels) -> None:
    for x in range(out.size):
        out[x] += upstream[x] * (color[x] - image[x])


@_compiled
def _add_sizes(mask: Pixels, squares: Any, absolutes: Any, out: Pixels) -> None:
    zero, one = mask.dtype.type(0), mask.dtype.type(1)
    for x in range(out.size):
        a = mask[x]
        sign = one if a > zero else (-one if a < zero else zero)
        out[x] += squares * a + absolutes * sign


@_compiled
def _pull(here: Pixels, other: Pixels, weight: Any, l1: bool, out: Pixels) -> None:
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
def _pull_neighbours(whole: Pixels, start: int, width: int, weight: Any, l1: bool, out: Pixels) -> None:
    """Add what the total variation wants of the block of a mask that begins at pixel ``start``."""
    end = start + out.size
    here = whole[start:end]
    skipped = width if start == 0 else 0
    _pull(here[skipped:], whole[start + skipped - width : end - width], weight, l1, out[skipped:])
    below = whole[start + width : end + width]
    _pull(here[: below.size], below, weight, l1, out[: below.size])
    for row in range(0, out.size, width):
        line, total = here[row : row + width], out[row : row + width]
        _pull(line[1:], line[:-1], weight, l1, total[1:])
        _pull(line[:-1], line[1:], weight, l1, total[:-1])


@_compiled
def _backward(
    image: Pixels, color: Pixels, mask: Pixels, upstream: Pixels, weights: Pixels,
    d_image: Pixels, d_color: Pixels, d_mask: Pixels, wanted: Pixels, blocks: int, width: int, rows: int, l1: bool,
    first: int, last: int,
) -> None:  # fmt: skip
    """As ``_forward``; ``wanted``: gradients of image, colour, mask; whether there are upstream, tv, sizes."""
    planes, pixels = image.shape[1], mask.shape[1]
    each = 3 if planes == 1 else 1
    spread = np.empty(each * rows * width, mask.dtype)
    product = np.empty(each * rows * width, mask.dtype)
    for unit in range(first, last):
        b, block = unit // blocks, unit % blocks
        start, end = block * rows * width, min((block + 1) * rows * width, pixels)
        part, here = slice(each * start, each * end), mask[b][start:end]
        factors = here
        if each == 3:
            factors = spread[: 3 * here.size]
            _repeat(here, 3, factors)
        if wanted[3]:
            for c in range(planes):
                if wanted[1]:
                    _for_color(upstream[b, c][part], factors, d_color[b, c][part])
                if wanted[0]:
                    _for_image(upstream[b, c][part], factors, d_image[b, c][part])
        if not wanted[2]:
            continue
        total = d_mask[b][start:end]
        total[:] = 0
        if wanted[3] and each == 3:
            changes = product[: 3 * here.size]
            changes[:] = 0
            _add_product(upstream[b, 0][part], image[b, 0][part], color[b, 0][part], changes)
            for x in range(total.size):
                total[x] = changes[3 * x] + changes[3 * x + 1] + changes[3 * x + 2]
        elif wanted[3]:
            for c in range(planes):
                _add_product(upstream[b, c][part], image[b, c][part], color[b, c][part], total)
        if wanted[5]:
            _add_sizes(here, weights[1, b], weights[2, b], total)
        if wanted[4]:
            _pull_neighbours(mask[b], start, width, weights[0, b], l1, total)


def layout_of(*values: Tensor) -> torch.memory_format | None:
    """In which layout plain tensors of images and masks all lie in memory without gaps; None if in neither."""
    if all(type(v) in (Tensor, nn.Parameter) for v in values):
        for layout in (torch.contiguous_format, torch.channels_last):
            if all(v.is_contiguous(memory_format=layout) for v in values):
                return layout
    return None


def blend_and_sums(image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm) -> RawTerms:
    """What :func:`~aucond.ops._mask_blend_reference.raw_terms` computes, of tensors that have a layout."""
    out, (rows, blocks) = torch.empty_like(image), _blocks(attention)
    sums = np.empty((3, len(attention), blocks))
    arrays = (*_flat(image, color, attention, out), sums, attention.shape[3], rows, norm == "l1")
    _in_threads(_forward, attention, arrays)
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
    given_blend, *for_images = _flat(*(nothing if v is None else v for v in (for_blend, found[0], found[1])))
    d_mask = attention if found[2] is None else found[2]
    rows, blocks = _blocks(attention)
    arrays = (
        *_flat(*inputs), given_blend, weights.numpy(), *for_images, *_flat(d_mask),
        np.array(wanted), blocks, attention.shape[3], rows, norm == "l1",
    )  # fmt: skip
    _in_threads(_backward, attention, arrays)
    return found


def _flat(*values: Tensor) -> list[Pixels]:
    """The memory of images and masks as ``Pixels`` says."""
    found = []
    for value in values:
        value = value.detach()
        if value.shape[1] == 1:
            found.append(value.flatten(1).numpy())
        elif value.is_contiguous():
            found.append(value.flatten(2).numpy())
        else:
            found.append(value.permute(0, 2, 3, 1).flatten(1).unsqueeze(1).numpy())
    return found


def _blocks(attention: Tensor) -> tuple[int, int]:
    """The rows of a block, and the blocks of an image."""
    height, width = attention.shape[2:]
    rows = min(height, max(1, PIXELS_A_BLOCK // width))
    return rows, -(-height // rows)


def _in_threads(kernel: Callable[..., None], attention: Tensor, arrays: Sequence[Any]) -> None:
    """Run a kernel over all blocks, shared among as many threads as torch has."""
    units = len(attention) * _blocks(attention)[1]
    count = max(1, min(torch.get_num_threads(), units, attention.numel() // PIXELS_A_THREAD))
    run_shares(count, lambda i: kernel(*arrays, units * i // count, units * (i + 1) // count))
