"""What every layout is read into: one record per image, and the entries that are broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aucond.conditions import ConditionSpace
from aucond.data.problems import Problem

__all__ = ["Annotations", "Record", "check_values"]


@dataclass(frozen=True)
class Record:
    """One annotated image.

    Args:
        path: The image file.
        condition: Normalised values, one per component of the space.
        identity: Who is in the image, where the data says so.
        split: The part of the data it belongs to (``"train"``, ``"test"``), where the data says so.
    """

    path: Path
    condition: tuple[float, ...]
    identity: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Annotations:
    """A data set before its images are opened.

    Args:
        root: The folder all paths lie in.
        records: The usable entries, in the order of the source.
        problems: The broken ones.
        notes: What was left out on purpose and how often (low confidence, images in no list).
    """

    root: Path
    records: tuple[Record, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def check_values(
    space: ConditionSpace, raw: Sequence[float], *, columns: Sequence[str], in_raw_units: bool
) -> tuple[float, ...]:
    """Return the normalised condition of one row, rounding errors at the borders removed.

    Args:
        space: The space the row belongs to.
        raw: One finite number per component.
        columns: What the source calls the components.
        in_raw_units: Whether the numbers are raw or already normalised.

    Raises:
        ValueError: A value out of range; the message names the column and the range.
    """
    low, high = (space.raw_low, space.raw_high) if in_raw_units else (space.low, space.high)
    for column, value, a, b in zip(columns, raw, low, high, strict=True):
        slack = 1e-4 * (b - a)
        if not a - slack <= value <= b + slack:
            wanted = f"a value in [{a:g}, {b:g}]"
            if not in_raw_units:
                wanted = f"a normalised {wanted[2:]}, not percent or raw units"
            raise ValueError(f"{column!r} is {value:g}, expected {wanted}")
    values = torch.tensor(list(raw), dtype=torch.float64)
    normalised = space.clamp(space.normalize(values) if in_raw_units else values)
    return tuple(normalised.tolist())
