"""Smoothing what is read frame by frame, so that an edited video does not flicker.

Readings of single frames (conditions, face boxes) jitter even where nothing moves. A Savitzky-Golay filter fits a
polynomial to a window of frames and takes its value in the middle: slow motion passes, jitter is averaged. Its delay is
half a window, so a video of any length is smoothed while it streams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, TypeVar

import torch
from torch import Tensor

from aucond._check import check_finite, check_number, describe

__all__ = ["bridge_gaps", "smooth_conditions", "smooth_stream"]

T = TypeVar("T")


def smooth_conditions(values: Tensor, *, window: int = 11, order: int = 2) -> Tensor:
    """Smooth a sequence over time with a Savitzky-Golay filter.

    Each value becomes that of the polynomial of degree ``order`` fitted to the ``window`` frames around it (Savitzky
    & Golay 1964, scipy's ``savgol_filter``); the first and last half window take theirs from the polynomial of the
    first and last window. A motion that is such a polynomial passes unchanged; of white noise a share of about
    ``sqrt(9 / (4 * window))`` is left (``order`` 2), of its change from frame to frame far less.

    Args:
        values: (T, ...) floats, one row a frame. A sequence shorter than the window is fitted as a whole.
        window: Frames, odd, above ``order``; 1 changes nothing.
        order: Degree of the polynomial, at least 0.

    Returns:
        A tensor of the shape and dtype of ``values``. It may overshoot the range of its input a little: put
        conditions through :meth:`~aucond.ConditionSpace.clamp`.

    Raises:
        TypeError: ``values`` is no floating tensor.
        ValueError: A window that is even or not above the order, an empty sequence, NaN or infinity.

    >>> ramp = torch.arange(5.0).square()[:, None]
    >>> bool(torch.allclose(smooth_conditions(ramp, window=5), ramp, atol=1e-5))
    True
    >>> smooth_conditions(torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]), window=3, order=1)[2]
    tensor(0.3333)
    """
    _check_filter(window, order)
    if not isinstance(values, Tensor) or not values.is_floating_point():
        raise TypeError(f"values: expected a floating tensor of shape (T, ...), got {describe(values)}")
    if values.dim() == 0 or values.shape[0] == 0:
        raise ValueError(f"values: expected at least one row, shape (T, ...), got {describe(values)}")
    check_finite("values", values)
    fitting = min(window, values.shape[0] - 1 + values.shape[0] % 2)
    if fitting <= order + 1:
        return values.clone()  # The polynomial goes through every point.
    rows = values.detach().cpu().double().numpy()
    smoothed = _signal().savgol_filter(rows, fitting, order, axis=0, mode="interp")
    return torch.from_numpy(smoothed).to(values)


def smooth_stream(
    items: Iterable[tuple[T, Tensor | None]], *, window: int = 11, order: int = 2
) -> Iterator[tuple[T, Tensor | None]]:
    """Smooth values that come along with frames, half a window late, holding one window of frames in memory.

    Gives exactly what :func:`smooth_conditions` gives for the whole sequence. A value of None (no face in the frame)
    passes as it is and ends a run: each run is smoothed by itself.

    Args:
        items: Pairs of anything (a frame) and its value, tensors of one shape, or None.
        window: As in :func:`smooth_conditions`.
        order: As in :func:`smooth_conditions`.

    Returns:
        The pairs in their order, with smoothed values.

    >>> noisy = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    >>> streamed = [value for _, value in smooth_stream(enumerate(noisy), window=5)]
    >>> torch.allclose(torch.stack(streamed), smooth_conditions(noisy, window=5))
    True
    """
    _check_filter(window, order)
    return _smooth_runs(items, window, order)


def bridge_gaps(
    items: Iterable[tuple[T, Tensor | None]], *, longest: int
) -> Iterator[tuple[T, Tensor | None]]:
    """Fill short runs of missing values, so that a detector's single miss is no flash in the video.

    Between two known values the missing ones are interpolated linearly; at the start the first known value is
    held, at the end the last one. A run longer than ``longest`` stays None: there the face is gone.

    Args:
        items: Pairs of anything (a frame) and its value or None.
        longest: The longest run that is filled, in frames; 0 fills none. As many frames are held in memory.

    >>> values = [torch.tensor(0.0), None, torch.tensor(1.0), None, None]
    >>> [value if value is None else value.item() for _, value in bridge_gaps(enumerate(values), longest=1)]
    [0.0, 0.5, 1.0, None, None]
    """
    check_number("longest", longest, low=0, integer=True)
    return _bridge(items, longest)


def _bridge(items: Iterable[tuple[T, Tensor | None]], longest: int) -> Iterator[tuple[T, Tensor | None]]:
    waiting: list[T] = []
    before: Tensor | None = None
    gone = False
    for item, value in items:
        if value is not None:
            yield from _filled(waiting, before, value)
            yield item, value
            waiting, before, gone = [], value, False
        elif gone:
            yield item, None
        else:
            waiting.append(item)
            if len(waiting) > longest:
                yield from ((late, None) for late in waiting)
                waiting, gone = [], True
    yield from _filled(waiting, before, before)


def _filled(
    waiting: list[T], before: Tensor | None, after: Tensor | None
) -> Iterator[tuple[T, Tensor | None]]:
    start = after if before is None else before
    for number, item in enumerate(waiting, 1):
        known = start is not None and after is not None
        yield item, torch.lerp(start, after, number / (len(waiting) + 1)) if known else None  # type: ignore[arg-type]


def _smooth_runs(
    items: Iterable[tuple[T, Tensor | None]], window: int, order: int
) -> Iterator[tuple[T, Tensor | None]]:
    for missing, run in groupby(items, key=lambda pair: pair[1] is None):
        # A window of one frame lets a run of missing values through as it is.
        yield from _smooth_run(run, 1 if missing else window, order)  # type: ignore[arg-type]


def _smooth_run(
    run: Iterator[tuple[T, Tensor]], window: int, order: int
) -> Iterator[tuple[T, Tensor | None]]:
    """Emit each item as soon as its window is full; the two ends come from the first and the last window."""
    half = window // 2
    if half == 0:
        yield from run
        return
    coefficients = torch.from_numpy(_signal().savgol_coeffs(window, order, use="dot").copy())
    held: deque[tuple[T, Tensor]] = deque(maxlen=window)
    count = 0
    for item, value in run:
        held.append((item, value))
        count += 1
        if count == window:
            yield from _fitted(held, window, order, slice(0, half + 1))
        elif count > window:
            rows = torch.stack([v for _, v in held])
            middle = torch.tensordot(coefficients.to(rows.device), rows.double(), dims=1)
            yield held[half][0], middle.to(value)
    yield from _fitted(held, window, order, slice(0 if count < window else half + 1, None))


def _fitted(
    held: deque[tuple[T, Tensor]], window: int, order: int, part: slice
) -> Iterator[tuple[T, Tensor]]:
    values = smooth_conditions(torch.stack([value for _, value in held]), window=window, order=order)
    yield from zip([item for item, _ in held][part], values[part], strict=True)


def _check_filter(window: Any, order: Any) -> None:
    check_number("order", order, low=0, integer=True)
    check_number("window", window, low=1, integer=True)
    if window % 2 == 0 or (window > 1 and window <= order):
        raise ValueError(f"window: expected an odd number of frames above the order {order}, got {window}")


def _signal() -> Any:
    try:
        from scipy import signal
    except ImportError as error:
        raise ImportError('smoothing needs scipy: pip install "aucond[video]"') from error
    return signal
