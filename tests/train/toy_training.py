"""A training small enough for tests: a few hundred weights, yet with everything that makes exact resumption hard."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aucond.train import Trainer, TrainerConfig
from aucond.types import Batch, LossTerms

CONDITIONS = 3


class ToyGenerator(nn.Module):
    """A norm with running statistics and dropout between two convolutions; four channels: colour and mask."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 + CONDITIONS, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.2)
        self.last = nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, image: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        planes = condition[:, :, None, None].expand(-1, -1, *image.shape[2:])
        color, mask = self.last(self.drop(self.norm(self.first(torch.cat([image, planes], 1))).relu())).split(
            [3, 1], 1
        )
        attention = mask.sigmoid()
        return attention * color.tanh() + (1 - attention) * image, attention


class ToyCritic(nn.Module):
    """Two strided convolutions; a score and a prediction of the condition."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.last = nn.Conv2d(width, 1 + CONDITIONS, 4, stride=2, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(nn.functional.leaky_relu(self.first(image), 0.01)).mean((2, 3))


class ToyObjective:
    """GANimation's structure in few lines: WGAN-GP, a condition loss, a cycle and a mask penalty."""

    def __init__(self, width: int = 4, init_seed: int = 0) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(init_seed)
            self.generator: nn.Module = ToyGenerator(width)
            self.critic: nn.Module = ToyCritic()

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        image, condition = batch["image"], batch["condition"]
        with torch.no_grad():
            fake, _ = self.generator(image, self.targets(condition, rng))
        real, judged = self.critic(image), self.critic(fake)
        mix = torch.rand(image.shape[0], 1, 1, 1, generator=rng, device=image.device)
        points = (mix * image + (1 - mix) * fake).requires_grad_()
        [gradient] = torch.autograd.grad(self.critic(points)[:, 0].sum(), points, create_graph=True)
        return LossTerms(
            {
                "adversarial": judged[:, 0].mean() - real[:, 0].mean(),
                "gradient_penalty": 10 * (gradient.flatten(1).norm(dim=1) - 1).square().mean(),
                "condition": (real[:, 1:] - condition).square().mean(),
            }
        )

    def generator_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        image, condition = batch["image"], batch["condition"]
        target = self.targets(condition, rng)
        edit, attention = self.generator(image, target)
        restored, _ = self.generator(edit, condition)
        judged = self.critic(edit)
        return LossTerms(
            {
                "adversarial": -judged[:, 0].mean(),
                "condition": (judged[:, 1:] - target).square().mean(),
                "cycle": (restored - image).abs().mean(),
                "attention": 0.1 * attention.mean(),
            },
            monitor={"attention_mean": attention.mean(), "edit_size": (edit - image).abs().mean()},
        )

    @staticmethod
    def targets(condition: Tensor, rng: torch.Generator | None) -> Tensor:
        return torch.rand(condition.shape, generator=rng, device=condition.device)


class NoisyFaces(Dataset[dict[str, Tensor]]):
    """Images that are disturbed by every global generator there is, as careless datasets do."""

    def __init__(self, count: int = 14, size: int = 8) -> None:
        rng = torch.Generator().manual_seed(5)
        self.images = torch.rand(count, 3, size, size, generator=rng) * 2 - 1
        self.conditions = torch.rand(count, CONDITIONS, generator=rng)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        noise = 0.01 * (torch.rand(()) + random.random() + float(np.random.rand()))
        return {"image": self.images[index] + noise, "condition": self.conditions[index]}


def noisy_loader(batch_size: int = 4, **options: Any) -> DataLoader[dict[str, Tensor]]:
    """A shuffling loader whose last batch of each epoch is short."""
    return DataLoader(NoisyFaces(), batch_size=batch_size, shuffle=True, **options)


def toy_config(**changes: Any) -> TrainerConfig:
    settings: dict[str, Any] = {
        "steps": 30,
        "critic_steps_per_generator_step": 2,
        "learning_rate": 1e-3,
        "checkpoint_every": 7,
        "keep_checkpoints": 2,
        "log_every": 3,
        "preview_every": 10,
        "seed": 3,
    }
    return TrainerConfig(**{**settings, **changes})


def preview(generator: nn.Module) -> Tensor:
    """The edits of two images side by side, drawn from the global generator as a careless preview does."""
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    edits, _ = generator(images, torch.ones(2, CONDITIONS))
    return torch.cat(list(edits), dim=2)


def toy_trainer(folder: Path, objective: ToyObjective | None = None, **changes: Any) -> Trainer:
    return Trainer(
        ToyObjective() if objective is None else objective,
        toy_config(**changes),
        folder=folder,
        preview=preview,
        progress=False,
        tensorboard=False,
        cpu=True,
    )


def run_bytes(folder: Path) -> dict[str, bytes]:
    """Everything a run leaves behind, by relative path, but for the seconds in its log."""
    import json

    from aucond.train import read_log

    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    lines = [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(folder / "log.jsonl")]
    found["log.jsonl"] = json.dumps(lines).encode()
    return found
