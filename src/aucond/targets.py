"""Target samplers: which condition each image of a training batch is to be edited to.

A sampler is any callable ``(conditions (B, N), space, rng) -> targets (B, N)``. All randomness comes from
``rng`` (torch's global generator without one); the draws are made on the generator's own device, so one seed
gives the same targets whatever device the batch is on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from aucond._check import check_finite, check_generator, check_number, check_tensor, describe
from aucond.conditions import ConditionSpace

__all__ = ["BankTargets", "ShuffleTargets", "TargetSampler", "UniformTargets"]


class TargetSampler(Protocol):
    """A callable that gives each sample of a batch its target condition."""

    def __call__(
        self, conditions: Tensor, space: ConditionSpace, rng: torch.Generator | None = None
    ) -> Tensor:
        """Return target conditions (B, N) for images whose own conditions (B, N) are given."""
        ...


@dataclass(frozen=True)
class ShuffleTargets:
    """GANimation's targets: another sample's condition plus uniform noise.

    ``y_f[i] = y_o[j] + u`` with ``j != i`` from the same batch and ``u`` uniform in ``[-jitter, jitter]`` per
    component. The batch is walked in one random cycle, so no sample keeps its own condition and each is used
    once. A batch of one has no other sample: its target is its own condition plus noise.

    Contrast with the published code, which leaves the sum as it is. Here the default clamps it to the space:
    a negative intensity means nothing, no annotation ever shows the critic's head one, and a ground-truth
    renderer cannot draw it. ``clamp=False`` is the published behaviour.

    Args:
        jitter: Half width of the noise, in normalised units; 0.1 in the paper.
        clamp: Move values that the noise pushes out of range back onto its border.

    >>> space = ConditionSpace(["AU06", "AU12"])
    >>> ShuffleTargets(jitter=0.0)(torch.tensor([[0.0, 0.1], [0.5, 0.6]]), space)
    tensor([[0.5000, 0.6000],
            [0.0000, 0.1000]])
    """

    jitter: float = 0.1
    clamp: bool = True

    def __post_init__(self) -> None:
        check_number("jitter", self.jitter, low=0.0)

    def __call__(
        self, conditions: Tensor, space: ConditionSpace, rng: torch.Generator | None = None
    ) -> Tensor:
        """Return the shuffled, disturbed conditions (B, N)."""
        _check(conditions, space, rng)
        device = _device_of(rng)
        order = torch.randperm(len(conditions), generator=rng, device=device)
        source = torch.empty_like(order)
        source[order] = order.roll(1)
        targets = conditions[source.to(conditions.device)]
        return _disturb(targets, self.jitter, self.clamp, space, rng)


@dataclass(frozen=True)
class UniformTargets:
    """Targets uniform over the whole space, each component on its own.

    Most such vectors are combinations that no face makes; on one-hot labels they are no labels at all. Use it
    where components are meant to be independent, as sliders are.

    >>> UniformTargets()(torch.zeros(4, 2), ConditionSpace(["AU06", "AU12"])).shape
    torch.Size([4, 2])
    """

    def __call__(
        self, conditions: Tensor, space: ConditionSpace, rng: torch.Generator | None = None
    ) -> Tensor:
        """Return uniform targets (B, N) in ``[low, high]``."""
        _check(conditions, space, rng)
        unit = torch.rand(conditions.shape, generator=rng, device=_device_of(rng)).to(conditions)
        low, high = (conditions.new_tensor(v) for v in (space.low, space.high))
        return space.clamp(low + unit * (high - low))


@dataclass(frozen=True, eq=False)
class BankTargets:
    """Targets drawn with replacement from a fixed bank of conditions, for instance those of a whole data set.

    Args:
        bank: Normalised conditions (M, N), M at least 1.
        jitter: Half width of uniform noise added to each component; the sum is clamped to the space.

    >>> bank = torch.tensor([[0.0, 1.0]])
    >>> BankTargets(bank)(torch.zeros(2, 2), ConditionSpace(["AU06", "AU12"]))
    tensor([[0., 1.],
            [0., 1.]])
    """

    bank: Tensor
    jitter: float = 0.0

    def __post_init__(self) -> None:
        check_tensor("bank", self.bank, ("M", "N"))
        if len(self.bank) == 0:
            raise ValueError(
                f"bank: expected at least one condition, got a tensor of shape {tuple(self.bank.shape)}"
            )
        check_finite("bank", self.bank)
        check_number("jitter", self.jitter, low=0.0)

    def __call__(
        self, conditions: Tensor, space: ConditionSpace, rng: torch.Generator | None = None
    ) -> Tensor:
        """Return rows of the bank (B, N)."""
        _check(conditions, space, rng)
        check_tensor("bank", self.bank, ("M", space.dim))
        drawn = torch.randint(len(self.bank), (len(conditions),), generator=rng, device=_device_of(rng))
        targets = space.validate(self.bank[drawn.to(self.bank.device)], name="bank").to(conditions)
        return _disturb(targets, self.jitter, True, space, rng)


def _check(conditions: Tensor, space: ConditionSpace, rng: torch.Generator | None) -> None:
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    check_tensor("conditions", conditions, ("B", space.dim))
    check_generator(rng)


def _device_of(rng: torch.Generator | None) -> torch.device:
    return torch.device("cpu") if rng is None else rng.device


def _disturb(
    targets: Tensor, jitter: float, clamp: bool, space: ConditionSpace, rng: torch.Generator | None
) -> Tensor:
    if jitter == 0:
        return targets
    unit = torch.rand(targets.shape, generator=rng, device=_device_of(rng)).to(targets)
    disturbed = targets + (2 * unit - 1) * jitter
    return space.clamp(disturbed) if clamp else disturbed
