"""How much a video flickers: the change from frame to frame that is not motion."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from torch import Tensor

from aucond._check import check_same_shape, check_tensor

__all__ = ["temporal_flicker"]


def temporal_flicker(frames: Iterable[Tensor], true_frames: Iterable[Tensor]) -> float:
    r"""Mean absolute change from frame to frame beyond the true motion.

    .. math:: \frac{1}{T-1} \sum_{t=1}^{T-1} \frac{1}{3HW}
              \left\| (x_t - x_{t-1}) - (r_t - r_{t-1}) \right\|_1

    A constant difference between the two videos is no flicker, and neither is motion that both have.

    Args:
        frames: The video, frames (3, H, W) in [-1, 1]. Both videos are read frame by frame and never held.
        true_frames: What moves as it should: the true video or, for a re-expressed one, the video before the edit.

    Returns:
        The figure, in the unit of the images (their range is 2 wide); 0 is none.

    Raises:
        ValueError: Fewer than two frames, videos of unequal length, or frames of another shape.

    Convention: images in [-1, 1]; one 8-bit step is 2 / 255 = 0.0078.

    >>> import torch
    >>> still = [torch.zeros(3, 8, 8)] * 3
    >>> temporal_flicker([torch.full((3, 8, 8), v) for v in (0.0, 0.5, 0.0)], still)
    0.5
    >>> temporal_flicker([frame + 0.25 for frame in still], still)
    0.0
    """
    before: Tensor | None = None
    total, count = 0.0, 0
    for number, (frame, true_frame) in enumerate(zip_longest(frames, true_frames)):
        if frame is None or true_frame is None:
            short = "frames" if frame is None else "true_frames"
            raise ValueError(
                f"{short}: expected videos of the same length, got only {number} frames in this one"
            )
        check_tensor(f"frames[{number}]", frame, (3, "H", "W"))
        check_same_shape(f"frames[{number}]", frame, f"true_frames[{number}]", true_frame)
        difference = frame.double() - true_frame.double()
        if before is not None:
            check_same_shape("frames[0]", before, f"frames[{number}]", frame)
            total += float((difference - before).abs().mean())
            count += 1
        before = difference
    if not count:
        raise ValueError("frames: expected at least two frames, got fewer")
    return total / count
