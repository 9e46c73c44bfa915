"""Means over a data set that never is in memory at once."""

from __future__ import annotations

import torch
from torch import Tensor

from aucond._check import describe
from aucond.metrics._processes import sum_over_processes
from aucond.metrics._reduce import precise

__all__ = ["MeanAccumulator"]


class MeanAccumulator:
    """The mean of all values it was ever given, over batches and over processes.

    Convention:
        Every value counts the same, whatever the batch it came in, so a smaller last batch changes nothing.
        Sums are kept in float64. Nothing is dropped: a NaN among the values makes the mean NaN.
        With ``torch.distributed`` initialised, :meth:`compute` gives every process the mean over all
        processes, and every process must call it. A sampler that repeats images to fill the last batch counts
        them twice.

    >>> scores = MeanAccumulator()
    >>> scores.update(torch.tensor([1.0, 2.0]))
    >>> scores.update(torch.tensor([6.0]))
    >>> scores.compute()
    3.0
    """

    def __init__(self) -> None:
        self.reset()

    @property
    def count(self) -> int:
        """How many values this process has seen."""
        return self._count

    def reset(self) -> None:
        """Forget everything."""
        self._sum = torch.zeros((), dtype=torch.float64)
        self._count = 0

    def update(self, values: Tensor) -> None:
        """Add values of any shape, usually one per image (B,); floating, integer or boolean.

        Raises:
            TypeError: ``values`` is no tensor of real numbers.
        """
        if not isinstance(values, Tensor) or values.is_complex():
            raise TypeError(f"values: expected a tensor of real numbers, got {describe(values)}")
        # The running sum lives where the values do, so that no update makes the host wait for the device.
        batch = precise(values.detach()).sum()
        self._sum = self._sum.to(batch.device) + batch
        self._count += values.numel()

    def compute(self) -> float:
        """Return the mean of everything seen so far, by all processes.

        Raises:
            ValueError: No process has seen a value.
        """
        count = torch.tensor(float(self._count), dtype=torch.float64, device=self._sum.device)
        total, count = sum_over_processes(torch.stack([self._sum, count])).unbind()
        if count == 0:
            raise ValueError("values: expected at least one value before the mean is asked for, got none")
        return float(total / count)
