"""What the weights of every recipe have in common: finite, non-negative numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

from aucond._check import check_number


def check_weights(weights: Any) -> None:
    """Raise unless every float field of a frozen dataclass of weights is finite and at least 0."""
    for field in dataclasses.fields(weights):
        if field.type in ("float", float):
            check_number(f"{type(weights).__name__}.{field.name}", getattr(weights, field.name), low=0.0)
