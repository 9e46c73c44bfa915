"""A face model seen through a condition space: its expression components are the space's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .._check import check_tensor, describe
from ..conditions import ARKIT_BLENDSHAPES, ConditionSpace
from .action_units import ACTION_UNITS, expression_coefficients, expression_matrix
from .linear_model import LinearFaceModel
from .sampling import sample_conditions

__all__ = ["SpaceModel"]

_SAMPLES = 4000
_UNSEEN = 1 / 3
"""Deviation of a component nobody knows: three of them reach the end of its range."""


@dataclass(frozen=True, eq=False)
class SpaceModel:
    """What a fit needs to give conditions of a space: model, limits and prior in intensities, and the way back.

    Convention:
        An intensity is ``(y - neutral) / reach``, the coefficient of a component in
        :func:`~aucond.faces.expression_coefficients`; 0 is neutral.

    Args:
        space: The condition space.
        model: The face model whose expression components are those of the space.
        matrix: Expression coefficients of the original model per component (N, E).
        low: Intensities at the low end (N,).
        high: Intensities at the high end (N,).
        prior: Second moments of the intensities (N, N).
    """

    space: ConditionSpace
    model: LinearFaceModel
    matrix: Tensor
    low: Tensor
    high: Tensor
    prior: Tensor

    @classmethod
    def of(
        cls, space: ConditionSpace, expression: Tensor | None = None, model: LinearFaceModel | None = None
    ) -> SpaceModel:
        """Put a space onto a model.

        The prior of a space of action units or ARKit units is how faces show them (the second moments of
        :func:`~aucond.faces.sample_conditions`); of any other space 1/3 of the range, independently.

        Args:
            space: The condition space.
            expression: Coefficients of the model per component at full intensity (N, E); None: from the names.
            model: The face model; None: the default head.

        >>> from aucond.conditions import OPENFACE_AUS
        >>> SpaceModel.of(OPENFACE_AUS).model.num_expressions
        17
        """
        if not isinstance(space, ConditionSpace):
            raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
        face = LinearFaceModel.default() if model is None else model
        if not isinstance(face, LinearFaceModel):
            raise TypeError(f"model: expected a LinearFaceModel, got {describe(model)}")
        if expression is None and face.num_expressions != ARKIT_BLENDSHAPES.dim:
            raise ValueError(
                f"expression: a matrix (N, {face.num_expressions}) is needed for a model other than the default head"
            )
        matrix = expression_matrix(space) if expression is None else expression
        matrix = check_tensor("expression", matrix, (space.dim, face.num_expressions)).detach().cpu().float()
        basis = np.tensordot(matrix.numpy(), face.expression_basis, 1)
        low, high, neutral = (torch.tensor(values) for values in (space.low, space.high, space.neutral))
        reach = torch.maximum(high - neutral, neutral - low)
        return cls(
            space=space,
            model=dataclasses.replace(face, expression_basis=basis, expression_names=space.names),
            matrix=matrix,
            low=(low - neutral) / reach,
            high=(high - neutral) / reach,
            prior=_prior(space),
        )

    def conditions(self, intensities: Tensor) -> Tensor:
        """Conditions (..., N) of intensities (..., N)."""
        low, high, neutral = (
            torch.tensor(values).to(intensities)
            for values in (self.space.low, self.space.high, self.space.neutral)
        )
        return self.space.clamp(neutral + torch.maximum(high - neutral, neutral - low) * intensities)

    def coefficients(self, conditions: Tensor) -> Tensor:
        """Expression coefficients (..., E) of the original model under conditions (..., N)."""
        return expression_coefficients(self.space, conditions, self.matrix)


def _prior(space: ConditionSpace) -> Tensor:
    if not all(name in ACTION_UNITS or name in ARKIT_BLENDSHAPES.names for name in space.names):
        return torch.eye(space.dim, dtype=torch.float64) * _UNSEEN**2
    drawn = sample_conditions(space, _SAMPLES, torch.Generator().manual_seed(0)).double()
    neutral = torch.tensor(space.neutral, dtype=torch.float64)
    reach = torch.maximum(
        torch.tensor(space.high).double() - neutral, neutral - torch.tensor(space.low).double()
    )
    intensities = (drawn - neutral) / reach
    # A little on the diagonal: a component that the samples never show must not make the matrix singular.
    return intensities.T @ intensities / _SAMPLES + 1e-3 * torch.eye(space.dim, dtype=torch.float64)
