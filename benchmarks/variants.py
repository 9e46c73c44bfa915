"""The trainings that ``train_step.py`` and ``scaling.py`` set against each other, on the same weights."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from measuring import count_flops, peak_memory, reset_peak_memory, seconds_of, synchronize
from published import Critic, Generator, PublishedTraining
from torch import Tensor

from aucond import (
    AttentionGenerator,
    ConditionSpace,
    ConvRegressionHead,
    GANimation,
    GANimationWeights,
    PatchCritic,
    from_published_state_dict,
)
from aucond.train import TrainerConfig
from aucond.train.learner import Learner
from aucond.train.pending import PendingValues
from aucond.train.processes import Processes
from aucond.types import Batch

Name = Literal["published", "reference", "fast", "fast_memory_returned", "fast_bfloat16"]
CYCLE = 5
"""Critic steps per generator step."""


@dataclass(frozen=True)
class Setting:
    """What is trained, and where."""

    size: int
    batch: int
    conditions: int = 17
    channels: int = 64
    blocks: int = 6
    layers: int = 6
    device: str = "cpu"
    threads: int = 1


class Variant:
    """One of the trainings, with its phases as methods."""

    def __init__(self, name: Name, setting: Setting) -> None:
        self.name, self.setting, self.device = name, setting, torch.device(setting.device)
        torch.manual_seed(0)
        generator = Generator(setting.conditions, setting.channels, setting.blocks)
        critic = Critic(setting.size, setting.conditions, setting.channels, setting.layers)
        self.step = 0
        self.forward: Callable[[Tensor, Tensor], object]
        self._critic: Callable[[Batch], None]
        self._generator: Callable[[Batch], None]
        if name == "published":
            published = PublishedTraining(generator.to(self.device), critic.to(self.device))
            self.forward = published.generator
            self._critic = lambda b: published.critic_step(b["image"], b["condition"])
            self._generator = lambda b: published.generator_step(b["image"], b["condition"])
        else:
            self._build_ours(generator, critic)
        self.batch = self.make_batch(setting.batch)

    def _build_ours(self, published_generator: Generator, published_critic: Critic) -> None:
        setting = self.setting
        space = ConditionSpace([f"c{i}" for i in range(setting.conditions)])
        head = partial(
            ConvRegressionHead,
            out_features=setting.conditions,
            kernel_size=setting.size // 2**setting.layers,
        )
        generator = AttentionGenerator(
            space,
            base_channels=setting.channels,
            num_residual_blocks=setting.blocks,
            conditioning="planes",
            decoder="transposed",
        )
        critic = PatchCritic({"condition": head}, base_channels=setting.channels, num_layers=setting.layers)
        generator.load_state_dict(from_published_state_dict(published_generator.state_dict(), generator))
        critic.load_state_dict(from_published_state_dict(published_critic.state_dict(), critic))
        objective = GANimation(
            generator, critic, weights=GANimationWeights.published_code(max(1, setting.batch))
        )
        objective.capturable = True  # type: ignore[attr-defined]
        processes = Processes(0, 1, self.device)
        config = TrainerConfig(
            steps=10**9,
            speed="reference" if self.name == "reference" else "fast",
            precision="bfloat16" if self.name == "fast_bfloat16" else "float32",
        )
        learner, values = Learner(objective, config, processes), PendingValues(processes)
        self.forward = generator
        self._values = values
        self._critic = lambda b: learner.train_critic(b, self.step, values)
        self._generator = lambda b: learner.train_generator(b, self.step, values)
        if self.name == "fast_memory_returned":
            # Whoever says how memory is handled is left alone; glibc itself read its variables at the start.
            os.environ["MALLOC_MMAP_MAX_"] = "65536"
        # For the life of this process, as it is for the length of Trainer.fit.
        self._training = learner.training()
        self._training.__enter__()

    def make_batch(self, count: int) -> Batch:
        """Random images and conditions, laid out as the training has them."""
        rng = torch.Generator().manual_seed(1)
        size = self.setting.size
        image = torch.rand(count, 3, size, size, generator=rng) * 2 - 1
        if self.name.startswith("fast"):
            image = image.contiguous(memory_format=torch.channels_last)
        condition = torch.rand(count, self.setting.conditions, generator=rng)
        return {"image": image.to(self.device), "condition": condition.to(self.device)}

    def critic_step(self, batch: Batch | None = None) -> None:
        """One step of the critic."""
        self.step += 1
        self._critic(self.batch if batch is None else batch)

    def generator_step(self, batch: Batch | None = None) -> None:
        """One step of the generator."""
        self._generator(self.batch if batch is None else batch)
        if self.name != "published":
            self._values.fetch()

    def generator_forward(self, batch: Batch | None = None) -> None:
        """The generator alone, as in use."""
        batch = self.batch if batch is None else batch
        bfloat16 = self.name == "fast_bfloat16"
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            self.forward(batch["image"], batch["condition"])

    def inference(self) -> dict[str, float]:
        """Seconds of one image through the generator; of ours on a GPU as a CUDA graph."""
        one = self.make_batch(1)
        work: Callable[[], object] = partial(self.generator_forward, one)
        work()
        if self.device.type == "cuda" and self.name != "published":
            from aucond.train.recording import CudaRecorder

            recorder = CudaRecorder([])
            recorder.warm_up(work)
            work = recorder.record(work)
        repeat = 100 if self.device.type == "cuda" else 3
        return {"inference_batch_1": seconds_of(work, self.device, repeat)}

    def round(self) -> dict[str, float]:
        """Seconds of each phase: the generator alone, the steps of a cycle, and the cycle."""
        forward = seconds_of(self.generator_forward, self.device)
        critic = [seconds_of(self.critic_step, self.device) for _ in range(CYCLE)]
        generator = seconds_of(self.generator_step, self.device)
        return {
            "generator_forward": forward,
            "critic_step": statistics.mean(critic),
            "generator_step": generator,
            "cycle": sum(critic) + generator,
        }

    def peak(self) -> dict[str, float]:
        """Bytes in use at the peak of a cycle, networks and optimisers included."""
        reset_peak_memory(self.device)
        self.round()
        return {"peak_bytes": float(peak_memory(self.device))}

    def warm_up(self) -> dict[str, float]:
        """What the first steps do once: optimiser state, and on a GPU the recordings."""
        for _ in range(4 if self.device.type == "cuda" and self.name.startswith("fast") else 1):
            self.round()
        return {}

    def flops(self) -> dict[str, float]:
        """Floating-point operations per image of each phase, two for a multiplication and addition.

        Counted on the batch that is measured: which algorithm a convolution takes depends on its size. On a GPU this
        comes before the recordings, which do not count.
        """
        found = {}
        for phase in (self.generator_forward, self.critic_step, self.generator_step):
            found[f"flops_{phase.__name__}"] = count_flops(phase) / self.setting.batch
        found["flops_cycle"] = CYCLE * found["flops_critic_step"] + found["flops_generator_step"]
        return found

    def steady(self, seconds: float) -> dict[str, float]:
        """Cycles without a pause for about so many seconds: seconds per cycle."""
        synchronize(self.device)
        start, count = time.perf_counter(), 0
        while count == 0 or time.perf_counter() - start < seconds:
            for _ in range(CYCLE):
                self.critic_step()
            self.generator_step()
            count += 1
            synchronize(self.device)
        return {"steady_cycle": (time.perf_counter() - start) / count, "steady_cycles": float(count)}
