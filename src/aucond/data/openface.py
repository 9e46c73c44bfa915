"""CSV files written by OpenFace 2.x."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from aucond._check import check_number, describe
from aucond.conditions import OPENFACE_AUS, ConditionSpace
from aucond.data._tables import Row, Table, parse_number, read_header, read_table, require_columns
from aucond.data.annotations import check_values
from aucond.data.problems import OnError, Problem, report_problems

__all__ = ["OpenFaceRow", "OpenFaceTable", "collect_openface", "is_openface_csv", "read_openface_csv"]

_ABOUT_ROW = ("frame", "face", "face_id", "confidence", "success")
_LANDMARK = re.compile(r"[xy]_\d+")


@dataclass(frozen=True)
class OpenFaceRow:
    """One face that OpenFace is sure of.

    Args:
        line: The line of the file.
        condition: Normalised values of the space's components.
        frame: The frame of the video, counted from 1; None in the file of a single image.
        face: The number of the face in the frame; 0 where the file does not say.
        confidence: How sure the landmark detector is, 0..1; None where the file does not say.
        area: Of the box around the landmarks in square pixels; 0 where the file has no landmarks.
    """

    line: int
    condition: tuple[float, ...]
    frame: int | None
    face: int
    confidence: float | None
    area: float


@dataclass(frozen=True)
class OpenFaceTable:
    """What :func:`read_openface_csv` returns: one row per frame, and the count of everything left out."""

    path: Path
    rows: tuple[OpenFaceRow, ...]
    """The usable rows by frame, one face each."""
    frames_in_file: tuple[int, ...]
    """All frame numbers of the file, also those of dropped rows; empty in the file of a single image."""
    failed: int
    """Rows dropped because ``success`` is 0: no face was tracked."""
    unsure: int
    """Rows dropped because ``confidence`` is below the limit."""
    other_faces: int
    """Rows dropped because another face of the same frame is surer, or as sure and larger."""
    problems: tuple[Problem, ...] = ()
    """Broken rows."""

    @property
    def conditions(self) -> Tensor:
        """The conditions of all rows, float32 (M, N), normalised."""
        return torch.tensor([row.condition for row in self.rows], dtype=torch.float32)

    def notes(self) -> tuple[str, ...]:
        """Say what was left out on purpose, one sentence per reason."""
        reasons = {
            "rows with success 0 were dropped": self.failed,
            "rows with low confidence were dropped": self.unsure,
            "rows of other faces in the same frame were dropped": self.other_faces,
        }
        return tuple(f"{self.path.name}: {count} {reason}" for reason, count in reasons.items() if count)


def is_openface_csv(path: Path) -> bool:
    """Tell whether the header of a CSV file has columns of action unit intensities (``AU12_r``)."""
    try:
        return any(re.fullmatch(r"AU\d\d_r", name) for name in read_header(path))
    except ValueError:
        return False


def read_openface_csv(
    path: str | Path,
    space: ConditionSpace = OPENFACE_AUS,
    *,
    min_confidence: float = 0.8,
    on_error: OnError = "raise",
) -> OpenFaceTable:
    """Read one CSV file of OpenFace 2.x: a video (FeatureExtraction) or an image (FaceLandmarkImg).

    Component ``AU12`` is read from the column ``AU12_r``, raw 0..5. Stray blanks in the header and unrelated
    columns are fine. Rows with ``success`` 0 or a ``confidence`` below the limit are dropped, and of several
    faces in a frame the surest is kept, or the largest of equally sure ones; all of these are counted.

    Args:
        path: The file.
        space: The components to read; each name plus ``_r`` must be a column.
        min_confidence: The lowest confidence that counts, in [0, 1].
        on_error: ``"raise"`` lists every broken row in one error, ``"skip"`` in the log.

    Raises:
        DatasetError: No CSV, missing columns, no row, or broken rows (not a number, out of range).

    >>> read_openface_csv("no_such.csv")
    Traceback (most recent call last):
    aucond.data.problems.DatasetError: no_such.csv: 1 problem
      no_such.csv: there is no such file
    """
    table = collect_openface(Path(path), space, min_confidence)
    report_problems(table.path, table.problems, on_error)
    return table


def collect_openface(path: Path, space: ConditionSpace, min_confidence: float) -> OpenFaceTable:
    """Read one file; broken rows are only collected."""
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    check_number("min_confidence", min_confidence, low=0.0, high=1.0)
    wanted = tuple(f"{name}_r" for name in space.names)
    table = read_table(
        path, lambda name: name in wanted or name in _ABOUT_ROW or bool(_LANDMARK.fullmatch(name))
    )
    require_columns(table, wanted)
    rows: list[OpenFaceRow] = []
    problems = list(table.problems)
    frames: set[int] = set()
    failed = unsure = 0
    for row in table.rows:
        try:
            frame = _integer(row, "frame")
            if frame is not None:
                frames.add(frame)
            confidence = _optional(row, "confidence")
            if _optional(row, "success") == 0:
                failed += 1
            elif confidence is not None and confidence < min_confidence:
                unsure += 1
            else:
                rows.append(_face(row, space, wanted, frame, confidence))
        except ValueError as error:
            problems.append(Problem(path, str(error), row.line))
    problems.extend(_emptiness(table))
    kept = _one_face_a_frame(rows)
    problems.sort(key=lambda problem: problem.line or 0)
    return OpenFaceTable(
        path, kept, tuple(sorted(frames)), failed, unsure, len(rows) - len(kept), tuple(problems)
    )


def _emptiness(table: Table) -> Iterable[Problem]:
    if not table.rows and not table.problems:
        yield Problem(table.path, "there is no row below the header")


def _face(
    row: Row, space: ConditionSpace, wanted: tuple[str, ...], frame: int | None, confidence: float | None
) -> OpenFaceRow:
    values = [parse_number(column, row.cells[column]) for column in wanted]
    condition = check_values(space, values, columns=wanted, in_raw_units=True)
    face = _integer(row, "face_id" if "face_id" in row.cells else "face")
    return OpenFaceRow(row.line, condition, frame, face or 0, confidence, _area(row))


def _optional(row: Row, column: str) -> float | None:
    return parse_number(column, row.cells[column]) if column in row.cells else None


def _integer(row: Row, column: str) -> int | None:
    value = _optional(row, column)
    if value is not None and value != int(value):
        raise ValueError(f"{column!r} is {row.cells[column]!r}, expected a whole number")
    return None if value is None else int(value)


def _area(row: Row) -> float:
    sides = []
    for axis in ("x_", "y_"):
        places = [parse_number(name, cell) for name, cell in row.cells.items() if name.startswith(axis)]
        sides.append(max(places) - min(places) if places else 0.0)
    return sides[0] * sides[1]


def _one_face_a_frame(rows: list[OpenFaceRow]) -> tuple[OpenFaceRow, ...]:
    best: dict[int | None, OpenFaceRow] = {}
    for row in rows:
        other = best.get(row.frame)
        if other is None or (row.confidence or 0.0, row.area) > (other.confidence or 0.0, other.area):
            best[row.frame] = row
    return tuple(sorted(best.values(), key=lambda row: row.frame or 0))
