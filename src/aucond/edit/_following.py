"""The same face from frame to frame: where it is and what it shows, read and smoothed while the video streams."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aucond.edit._video_codec import Picture
from aucond.edit.smoothing import bridge_gaps, smooth_stream
from aucond.faces.detection import find_faces
from aucond.faces.framing import FaceCrop

if TYPE_CHECKING:
    from aucond.edit.editor import FaceEditor

__all__ = ["Seen", "follow_face"]

Finder = Callable[[NDArray[np.uint8]], Tensor | None]


class Seen(NamedTuple):
    """A picture, where its face is, and the condition that the critic reads there; None where there is no face."""

    picture: Picture
    crop: FaceCrop | None
    condition: Tensor | None


def follow_face(
    editor: FaceEditor,
    pictures: Iterable[Picture],
    *,
    framing: Literal["detect", "crop"],
    window: int,
    order: int,
    longest_gap: int,
) -> Iterator[Seen]:
    """Find the face in every picture, smooth its place, read its condition there, smooth that.

    Holds ``longest_gap + 2 * window`` pictures at most.
    """
    find = _middle_square if framing == "crop" else _Follower(editor)
    places = ((picture, find(picture.pixels)) for picture in pictures)
    steady = smooth_stream(bridge_gaps(places, longest=longest_gap), window=window, order=order)
    read = ((seen, seen.condition) for seen in (_read(editor, *pair) for pair in steady))
    for seen, condition in smooth_stream(read, window=window, order=order):
        known = None if condition is None else editor.space.clamp(condition)
        yield seen._replace(condition=known)


def _read(editor: FaceEditor, picture: Picture, place: Tensor | None) -> Seen:
    if place is None:
        return Seen(picture, None, None)
    crop = _to_crop(place)
    return Seen(picture, crop, editor.read_tensor(editor.prepare(picture.pixels, crops=[crop]))[0])


class _Follower:
    """Finds the face that is nearest to where it was, and the largest one to begin with or after it was lost."""

    def __init__(self, editor: FaceEditor) -> None:
        self._detector = editor.detector
        self._framing = editor.framing
        self._last: FaceCrop | None = None

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor | None:
        crops = [self._framing.crop(face.landmarks) for face in find_faces(self._detector, pixels)]
        last = self._last
        if last is not None:
            # Further than half its own size within a frame is somebody else.
            crops = [crop for crop in crops if _distance(crop, last) < last.side / 2]
            crops.sort(key=lambda crop: _distance(crop, last))
        self._last = crops[0] if crops else None
        return _to_place(crops[0]) if crops else None


def _distance(one: FaceCrop, other: FaceCrop) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)


def _middle_square(pixels: NDArray[np.uint8]) -> Tensor:
    height, width = pixels.shape[:2]
    return _to_place(FaceCrop(width / 2, height / 2, float(min(height, width))))


def _to_place(crop: FaceCrop) -> Tensor:
    """Middle and right-hand side as a vector: unlike an angle, nothing in it jumps."""
    along, across = crop.side * math.cos(crop.angle), crop.side * math.sin(crop.angle)
    return torch.tensor([crop.x, crop.y, along, across], dtype=torch.float64)


def _to_crop(place: Tensor) -> FaceCrop:
    x, y, along, across = place.tolist()
    return FaceCrop(x, y, max(math.hypot(along, across), 1.0), math.atan2(across, along))
