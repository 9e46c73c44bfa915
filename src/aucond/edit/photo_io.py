"""Photos of any kind as arrays that keep every bit, and back again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from aucond._check import describe
from aucond.data.images import _strict_pillow

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Pixels", "open_pixels"]

Mode = Literal["L", "LA", "RGB", "RGBA", "CMYK"]

_CHANNELS: dict[int, Mode] = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_KEPT: tuple[Mode, ...] = ("L", "LA", "RGB", "RGBA", "CMYK")
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. 601, by which Pillow turns colour into grey."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """A photo's own values, upright, in the channels and bits it came with.

    Args:
        values: (H, W, C), uint8 or uint16.
        mode: What the C channels mean.
        array_shape: The shape to give back, of a photo that came as an array; None: it came as an image.
        info: What an image says beside its pixels (colour profile, resolution).
    """

    values: NDArray[Any]
    mode: Mode
    array_shape: tuple[int, ...] | None = None
    info: dict[Any, Any] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.values.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.values.shape[1])

    @property
    def alpha(self) -> bool:
        """Whether the last channel says how opaque a pixel is."""
        return self.mode in ("LA", "RGBA")

    def rgb(self, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.uint8]:
        """A part of the photo as RGB bytes (h, w, 3), as one would see it; transparent becomes white."""
        part = self.values[rows, columns]
        if part.dtype == np.uint16:
            part = ((part.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        if self.mode == "CMYK":
            kept = 255 - part.astype(np.uint16)
            part = ((kept[..., :3] * kept[..., 3:].astype(np.uint32) + 127) // 255).astype(np.uint8)
        if self.alpha:
            opaque = part[..., -1:].astype(np.uint16)
            mixed = part[..., :-1] * opaque + 255 * (255 - opaque)
            part = ((mixed + 127) // 255).astype(np.uint8)
        if part.shape[-1] == 1:
            part = np.repeat(part, 3, axis=-1)
        return np.asarray(part, np.uint8)

    def changed(
        self, values: NDArray[Any], change: NDArray[np.float32], touched: NDArray[np.bool_]
    ) -> NDArray[Any]:
        """Values of this photo's kind after a change of colour.

        Args:
            values: A part of the photo (h, w, C).
            change: What is added to red, green and blue (h, w, 3), in the unit in which black to white is 2.
            touched: Pixels that may change (h, w); of the others every bit stays, as does all opacity.
        """
        top = np.float32(np.iinfo(values.dtype).max)
        old = values.astype(np.float32)
        step = change * (top / 2)
        if self.mode == "CMYK":
            light = (top - old[..., 3:]) / top
            seen = np.clip((top - old[..., :3]) * light + step, 0, top)
            new = top - seen / np.maximum(light, 1e-6)
            touched = touched & (values[..., 3] < top)
        elif self.mode in ("L", "LA"):
            new = old[..., :1] + (step @ _LUMA)[..., None]
        else:
            new = old[..., :3] + step
        if self.alpha:
            # Colour that nobody sees may be anything; an edit has no business there.
            touched = touched & (values[..., -1] > 0)
        result = values.copy()
        inked = new.shape[-1]
        result[..., :inked] = np.where(
            touched[..., None], np.clip(np.rint(new), 0, top).astype(values.dtype), values[..., :inked]
        )
        return result

    def like_the_original(self, values: NDArray[Any]) -> Image.Image | NDArray[Any]:
        """Other values as the kind of thing the photo came as: an array of its shape, or an image of its mode."""
        if self.array_shape is not None:
            return values.reshape(self.array_shape)
        from PIL import Image

        flat = values[..., 0] if values.shape[-1] == 1 else values
        if self.mode == "CMYK":
            image = Image.frombytes("CMYK", (self.width, self.height), flat.tobytes())
        else:
            image = Image.fromarray(np.ascontiguousarray(flat))
        image.info.update(self.info)
        return image


def open_pixels(photo: str | Path | Image.Image | NDArray[Any]) -> Pixels:
    """Open a photo.

    The rotation of the EXIF tag is applied. Grey, colour, alpha, CMYK and 16-bit grey are kept as they are; palettes
    and bitmaps become RGB, RGBA or L. Of an animation the first picture is taken.

    Args:
        photo: A path, a PIL image, or an array (H, W), (H, W, 1 to 4) of uint8 or uint16.

    Raises:
        ValueError: No image, a damaged or truncated one, too many pixels, or values of unknown range.
        TypeError: Something else.

    >>> open_pixels(np.zeros((4, 6, 4), np.uint8)).mode
    'RGBA'
    """
    from PIL import Image

    if isinstance(photo, np.ndarray):
        return _from_array(photo)
    if isinstance(photo, Image.Image):
        return _from_image(photo, "photo")
    if isinstance(photo, str | Path):
        return _from_file(Path(photo))
    raise TypeError(
        "photo: expected a path, a PIL image, an array of uint8 or uint16, or a tensor in [-1, 1], "
        f"got {describe(photo)}"
    )


def _from_array(array: NDArray[Any]) -> Pixels:
    wanted = (
        "photo: expected an array (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4) of uint8 or uint16"
    )
    if array.dtype not in (np.uint8, np.uint16):
        raise TypeError(
            f"{wanted}, got one of {array.dtype}; numbers between -1 and 1 go in as a tensor (3, H, W), "
            "between 0 and 1 as (array * 255).round().astype('uint8')"
        )
    values = array[..., None] if array.ndim == 2 else array
    if values.ndim != 3 or values.shape[2] not in _CHANNELS or values.size == 0:
        raise ValueError(f"{wanted}, got shape {array.shape}")
    return Pixels(values, _CHANNELS[values.shape[2]], array_shape=array.shape)


def _from_file(path: Path) -> Pixels:
    from PIL import Image

    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    with _strict_pillow():
        try:
            with Image.open(path) as image:
                image.load()
                return _from_image(image, str(path))
        except Image.DecompressionBombError as error:
            raise ValueError(f"{path}: too large to be a photo ({error})") from error
        except Exception as error:  # Pillow's readers raise nearly anything on damaged files.
            if isinstance(error, ValueError) and str(error).startswith(str(path)):
                raise
            raise ValueError(f"{path}: cannot be read as an image ({error})") from error


def _from_image(image: Image.Image, name: str) -> Pixels:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    info = {key: upright.info[key] for key in ("icc_profile", "dpi") if key in upright.info}
    if upright.mode.startswith("I;16"):
        deep = np.asarray(upright).astype(np.uint16)
        return Pixels(deep[..., None], "L", info=info)
    if upright.mode in ("I", "F"):
        raise ValueError(
            f"{name}: pixels of kind {upright.mode!r} (32 bits) have no known range; save 8 or 16 bits"
        )
    if upright.has_transparency_data and upright.mode not in ("LA", "RGBA"):
        upright = upright.convert("LA" if upright.mode in ("L", "La", "1") else "RGBA")
    elif upright.mode not in _KEPT:
        if upright.mode == "LAB":
            raise ValueError(f"{name}: pixels of kind 'LAB' cannot be edited; convert the photo to RGB")
        upright = upright.convert("L" if upright.mode == "1" else "RGB")
    values = np.asarray(upright)
    mode: Mode = next(kept for kept in _KEPT if kept == upright.mode)
    return Pixels(values[..., None] if values.ndim == 2 else values, mode, info=info)
