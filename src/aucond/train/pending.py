"""Loss values that wait on the device until somebody looks, so that a GPU is not made to wait at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from aucond._check import describe
from aucond.train.processes import Processes
from aucond.types import LossTerms

__all__ = ["PendingValues", "PhaseValues"]


@dataclass(frozen=True)
class PhaseValues:
    """The values of one network's step, as numbers."""

    step: int
    terms: dict[str, float]
    """The loss terms and ``total``, as ``critic/adversarial``."""
    watched: dict[str, float]
    """The monitor entries, by their own names."""


class PendingValues:
    """Collects the loss values of steps and fetches them all at once, as means over the processes."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._phases: list[tuple[int, list[str], list[str]]] = []
        self._values: list[Tensor] = []
        self._samples: list[float] = []

    def add(self, step: int, phase: Literal["critic", "generator"], terms: LossTerms, samples: int) -> None:
        """Remember the values of one network's step.

        Raises:
            ValueError: If a monitor entry is no scalar.
        """
        for name, value in terms.monitor.items():
            if value.dim() != 0:
                raise ValueError(
                    f"objective.{phase}_loss: monitor[{name!r}]: expected a scalar tensor, got {describe(value)}"
                )
        names = [f"{phase}/{name}" for name in (*terms, "total")]
        values = [*terms.values(), terms.total, *terms.monitor.values()]
        device = self._processes.device
        self._phases.append((step, names, list(terms.monitor)))
        self._values.append(torch.stack([v.detach().to(device, torch.float32) for v in values]))
        self._samples += [float(samples)] * len(values)

    def fetch(self) -> list[PhaseValues]:
        """All values since the last call, in order."""
        if not self._phases:
            return []
        samples = torch.tensor(self._samples, device=self._processes.device)
        numbers = iter(self._processes.mean(torch.cat(self._values), samples).tolist())
        fetched = [
            PhaseValues(step, {n: next(numbers) for n in terms}, {n: next(numbers) for n in watched})
            for step, terms, watched in self._phases
        ]
        self._phases, self._values, self._samples = [], [], []
        return fetched
