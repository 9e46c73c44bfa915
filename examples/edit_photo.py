"""Edit the expression of the faces in a photo, and draw the photo before and after at full resolution.

With a photo of your own::

    python examples/edit_photo.py me.jpg smile.png AU12=0.9 AU06=0.5
    python examples/edit_photo.py me.jpg more.png AU12=+0.3 --relative

Without a photo it renders a person, puts the face at an angle into a larger, finely textured picture, edits it, and
writes ``before | after | where`` with an enlarged detail below, in which every pore and hair that the edit did not
touch is still there::

    python examples/edit_photo.py --demo in_the_wild.png

Finding faces needs ``pip install "aucond[detect]"``, the rendered person ``pip install "aucond[faces]"``. The
networks that come with aucond know rendered faces of 64 x 64 pixels only; for photos, pass ``--model`` a folder
trained on photos.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from aucond.edit import Edit, FaceEditor, NoFaceError, heat_map

DEMO = {"AU12": 0.9, "AU06": 0.6, "AU25": 0.6}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("::")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("photo", type=Path, nargs="?", help="photo to edit")
    parser.add_argument("output", type=Path, nargs="?", help="file to write, of any kind Pillow writes")
    parser.add_argument("changes", nargs="*", help="what to change, such as AU12=0.9")
    parser.add_argument("--relative", action="store_true", help="add the values to the expression as it is")
    parser.add_argument("--model", help="folder or Hub name of an editor; default: the one in the package")
    parser.add_argument("--before-after", type=Path, help="also write a picture of before and after")
    parser.add_argument("--demo", type=Path, metavar="PICTURE", help="edit a rendered person instead")
    arguments = parser.parse_intermixed_args()
    if arguments.demo is not None:  # Then every word is a change, the first two as well.
        words = [str(word) for word in (arguments.photo, arguments.output) if word is not None]
        arguments.photo = arguments.output = None
        arguments.changes = words + arguments.changes
    elif arguments.photo is None or arguments.output is None:
        parser.error("expected a photo and an output file, or --demo PICTURE")
    elif not arguments.changes:
        parser.error("expected what to change, such as AU12=0.9")
    return arguments


def parse_changes(words: list[str]) -> dict[str, float]:
    """``["AU12=0.9"]`` as a mapping."""
    changes = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            changes[name] = float(value)
        except ValueError:
            raise SystemExit(f"{word}: expected NAME=NUMBER, such as AU12=0.9") from None
    return changes


def rendered_photo(identity: int = 1_000_003, face: int = 560, size: int = 840) -> Image.Image:
    """A print of a rendered person on cloth: texture and grain that no network of 64 pixels could redraw."""
    from aucond import OPENFACE_AUS
    from aucond.faces import render_face

    neutral = render_face(identity, OPENFACE_AUS.neutral_vector(), size=face, seed=5)
    head = ((neutral + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    weave = 18 * np.sin(x / 2.1 + 3 * np.sin(y / 90)) * np.sin(y / 2.3)
    wall = np.stack([150 + weave, 146 + weave, 138 + weave], -1) + rng.normal(0, 6, (size, size, 1))
    photo = Image.fromarray(wall.clip(0, 255).astype(np.uint8))
    grain = rng.normal(0, 5, (face, face, 1))
    portrait = Image.fromarray((head + grain).clip(0, 255).astype(np.uint8))
    paper = ImageOps.expand(portrait, 18, "white").convert("RGBA")
    turned = paper.rotate(6, Image.Resampling.BICUBIC, expand=True)
    photo.paste(turned, ((size - turned.width) // 2, (size - turned.height) // 2), turned)
    return photo


def before_and_after(before: NDArray[np.uint8], edit: Edit) -> Image.Image:
    """Before, after and the weight of the change; below, the same of the mouth, enlarged without smoothing."""
    after = np.asarray(edit.image.convert("RGB"))
    weights = edit.weights()
    heat = (heat_map(torch.from_numpy(weights)[None, None])[0].permute(1, 2, 0).numpy() + 1) * 127.5
    shown = (0.3 * before.mean(-1, keepdims=True) + heat).clip(0, 255).astype(np.uint8)
    crop = edit.photo.crops[0]
    half = 0.26 * crop.side
    x, y = crop.x, crop.y + 0.18 * crop.side
    detail = (int(x - half), int(y - half), int(x + half), int(y + half))
    side = min(600, before.shape[1])
    sheet = Image.new("RGB", (3 * side, round(side * before.shape[0] / before.shape[1]) + side + 28), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=16)
    titles = ("before", "after", "where it was edited")
    for number, (title, pixels) in enumerate(zip(titles, (before, after, shown), strict=True)):
        picture = Image.fromarray(pixels)
        whole = picture.resize((side, sheet.height - side - 28), Image.Resampling.LANCZOS)
        sheet.paste(whole, (number * side, 28))
        enlarged = picture.crop(detail).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (number * side, sheet.height - side))
        draw.text(((number + 0.5) * side, 14), title, fill="black", font=font, anchor="mm")
    return sheet


def main() -> None:
    """Edit, check, write."""
    arguments = parse_arguments()
    editor = FaceEditor.from_pretrained(arguments.model)
    photo = arguments.photo if arguments.demo is None else rendered_photo()
    changes = parse_changes(arguments.changes) or DEMO
    try:
        prepared = editor.prepare(photo)
    except NoFaceError as error:
        raise SystemExit(str(error)) from None
    edit = editor.edit_details(prepared, changes, relative=arguments.relative)
    untouched = edit.weights() == 0
    before, after = np.asarray(edit.before.convert("RGB")), np.asarray(edit.image.convert("RGB"))
    if not np.array_equal(before[untouched], after[untouched]):
        raise SystemExit("a pixel changed that no mask attends to")
    print(f"{len(prepared)} face(s), {100 * untouched.mean():.1f}% of the photo untouched, bit for bit")
    if arguments.output is not None:
        edit.image.save(arguments.output)
    for path in (arguments.demo, arguments.before_after):
        if path is not None:
            before_and_after(before, edit).save(path)


if __name__ == "__main__":
    main()
