"""Sparse factors of samples: a dictionary whose entries use few of the columns."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["sparse_factors"]


def sparse_factors(
    samples: Tensor, metric: Tensor, start: Tensor, sparsity: float, *, rounds: int = 60, steps: int = 20
) -> Tensor:
    """Factors M that minimise ``E |s - c M|_G^2 / 2 + sparsity * scale * sum_ij |m_ij| sqrt(G_jj)``.

    ``c`` are activations with ``E c_i^2 = 1``, and ``|x|_G^2 = x G x^T``. Alternates one pass over the activations with
    accelerated proximal gradient steps on the factors (Mairal et al. 2009; Beck & Teboulle 2009).

    Args:
        samples: (M, E), float64.
        metric: Positive semidefinite G (E, E).
        start: Factors (N, E) that span the subspace to start from.
        sparsity: Weight of the penalty, relative to the samples' root mean square ``scale = sqrt(E |s|_G^2 / E)``.
        rounds: Alternations.
        steps: Proximal steps in each.

    Returns:
        Factors (N, E); many entries are exactly 0.
    """
    units = metric.diagonal().clamp(min=0).sqrt()
    scale = ((samples @ metric * samples).sum(1).mean() / samples.shape[1]).sqrt()
    penalty = sparsity * scale * units
    largest = torch.linalg.eigvalsh(metric)[-1]
    factors = _varimax(start * units) / units.clamp(min=1e-12)
    activations = samples @ metric @ factors.T
    activations /= activations.square().mean(0).sqrt()
    for _ in range(rounds):
        activations = _improved_activations(samples, metric, factors, activations)
        inner = activations.T @ activations / len(samples)
        cross = activations.T @ samples / len(samples)
        step = 1.0 / (torch.linalg.eigvalsh(inner)[-1] * largest)
        factors = _proximal_steps(factors, inner, cross, metric, penalty, step, steps)
    return factors


def _varimax(loadings: Tensor, rounds: int = 200) -> Tensor:
    """Rows (N, E) rotated among each other until each is large in few columns (Kaiser 1958)."""
    rotation = torch.eye(len(loadings), dtype=loadings.dtype)
    for _ in range(rounds):
        rotated = rotation @ loadings
        target = rotated**3 - rotated * rotated.square().mean(1, keepdim=True)
        left, _, right = torch.linalg.svd(target @ loadings.T)
        rotation = left @ right
    return rotation @ loadings


def _improved_activations(samples: Tensor, metric: Tensor, factors: Tensor, activations: Tensor) -> Tensor:
    """One pass over the components: each takes its best activations while the others stay, of unit mean square."""
    result = activations.clone()
    along, inner = samples @ metric @ factors.T, factors @ metric @ factors.T
    for i in range(len(factors)):
        best = along[:, i] - result @ inner[:, i] + result[:, i] * inner[i, i]
        size = best.square().mean().sqrt()
        if float(size) > 0:
            result[:, i] = best / size
    return result


def _proximal_steps(
    factors: Tensor, inner: Tensor, cross: Tensor, metric: Tensor, penalty: Tensor, step: Tensor, steps: int
) -> Tensor:
    """Accelerated soft-thresholded gradient steps on the factors while the activations stay."""
    ahead, momentum = factors, 1.0
    for _ in range(steps):
        moved = ahead - step * (inner @ ahead - cross) @ metric
        shrunk = torch.sign(moved) * (moved.abs() - step * penalty).clamp(min=0)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = shrunk + (momentum - 1) / following * (shrunk - factors)
        factors, momentum = shrunk, following
    return factors
