"""How a network reads its condition argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aucond._check import check_number, describe
from aucond.conditions import ConditionSpace


def space_and_dim(name: str, condition: Any) -> tuple[ConditionSpace | None, int]:
    """Return the space, if there is one, and the length N of a space, a space's dict, or a bare length."""
    if isinstance(condition, Mapping):
        condition = ConditionSpace.from_dict(condition)
    if isinstance(condition, ConditionSpace):
        return condition, condition.dim
    if isinstance(condition, bool) or not isinstance(condition, int):
        raise TypeError(f"{name}: expected a ConditionSpace or an int, got {describe(condition)}")
    check_number(name, condition, low=1, integer=True)
    return None, condition
