"""From the published layout or OpenFace CSV files to an image folder with ``metadata.csv``."""

from __future__ import annotations

import csv
import io
import logging
import shutil
from pathlib import Path

import numpy as np

from aucond._files import atomic_file
from aucond.conditions import OPENFACE_AUS, ConditionSpace
from aucond.data._files import not_for_tables, printable_name
from aucond.data.annotations import Record
from aucond.data.images import check_size, decode_image
from aucond.data.layouts import collect_annotations, recognise_layout
from aucond.data.problems import DatasetError, OnError, Problem, report_problems

__all__ = ["convert_to_folder"]

logger = logging.getLogger("aucond.data")


def convert_to_folder(
    source: str | Path,
    destination: str | Path,
    space: ConditionSpace = OPENFACE_AUS,
    *,
    size: int | tuple[int, int] | None = None,
    on_error: OnError = "raise",
) -> Path:
    """Convert a data folder to the layout of :class:`ConditionFolder`.

    Every image is decoded once to see that it is whole. Without ``size`` it is copied as it is, with ``size`` it
    is cut, resampled and saved as PNG. ``metadata.csv`` is written last: a folder without one is an
    interrupted conversion, and converting again finishes it.

    Args:
        source: A folder in the published layout or with OpenFace CSV files.
        destination: The folder to make; it must not hold a ``metadata.csv``.
        space: The components to write, one column each, normalised.
        size: Height and width of the images, or one number for both.
        on_error: ``"raise"``: one DatasetError lists every broken entry and no ``metadata.csv`` is written;
            ``"skip"``: they are listed in the log and left out.

    Returns:
        Path: The new ``metadata.csv``.

    Raises:
        DatasetError: An unknown layout or broken entries, file names that a table cannot hold among them.
        ValueError: ``destination`` is the source.
        FileExistsError: ``destination`` holds a ``metadata.csv``.

    >>> convert_to_folder("no_such_folder", "new_folder")
    Traceback (most recent call last):
    aucond.data.problems.DatasetError: no_such_folder: 1 problem
      no_such_folder: there is no such folder
    """
    source, destination, wanted = Path(source), Path(destination), check_size(size)
    if recognise_layout(source) == "folder":
        raise DatasetError(source, [Problem(source, "is already an image folder with a metadata.csv")])
    if destination.resolve() == source.resolve():
        raise ValueError(f"destination: expected another folder than the source, got {destination}")
    table = destination / "metadata.csv"
    if table.exists():
        raise FileExistsError(f"destination: {table} is there already; remove it or choose another folder")
    annotations = collect_annotations(source, space)
    problems = list(annotations.problems)
    written: list[tuple[str, Record]] = []
    names: set[str] = set()
    for record in annotations.records:
        name = _new_name(record.path.relative_to(source), wanted is not None, names)
        reason = not_for_tables(name)
        if reason is not None:
            problems.append(Problem(Path(printable_name(str(record.path))), reason))
            continue
        try:
            _write_image(record.path, destination / name, wanted)
        except ValueError as error:
            problems.append(Problem(record.path, str(error).removeprefix(f"{record.path}: ")))
            continue
        written.append((name, record))
    report_problems(source, problems, on_error)
    if not written:
        raise DatasetError(source, problems or [Problem(source, "there is no usable image")])
    _write_table(table, space, written)
    for note in annotations.notes:
        logger.warning("%s: %s", source, note)
    logger.info("%s: %d images, %d entries left out", table, len(written), len(problems))
    return table


def _new_name(path: Path, as_png: bool, taken: set[str]) -> str:
    name = path.with_suffix(".png").as_posix() if as_png else path.as_posix()
    if name in taken:
        # a.jpg and a.bmp both become a.png: the second keeps its old ending inside the new name.
        name = path.as_posix() + ".png"
    taken.add(name)
    return name


def _write_image(source: Path, destination: Path, size: tuple[int, int] | None) -> None:
    from PIL import Image

    pixels = decode_image(source, size)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(destination) as stream:
        if size is not None:
            Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(stream, format="PNG")
        else:
            with source.open("rb") as original:
                shutil.copyfileobj(original, stream)


def _write_table(path: Path, space: ConditionSpace, written: list[tuple[str, Record]]) -> None:
    has_split = any(record.split is not None for _, record in written)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file_name", *(["split"] if has_split else []), *space.names])
    for name, record in written:
        # Nine digits give every float32 back exactly.
        values = [f"{value:.9g}" for value in record.condition]
        writer.writerow([name, *([record.split] if has_split else []), *values])
    with atomic_file(path) as stream:
        stream.write(text.getvalue().encode())
