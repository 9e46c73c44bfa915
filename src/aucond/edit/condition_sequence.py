"""Conditions over time, read from the files that trackers write."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aucond._check import check_number, describe
from aucond.conditions import OPENFACE_AUS, ConditionSpace
from aucond.data._tables import Table, parse_number, read_header, read_table, require_columns
from aucond.data.annotations import check_values
from aucond.data.openface import is_openface_csv, read_openface_csv
from aucond.data.problems import DatasetError, Problem

__all__ = ["ConditionSequence", "read_condition_sequence"]

logger = logging.getLogger("aucond.edit")

_TIMES = ("timestamp", "time")


@dataclass(frozen=True)
class ConditionSequence:
    """What :func:`read_condition_sequence` returns."""

    conditions: Tensor
    """(T, N) float32, normalised, one row a frame."""
    frames_per_second: float | None
    """From the file's times; None where it has none."""
    filled: int
    """Frames without a usable row, whose conditions are interpolated between their neighbours."""


def read_condition_sequence(
    path: str | Path, space: ConditionSpace = OPENFACE_AUS, *, min_confidence: float = 0.8
) -> ConditionSequence:
    """Read a CSV file with one row a frame: OpenFace's of a clip, or a table with a column per component.

    - **OpenFace 2.x** (columns like ``AU12_r``, raw 0..5): as :func:`~aucond.data.read_openface_csv`; a frame
      that was dropped (no face, low confidence) takes conditions interpolated between its neighbours, the
      first and last known ones beyond the ends. The number of these frames is in ``filled`` and in the log.
    - **Other tables**: a column for each component, in raw units (ARKit: 0..1). Upper and lower case do not
      matter, so that the ``EyeBlinkLeft`` of a Live Link Face recording is ``eyeBlinkLeft``. Other columns are
      ignored.

    The frame rate comes from a column ``timestamp`` or ``time`` in seconds.

    Args:
        path: The file.
        space: The components to read.
        min_confidence: Of OpenFace's rows, the lowest that counts.

    Raises:
        DatasetError: No CSV, missing columns, no usable row, broken rows; lists them all.

    >>> read_condition_sequence("no_such.csv")
    Traceback (most recent call last):
    aucond.data.problems.DatasetError: no_such.csv: 1 problem
      no_such.csv: there is no such file
    """
    path = Path(path)
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    check_number("min_confidence", min_confidence, low=0.0, high=1.0)
    if path.is_file() and is_openface_csv(path):
        return _read_openface(path, space, min_confidence)
    return _read_plain(path, space)


def _read_openface(path: Path, space: ConditionSpace, min_confidence: float) -> ConditionSequence:
    table = read_openface_csv(path, space, min_confidence=min_confidence)
    if not table.rows:
        reason = f"no row is usable: {'; '.join(table.notes())}"
        raise DatasetError(path, [Problem(path, reason)])
    known = [row.frame for row in table.rows]
    if any(frame is None for frame in known) or not table.frames_in_file:
        raise DatasetError(path, [Problem(path, "there is no column 'frame': this is no clip", 1)])
    wanted = np.arange(table.frames_in_file[0], table.frames_in_file[-1] + 1)
    rows = np.array([row.condition for row in table.rows])
    # Value by value between the frames that are there; the ends are held.
    filled = np.stack([np.interp(wanted, np.array(known, float), column) for column in rows.T], axis=1)
    count = len(wanted) - len(table.rows)
    if count:
        logger.warning("%s: the conditions of %d of %d frames are interpolated", path, count, len(wanted))
    return ConditionSequence(torch.from_numpy(filled).float(), _rate_of(path, table.frames_in_file), count)


def _read_plain(path: Path, space: ConditionSpace) -> ConditionSequence:
    if not path.is_file():
        raise DatasetError(path, [Problem(path, "there is no such file")])
    header = read_header(path)
    column_of = {}
    for name in space.names:
        exact = [c for c in header if c == name]
        loose = [c for c in header if c.lower() == name.lower()]
        column_of[name] = (exact or loose or [name])[0]
    times = [c for c in header if c.lower() in _TIMES][:1]
    wanted = tuple(column_of.values())
    table = read_table(path, lambda name: name in wanted or name in times)
    require_columns(table, wanted)
    conditions, problems = _rows(table, space, wanted)
    if not conditions and not problems:
        problems.append(Problem(path, "there is no row below the header"))
    if problems:
        raise DatasetError(path, sorted(problems, key=lambda problem: problem.line or 0))
    rate = _rate(table, times[0], range(len(table.rows))) if times else None
    return ConditionSequence(torch.tensor(conditions, dtype=torch.float32), rate, 0)


def _rows(
    table: Table, space: ConditionSpace, wanted: tuple[str, ...]
) -> tuple[list[tuple[float, ...]], list[Problem]]:
    conditions, problems = [], list(table.problems)
    for row in table.rows:
        try:
            values = [parse_number(column, row.cells[column]) for column in wanted]
            conditions.append(check_values(space, values, columns=wanted, in_raw_units=True))
        except ValueError as error:
            problems.append(Problem(table.path, str(error), row.line))
    return conditions, problems


def _rate_of(path: Path, frames: Sequence[int]) -> float | None:
    table = read_table(path, lambda name: name in ("timestamp", "frame"))
    if not {"timestamp", "frame"} <= set(table.columns):
        return None
    return _rate(table, "timestamp", [int(float(row.cells["frame"])) for row in table.rows])


def _rate(table: Table, column: str, frames: Sequence[int]) -> float | None:
    """Frames a second between the first and the last row; None where time does not go on."""
    ends = []
    for row in (table.rows[0], table.rows[-1]):
        try:
            ends.append(parse_number(column, row.cells[column]))
        except ValueError as error:
            raise DatasetError(table.path, [Problem(table.path, str(error), row.line)]) from error
    steps, seconds = frames[-1] - frames[0], ends[1] - ends[0]
    return steps / seconds if steps > 0 and seconds > 0 else None
