"""One training step of one network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aucond._check import describe
from aucond.losses.explicit_gradient import autograd_only
from aucond.train.processes import Processes
from aucond.types import LossTerms

__all__ = [
    "Player",
    "StepSettings",
    "finish_step",
    "frozen",
    "make_player",
    "set_learning_rate",
    "step_gradient",
]

Speed = Literal["reference", "fast"]


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


@dataclass(frozen=True)
class StepSettings:
    """What all steps of a run have in common."""

    processes: Processes
    """Among whom gradients are averaged, and the device."""
    precision: Literal["float32", "bfloat16"]
    """What the loss is computed in."""
    gradient_clip: float | None
    """The largest norm of the gradient, or None."""
    speed: Speed
    """See :class:`~aucond.train.TrainerConfig`."""


def make_player(
    name: Literal["critic", "generator"],
    network: nn.Module,
    learning_rate: float,
    betas: tuple[float, float],
    speed: Speed = "fast",
) -> Player:
    """Give a network its Adam: fused if it is to be fast, else one parameter after the other.

    Raises:
        ValueError: If none of its parameters requires a gradient.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    if not trained:
        raise ValueError(f"objective.{name}: expected parameters that require gradients, got none")
    options: dict[str, Any] = {"lr": learning_rate, "foreach": False}
    if speed == "fast" and all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in trained):
        options = {"lr": learning_rate, "fused": True}
        if all(p.is_cuda for p in trained):
            # A graph repeats the rate it was captured with, unless that is a tensor, whose memory it reads.
            options |= {"lr": torch.tensor(learning_rate, device=trained[0].device), "capturable": True}
    return Player(name, network, torch.optim.Adam(trained, betas=betas, **options), learning_rate)


def set_learning_rate(player: Player, factor: float) -> None:
    """Multiply the player's learning rate before decay with ``factor``."""
    for group in player.optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(player.learning_rate * factor)
        else:
            group["lr"] = player.learning_rate * factor


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


def step_gradient(
    player: Player, opponent: Player, loss: Callable[[], LossTerms], settings: StepSettings
) -> LossTerms:
    """Compute the loss with the opponent frozen, and its gradient.

    Args:
        player: Who is trained.
        opponent: Who is not.
        loss: The player's loss on the batch.
        settings: Precision, speed and device.

    Returns:
        The loss terms, detached; the gradients are in the player's parameters.

    Raises:
        TypeError: If the loss gives no LossTerms.
        ValueError: If no term depends on the player's parameters.
    """
    device = settings.processes.device.type
    player.optimizer.zero_grad(set_to_none=True)
    with frozen(opponent.network), _ways(player, opponent, settings):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16"):
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
    return LossTerms({name: value.detach() for name, value in terms.items()}, terms.monitor)


def finish_step(player: Player, samples: int, settings: StepSettings) -> None:
    """Average the gradients over the processes, clip them, take Adam's step, and share the buffers.

    Args:
        player: Who is trained; has its gradients.
        samples: How many samples this process's loss was the mean of.
        settings: Processes and clipping.
    """
    settings.processes.average_gradients(player.parameters, samples)
    if settings.gradient_clip is not None:
        nn.utils.clip_grad_norm_(player.parameters, settings.gradient_clip)
    player.optimizer.step()
    settings.processes.share_buffers(player.network)


def _ways(player: Player, opponent: Player, settings: StepSettings) -> AbstractContextManager[None]:
    """How the same loss is to be computed meanwhile."""
    if settings.speed == "reference":
        return autograd_only(player.network if player.name == "critic" else opponent.network)
    if settings.processes.device.type == "cuda" and not torch.backends.cudnn.deterministic:
        # Steps repeat their shapes, so it pays to try out the convolution algorithms once.
        return torch.backends.cudnn.flags(
            enabled=True, benchmark=True, allow_tf32=torch.backends.cudnn.allow_tf32
        )
    return nullcontext()
