"""A photo made ready to be edited, and the result of an edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from aucond._check import check_finite, check_images, check_number, describe
from aucond.edit.change import Change, enlarged_onto
from aucond.edit.photo_io import Pixels, open_pixels
from aucond.edit.wild import cut_out, put_back, weight_map
from aucond.faces.detection import Face, FaceDetector, find_faces
from aucond.faces.framing import FaceCrop, FaceFraming
from aucond.types import GeneratorOutput

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Edit", "NoFaceError", "Photo", "PreparedPhoto", "prepare_photo"]

Photo: TypeAlias = "str | Path | Image.Image | NDArray[Any] | Tensor | PreparedPhoto"
"""What the editor takes: a path, a PIL image, an array of uint8 or uint16, a tensor, or what ``prepare`` returned."""


class NoFaceError(ValueError):
    """No face was found in a photo."""


@dataclass(frozen=True, eq=False)
class PreparedPhoto:
    """A photo, its face crops at the network's size, and their conditions. Made by ``FaceEditor.prepare``."""

    images: Tensor
    """The crops (F, 3, size, size) in [-1, 1], the largest face first."""
    crops: tuple[FaceCrop, ...]
    """Where they lie in the photo; of tensors nothing."""
    faces: tuple[Face, ...]
    """What the detector found; nothing where it was not asked."""
    current: Tensor | None
    """Their conditions (F, N); None where there is no critic to read them."""
    original: Pixels | Tensor
    """The photo itself."""

    def __len__(self) -> int:
        return len(self.images)

    def one(self, number: int) -> PreparedPhoto:
        """The same photo with one of its faces only."""
        part = slice(number, number + 1)
        return replace(
            self,
            images=self.images[part],
            crops=self.crops[part],
            faces=self.faces[part],
            current=None if self.current is None else self.current[part],
            original=_batched(self.original)[part] if isinstance(self.original, Tensor) else self.original,
        )


@dataclass(frozen=True, eq=False)
class Edit:
    """The result of an edit, with all that led to it."""

    photo: PreparedPhoto
    """What was edited."""
    output: GeneratorOutput
    """What the generator gave for each crop: image and color (F, 3, size, size), attention (F, 1, size, size)."""
    target: Tensor
    """The target conditions (F, N)."""
    attention_floor: float
    """Mask values up to this count as 0 in photos."""

    @property
    def attention(self) -> Tensor:
        """The edit masks (F, 1, size, size) in [0, 1], as the generator gave them."""
        return self.output.attention

    @property
    def color(self) -> Tensor:
        """The colour images (F, 3, size, size) in [-1, 1]."""
        return self.output.color

    @cached_property
    def image(self) -> Any:
        """The edited photo, of the kind the photo was. Put together when first asked for."""
        original = self.photo.original
        if isinstance(original, Tensor):
            edited = self._edited_tensor(_batched(original)).to(original.device, original.dtype)
            return edited.reshape(original.shape)
        return original.like_the_original(put_back(original, self.photo.crops, self._change))

    @property
    def before(self) -> Any:
        """The photo as it was, upright, of the kind and in the channels that ``image`` has."""
        original = self.photo.original
        return original if isinstance(original, Tensor) else original.like_the_original(original.values)

    def face(self, number: int, size: int) -> Tensor:
        """One edited face, cut out of the photo at any size: (3, size, size) in [-1, 1]."""
        original = self.photo.original
        check_number("number", number, low=0, high=len(self.photo) - 1, integer=True)
        if isinstance(original, Tensor):
            before = _resized(_batched(original)[number : number + 1].float().cpu(), size)
        else:
            before = cut_out(original, self.photo.crops[number], size)[None]
        return enlarged_onto(self._change.one(number), before)[0]

    def weights(self) -> NDArray[np.float32]:
        """How strongly each pixel of the photo was edited (H, W), in [0, 1]: where it is 0, no bit has changed.

        Raises:
            TypeError: The photo was a tensor; its masks are ``attention``.
        """
        if isinstance(self.photo.original, Tensor):
            raise TypeError("photo: expected a photo, got a tensor, whose masks are edit.attention")
        return weight_map(self.photo.original, self.photo.crops, self._change.mask)

    @cached_property
    def _change(self) -> Change:
        return Change.of(self.output, self.photo.images, self.attention_floor)

    def _edited_tensor(self, batch: Tensor) -> Tensor:
        if batch.shape[-2:] == self.output.image.shape[-2:]:
            return self.output.image
        return enlarged_onto(self._change, batch.float().cpu())


def prepare_photo(
    photo: Any,
    size: int,
    framing: FaceFraming,
    detector: Callable[[], FaceDetector],
    *,
    how: Literal["auto", "detect", "crop"],
    crops: Sequence[FaceCrop] | None,
    who: Literal["all", "largest"] | Sequence[int],
) -> PreparedPhoto:
    """Open a photo and cut out its faces; see ``FaceEditor.prepare``. The detector is asked for only when needed."""
    searched = crops is None and (how == "detect" or (how == "auto" and not isinstance(photo, Tensor)))
    if not searched and who != "all":
        raise ValueError(f"who: expected 'all' where no faces are looked for, got {who!r}")
    if isinstance(photo, Tensor) and how != "detect" and crops is None:
        return PreparedPhoto(_crops_of_tensor(photo, size), (), (), None, photo)
    if isinstance(photo, Tensor):
        raise TypeError(
            "photo: expected a path, an image or an array where faces are looked for, got a tensor, "
            "which is taken as aligned crops"
        )
    pixels = open_pixels(photo)
    faces: tuple[Face, ...] = ()
    if crops is not None:
        found = tuple(crops)
        if not found or not all(isinstance(crop, FaceCrop) for crop in found):
            raise TypeError(f"crops: expected at least one FaceCrop, got {list(found)!r}")
    elif how == "crop":
        found = (FaceCrop(pixels.width / 2, pixels.height / 2, float(min(pixels.width, pixels.height))),)
    else:
        faces = _chosen(_detected(photo, pixels, detector()), who)
        found = tuple(framing.crop(face.landmarks) for face in faces)
    images = torch.stack([cut_out(pixels, crop, size) for crop in found])
    return PreparedPhoto(images, found, faces, None, pixels)


def _detected(photo: Any, pixels: Pixels, detector: FaceDetector) -> list[Face]:
    faces = find_faces(detector, pixels.rgb())
    if faces:
        return faces
    name = f"{photo}" if isinstance(photo, str | Path) else "photo"
    raise NoFaceError(
        f"{name}: no face was found in the picture of {pixels.width}x{pixels.height} pixels by {detector!r}. "
        "Faces must be upright, turned less than about 45 degrees, and not tiny. If the picture is a face crop, "
        "pass framing='crop' to prepare(); if you know where the face is, pass crops=[FaceCrop(x, y, side)]"
    )


def _chosen(faces: Sequence[Face], who: Literal["all", "largest"] | Sequence[int]) -> tuple[Face, ...]:
    if isinstance(who, str):
        if who not in ("all", "largest"):
            raise ValueError(f"who: expected 'all', 'largest' or a list of numbers, got {who!r}")
        return tuple(faces if who == "all" else faces[:1])
    if not isinstance(who, list | tuple | range) or not who:
        raise TypeError(f"who: expected 'all', 'largest' or a list of numbers, got {describe(who)}")
    for number in who:
        check_number("who", number, low=0, integer=True)
        if number >= len(faces):
            raise ValueError(
                f"who: expected numbers of the {len(faces)} faces found, counted from 0, got {number}"
            )
    return tuple(faces[number] for number in who)


def _crops_of_tensor(photo: Tensor, size: int) -> Tensor:
    batch = check_images("photo", _batched(photo))
    if batch.shape[-1] != batch.shape[-2]:
        raise ValueError(
            f"photo: expected square crops (B, 3, {size}, {size}) or of another size, got {describe(photo)}"
        )
    check_finite("photo", batch)
    return _resized(batch.detach().float().cpu(), size)


def _batched(photo: Tensor) -> Tensor:
    return photo[None] if photo.dim() == 3 else photo


def _resized(batch: Tensor, size: int) -> Tensor:
    if batch.shape[-2:] == (size, size):
        return batch
    shrinking = batch.shape[-1] > size
    resized = F.interpolate(batch, (size, size), mode="bicubic", antialias=shrinking, align_corners=False)
    return resized.clamp(-1, 1)
