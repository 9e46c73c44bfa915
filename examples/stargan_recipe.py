"""Train StarGAN on labels: one generator that makes any face neutral, happy or surprised.

The labels are read off the true action units of rendered faces, so every edit can be compared with the truth::

    python examples/stargan_recipe.py --output runs/stargan

Beside ``ganimation_recipe.py`` three pieces are others: the space (one-hot labels), the generator (no mask) and the
critic's head (a classifier). It writes ``samples.png`` (source, then the face under each label, then the truth of
each), ``metrics.json``, ``checkpoints/``, ``generator/`` and ``critic/``.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aucond import ClassificationHead, PatchCritic, Trainer, TrainerConfig, labels
from aucond.data import TensorLoader, images_to_float
from aucond.edit import label_rows, save_png, tile
from aucond.faces import PROTOTYPES, SyntheticFaces
from aucond.metrics import classification_accuracy, image_euclidean_distance, train_regressor
from aucond.recipes import MasklessGenerator, StarGAN, StarGANWeights

LABELS = labels(["neutral", "happy", "surprised"])
TYPICAL: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": dict(PROTOTYPES["smile"]),
    "surprised": dict(PROTOTYPES["surprise"]),
}
"""The action units that a label stands for, where one face has to stand for all of them."""


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Pictures with their labels: what a TensorLoader takes."""

    images: Tensor
    conditions: Tensor
    space: Any = LABELS


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("::")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/stargan"), help="folder to write to")
    parser.add_argument("--steps", type=int, default=1200, help="critic steps; half as many of the generator")
    parser.add_argument("--samples", type=int, default=8000, help="rendered training faces")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    return parser.parse_args()


def labelled(faces: SyntheticFaces) -> Labelled:
    """The faces whose action units are clearly of one label."""
    intensity = {name: faces.conditions[:, i] for i, name in enumerate(faces.space.names)}
    happy = (intensity["AU12"] >= 0.4) & (intensity["AU04"] < 0.3)
    surprised = (intensity["AU26"] >= 0.3) | ((intensity["AU05"] >= 0.4) & (intensity["AU01"] >= 0.3))
    neutral = faces.conditions.amax(1) < 0.3
    label = torch.stack([neutral, happy, surprised & ~happy], 1)
    clear = label.sum(1) == 1
    return Labelled(faces.images[clear], label[clear].float())


def build_objective(seed: int) -> StarGAN:
    """The two networks and their objective: the only place that chooses pieces."""
    torch.manual_seed(seed)
    generator = MasklessGenerator(LABELS, base_channels=24, num_residual_blocks=3, relative=True)
    head = functools.partial(ClassificationHead, num_classes=LABELS.dim)
    critic = PatchCritic({"condition": head}, base_channels=32, num_layers=5, negative_slope=0.2)
    weights = StarGANWeights(reconstruction=20.0)
    return StarGAN(generator, critic, weights=weights, instance_noise=0.1)


@torch.inference_mode()
def every_label(generator: MasklessGenerator, image: Tensor, label: Tensor) -> list[Tensor]:
    """The images (B, 3, H, W) under each label in turn."""
    targets = torch.eye(LABELS.dim)
    return [generator.edit(image, one.expand_as(label), label).image for one in targets]


def main() -> None:
    """Train, judge, draw, save."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    print(f"rendering {arguments.samples} faces (kept for the next run)", flush=True)
    training = labelled(SyntheticFaces(range(300), arguments.samples, size=64, seed=arguments.seed, pose=0.3))
    held_out = SyntheticFaces(range(1_000_000, 1_000_064), 256, size=64, seed=arguments.seed + 1, pose=0.3)
    objective = build_objective(arguments.seed)
    config = TrainerConfig(
        steps=arguments.steps,
        critic_steps_per_generator_step=2,
        learning_rate=4e-4,
        critic_learning_rate=8e-4,
        ema_decay=0.99,
        seed=arguments.seed,
    )
    trainer = Trainer(objective, config, folder=arguments.output)
    batch_size = min(16, len(training.images))
    trainer.fit(TensorLoader(training, batch_size, seed=arguments.seed), resume=arguments.resume)

    generator: Any = trainer.ema.cpu()
    generator.save_pretrained(arguments.output / "generator")
    objective.critic.save_pretrained(arguments.output / "critic")
    known = torch.arange(len(held_out))[held_out.conditions.amax(1) < 0.3]
    source = images_to_float(held_out.images[known])
    neutral = torch.eye(LABELS.dim)[:1].expand(len(known), -1)
    edits = every_label(generator, source, neutral)
    units = [held_out.space.vector(**TYPICAL[name]) for name in LABELS.names]
    truths = [held_out.render(known, one.expand(len(known), -1)) for one in units]
    shown = [source, *edits, *truths]
    rows = ["source", *LABELS.names, *(["truth"] * LABELS.dim)]
    save_png(label_rows(tile([row[:8] for row in shown], scale=2), rows), arguments.output / "samples.png")

    print("training a reader of labels on the ground truth, to judge the edits", flush=True)
    reader = train_regressor(
        training.images,
        training.conditions,
        space=LABELS,
        epochs=8,
        batch_size=batch_size,
        seed=arguments.seed,
    )
    metrics: dict[str, Any] = {
        "steps": config.steps,
        "seed": config.seed,
        "training_pictures": len(training.images),
    }
    for i, name in enumerate(LABELS.names):
        wanted = torch.full((len(known),), i)
        metrics[name] = {
            "recognised_edit": float(classification_accuracy(reader, edits[i], wanted, reduction="mean")),
            "recognised_source": float(classification_accuracy(reader, source, wanted, reduction="mean")),
            "recognised_truth": float(classification_accuracy(reader, truths[i], wanted, reduction="mean")),
            "ied_edit": float(
                image_euclidean_distance(edits[i], truths[i], per_pixel=True, reduction="mean")
            ),
            "ied_source": float(
                image_euclidean_distance(source, truths[i], per_pixel=True, reduction="mean")
            ),
        }
    text = json.dumps(metrics, indent=2)
    (arguments.output / "metrics.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
