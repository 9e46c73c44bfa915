"""What a user asks for, as target conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from aucond._check import check_finite, check_number, describe
from aucond.conditions import ConditionSpace

__all__ = ["Wanted", "path_between", "resolve_target"]

Wanted: TypeAlias = Mapping[str, float] | Tensor
"""A condition: name to value, or a tensor (N,) or (F, N), in the space's normalised unit."""


def resolve_target(
    space: ConditionSpace, wanted: Wanted, current: Tensor, *, relative: bool = False, name: str = "changes"
) -> Tensor:
    """The target condition of every face.

    Args:
        space: The space.
        wanted: Name to value, other components staying as they are; or the whole condition, (N,) or (F, N).
        current: The conditions now (F, N).
        relative: ``wanted`` is added to the current condition and the sum moved into the space's range.
        name: What errors call ``wanted``.

    Returns:
        (F, N) float32.

    Raises:
        TypeError: Neither a mapping nor a floating tensor.
        ValueError: An unknown name, a value out of range, a wrong shape.

    >>> space = ConditionSpace(["smile", "blink"])
    >>> resolve_target(space, {"smile": 0.9}, torch.tensor([[0.25, 0.5]]))
    tensor([[0.9000, 0.5000]])
    >>> resolve_target(space, {"smile": -0.5}, torch.tensor([[0.25, 0.5]]), relative=True)
    tensor([[0.0000, 0.5000]])
    """
    current = current.float().cpu()
    if isinstance(wanted, Mapping):
        target = current.clone()
        for component, value in wanted.items():
            at = space.index(component)
            span = space.high[at] - space.low[at]
            low, high = (-span, span) if relative else (space.low[at], space.high[at])
            check_number(component, value, low=low, high=high)
            target[:, at] = target[:, at] + value if relative else value
        return space.clamp(target) if relative else target
    if not isinstance(wanted, Tensor) or not wanted.is_floating_point():
        raise TypeError(
            f"{name}: expected a mapping from a component's name to its value, or a floating tensor "
            f"({space.dim},), got {describe(wanted)}"
        )
    if wanted.shape not in ((space.dim,), current.shape):
        raise ValueError(
            f"{name}: expected shape ({space.dim},), or one row for each of the {len(current)} faces, "
            f"{tuple(current.shape)}, got {describe(wanted)}"
        )
    values = wanted.detach().float().cpu()
    check_finite(name, values)
    if relative:
        return space.clamp(current + values)
    return space.validate(values, name=name).expand_as(current).clone()


def path_between(start: Tensor, end: Tensor, steps: int) -> list[Tensor]:
    """Conditions on the straight line from ``start`` to ``end``, both included.

    >>> path_between(torch.tensor([[0.0]]), torch.tensor([[1.0]]), 3)
    [tensor([[0.]]), tensor([[0.5000]]), tensor([[1.]])]
    """
    return [torch.lerp(start, end, float(a)) for a in torch.linspace(0, 1, steps)]
