"""A folder of images or video frames with the CSV files that OpenFace 2.x wrote for them."""

from __future__ import annotations

import re
from pathlib import Path

from aucond.conditions import OPENFACE_AUS, ConditionSpace
from aucond.data._files import list_images, resolve_inside
from aucond.data.annotations import Annotations, Record
from aucond.data.openface import OpenFaceRow, OpenFaceTable, collect_openface, is_openface_csv
from aucond.data.problems import DatasetError, OnError, Problem, report_problems

__all__ = ["collect_openface_folder", "find_openface_csvs", "read_openface_folder"]


def read_openface_folder(
    root: str | Path,
    space: ConditionSpace = OPENFACE_AUS,
    *,
    min_confidence: float = 0.8,
    on_error: OnError = "raise",
) -> Annotations:
    """Read a folder of images and OpenFace CSV files without opening an image.

    The file ``X.csv``, anywhere in the folder, belongs to

    - a video, when it has the column ``frame``: its frames are the images in a folder ``X`` or, if there is none,
      ``X_aligned``. The names of OpenFace's own crops tell frame and face. Otherwise, when the folder has as
      many images as the file has frames, they go together in the order of their names, in which whole numbers
      are compared as numbers (``f9``, ``f10``); else the number at the end of an image's name is its frame,
      counted from 1;
    - an image ``X.png``, ``X.jpg``, ..., or the crop of the chosen face in ``X_aligned``.

    Images are looked for in ``imgs/``, ``images/``, the folder itself and beside the CSV file, in this order.

    Args:
        root: The folder.
        space: The components to read; each name plus ``_r`` must be a column.
        min_confidence: Rows less sure than this are dropped and counted in ``notes``.
        on_error: ``"raise"`` lists every broken entry in one error, ``"skip"`` in the log.

    Raises:
        DatasetError: No OpenFace CSV file, missing columns, broken rows, rows without an image.

    >>> read_openface_folder("no_such_folder")
    Traceback (most recent call last):
    aucond.data.problems.DatasetError: no_such_folder: 1 problem
      no_such_folder: there is no such folder
    """
    annotations = collect_openface_folder(root, space, min_confidence)
    report_problems(annotations.root, annotations.problems, on_error)
    return annotations


def find_openface_csvs(root: Path) -> list[Path]:
    """Return the OpenFace CSV files in a folder and in its subfolders."""
    return [path for path in sorted(root.rglob("*.csv")) if is_openface_csv(path)]


def collect_openface_folder(
    root: str | Path, space: ConditionSpace, min_confidence: float = 0.8
) -> Annotations:
    """Read the folder; broken entries are only collected."""
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(root, [Problem(root, "there is no such folder")])
    paths = find_openface_csvs(root)
    if not paths:
        raise DatasetError(
            root, [Problem(root, "there is no OpenFace CSV file (with columns like 'AU12_r')")]
        )
    records: list[Record] = []
    problems: list[Problem] = []
    notes: list[str] = []
    seen: dict[Path, Path] = {}
    for path in paths:
        try:
            table = collect_openface(path, space, min_confidence)
        except DatasetError as error:
            problems.extend(error.problems)
            continue
        problems.extend(table.problems)
        notes.extend(table.notes())
        for row, image in _images_of(root, table, problems, notes):
            if image in seen:
                problems.append(
                    Problem(path, f"{image.name!r} is already annotated in {seen[image]}", row.line)
                )
                continue
            seen[image] = path
            try:
                resolve_inside(root, image.relative_to(root).as_posix())
            except ValueError as error:
                problems.append(Problem(path, str(error), row.line))
                continue
            records.append(Record(image, row.condition))
    return Annotations(root, tuple(records), tuple(problems), tuple(notes))


def _images_of(
    root: Path, table: OpenFaceTable, problems: list[Problem], notes: list[str]
) -> list[tuple[OpenFaceRow, Path]]:
    """Pair the rows of one CSV file with their images; rows without one become problems."""
    if not table.rows:
        return []
    stem = table.path.stem
    places = list(dict.fromkeys([root / "imgs", root / "images", root, table.path.parent]))
    single = [image for place in places for image in list_images(place) if image.stem == stem]
    folders = [place / name for name in (stem, f"{stem}_aligned") for place in places]
    frames = next((images for folder in folders if (images := list_images(folder))), [])
    if single and len(table.rows) == 1 and (not table.frames_in_file or not frames):
        return [(table.rows[0], single[0])]
    if not frames:
        wanted = f"an image {stem}.* or a folder {stem} or {stem}_aligned with images"
        problems.append(Problem(table.path, f"expected {wanted} in {root} or beside the file, found none"))
        return []
    return _frames_of(table, frames, problems, notes)


def _frames_of(
    table: OpenFaceTable, images: list[Path], problems: list[Problem], notes: list[str]
) -> list[tuple[OpenFaceRow, Path]]:
    try:
        index = _index_frames(table, images)
    except ValueError as error:
        problems.append(Problem(table.path, str(error)))
        return []
    pairs = []
    for row in table.rows:
        keys = [(row.frame, row.face), (row.frame, None), (None, row.face)]
        image = next((index[key] for key in keys if key in index), None)
        if image is None:
            what = f"face {row.face}" if row.frame is None else f"frame {row.frame}, face {row.face}"
            problems.append(
                Problem(table.path, f"there is no image of {what} in {images[0].parent}", row.line)
            )
        else:
            pairs.append((row, image))
    left = len(images) - len(pairs)
    if left:
        notes.append(f"{left} images of {images[0].parent.name} have no usable row in {table.path.name}")
    return pairs


def _index_frames(table: OpenFaceTable, images: list[Path]) -> dict[tuple[int | None, int | None], Path]:
    """Say which frame and face each image shows; None stands for any."""
    crops = [re.fullmatch(r"(?:frame|face)_det_(\d+)(?:_(\d+))?", image.stem) for image in images]
    if all(crops):
        numbers = [[int(part) for part in crop.groups() if part] for crop in crops if crop is not None]
        return {
            (n[1] if len(n) == 2 else None, n[0]): image for n, image in zip(numbers, images, strict=True)
        }
    if len(images) == len(table.frames_in_file):
        ordered = sorted(images, key=_natural_key)
        return {(n, None): image for n, image in zip(table.frames_in_file, ordered, strict=True)}
    ends = [re.search(r"(\d+)$", image.stem) for image in images]
    found: dict[tuple[int | None, int | None], Path] = {
        (int(end[1]), None): image for end, image in zip(ends, images, strict=True) if end is not None
    }
    if len(found) < len(images) or (0, None) in found:
        # OpenFace counts frames from 1: with a frame 0 every image would get its neighbour's condition.
        raise ValueError(
            f"cannot tell which of the {len(images)} images in {images[0].parent} is which of the "
            f"{len(table.frames_in_file)} frames; give each frame an image, or end the names with the frame's "
            "number counted from 1"
        )
    return found


def _natural_key(image: Path) -> tuple[list[str | int], str]:
    # Letter by letter f10 comes before f2. Every second part is a number, so that like is compared with like.
    parts = re.split(r"(\d+)", image.stem)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], image.name
