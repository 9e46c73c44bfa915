"""Moving one component of the condition while the others stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aucond._check import check_number, check_tensor
from aucond.nn import AttentionGenerator

__all__ = ["sweep"]


@torch.no_grad()
def sweep(
    generator: AttentionGenerator,
    image: Tensor,
    current: Tensor,
    name: str,
    values: Sequence[float],
) -> Tensor:
    """Edit images so that one named component takes each of several values, all others staying as they are.

    Args:
        generator: A generator that knows its space.
        image: Images (B, 3, H, W) in [-1, 1].
        current: Their conditions (B, N).
        name: The component to move, one of the space's names.
        values: The values it takes, at least one, in the space's normalised unit and range.

    Returns:
        (len(values), B, 3, H, W) in [-1, 1].

    Raises:
        ValueError: The generator knows no space, an unknown name (with the nearest known one), no values, or one out
            of range.

    >>> from aucond import OPENFACE_AUS
    >>> generator = AttentionGenerator(OPENFACE_AUS, base_channels=4, num_residual_blocks=1)
    >>> sweep(generator, torch.zeros(2, 3, 16, 16), torch.zeros(2, 17), "AU12", [0.0, 0.5, 1.0]).shape
    torch.Size([3, 2, 3, 16, 16])
    """
    if generator.space is None:
        raise ValueError(
            "generator: expected one that was built with a ConditionSpace, got one with a bare length"
        )
    check_tensor("current", current, (image.shape[0], generator.space.dim))
    index = generator.space.index(name)
    low, high = generator.space.low[index], generator.space.high[index]
    numbers = [_plain(value) for value in values]
    if not numbers:
        raise ValueError("values: expected at least one number, got none")
    for number, value in enumerate(numbers):
        check_number(f"values[{number}]", value, low=low, high=high)
    frames = []
    for value in numbers:
        target = current.clone()
        target[:, index] = value
        frames.append(generator.edit(image, target, current).image)
    return torch.stack(frames)


def _plain(value: Any) -> Any:
    """A number of torch's or NumPy's, which a sequence of them holds, as Python's."""
    return value.item() if isinstance(value, Tensor | np.generic) and value.ndim == 0 else value
