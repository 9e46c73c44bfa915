"""Blendshape spaces from data: principal and sparse components of sampled expressions of a linear face model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .._check import check_choice, check_finite, check_number, check_tensor, describe
from ..conditions import ConditionSpace
from .linear_model import LinearFaceModel
from .sparse_components import sparse_factors

__all__ = ["Blendshapes", "principal_blendshapes", "sparse_blendshapes"]


@dataclass(frozen=True, eq=False)
class Blendshapes:
    """A condition space whose components are deformations of a face model, and how to get from one to the other.

    Convention:
        Parameters p lie in the space, [-1, 1], and 0 is the neutral face. Component i at 1 adds ``expression[i]`` to
        the model's expression coefficients, which deforms the mesh by ``span * deviations[i]`` times a unit
        deformation: +1 is ``span`` standard deviations of the samples, in the direction in which they go.

    Args:
        space: The components: names, -1..1 (or less at the low end, see ``ranges``), neutral 0.
        expression: Expression coefficients of the model per component at 1 (N, E), float32; what
            ``SyntheticFaces(..., space=space, expression=expression)`` takes.
        deviations: Root of the eigenvalue of each component (N,): root mean square, over the samples, of the
            deformation along it, in length units of the model.
        metric: Inner products of the model's expression components (E, E), float64.
        span: How many deviations a parameter of 1 is.
        explained: Share of the samples' squared deformation that the components reproduce, before clipping.
        clipped: Share of the samples' parameters that lay outside the space.
    """

    space: ConditionSpace
    expression: Tensor
    deviations: Tensor
    metric: Tensor
    span: float
    explained: float
    clipped: float

    def __add__(self, other: Blendshapes) -> Blendshapes:
        """Join two blocks of one model, as SliderGAN joins expression and speech.

        ``explained`` and ``clipped`` are of the samples each block was made from, so the sum keeps the smaller
        ``explained`` and the larger ``clipped``.
        """
        if not isinstance(other, Blendshapes):
            return NotImplemented
        if self.metric.shape != other.metric.shape or not torch.allclose(self.metric, other.metric):
            raise ValueError(
                "other: expected blendshapes of the same face model with the same vertex weights"
            )
        if self.span != other.span:
            raise ValueError(f"other: expected blendshapes of span {self.span:g}, got {other.span:g}")
        return dataclasses.replace(
            self,
            space=self.space + other.space,
            expression=torch.cat([self.expression, other.expression]),
            deviations=torch.cat([self.deviations, other.deviations]),
            explained=min(self.explained, other.explained),
            clipped=max(self.clipped, other.clipped),
        )

    def parameters(self, expressions: Tensor, *, clip: bool = True) -> Tensor:
        """Parameters whose deformation is nearest to that of expressions, least squares over the mesh.

        Where components say nearly the same, so that many parameters are as near (a speech block beside a principal
        one), a ridge of the weakest component's deviation settles it: they share the deformation.

        Args:
            expressions: Expression coefficients of the model (..., E).
            clip: Move parameters outside the space to its border.

        Returns:
            Parameters (..., N), float32.
        """
        check_tensor("expressions", expressions.reshape(-1, expressions.shape[-1]), ("M", len(self.metric)))
        found = (expressions.double() @ _projection(self.expression.double(), self.metric, self.span)).float()
        return self.space.clamp(found) if clip else found

    def coefficients(self, parameters: Tensor) -> Tensor:
        """Expression coefficients (..., E) of the model under parameters (..., N)."""
        check_tensor("parameters", parameters.reshape(-1, parameters.shape[-1]), ("M", self.space.dim))
        return parameters @ self.expression.to(parameters)

    def model(self, model: LinearFaceModel) -> LinearFaceModel:
        """The same face model with these components in the place of its own expression components."""
        if not isinstance(model, LinearFaceModel):
            raise TypeError(f"model: expected a LinearFaceModel, got {describe(model)}")
        if model.num_expressions != self.expression.shape[1]:
            raise ValueError(
                f"model: expected {self.expression.shape[1]} expression components, got {model.num_expressions}"
            )
        basis = np.tensordot(self.expression.numpy(), model.expression_basis, 1)
        return dataclasses.replace(model, expression_basis=basis, expression_names=self.space.names)


def principal_blendshapes(
    model: LinearFaceModel,
    expressions: Tensor,
    count: int = 30,
    *,
    prefix: str = "pca",
    weights: Tensor | None = None,
    span: float = 3.0,
    ranges: Literal["symmetric", "data"] = "symmetric",
) -> Blendshapes:
    """Principal components of the deformations that sampled expressions make (SliderGAN Sec. 3.1).

    The samples' deformations ``d = U_exp e`` are decomposed about the neutral face, not about their mean, so that
    p = 0 is neutral: the components u_i are eigenvectors of the second moment ``E[d d^T]`` with eigenvalues
    lambda_i, and ``p_i = clip(<d, u_i> / (span * sqrt(lambda_i)), -1, 1)``. Each component points to where
    the samples go on average, so negative values are the rarer ones.

    Args:
        model: The face model.
        expressions: Sampled expression coefficients (M, E), such as
            ``sample_conditions(ARKIT_BLENDSHAPES, 4000, rng)`` for the default head.
        count: Number of components N; at most the rank of the samples.
        prefix: The components are named ``prefix_00``, ``prefix_01``, ...: ``"pca"`` and ``"speech"`` give the spaces
            ``pca_blendshapes(count)`` and ``speech_blendshapes(count)``.
        weights: Weight of each vertex (V,), at least 0; None: the area of its triangles in the mean face.
        span: Standard deviations that become 1.
        ranges: ``"symmetric"``: -1..1 for all (the preset's space). ``"data"``: a component starts where the samples
            do (0.5% of them lie below, in steps of 0.05), since the opposite of an open jaw is no face; high stays 1.

    Raises:
        TypeError: An argument of a wrong kind.
        ValueError: Wrong shapes or values, or fewer independent deformations than ``count``.

    >>> from aucond.conditions import ARKIT_BLENDSHAPES, pca_blendshapes
    >>> from aucond.faces import sample_conditions
    >>> samples = sample_conditions(ARKIT_BLENDSHAPES, 500, torch.Generator().manual_seed(0))
    >>> shapes = principal_blendshapes(LinearFaceModel.default(), samples, 30)
    >>> shapes.space == pca_blendshapes(30), tuple(shapes.expression.shape), shapes.explained > 0.99
    (True, (30, 52), True)
    """
    check_choice("ranges", ranges, ("symmetric", "data"))
    metric = _checked_metric(model, expressions, count, weights, span)
    samples = expressions.detach().double()
    moment = samples.T @ samples / len(samples)
    # Eigenvectors of E[d d^T] lie in the span of the units: an E x E problem, however many vertices there are.
    values, vectors = torch.linalg.eigh(moment)
    root = vectors * values.clamp(min=0).sqrt()
    eigenvalues, rotation = torch.linalg.eigh(root.T @ metric @ root)
    eigenvalues, rotation = eigenvalues.flip(0), rotation.flip(1)
    rank = int((eigenvalues > 1e-10 * eigenvalues[0]).sum())
    if count > rank:
        raise ValueError(
            f"count: expected at most {rank}, the independent deformations in expressions, got {count}"
        )
    deviations = eigenvalues[:count].sqrt()
    directions = (root @ rotation[:, :count] / deviations).T
    return _blendshapes(prefix, directions, metric, samples, span, ranges)


def sparse_blendshapes(
    model: LinearFaceModel,
    expressions: Tensor,
    count: int = 30,
    *,
    prefix: str = "sparse",
    sparsity: float = 0.15,
    weights: Tensor | None = None,
    span: float = 3.0,
    ranges: Literal["symmetric", "data"] = "symmetric",
) -> Blendshapes:
    """Sparse components of sampled expressions: each moves few units, so a small part of the face.

    Minimises ``E ||d - sum_i c_i u_i||^2 / 2 + sparsity * scale * sum_ij |m_ij| ||U_j||`` over components
    ``u_i = sum_j m_ij U_j`` and their activations with ``E c_i^2 = 1`` (sparse PCA as dictionary learning, Mairal
    et al. 2009; ``scale`` makes ``sparsity`` independent of units). Parameters are scaled as in
    :func:`principal_blendshapes`; components come in the order of their deviations and are not orthogonal.

    Args:
        model: The face model.
        expressions: Sampled expression coefficients (M, E).
        count: Number of components N.
        prefix: The components are named ``prefix_00``, ...
        sparsity: Weight of the penalty; 0 gives some basis of the principal subspace.
        weights: Weight of each vertex (V,); None: the area of its triangles in the mean face.
        span: Standard deviations that become 1.
        ranges: As of :func:`principal_blendshapes`.

    Raises:
        TypeError: An argument of a wrong kind.
        ValueError: Wrong shapes or values, or a penalty so strong that a component vanishes.

    >>> from aucond.conditions import ARKIT_BLENDSHAPES
    >>> from aucond.faces import sample_conditions
    >>> samples = sample_conditions(ARKIT_BLENDSHAPES, 500, torch.Generator().manual_seed(0))
    >>> shapes = sparse_blendshapes(LinearFaceModel.default(), samples, 12)
    >>> bool((shapes.expression == 0).float().mean() > 0.7)
    True
    """
    check_number("sparsity", sparsity, low=0.0)
    start = principal_blendshapes(model, expressions, count, weights=weights, span=span, ranges=ranges)
    samples = expressions.detach().double()
    factors = sparse_factors(samples, start.metric, start.expression.double() / span, sparsity)
    strength = (factors @ start.metric * factors).sum(1).sqrt()
    alive = int((strength > 1e-4 * strength.max()).sum())
    if alive < count:
        raise ValueError(
            f"sparsity: {sparsity:g} leaves {alive} of {count} components; lower it or ask for fewer components"
        )
    order = strength.argsort(descending=True)
    directions = (factors / strength[:, None])[order]
    return _blendshapes(prefix, directions, start.metric, samples, span, ranges)


def vertex_areas(model: LinearFaceModel) -> Tensor:
    """A third of the area of the triangles around each vertex of the mean face (V,), float64."""
    corners = model.mean.astype(np.float64)[model.triangles]
    doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    areas = np.zeros(model.num_vertices)
    np.add.at(areas, model.triangles, doubled[:, None] / 6)
    return torch.from_numpy(areas)


def _checked_metric(
    model: LinearFaceModel, expressions: Tensor, count: int, weights: Tensor | None, span: float
) -> Tensor:
    """Inner products of the expression components, mean over the surface (E, E)."""
    if not isinstance(model, LinearFaceModel):
        raise TypeError(f"model: expected a LinearFaceModel, got {describe(model)}")
    check_tensor("expressions", expressions, ("M", model.num_expressions))
    check_finite("expressions", expressions)
    check_number("count", count, low=1, high=model.num_expressions, integer=True)
    check_number("span", span, low=0.1)
    if len(expressions) < 2:
        raise ValueError(f"expressions: expected at least 2 samples, got {len(expressions)}")
    if weights is None:
        weights = vertex_areas(model)
    else:
        check_tensor("weights", weights, (model.num_vertices,))
        check_finite("weights", weights)
    if bool((weights < 0).any()) or float(weights.sum()) <= 0:
        raise ValueError("weights: expected values of at least 0, not all 0")
    share = (weights.double() / weights.double().sum()).sqrt()
    basis = torch.from_numpy(model.expression_basis).double() * share[:, None]
    flat = basis.reshape(model.num_expressions, -1)
    return flat @ flat.T


def _projection(expression: Tensor, metric: Tensor, span: float = 1.0) -> Tensor:
    """The matrix (E, N) from expression coefficients to the parameters of the nearest deformation."""
    inner = expression @ metric @ expression.T
    squares = inner.diagonal()
    cosines = inner / (squares[:, None] * squares).sqrt()
    if float(torch.linalg.eigvalsh(cosines)[0]) < 1e-3:
        inner = inner + squares.min() / span**2 * torch.eye(len(inner), dtype=inner.dtype)
    solved: Tensor = torch.linalg.solve(inner, expression @ metric)
    return solved.T


def _blendshapes(
    prefix: str, directions: Tensor, metric: Tensor, samples: Tensor, span: float, ranges: str
) -> Blendshapes:
    """Scale components of unit length (N, E) by the deviations of the samples and turn them to their mean."""
    activations = samples @ _projection(directions, metric)
    sign = torch.where(activations.mean(0) < 0, -1.0, 1.0).double()
    deviations = activations.square().mean(0).sqrt()
    rest = samples - activations @ directions
    total = (samples @ metric * samples).sum()
    parameters = sign * activations / (span * deviations)
    low = torch.full_like(deviations, -1.0)
    if ranges == "data":
        low = (20 * parameters.quantile(0.005, 0)).floor().div(20).clamp(-1.0, -0.05)
    outside = (parameters < low) | (parameters > 1)
    names = [f"{prefix}_{i:02d}" for i in range(len(directions))]
    return Blendshapes(
        space=ConditionSpace(names, low=[round(value, 2) for value in low.tolist()], high=1.0),
        expression=(sign[:, None] * directions * (span * deviations)[:, None]).float(),
        deviations=deviations.float(),
        metric=metric,
        span=float(span),
        explained=float(1 - (rest @ metric * rest).sum() / total),
        clipped=float(outside.double().mean()),
    )
