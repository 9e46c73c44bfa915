"""What a fit to landmarks knows before it has seen any: second moments and limits of the coefficients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._check import check_number, check_tensor, describe
from .landmark_problem import CAMERA

__all__ = ["expression_limits", "precision_matrix"]


def precision_matrix(prior: Tensor | float, expressions: int, identities: int) -> Tensor:
    """Inverse second moments of all variables: 0 for the camera, 1 for the identity, the prior's for the expression."""
    if not isinstance(prior, Tensor):
        check_number("prior", prior, low=1e-6)
        moments = torch.eye(expressions, dtype=torch.float64) * float(prior) ** 2
    elif prior.dim() == 1:
        moments = torch.diag(check_tensor("prior", prior, (expressions,)).detach().double().cpu())
    else:
        moments = check_tensor("prior", prior, (expressions, expressions)).detach().double().cpu()
    values = torch.linalg.eigvalsh(moments)
    if not bool(values.isfinite().all()) or float(values[0]) <= 1e-12:
        raise ValueError("prior: expected variances above 0 or a positive definite matrix of second moments")
    precision = torch.zeros(
        CAMERA + identities + expressions, CAMERA + identities + expressions, dtype=torch.float64
    )
    precision[CAMERA : CAMERA + identities, CAMERA : CAMERA + identities] = torch.eye(identities)
    precision[CAMERA + identities :, CAMERA + identities :] = torch.linalg.inv(moments)
    return precision


def expression_limits(low: Tensor | float, high: Tensor | float, expressions: int) -> tuple[Tensor, Tensor]:
    """Lower and upper limits (E,) of the expression, with the neutral face between them."""
    limits = []
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, Tensor):
            limits.append(check_tensor(name, value, (expressions,)).detach().double().cpu())
        elif isinstance(value, float | int) and not math.isnan(value):
            limits.append(torch.full((expressions,), float(value), dtype=torch.float64))
        else:
            raise TypeError(f"{name}: expected a number or a floating tensor, got {describe(value)}")
    if not bool(((limits[0] <= 0) & (limits[1] >= 0) & (limits[0] < limits[1])).all()):
        raise ValueError(
            "low: expected low <= 0 <= high, with low below high: the fit starts at the neutral face"
        )
    return limits[0], limits[1]
