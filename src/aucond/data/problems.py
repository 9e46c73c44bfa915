"""Broken entries of a data set: collected, then reported together or counted in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from aucond._check import check_choice

__all__ = ["DatasetError", "OnError", "Problem", "report_problems"]

logger = logging.getLogger("aucond.data")

OnError: TypeAlias = Literal["raise", "skip"]
"""What happens to broken entries: one error that lists them all, or a count and the list in the log."""

_SHOWN = 200


@dataclass(frozen=True)
class Problem:
    """One entry of a data set that cannot be used.

    Args:
        path: The file the entry is in, or the image it names.
        reason: What is wrong and, where it helps, what to do.
        line: The line of the file, counted from 1.

    >>> str(Problem(Path("faces/metadata.csv"), "'AU12' is 'high', expected a number", line=7))
    "faces/metadata.csv, line 7: 'AU12' is 'high', expected a number"
    """

    path: Path
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.path}" if self.line is None else f"{self.path}, line {self.line}"
        return f"{where}: {self.reason}"


class DatasetError(ValueError):
    r"""A data set that cannot be read, with everything that is wrong with it.

    Args:
        source: The folder or file that was read.
        problems: Each broken entry; also the attribute ``problems``.

    >>> str(DatasetError(Path("faces"), [Problem(Path("faces/a.png"), "no such file")]))
    'faces: 1 problem\n  faces/a.png: no such file'
    """

    def __init__(self, source: Path | str, problems: Sequence[Problem]) -> None:
        super().__init__(source, tuple(problems))
        self.source = Path(source)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return f"{self.source}: {_listing(self.problems)}"


def report_problems(source: Path, problems: Sequence[Problem], on_error: OnError) -> None:
    """Raise one DatasetError for all problems, or log their number and each of them.

    Args:
        source: The folder or file that was read.
        problems: The broken entries; none: nothing happens.
        on_error: ``"raise"`` or ``"skip"``.

    Raises:
        DatasetError: There are problems and ``on_error`` is ``"raise"``.
    """
    check_choice("on_error", on_error, ("raise", "skip"))
    if not problems:
        return
    if on_error == "raise":
        raise DatasetError(source, problems)
    logger.warning("%s: skipped entries, %s", source, _listing(problems))


def _listing(problems: Sequence[Problem]) -> str:
    lines = [f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"]
    lines += [f"  {problem}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"  ... and {len(problems) - _SHOWN} more, all in .problems of this error")
    return "\n".join(lines)
