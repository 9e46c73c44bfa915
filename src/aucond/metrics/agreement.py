"""Agreement of predicted and true conditions per component, as the literature on action units reports it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aucond._check import check_number, check_tensor
from aucond.conditions import ConditionSpace
from aucond.metrics._processes import gather_rows
from aucond.metrics._reduce import precise
from aucond.metrics.condition import check_conditions

__all__ = ["ConditionAgreement", "ConditionAgreementReport", "condition_agreement"]


@dataclass(frozen=True)
class ConditionAgreementReport:
    """Agreement of predictions with targets, each figure a float64 tensor (N,), one value per component.

    A figure that is not defined is NaN: all but the errors where the component of the target never varies,
    and the correlation also where the prediction never does.
    """

    names: tuple[str, ...]
    """The components' names."""
    count: int
    """How many samples were compared."""
    correlation: Tensor
    """Pearson's correlation, in [-1, 1]."""
    icc: Tensor
    """Intraclass correlation ICC(3,1) of Shrout and Fleiss (1979): two-way mixed, single rater, consistency."""
    r2: Tensor
    """Coefficient of determination, 1 minus squared error over the target's variance: 1 perfect, 0 the mean's."""
    mean_absolute: Tensor
    """Mean absolute error in units of the condition."""
    root_mean_square: Tensor
    """Root of the mean squared error in units of the condition."""

    def to_dict(self) -> dict[str, dict[str, float | None]]:
        """Return name to figures as plain numbers that JSON can hold, None for what is not defined."""
        figures = ("correlation", "icc", "r2", "mean_absolute", "root_mean_square")
        columns = {figure: getattr(self, figure).tolist() for figure in figures}
        return {
            name: {
                figure: None if values[i] != values[i] else values[i] for figure, values in columns.items()
            }
            for i, name in enumerate(self.names)
        }


class ConditionAgreement:
    """Correlation, ICC(3,1), R2 and errors per component, over batches and over processes.

    For two raters, the prediction p and the target y, the mean squares of ICC(3,1) reduce to
    ``2 cov(p, y) / (var p + var y)``: like a correlation, but a prediction of the wrong scale loses by it,
    and a constant offset does not.

    Convention:
        Moments are kept in float64, centred batch by batch and merged by the update of Chan, Golub and
        LeVeque, so the result does not depend on how the samples were divided, but for rounding. With
        ``torch.distributed`` initialised :meth:`compute` covers all processes, and every process must call
        it.

    Args:
        condition: The ConditionSpace of the conditions, or their number N.

    Raises:
        TypeError: ``condition`` is neither.
        ValueError: A number below 1.

    >>> agreement = ConditionAgreement(1)
    >>> agreement.update(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [0.5]]))
    >>> agreement.update(torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    >>> report = agreement.compute()
    >>> report.correlation, report.icc
    (tensor([1.], dtype=torch.float64), tensor([0.8000], dtype=torch.float64))
    """

    def __init__(self, condition: ConditionSpace | int) -> None:
        if isinstance(condition, ConditionSpace):
            self.names = condition.names
        else:
            check_number("condition", condition, low=1, integer=True)
            self.names = tuple(str(i) for i in range(condition))
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._moments = torch.zeros(7, len(self.names), dtype=torch.float64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch of predicted and true conditions (B, N).

        Raises:
            TypeError: No floating tensors.
            ValueError: Other shapes, NaN or infinity (on the CPU).
        """
        check_conditions(prediction, target)
        check_tensor("target", target, ("B", len(self.names)))
        batch = _moments(precise(prediction.detach()), precise(target.detach()))
        self._moments = _merge(self._moments.to(batch.device), batch)

    def compute(self) -> ConditionAgreementReport:
        """Return the figures over everything seen so far, by all processes.

        Raises:
            ValueError: Fewer than two samples, with which nothing varies.
        """
        moments = torch.zeros_like(self._moments).cpu()
        for part in gather_rows(self._moments[None]):
            moments = _merge(moments, part)
        return _report(self.names, moments)


def condition_agreement(
    prediction: Tensor, target: Tensor, *, condition: ConditionSpace | int | None = None
) -> ConditionAgreementReport:
    """Correlation, ICC(3,1), R2 and errors per component of conditions (M, N) that are in memory at once.

    The same figures as :class:`ConditionAgreement` gives batch by batch, of this process alone.

    Args:
        prediction: Predicted conditions (M, N).
        target: True conditions (M, N).
        condition: The space that names the components; None numbers them.

    Raises:
        TypeError: No floating tensors.
        ValueError: Other shapes, fewer than two samples, NaN or infinity (on the CPU).

    >>> target = torch.tensor([[0.0], [0.5], [1.0]])
    >>> condition_agreement(target / 2 + 0.1, target).icc
    tensor([0.8000], dtype=torch.float64)
    """
    check_conditions(prediction, target)
    agreement = ConditionAgreement(target.shape[1] if condition is None else condition)
    agreement.update(prediction, target)
    return _report(agreement.names, agreement._moments.cpu())


def _moments(p: Tensor, y: Tensor) -> Tensor:
    """Count, two means, three centred sums of products and the sum of absolute errors: (7, N)."""
    mean_p, mean_y = p.mean(dim=0), y.mean(dim=0)
    centred_p, centred_y = p - mean_p, y - mean_y
    return torch.stack(
        [
            torch.full_like(mean_p, p.shape[0]),
            mean_p,
            mean_y,
            (centred_p * centred_p).sum(dim=0),
            (centred_y * centred_y).sum(dim=0),
            (centred_p * centred_y).sum(dim=0),
            (p - y).abs().sum(dim=0),
        ]
    )


def _merge(a: Tensor, b: Tensor) -> Tensor:
    """Join the moments of two sets of samples."""
    count = a[0] + b[0]
    share = b[0] / count.clamp(min=1)
    step_p, step_y = b[1] - a[1], b[2] - a[2]
    between = a[0] * share
    return torch.stack(
        [
            count,
            a[1] + share * step_p,
            a[2] + share * step_y,
            a[3] + b[3] + between * step_p * step_p,
            a[4] + b[4] + between * step_y * step_y,
            a[5] + b[5] + between * step_p * step_y,
            a[6] + b[6],
        ]
    )


def _report(names: tuple[str, ...], moments: Tensor) -> ConditionAgreementReport:
    count, mean_p, mean_y, pp, yy, py, absolute = moments.unbind()
    samples = int(count[0])
    if samples < 2:
        raise ValueError(
            f"target: expected at least two samples before agreement is asked for, got {samples}"
        )
    # A constant's centred sum is rounding (1e-16 of its size), not 0; a float32 that varies at all varies by
    # 1e-8.
    constant_p, constant_y = (
        total <= count * (1e-12 * mean) ** 2 for total, mean in ((pp, mean_p), (yy, mean_y))
    )
    undefined = torch.full_like(pp, torch.nan)
    squared = pp + yy - 2 * py + count * (mean_p - mean_y) ** 2
    return ConditionAgreementReport(
        names=names,
        count=samples,
        correlation=torch.where(constant_p | constant_y, undefined, py / (pp * yy).sqrt()),
        icc=torch.where(constant_y, undefined, 2 * py / (pp + yy)),
        r2=torch.where(constant_y, undefined, 1 - squared / yy),
        mean_absolute=absolute / count,
        root_mean_square=(squared.clamp(min=0) / count).sqrt(),
    )
