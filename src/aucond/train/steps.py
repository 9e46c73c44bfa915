"""One training step of one network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from aucond._check import describe
from aucond.train.processes import Processes
from aucond.types import LossTerms

__all__ = ["Player", "frozen", "make_player", "training_step"]


@dataclass(frozen=True)
class Player:
    """One of the two networks, with its optimiser and the learning rate before decay."""

    name: Literal["critic", "generator"]
    network: nn.Module
    optimizer: torch.optim.Optimizer
    learning_rate: float

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that are trained."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]


def make_player(
    name: Literal["critic", "generator"],
    network: nn.Module,
    learning_rate: float,
    betas: tuple[float, float],
) -> Player:
    """Give a network its Adam.

    Raises:
        ValueError: If none of its parameters requires a gradient.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    if not trained:
        raise ValueError(f"objective.{name}: expected parameters that require gradients, got none")
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in trained)
    optimizer = torch.optim.Adam(trained, lr=learning_rate, betas=betas, fused=fused)
    return Player(name, network, optimizer, learning_rate)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No parameter of the network gets a gradient meanwhile; gradients still pass through it."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def training_step(
    player: Player,
    opponent: Player,
    loss: Callable[[], LossTerms],
    *,
    samples: int,
    factor: float,
    processes: Processes,
    precision: Literal["float32", "bfloat16"],
    gradient_clip: float | None,
) -> LossTerms:
    """Compute the loss with the opponent frozen, its gradient, its mean over processes, and take Adam's step.

    Args:
        player: Who is trained.
        opponent: Who is not.
        loss: The player's loss on the batch.
        samples: How many samples the batch has.
        factor: What the learning rate is multiplied with.
        processes: Among whom gradients are averaged.
        precision: What the loss is computed in.
        gradient_clip: The largest norm of the gradient, or None.

    Returns:
        The loss terms.

    Raises:
        TypeError: If the loss gives no LossTerms.
        ValueError: If no term depends on the player's parameters.
    """
    for group in player.optimizer.param_groups:
        group["lr"] = player.learning_rate * factor
    player.optimizer.zero_grad(set_to_none=True)
    with frozen(opponent.network):
        device = processes.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            terms = loss()
        if not isinstance(terms, LossTerms):
            raise TypeError(f"objective.{player.name}_loss: expected LossTerms, got {describe(terms)}")
        total = terms.total
        if not total.requires_grad:
            raise ValueError(
                f"objective.{player.name}_loss: expected terms that depend on the {player.name}'s parameters, "
                f"got {', '.join(terms)} without any gradient"
            )
        total.backward()  # type: ignore[no-untyped-call]
    processes.average_gradients(player.parameters, samples)
    if gradient_clip is not None:
        nn.utils.clip_grad_norm_(player.parameters, gradient_clip)
    player.optimizer.step()
    processes.share_buffers(player.network)
    return terms
