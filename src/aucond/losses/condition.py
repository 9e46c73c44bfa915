"""The distance between the condition a critic reads in an image and the one it should read."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from aucond._check import check_choice, check_not_empty, check_same_shape, check_tensor
from aucond.losses._reduce import in_float, reduce_samples
from aucond.types import Reduction

__all__ = ["condition_regression_loss"]


def condition_regression_loss(
    prediction: Tensor,
    target: Tensor,
    norm: Literal["squared_l2", "mse"] = "squared_l2",
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared distance between predicted and wanted conditions.

    ``norm="squared_l2"``: ``||D_y(I) - y||_2^2``, the SUM over the N components (GANimation Eq. 3);
    ``norm="mse"``: that divided by N (SliderGAN Eq. 7, 8).

    Convention:
        Conditions are normalised, ``(B, N)``. Contrast with the published GANimation code, which divides
        the MSE by the batch size once more: that is ``norm="mse"`` with the weight divided by the batch
        size.

    Args:
        prediction: The critic's reading, ``(B, N)``.
        target: The wanted condition, ``(B, N)``.
        norm: Sum or mean over the components.
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The loss; half precision is summed and returned in float32.

    >>> import torch
    >>> condition_regression_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    tensor(5.)
    >>> condition_regression_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]), norm="mse")
    tensor(2.5000)
    """
    check_choice("norm", norm, ("squared_l2", "mse"))
    check_tensor("prediction", prediction, ("B", "N"))
    check_tensor("target", target, ("B", "N"))
    check_same_shape("prediction", prediction, "target", target)
    check_not_empty("prediction", prediction)
    squares = (in_float(prediction) - in_float(target)).square()
    return reduce_samples(squares.sum(1) if norm == "squared_l2" else squares.mean(1), reduction)
