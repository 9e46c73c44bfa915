"""The image folder with a ``metadata.csv``: the layout ``datasets.load_dataset("imagefolder")`` reads."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from aucond._check import describe
from aucond.conditions import ConditionSpace
from aucond.data._files import is_image_name, resolve_inside
from aucond.data._tables import Row, parse_number, read_table, require_columns
from aucond.data.annotations import Annotations, Record, check_values
from aucond.data.dataset import AnnotatedImages
from aucond.data.problems import DatasetError, OnError, Problem

__all__ = ["ConditionFolder", "collect_metadata"]


class ConditionFolder(AnnotatedImages):
    """An image folder with a ``metadata.csv``.

    The table has the columns ``file_name`` (relative to the folder, ``/`` between folders), optionally ``identity``
    and ``split``, and one column per component of the space, in *normalised* units; other columns are ignored.
    ``python -m aucond.data.convert`` writes this layout.

    Convention:
        RGB, channels first, [-1, 1] in items. Conditions are normalised values of ``space``.

    Args:
        root: The folder.
        space: The condition space; its names are the columns that are read.
        split: Only the rows with this value in the column ``split``; None takes all.
        size: Height and width, or one number for both; None keeps the images' size, the same for all.
        on_error: ``"raise"`` lists every broken entry in one DatasetError, ``"skip"`` in the log.
        flip: Mirror half of the images at random, and their conditions with them.
        seed: Of the flips.
        cache: A folder for a memory-mapped copy of the decoded images; None keeps them in memory.

    Raises:
        DatasetError: No ``metadata.csv``, missing columns, broken rows or images, nothing usable.
        ValueError: A wrong argument.

    >>> ConditionFolder("no_such_folder", ConditionSpace(["AU12"]))
    Traceback (most recent call last):
    aucond.data.problems.DatasetError: no_such_folder: 1 problem
      no_such_folder: there is no such folder
    """

    def __init__(
        self,
        root: str | Path,
        space: ConditionSpace,
        *,
        split: str | None = None,
        size: int | tuple[int, int] | None = None,
        on_error: OnError = "raise",
        flip: bool = False,
        seed: int = 0,
        cache: str | Path | None = None,
    ) -> None:
        super().__init__(
            collect_metadata(root, space),
            space,
            split=split,
            size=size,
            on_error=on_error,
            flip=flip,
            seed=seed,
            cache=cache,
        )


def collect_metadata(root: str | Path, space: ConditionSpace) -> Annotations:
    """Read ``metadata.csv`` without opening an image.

    Args:
        root: The folder.
        space: The condition space; values in the table are normalised.

    Returns:
        Annotations: The usable rows, the broken ones as ``problems``.

    Raises:
        DatasetError: The table cannot be read at all, lacks a column or has no row.
    """
    root = Path(root)
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    optional = ("identity", "split")
    clash = [name for name in space.names if name in ("file_name", *optional)]
    if clash:
        raise ValueError(f"space: the component name {clash[0]!r} is a column of its own in metadata.csv")
    _require_table(root)
    table = read_table(root / "metadata.csv", lambda name: name in ("file_name", *optional, *space.names))
    require_columns(table, ("file_name", *space.names))
    if not table.rows and not table.problems:
        raise DatasetError(table.path, [Problem(table.path, "there is no row below the header")])
    records: list[Record] = []
    problems = list(table.problems)
    seen: dict[PurePosixPath, int] = {}
    real_root = root.resolve()
    for row in table.rows:
        try:
            records.append(_record(root, real_root, space, row, seen))
        except ValueError as error:
            problems.append(Problem(table.path, str(error), row.line))
    problems.sort(key=lambda problem: problem.line or 0)
    return Annotations(root, tuple(records), tuple(problems), _unlisted(root, seen))


def _require_table(root: Path) -> None:
    if not root.is_dir():
        raise DatasetError(root, [Problem(root, "there is no such folder")])
    if (root / "metadata.csv").is_file():
        return
    reason = "there is no metadata.csv"
    below = sorted(path.parent.name for path in root.glob("*/metadata.csv"))
    if below:
        reason += f" here; open the folder {below[0]!r} inside it, which has one"
    raise DatasetError(root, [Problem(root, reason)])


def _record(
    root: Path, real_root: Path, space: ConditionSpace, row: Row, seen: dict[PurePosixPath, int]
) -> Record:
    """Return one row's record; ValueError gives all that is wrong with it."""
    name = row.cells["file_name"]
    wrong: list[str] = []
    path = root
    key = PurePosixPath(name)
    if name and key in seen:
        wrong.append(f"the file name {name!r} is already on line {seen[key]}")
    else:
        seen[key] = row.line
        try:
            path = resolve_inside(root, name, real_root)
        except ValueError as error:
            wrong.append(str(error))
    for column in ("identity", "split"):
        if row.cells.get(column) == "":
            wrong.append(f"{column!r} is empty")
    condition: tuple[float, ...] = ()
    values: dict[str, float] = {}
    for column in space.names:
        try:
            values[column] = parse_number(column, row.cells[column])
        except ValueError as error:
            wrong.append(str(error))
    if len(values) == space.dim:
        try:
            condition = check_values(space, list(values.values()), columns=space.names, in_raw_units=False)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong))
    return Record(path, condition, row.cells.get("identity"), row.cells.get("split"))


def _unlisted(root: Path, listed: dict[PurePosixPath, int]) -> tuple[str, ...]:
    count = 0
    for folder, _, names in os.walk(root):
        here = Path(folder).relative_to(root)
        for name in names:
            path = here / name
            if (
                is_image_name(path)
                and not name.startswith(".")
                and PurePosixPath(path.as_posix()) not in listed
            ):
                count += 1
    files = "1 image file is" if count == 1 else f"{count} image files are"
    return (f"{files} not in metadata.csv and not used",) if count else ()
