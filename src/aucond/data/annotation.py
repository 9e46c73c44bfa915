"""From a folder of plain photos to a dataset with conditions: find the face, fit the model, write the table."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aucond._check import check_number, describe
from aucond._files import atomic_file
from aucond.conditions import ARKIT_BLENDSHAPES, ConditionSpace
from aucond.data._files import NOT_FOR_TABLES, is_image_name, not_for_tables, printable_name, resolve_inside
from aucond.data._tables import read_table
from aucond.data.annotation_journal import AnnotationJournal
from aucond.data.images import decode_image
from aucond.data.problems import DatasetError, Problem, report_problems
from aucond.faces.detection import DlibDetector, Face, FaceDetector, usable_faces
from aucond.faces.fitting import fit_landmarks
from aucond.faces.linear_model import LinearFaceModel
from aucond.faces.space_model import SpaceModel

__all__ = ["AnnotationReport", "annotate"]

logger = logging.getLogger("aucond.data")

UNUSABLE = "unusable_photos.csv"
"""The list, beside ``metadata.csv``, of photos without a condition and why."""
JOURNAL = ".annotation.jsonl"
_BATCH = 32


@dataclass(frozen=True)
class AnnotationReport:
    """What an annotation did.

    Args:
        table: The ``metadata.csv``.
        annotated: Photos with a condition, those of earlier runs included that are still there.
        new: Photos looked at in this run.
        several: Names of the photos, of this run, with more than one face, of which the largest was taken.
        problems: Every photo that could not be used, those of earlier runs included that are still there.
    """

    table: Path
    annotated: int
    new: int
    several: tuple[str, ...]
    problems: tuple[Problem, ...]


def annotate(
    folder: str | Path,
    space: ConditionSpace = ARKIT_BLENDSHAPES,
    *,
    expression: Tensor | None = None,
    model: LinearFaceModel | None = None,
    detector: FaceDetector | None = None,
    max_error: float = 0.12,
    progress: bool = True,
) -> AnnotationReport:
    """Write ``metadata.csv``: the condition of the largest face in every photo of a folder, by fitting a face model.

    Photos in folders below count, hidden files do not. What is finished is kept in a journal: after a stop, the same
    call goes on. Photos that a ``metadata.csv`` of the same space or ``unusable_photos.csv`` knows are not looked
    at again, so photos may be added later; what these know of photos that are gone is dropped. No photo ends the run:
    one that cannot be read, in which no face is found, whose face the model does not fit, or whose name a table
    cannot hold (not UTF-8, blanks around it), is listed in ``unusable_photos.csv``, in the log and in the report.

    Args:
        folder: The photos.
        space: What to write, one column a component, normalised.
        expression: Coefficients of the model per component at full intensity (N, E); None: from the names, which must
            then be action units or ARKit units.
        model: The face model; None: the default head.
        detector: Finds faces and their 68 landmarks; None: :class:`~aucond.faces.detection.DlibDetector`.
        max_error: Mean landmark distance after the fit, as a share of the inter-ocular distance, above which a face
            counts as not fitted.
        progress: Show a bar.

    Raises:
        DatasetError: No such folder, no photo in it, or a table, list or journal there that was made otherwise.
        ImportError: dlib, its weights or tqdm are missing.
        TypeError: The detector returns something else than a list of faces.

    >>> annotate("no_such_folder")
    Traceback (most recent call last):
    aucond.data.problems.DatasetError: no_such_folder: 1 problem
      no_such_folder: there is no such folder
    """
    root = Path(folder)
    check_number("max_error", max_error, low=0.0)
    fitted = SpaceModel.of(space, expression, model)
    finder = DlibDetector() if detector is None else detector
    if not callable(finder):
        raise TypeError(
            f"detector: expected a callable from a picture to its faces, got {describe(detector)}"
        )
    names = _photo_names(root)
    refused = {name: reason for name in names if (reason := not_for_tables(name)) is not None}
    photos = [name for name in names if name not in refused]
    known, problems = _read_table(root, space), _read_unusable(root)
    journal = AnnotationJournal(root / JOURNAL, _settings(fitted, max_error))
    _drop_the_gone(root, {*names}, known, problems, journal.entries)
    if problems:
        logger.warning(
            "%s: %d photos listed in %s are not looked at again; remove it to have them tried again",
            root,
            len(problems),
            UNUSABLE,
        )
    done = known.keys() | problems.keys() | journal.entries.keys()
    waiting = [name for name in photos if name not in done]
    several: list[str] = []
    for batch in _batches(_bar(waiting, progress)):
        entries = _annotate_batch(root, batch, fitted, finder, max_error)
        several += [name for name, entry in entries.items() if entry.get("faces", 1) > 1]
        journal.add(entries)
    for name, entry in journal.entries.items():
        if "problem" in entry:
            problems[name] = entry["problem"]
        else:
            known[name] = entry["values"]
    problems.update((printable_name(name), reason) for name, reason in refused.items())
    _write_csv(
        root / UNUSABLE, ["file_name", "reason"], [[name, problems[name]] for name in sorted(problems)]
    )
    rows = [[name, *(f"{value:.9g}" for value in known[name])] for name in sorted(known)]
    _write_csv(root / "metadata.csv", ["file_name", *space.names], rows)
    journal.remove()
    listed = tuple(Problem(root / name, reason) for name, reason in sorted(problems.items()))
    report_problems(root, listed, "skip")
    if several:
        logger.info("%s: %d photos show several faces; the largest was taken", root, len(several))
    return AnnotationReport(root / "metadata.csv", len(known), len(waiting), tuple(several), listed)


def _annotate_batch(
    root: Path, names: list[str], fitted: SpaceModel, detector: FaceDetector, max_error: float
) -> dict[str, dict[str, Any]]:
    """The journal's entries of some photos."""
    entries: dict[str, dict[str, Any]] = {}
    faces: list[Face] = []
    for name in names:
        found = _find(root / name, detector)
        if isinstance(found, str):
            entries[name] = {"problem": found}
        else:
            entries[name] = {"faces": len(found)}
            faces.append(max(found, key=lambda face: face.area))
    if not faces:
        return entries
    marks = torch.stack([face.landmarks.detach().float().cpu() for face in faces])
    fit = fit_landmarks(fitted.model, marks, prior=fitted.prior, low=fitted.low, high=fitted.high)
    values = fitted.conditions(fit.expression.double()).tolist()
    where = [name for name, entry in entries.items() if "faces" in entry]
    for name, error, condition in zip(where, fit.error.tolist(), values, strict=True):
        if error <= max_error:
            entries[name]["values"] = condition
        else:
            reason = f"the face model does not fit the face: landmarks are off by {error:.0%} of the eyes' distance"
            entries[name] = {"problem": reason}
    return entries


def _find(path: Path, detector: FaceDetector) -> list[Face] | str:
    """The faces of a photo, or why there are none."""
    try:
        picture = np.ascontiguousarray(decode_image(path).transpose(1, 2, 0))
    except ValueError as error:
        return str(error).removeprefix(f"{path}: ")
    return usable_faces(detector, picture)


def _photo_names(root: Path) -> list[str]:
    """Names of all photos below a folder, with '/' between folders, in a fixed order."""
    if not root.is_dir():
        raise DatasetError(root, [Problem(root, "there is no such folder")])
    names = []
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        here = Path(folder).relative_to(root)
        names += [(here / n).as_posix() for n in files if is_image_name(Path(n)) and not n.startswith(".")]
    if not names:
        raise DatasetError(root, [Problem(root, "there is no image in it")])
    return sorted(names)


def _drop_the_gone(root: Path, names: set[str], *earlier: dict[str, Any]) -> None:
    """Take out what earlier runs know of photos that are gone, or whose names are refused by now."""
    gone = set()
    for name in {name for entries in earlier for name in entries}:
        if not_for_tables(name) is None and (name in names or _is_there(root, name)):
            continue
        if name not in names:
            gone.add(name)
        for entries in earlier:
            entries.pop(name, None)
    if gone:
        what = "1 entry" if len(gone) == 1 else f"{len(gone)} entries"
        whose = "photo is" if len(gone) == 1 else "photos are"
        logger.warning("%s: dropped %s of earlier runs, whose %s no longer there", root, what, whose)


def _is_there(root: Path, name: str) -> bool:
    # A table that was written by hand may name files that count as no photos here.
    try:
        resolve_inside(root, name)
    except ValueError:
        return False
    return True


def _read_table(root: Path, space: ConditionSpace) -> dict[str, list[float]]:
    """Conditions in a ``metadata.csv`` of an earlier run."""
    path = root / "metadata.csv"
    if not path.exists():
        return {}
    table = read_table(path, lambda name: True)
    if table.columns != ("file_name", *space.names):
        reason = (
            "is there already, with other columns than this annotation's; move it away, or annotate a copy"
        )
        raise DatasetError(path, [Problem(path, reason, 1)])
    problems = list(table.problems)
    known: dict[str, list[float]] = {}
    for row in table.rows:
        try:
            known[row.cells["file_name"]] = [float(row.cells[name]) for name in space.names]
        except ValueError as error:
            problems.append(Problem(path, str(error), row.line))
    if problems:
        raise DatasetError(path, problems)
    return known


def _read_unusable(root: Path) -> dict[str, str]:
    """Photos that an earlier run could not use, but for those of refused names: these stand there as others do."""
    path = root / UNUSABLE
    if not path.exists():
        return {}
    table = read_table(path, lambda name: True)
    if table.columns != ("file_name", "reason"):
        raise DatasetError(
            path, [Problem(path, "expected the columns file_name and reason; move it away", 1)]
        )
    listed = [(row.cells["file_name"], row.cells["reason"]) for row in table.rows]
    return {name: reason for name, reason in listed if reason not in NOT_FOR_TABLES}


def _settings(fitted: SpaceModel, max_error: float) -> dict[str, Any]:
    digest = hashlib.sha256(fitted.model.mean.tobytes())
    digest.update(fitted.model.expression_basis.tobytes())
    return {"space": fitted.space.to_dict(), "model": digest.hexdigest(), "max_error": max_error}


def _bar(names: list[str], progress: bool) -> Iterable[str]:
    if not progress or not names:
        return names
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError('the progress bar needs tqdm: pip install "aucond[detect]"') from error
    bar: Iterable[str] = tqdm(names, desc="annotating", unit="photo")
    return bar


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for name in names:
        batch.append(name)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    with atomic_file(path) as stream:
        stream.write(text.getvalue().encode())
