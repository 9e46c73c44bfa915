"""The two networks in training, with everything that changes when they learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from aucond._check import describe
from aucond.train.checkpoint import Checkpoint
from aucond.train.config import TrainerConfig
from aucond.train.ema import GeneratorAverage
from aucond.train.loading import batch_size, to_device
from aucond.train.memory import kept_memory
from aucond.train.pending import PendingValues
from aucond.train.processes import Processes
from aucond.train.randomness import derived_seed, loss_randomness
from aucond.train.recording import CudaRecorder, Recorder, RepeatedWork
from aucond.train.steps import (
    Player,
    StepSettings,
    finish_step,
    make_player,
    set_learning_rate,
    step_gradient,
)
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
Done: TypeAlias = tuple[LossTerms, list[Tensor | None]]
"""The loss terms and the gradients of a step."""
Work: TypeAlias = Callable[[Batch], Done]


class Learner:
    """An objective's networks on their device, their optimisers, and the average of the generator.

    Everything that a checkpoint must hold of them is in :meth:`tensors`, and everything random in :meth:`learn` comes
    from (seed, step, network, process).

    Args:
        objective: The networks and their losses; moved to the device.
        config: The settings.
        processes: This process and its device.
        recorder: Records the steps of an objective that is ``capturable``; by default CUDA graphs on a CUDA device
            if the run is to be fast, else nothing is recorded.

    Raises:
        ValueError: If a network has nothing to train.
    """

    def __init__(
        self,
        objective: Objective,
        config: TrainerConfig,
        processes: Processes,
        *,
        recorder: Recorder | None = None,
    ) -> None:
        self._objective = objective
        self._config = config
        self._processes = processes
        self._fast = config.speed == "fast"
        # On a CPU, bfloat16 convolutions take half as long again and more in channels_last memory.
        on_cpu = processes.device.type == "cpu"
        self._channels_last = self._fast and not (on_cpu and config.precision == "bfloat16")
        self._settings = StepSettings(processes, config.precision, config.gradient_clip, config.speed)
        holder = getattr(objective, "to", None)
        if callable(holder):
            holder(processes.device)
        for network in (objective.generator, objective.critic):
            layout = torch.channels_last if self._channels_last else torch.contiguous_format
            network.to(processes.device).to(memory_format=layout)  # type: ignore[call-overload]
        processes.share_weights((objective.generator, objective.critic))
        critic_rate = (
            config.learning_rate if config.critic_learning_rate is None else config.critic_learning_rate
        )
        speed, betas = config.speed, config.betas
        self._critic = make_player("critic", objective.critic, critic_rate, betas, speed)
        self._generator = make_player("generator", objective.generator, config.learning_rate, betas, speed)
        self.average = GeneratorAverage(objective.generator, config.ema_decay)
        # The same generators in every step, because a recorded step knows the one it was recorded with.
        self._rngs = {name: torch.Generator(device=processes.device) for name in ("critic", "generator")}
        self._critic_work = self._work(
            self._critic, self._generator, lambda batch, rng: objective.critic_loss(batch, rng)
        )
        self._generator_work = self._work(
            self._generator, self._critic, lambda batch, rng: objective.generator_loss(batch, rng)
        )
        self._repeated: tuple[RepeatedWork, ...] = ()
        self._record_with(recorder or self._own_recorder())

    @contextmanager
    def training(self) -> Iterator[None]:
        """Put both networks into training mode; meanwhile a fast run on a CPU keeps freed memory for the next step."""
        self._objective.generator.train()
        self._objective.critic.train()
        with kept_memory(self._fast and self._processes.device.type == "cpu"):
            yield

    def learn(self, batch: Batch, step: int, values: PendingValues) -> None:
        """Train the critic on a batch, and the generator too if it is its turn.

        Args:
            batch: This process's part of the batch, on any device.
            step: The step's number, from 1.
            values: Gets the loss values.
        """
        batch = to_device(batch, self._processes.device, channels_last=self._channels_last)
        self.train_critic(batch, step, values)
        if self._config.trains_generator(step):
            self.train_generator(batch, step, values)

    def train_critic(self, batch: Batch, step: int, values: PendingValues) -> None:
        """The critic's part of :meth:`learn`, on a batch that is on the device already."""
        self._train(self._critic, self._critic_work, batch, step, values)

    def train_generator(self, batch: Batch, step: int, values: PendingValues) -> None:
        """The generator's part of :meth:`learn`, and its average's."""
        self._train(self._generator, self._generator_work, batch, step, values)
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
        for work in self._repeated:  # Adam's state has been replaced by new tensors.
            work.forget()

    def broken_networks(self) -> list[str]:
        """The names of the networks that have weights which are not finite."""
        players = (self._generator, self._critic)
        return [player.name for player in players if not all_finite(player.network.state_dict())]

    def _own_recorder(self) -> Recorder | None:
        if not (self._fast and self._processes.device.type == "cuda"):
            return None
        return CudaRecorder(list(self._rngs.values()))

    def _record_with(self, recorder: Recorder | None) -> None:
        """Have both works recorded, if there is a recorder and the objective says that it can be."""
        if recorder is not None and getattr(self._objective, "capturable", False):
            critic = RepeatedWork(self._critic_work, recorder, name="the critic's step")
            generator = RepeatedWork(self._generator_work, recorder, name="the generator's step")
            self._repeated = (critic, generator)
            self._critic_work, self._generator_work = critic, generator

    def _work(self, player: Player, opponent: Player, loss: Loss) -> Work:
        """The part of a step that can be recorded: with one process all of it, else up to the gradients."""
        rng, alone = self._rngs[player.name], self._processes.count == 1

        def work(batch: Batch) -> Done:
            terms = step_gradient(player, opponent, lambda: loss(batch, rng), self._settings)
            if alone:
                finish_step(player, batch_size(batch), self._settings)
            return terms, [parameter.grad for parameter in player.parameters]

        return work

    def _train(self, player: Player, work: Work, batch: Batch, step: int, values: PendingValues) -> None:
        seed = derived_seed(self._config.seed, player.name, step, self._processes.index)
        samples = batch_size(batch)
        set_learning_rate(player, self._config.learning_rate_factor(step))
        with loss_randomness(seed, self._processes.device, self._rngs[player.name]):
            terms, gradients = work(batch)
        if self._processes.count > 1:
            # A repeated step writes to the gradients it was recorded with, wherever others have been put since.
            for parameter, gradient in zip(player.parameters, gradients, strict=True):
                parameter.grad = gradient
            finish_step(player, samples, self._settings)
        values.add(step, player.name, terms, samples)
        # The other network's step needs the memory more.
        player.optimizer.zero_grad(set_to_none=True)


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
