"""Trains a small objective in float64 in whatever processes it is started in, and saves what came out.

    ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 tests/train/two_processes.py FOLDER

``FOLDER/result.json`` tells the world size; ``whole`` is an uninterrupted run, ``parts`` one that was interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

torch.set_num_threads(1)

from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from aucond.train import Trainer, TrainerConfig, TrainResult  # noqa: E402
from aucond.types import Batch, LossTerms  # noqa: E402


class Samples(Dataset[dict[str, Tensor]]):
    """Every sample carries its own draws, so that a loss needs none that depend on who computes it."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(0)
        self.values = {
            "image": torch.rand(18, 3, 8, 8, generator=rng, dtype=torch.float64) * 2 - 1,
            "condition": torch.rand(18, 2, generator=rng, dtype=torch.float64),
            "mix": torch.rand(18, 1, 1, 1, generator=rng, dtype=torch.float64),
        }

    def __len__(self) -> int:
        return 18

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[index] for name, value in self.values.items()}


class Penalised:
    """WGAN with a gradient penalty; one critic parameter is unused, another only in some steps of some processes."""

    def __init__(self, init_seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(init_seed)
            self.generator: nn.Module = nn.Conv2d(3, 3, 3, padding=1).double()
            body = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.Softplus(), nn.Conv2d(4, 1, 4, 2, 1)).double()
            spare = nn.ModuleDict({"never": nn.Linear(2, 2), "sometimes": nn.Linear(2, 1)}).double()
            self.critic: nn.Module = nn.ModuleDict({"body": body, "spare": spare})
        self.stop_after = 10**9

    def score(self, image: Tensor) -> Tensor:
        return self.critic["body"](image).mean((1, 2, 3))  # type: ignore[index]

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        self.stop_after -= 1
        if self.stop_after < 0:
            raise InterruptedError
        image, mix = batch["image"], batch["mix"]  # type: ignore[typeddict-item]
        fake = self.generator(image).detach()
        points = (mix * image + (1 - mix) * fake).requires_grad_()
        [gradient] = torch.autograd.grad(self.score(points).sum(), points, create_graph=True)
        terms = {
            "adversarial": (self.score(fake) - self.score(image)).mean(),
            "gradient_penalty": 10 * (gradient.flatten(1).norm(dim=1) - 1).square().mean(),
        }
        chosen = batch["condition"][:, 0] > 0.8
        if chosen.any():
            spare = self.critic["spare"]["sometimes"]  # type: ignore[index]
            terms["spare"] = (spare(batch["condition"])[:, 0] * chosen).mean()
        else:
            terms["spare"] = terms["adversarial"] * 0
        return LossTerms(terms)

    def generator_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        edit = self.generator(batch["image"])
        return LossTerms(
            {"adversarial": -self.score(edit).mean(), "cycle": (edit - batch["image"]).square().mean()},
            monitor={"edit_size": (edit - batch["image"]).abs().mean()},
        )


def run(
    folder: Path, init_seed: int, *, stop_after: int | None = None, resume: bool = False
) -> TrainResult | None:
    objective = Penalised(init_seed)
    config = TrainerConfig(
        steps=9, critic_steps_per_generator_step=2, learning_rate=1e-2, log_every=2, checkpoint_every=3
    )
    trainer = Trainer(objective, config, folder=folder, progress=False, tensorboard=False)
    # Batches of 5, 5, 5 and 3: two processes have slices of unequal size.
    loader = DataLoader(Samples(), batch_size=5, shuffle=True)
    if stop_after is not None:
        objective.stop_after = stop_after
        try:
            trainer.fit(loader, resume=resume)
        except InterruptedError:
            return None
    return trainer.fit(loader, resume=resume)


def main(root: Path) -> None:
    rank = int(os.environ.get("RANK", "0"))
    # Other processes start from other weights: those of the first must win.
    result = run(root / "whole", init_seed=rank)
    run(root / "parts", init_seed=rank, stop_after=5)
    run(root / "parts", init_seed=5 + rank, resume=True)
    size = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if rank == 0 and result is not None:
        (root / "result.json").write_text(json.dumps({"world_size": size, "terms": result.terms}))
    if size > 1:
        torch.distributed.destroy_process_group()
        # Everything is written. Threads of the group that still run have been seen to abort Python's own way out.
        os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
