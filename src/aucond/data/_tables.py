"""CSV files read strictly: UTF-8, one header, rows as long as the header, numbers that are numbers."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aucond._check import nearest
from aucond.data.problems import DatasetError, Problem

__all__ = ["Row", "Table", "parse_number", "read_header", "read_table", "require_columns"]


@dataclass(frozen=True)
class Row:
    """One row: the line it ends on and its cells by column, blanks around them removed."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """The kept columns of a CSV file, and the rows that are shorter or longer than its header."""

    path: Path
    columns: tuple[str, ...]
    """All columns of the file, also those that were not kept."""
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]


def read_header(path: Path) -> tuple[str, ...]:
    """Return the column names of a CSV file without blanks around them; none for an empty file."""
    return _read(path, lambda name: False, header_only=True).columns


def read_table(path: Path, keep: Callable[[str], bool]) -> Table:
    """Read a CSV file, keeping the columns whose names ``keep`` says yes to.

    A byte order mark and stray blanks around names and cells are fine; blank lines are no rows.

    Raises:
        DatasetError: A file that is missing, empty, not UTF-8 or not CSV, or that has a kept column twice.
    """
    return _read(path, keep, header_only=False)


def require_columns(table: Table, wanted: tuple[str, ...]) -> None:
    """Raise one DatasetError that names every missing column and the nearest that is there."""
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        problems = [
            Problem(table.path, f"there is no column {name!r}{nearest(name, table.columns)}", 1)
            for name in missing
        ]
        raise DatasetError(table.path, problems)


def parse_number(column: str, text: str) -> float:
    """Return the finite number in a cell; ValueError names the column and what stands there.

    >>> parse_number("AU12", "0,5")
    Traceback (most recent call last):
    ValueError: 'AU12' is '0,5', expected a number
    """
    try:
        # float() reads '1_0' as ten, which no table means.
        value = float(text) if "_" not in text else None
    except ValueError:
        value = None
    if value is None:
        raise ValueError(f"{column!r} is {text!r}, expected a number" if text else f"{column!r} is empty")
    if not math.isfinite(value):
        raise ValueError(f"{column!r} is {text!r}, expected a finite number")
    return value


def _read(path: Path, keep: Callable[[str], bool], *, header_only: bool) -> Table:
    def refuse(reason: str, line: int | None = None) -> DatasetError:
        return DatasetError(path, [Problem(path, reason, line)])

    if not path.is_file():
        raise refuse("there is no such file")
    rows: list[Row] = []
    problems: list[Problem] = []
    columns: tuple[str, ...] = ()
    kept: list[int] = []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if not columns:
                    columns = tuple(cell.strip() for cell in cells)
                    kept = _kept_columns(path, columns, keep)
                    if header_only:
                        break
                elif len(cells) != len(columns):
                    reason = f"expected {len(columns)} cells as in the header, got {len(cells)}"
                    problems.append(Problem(path, reason, reader.line_num))
                else:
                    rows.append(Row(reader.line_num, {columns[i]: cells[i].strip() for i in kept}))
        except UnicodeDecodeError as error:
            raise refuse(
                f"not UTF-8 text (byte {error.object[error.start]:#04x}); save it as UTF-8"
            ) from error
        except csv.Error as error:
            raise refuse(f"not a CSV file ({error})", reader.line_num) from error
    if not columns and not header_only:
        raise refuse("the file is empty; expected a header line and rows")
    return Table(path, columns, tuple(rows), tuple(problems))


def _kept_columns(path: Path, columns: tuple[str, ...], keep: Callable[[str], bool]) -> list[int]:
    if len(columns) == 1 and any(mark in columns[0] for mark in (";", "\t")):
        raise DatasetError(path, [Problem(path, "columns must be separated by commas", 1)])
    kept: dict[str, int] = {}
    for i, name in enumerate(columns):
        if keep(name) and name in kept:
            raise DatasetError(path, [Problem(path, f"the column {name!r} appears twice", 1)])
        if keep(name):
            kept[name] = i
    return list(kept.values())
