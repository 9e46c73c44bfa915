"""The two networks in training, with everything that changes when they learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from aucond._check import describe
from aucond.train.checkpoint import Checkpoint
from aucond.train.config import TrainerConfig
from aucond.train.ema import GeneratorAverage
from aucond.train.loading import batch_size, to_device
from aucond.train.pending import PendingValues
from aucond.train.processes import Processes
from aucond.train.randomness import derived_seed, loss_randomness
from aucond.train.steps import Player, make_player, training_step
from aucond.train.tensors import (
    adam_tensors,
    all_finite,
    check_same_layout,
    load_adam,
    load_network,
    network_tensors,
)
from aucond.types import Batch, LossTerms, Objective

__all__ = ["Learner", "check_objective"]

Loss: TypeAlias = Callable[[Batch, torch.Generator], LossTerms]


class Learner:
    """An objective's networks on their device, their optimisers, and the average of the generator.

    Everything that a checkpoint must hold of them is in :meth:`tensors`, and everything random in :meth:`learn` comes
    from (seed, step, network, process).

    Args:
        objective: The networks and their losses; moved to the device.
        config: The settings.
        processes: This process and its device.

    Raises:
        ValueError: If a network has nothing to train.
    """

    def __init__(self, objective: Objective, config: TrainerConfig, processes: Processes) -> None:
        self._objective = objective
        self._config = config
        self._processes = processes
        holder = getattr(objective, "to", None)
        if callable(holder):
            holder(processes.device)
        for network in (objective.generator, objective.critic):
            network.to(processes.device)
            if config.channels_last:
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        processes.share_weights((objective.generator, objective.critic))
        critic_rate = (
            config.learning_rate if config.critic_learning_rate is None else config.critic_learning_rate
        )
        self._critic = make_player("critic", objective.critic, critic_rate, config.betas)
        self._generator = make_player("generator", objective.generator, config.learning_rate, config.betas)
        self.average = GeneratorAverage(objective.generator, config.ema_decay)

    def begin(self) -> None:
        """Put both networks into training mode."""
        self._objective.generator.train()
        self._objective.critic.train()

    def learn(self, batch: Batch, step: int, values: PendingValues) -> None:
        """Train the critic on a batch, and the generator too if it is its turn.

        Args:
            batch: This process's part of the batch, on any device.
            step: The step's number, from 1.
            values: Gets the loss values.
        """
        batch = to_device(batch, self._processes.device, channels_last=self._config.channels_last)
        self._train(self._critic, self._generator, self._objective.critic_loss, batch, step, values)
        if self._config.trains_generator(step):
            self._train(self._generator, self._critic, self._objective.generator_loss, batch, step, values)
            self.average.update(self._objective.generator)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of a checkpoint, by file; ``ema`` has the generator's own names and can be loaded into one."""
        return {
            "generator": network_tensors(self._generator.network),
            "critic": network_tensors(self._critic.network),
            "ema": network_tensors(self.average.network),
            "generator_optimizer": adam_tensors(self._generator.optimizer, self._generator.network),
            "critic_optimizer": adam_tensors(self._critic.optimizer, self._critic.network),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put networks, optimisers and average back to where :meth:`tensors` found them.

        Raises:
            ValueError: If the checkpoint is of another architecture; the message says which tensors differ.
        """
        networks: dict[str, nn.Module] = {
            "generator": self._generator.network,
            "critic": self._critic.network,
            "ema": self.average.network,
        }
        for name, network in networks.items():  # all of them before any is touched
            check_same_layout(
                network.state_dict(), checkpoint.tensors[name], f"{checkpoint.path / name}.safetensors"
            )
        for name, network in networks.items():
            load_network(network, checkpoint.tensors[name])
        for player in (self._generator, self._critic):
            name = f"{player.name}_optimizer"
            where = f"{checkpoint.path / name}.safetensors"
            load_adam(player.optimizer, player.network, checkpoint.tensors[name], where)
        self.average.updates = checkpoint.state["ema_updates"]

    def broken_networks(self) -> list[str]:
        """The names of the networks that have weights which are not finite."""
        players = (self._generator, self._critic)
        return [player.name for player in players if not all_finite(player.network.state_dict())]

    def _train(
        self, player: Player, opponent: Player, loss: Loss, batch: Batch, step: int, values: PendingValues
    ) -> None:
        seed = derived_seed(self._config.seed, player.name, step, self._processes.index)
        samples = batch_size(batch)
        with loss_randomness(seed, self._processes.device) as rng:
            terms = training_step(
                player,
                opponent,
                lambda: loss(batch, rng),
                samples=samples,
                factor=self._config.learning_rate_factor(step),
                processes=self._processes,
                precision=self._config.precision,
                gradient_clip=self._config.gradient_clip,
            )
        values.add(step, player.name, terms, samples)


def check_objective(objective: Any) -> None:
    """Raise unless this has what the Trainer needs of an objective.

    Raises:
        TypeError: If a network or a loss is missing, or a network is no module.
        ValueError: If the networks share parameters.
    """
    for name in ("generator", "critic", "critic_loss", "generator_loss"):
        if not hasattr(objective, name):
            raise TypeError(
                f"objective: expected generator, critic, critic_loss and generator_loss, "
                f"got {describe(objective)} without {name}"
            )
    for name in ("generator", "critic"):
        if not isinstance(getattr(objective, name), nn.Module):
            raise TypeError(
                f"objective.{name}: expected a torch.nn.Module, got {describe(getattr(objective, name))}"
            )
    own = {id(p) for p in objective.generator.parameters()}
    if any(id(p) in own for p in objective.critic.parameters()):
        raise ValueError("objective: expected networks with parameters of their own, got shared ones")
