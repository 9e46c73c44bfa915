"""How far a condition that was read from an image is from the one it should have."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from aucond._check import check_choice, check_finite, check_number, check_same_shape, check_tensor, describe
from aucond.metrics._reduce import check_reduction, precise, reduce_values
from aucond.types import Reduction

__all__ = ["check_conditions", "condition_error"]


def condition_error(
    prediction: Tensor,
    target: Tensor,
    *,
    norm: Literal["l2", "mean_absolute"] = "l2",
    relative: bool = False,
    floor: float = 0.0,
    reduction: Reduction = "none",
) -> Tensor:
    r"""Error of predicted conditions, one value per sample; relative as in SliderGAN Table 4.

    ``norm="l2"``: the Euclidean norm :math:`\|p - y\|_2` of the N differences (not divided by N).
    ``norm="mean_absolute"``: their mean size :math:`\frac{1}{N}\sum_i |p_i - y_i|`, in units of the
    condition.
    ``relative=True`` divides by the same norm of the target; with ``"l2"`` and averaged over the samples,

    .. math::
        \frac{1}{B} \sum_b \frac{\|y_b - p_b\|}{\|y_b\|},

    this is SliderGAN Table 4: row 1 with y the annotation of a photo and p the critic's reading of it, row 2
    with y the target condition and p the critic's reading of the edit. Predicting 0 everywhere gives exactly
    1.

    Convention:
        Normalised conditions (B, N); the ratio is taken per sample, then averaged (not a ratio of sums). The
        paper does not say which norm it is; read as l2, which its Eq. 7 and 8 use for the same vectors. The sum
        over i = 1..N in its table runs over whole parameter vectors, so N there counts images.

    Args:
        prediction: Predicted conditions (B, N).
        target: The conditions they should be (B, N).
        norm: Which norm over the components.
        relative: Divide each sample's error by the norm of its target.
        floor: With ``relative``: targets whose norm is below this count as this long. A neutral face (all
            zeros) has no relative error without it.
        reduction: ``"none"`` one value per sample (B,), ``"mean"`` or ``"sum"`` over the batch.

    Returns:
        float64, at least 0. Differentiable.

    Raises:
        TypeError: No floating tensors.
        ValueError: Different shapes, NaN or infinity (on the CPU), ``relative`` with a target of norm 0 and
            no floor.

    >>> target = torch.tensor([[0.6, 0.8]])
    >>> condition_error(torch.tensor([[0.6, 0.3]]), target, relative=True)
    tensor([0.5000], dtype=torch.float64)
    """
    check_choice("norm", norm, ("l2", "mean_absolute"))
    check_number("floor", floor, low=0.0)
    check_reduction(reduction)
    if floor > 0 and not relative:
        raise ValueError(f"floor: expected 0 unless relative=True, got {floor}")
    check_conditions(prediction, target)
    y = precise(target)
    errors = _norm(precise(prediction) - y, norm)
    if relative:
        lengths = _norm(y, norm).clamp(min=floor)
        # Worth a look at the values on every device: infinity in one sample would swallow the mean of all.
        if bool((lengths == 0).any()):
            where = int((lengths == 0).nonzero()[0])
            raise ValueError(
                f"target: the relative error of a condition of norm 0 is not defined (sample {where}); "
                "pass floor=... or leave such samples out"
            )
        errors = errors / lengths
    return reduce_values(errors, reduction)


def check_conditions(prediction: Tensor, target: Tensor) -> None:
    """Raise unless both are finite floating tensors (B, N) of one shape with at least one component."""
    check_tensor("prediction", prediction, ("B", "N"))
    check_tensor("target", target, ("B", "N"))
    check_same_shape("target", target, "prediction", prediction)
    if target.numel() == 0:
        raise ValueError(f"target: expected at least one sample of one component, got {describe(target)}")
    check_finite("prediction", prediction)
    check_finite("target", target)


def _norm(values: Tensor, norm: Literal["l2", "mean_absolute"]) -> Tensor:
    if norm == "l2":
        length: Tensor = torch.linalg.vector_norm(values, dim=1)
        return length
    return values.abs().mean(dim=1)
