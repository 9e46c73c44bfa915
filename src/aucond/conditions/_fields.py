"""What a condition space accepts: names, one number per component, and a mirror."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from aucond._check import describe, nearest

__all__ = ["check_names", "check_ranges", "per_component", "position", "resolve_mirror"]


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names as a tuple if they are distinct, printable and at least one."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"names: expected a list of names, got {describe(names)}")
    checked = tuple(names)
    if not checked:
        raise ValueError("names: expected at least one name, got none")
    seen: set[str] = set()
    for name in checked:
        if not isinstance(name, str):
            raise TypeError(f"names: expected strings, got {describe(name)}")
        if not name or name != name.strip() or not name.isprintable():
            raise ValueError(f"names: expected printable names without blanks around them, got {name!r}")
        if name in seen:
            raise ValueError(f"names: {name!r} appears twice")
        seen.add(name)
    return checked


def position(names: tuple[str, ...], name: str) -> int:
    """Return where ``name`` stands, or raise with the nearest name there is."""
    if not isinstance(name, str):
        raise TypeError(f"names: expected a component's name, got {describe(name)}")
    if name not in names:
        raise ValueError(
            f"names: {name!r} is not one of the {len(names)} components of this space{nearest(name, names)}"
        )
    return names.index(name)


def per_component(name: str, value: float | Sequence[float], count: int) -> tuple[float, ...]:
    """Return ``count`` finite floats, from one number for all or from one each."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value] * count
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name}: expected a number or {count} numbers, got {describe(value)}")
    if len(value) != count:
        raise ValueError(f"{name}: expected a number or {count} numbers, got {len(value)} numbers")
    for item in value:
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise TypeError(f"{name}: expected numbers, got {describe(item)}")
        if not math.isfinite(item):
            raise ValueError(f"{name}: expected finite numbers, got {item!r}")
    return tuple(float(item) for item in value)


def check_ranges(names: tuple[str, ...], ranges: Mapping[str, tuple[float, ...]]) -> None:
    """Raise unless low < high, raw_low < raw_high and neutral lies inside, for every component."""
    for i, name in enumerate(names):
        for low, high in (("low", "high"), ("raw_low", "raw_high")):
            if not ranges[low][i] < ranges[high][i]:
                raise ValueError(
                    f"{low}: expected a value below {high} for {name!r}, "
                    f"got {low} {ranges[low][i]:g} and {high} {ranges[high][i]:g}"
                )
        if not ranges["low"][i] <= ranges["neutral"][i] <= ranges["high"][i]:
            raise ValueError(
                f"neutral: expected a value in [{ranges['low'][i]:g}, {ranges['high'][i]:g}] for {name!r}, "
                f"got {ranges['neutral'][i]:g}"
            )


def resolve_mirror(
    names: tuple[str, ...],
    mirror: Mapping[str, str] | Sequence[int] | None,
    ranges: Mapping[str, tuple[float, ...]],
) -> tuple[int, ...] | None:
    """Return the mirror as a permutation that is its own inverse, None where nothing swaps."""
    if mirror is None:
        return None
    if isinstance(mirror, Mapping):
        order = _order_of_pairs(names, mirror)
    else:
        order = _order_of_permutation(len(names), mirror)
    for i, j in enumerate(order):
        for kind, values in ranges.items():
            if values[i] != values[j]:
                raise ValueError(
                    f"mirror: {names[i]!r} and {names[j]!r} swap, so they need the same {kind}, "
                    f"got {values[i]:g} and {values[j]:g}"
                )
    return None if order == list(range(len(names))) else tuple(order)


def _order_of_pairs(names: tuple[str, ...], mirror: Mapping[str, str]) -> list[int]:
    order = list(range(len(names)))
    pairs = {position(names, a): position(names, b) for a, b in mirror.items()}
    for a, b in pairs.items():
        if pairs.get(b, a) != a or order[b] not in (a, b):
            raise ValueError(
                f"mirror: {names[a]!r} and {names[b]!r} are no pair of their own; "
                "a component swaps with one other only"
            )
        order[a], order[b] = b, a
    return order


def _order_of_permutation(count: int, mirror: Sequence[int]) -> list[int]:
    if isinstance(mirror, str) or not isinstance(mirror, Sequence):
        raise TypeError(f"mirror: expected a mapping of names or a permutation, got {describe(mirror)}")
    order = list(mirror)
    for item in order:
        if isinstance(item, bool) or not isinstance(item, int):
            raise TypeError(f"mirror: expected a permutation of integers, got {describe(item)} in it")
    if sorted(order) != list(range(count)):
        raise ValueError(f"mirror: expected a permutation of range({count}), got {order}")
    if any(order[j] != i for i, j in enumerate(order)):
        raise ValueError(f"mirror: expected a permutation that is its own inverse, got {order}")
    return order
