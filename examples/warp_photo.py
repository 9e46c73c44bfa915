"""Fit the face model to a photo and put other expressions on it: the exact pairs that SliderGAN learns from.

Without a photo it takes the portrait that scikit-image comes with (public domain; ``pip install scikit-image``)::

    python examples/warp_photo.py
    python examples/warp_photo.py me.jpg --output me_warps.png

It draws the photo, the landmarks found, the fitted mesh, and five expressions. Every expression's parameters are known,
so (photo, its parameters, warped photo, its parameters) is a pair to train on. Finding the face needs
``pip install "aucond[detect,faces]"``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from aucond import ARKIT_BLENDSHAPES
from aucond.data import decode_image, images_to_float
from aucond.edit import save_png
from aucond.faces import FittedPhoto, fit_photo

SIDE = 300
"""Pixels of one tile."""


def both(**units: float) -> dict[str, float]:
    """Units of both sides of the face."""
    return {name + side: value for name, value in units.items() for side in ("Left", "Right")}


EXPRESSIONS = {
    "neutral": {},
    "surprise": {"jawOpen": 0.65, "browInnerUp": 0.7, **both(browOuterUp=0.7, eyeWide=0.5)},
    "kiss": {"mouthPucker": 0.9},
    "eyes closed": both(eyeBlink=1.0, mouthSmile=0.7),
    "displeased": {"mouthShrugLower": 0.5, **both(browDown=1.0, mouthFrown=0.9, noseSneer=0.5)},
}


def main() -> None:
    """Detect, fit, warp, draw."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("::")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "photo", type=Path, nargs="?", help="photo of a face; default: scikit-image's astronaut"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/warps.png"), help="picture to write")
    arguments = parser.parse_args()

    image = load(arguments.photo)
    photo = fit_photo(image)
    conditions = torch.stack([ARKIT_BLENDSHAPES.vector(values) for values in EXPRESSIONS.values()])
    warped = photo.warp(conditions)
    found = sorted(zip(photo.condition.tolist(), ARKIT_BLENDSHAPES.names, strict=True), reverse=True)
    print("found:", ", ".join(f"{name} {value:.2f}" for value, name in found[:6]))
    print(f"landmark error {100 * float(photo.fit.error):.1f}% of the distance between the eyes")

    box = face_box(photo)
    tiles = {
        "photo": tile(image, box),
        "68 landmarks": draw_points(tile(image, box), place(photo.landmarks, box)),
        "fitted mesh": draw_lines(tile(image, box), place(face_edges(photo), box)),
    }
    tiles |= {name: tile(face, box) for name, face in zip(EXPRESSIONS, warped, strict=True)}
    save_png(sheet(tiles), arguments.output)
    print(arguments.output)


def load(path: Path | None) -> Tensor:
    """A photo (3, H, W) in [-1, 1]."""
    if path is not None:
        return images_to_float(torch.from_numpy(decode_image(path)))
    from skimage import data

    return images_to_float(torch.from_numpy(data.astronaut()).permute(2, 0, 1).contiguous())


def face_box(photo: FittedPhoto) -> tuple[float, float, float]:
    """Left, top and side of a square around the face, in pixels."""
    low, high = photo.landmarks.amin(0), photo.landmarks.amax(0)
    side = 1.9 * float((high - low).max())
    middle = (low + high) / 2
    return float(middle[0]) - side / 2, float(middle[1]) - 0.58 * side, side


def face_edges(photo: FittedPhoto) -> Tensor:
    """The edges of the mesh between forehead and chin: neck and ears would only hide the photo."""
    low, high = photo.landmarks.amin(0), photo.landmarks.amax(0)
    edges = photo.wireframe()
    margin = torch.tensor([0.02, 0.25]) * (high - low)
    inside = (edges > low - margin) & (edges < high + torch.tensor([0.02, 0.02]) * (high - low))
    return edges[inside.all(-1).all(-1)]


def tile(image: Tensor, box: tuple[float, float, float]) -> Image.Image:
    """The square of the photo, enlarged or reduced to a tile."""
    pixels = ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    left, top, side = box
    corners = (round(left), round(top), round(left + side), round(top + side))
    return Image.fromarray(pixels).crop(corners).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def place(points: Tensor, box: tuple[float, float, float]) -> list[list[float]]:
    """Points (..., 2) of the photo, in pixels of its tile, one flat list for each entry of the first dimension."""
    moved = (points - torch.tensor(box[:2])) * (SIDE / box[2])
    return moved.flatten(1).tolist()


def draw_points(picture: Image.Image, points: list[list[float]]) -> Image.Image:
    """Dots with a dark rim."""
    draw = ImageDraw.Draw(picture)
    for x, y in points:
        draw.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), fill=(70, 230, 120), outline=(10, 60, 30))
    return picture


def draw_lines(picture: Image.Image, edges: list[list[float]]) -> Image.Image:
    """Half transparent lines, drawn finer than a pixel."""
    veil = Image.new("L", (3 * SIDE, 3 * SIDE))
    draw = ImageDraw.Draw(veil)
    for edge in edges:
        draw.line([3 * value for value in edge], fill=150, width=2)
    picture.paste((120, 220, 255), (0, 0), veil.resize((SIDE, SIDE), Image.Resampling.BOX))
    return picture


def sheet(tiles: dict[str, Image.Image], columns: int = 4) -> Tensor:
    """Tiles with their names below, (3, H, W) in [-1, 1]."""
    caption, rows = 26, -(-len(tiles) // columns)
    picture = Image.new("RGB", (columns * SIDE, rows * (SIDE + caption)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=16)
    for number, (name, content) in enumerate(tiles.items()):
        x, y = number % columns * SIDE, number // columns * (SIDE + caption)
        picture.paste(content, (x, y))
        draw.text((x + SIDE / 2, y + SIDE + caption / 2), name, fill=0, font=font, anchor="mm")
    return images_to_float(torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous())


if __name__ == "__main__":
    main()
