"""Train GANimation, look at what it does, and keep the model.

Without arguments, faces are rendered with known action units, so every edit can be compared with the truth::

    python examples/ganimation_recipe.py --output runs/ganimation

The condition is one object. Fifty-two ARKit blendshapes or thirty principal components of expressions instead of
seventeen action units, or a folder of photos (an image folder with ``metadata.csv``, the published layout, or
OpenFace's CSV files beside the images)::

    python examples/ganimation_recipe.py --condition arkit
    python examples/ganimation_recipe.py --data path/to/folder

It writes to the output folder: ``samples.png`` (source, attention, colour, edit and, where it is known, the truth),
``sweep.gif`` (components of the condition moved one by one), ``metrics.json``, ``checkpoints/``, and ``generator/`` and
``critic/``, which ``AttentionGenerator.from_pretrained`` and ``PatchCritic.from_pretrained`` load.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from aucond import (
    ARKIT_BLENDSHAPES,
    OPENFACE_AUS,
    AttentionGenerator,
    ConditionSpace,
    ConvRegressionHead,
    GANimation,
    GANimationWeights,
    PatchCritic,
    ShuffleTargets,
    Trainer,
    TrainerConfig,
    pca_blendshapes,
    pretrain_condition_head,
)
from aucond.data import TensorLoader, images_to_float, open_dataset
from aucond.edit import label_rows, picture_of_edits, save_gif, save_png, sweep, tile
from aucond.metrics import evaluate_edits, train_regressor
from aucond.train import native_precision

SPACES = {"openface": OPENFACE_AUS, "arkit": ARKIT_BLENDSHAPES, "pca": pca_blendshapes(30)}
SHOWN = 8
"""Faces in the pictures."""
CLEAN_BATCHES = 400
"""On which a critic that was trained with noise learns to read pictures without it."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """Sizes and lengths of a run. The quick one is for two CPU cores and minutes, the paper's for a GPU and a day."""

    size: int
    batch_size: int
    base_channels: int
    residual_blocks: int
    critic_channels: int
    critic_layers: int
    samples: int
    identities: int
    negative_slope: float
    conditioning: Literal["film", "planes"]
    decoder: Literal["resize", "transposed"]
    relative: bool
    initial_attention: float | None
    color: Literal["painted", "warped"]
    jitter: float
    instance_noise: float
    pretraining_steps: int
    weights: GANimationWeights
    config: TrainerConfig


PRESETS = {
    "quick": Preset(
        size=64,
        batch_size=16,
        base_channels=24,
        residual_blocks=3,
        critic_channels=32,
        critic_layers=5,
        samples=8000,
        identities=300,
        negative_slope=0.2,
        conditioning="film",
        decoder="resize",
        relative=True,
        initial_attention=0.8,
        color="warped",
        jitter=0.0,
        instance_noise=0.2,
        pretraining_steps=2400,
        weights=dataclasses.replace(GANimationWeights.small_faces(), condition=90.0),
        config=TrainerConfig(
            steps=2000,
            critic_steps_per_generator_step=2,
            learning_rate=4e-4,
            critic_learning_rate=8e-4,
            ema_decay=0.99,
            checkpoint_every=500,
            preview_every=500,
        ),
    ),
    "paper": Preset(
        size=128,
        batch_size=25,
        base_channels=64,
        residual_blocks=6,
        critic_channels=64,
        critic_layers=6,
        samples=200_000,
        identities=10_000,
        negative_slope=0.01,
        conditioning="planes",
        decoder="transposed",
        relative=False,
        initial_attention=None,
        color="painted",
        jitter=0.1,
        instance_noise=0.0,
        pretraining_steps=0,
        weights=GANimationWeights.paper(),
        config=TrainerConfig(steps=240_000, decay_start=160_000),
    ),
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("::")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/ganimation"), help="folder to write to")
    parser.add_argument("--data", type=Path, help="folder of photos with conditions; default: rendered faces")
    parser.add_argument(
        "--condition", choices=sorted(SPACES), default="openface", help="what is being edited"
    )
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default="quick", help="size and length of the run"
    )
    parser.add_argument("--steps", type=int, help="critic steps, in place of the preset's")
    parser.add_argument("--samples", type=int, help="rendered training faces, in place of the preset's")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in the output folder"
    )
    return parser.parse_args()


def build_objective(preset: Preset, space: ConditionSpace, seed: int) -> GANimation:
    """The two networks and their objective: the only place that chooses pieces."""
    torch.manual_seed(seed)
    generator = AttentionGenerator(
        space,
        base_channels=preset.base_channels,
        num_residual_blocks=preset.residual_blocks,
        conditioning=preset.conditioning,
        decoder=preset.decoder,
        relative=preset.relative,
        initial_attention=preset.initial_attention,
        color=preset.color,
    )
    head = functools.partial(
        ConvRegressionHead, out_features=space.dim, kernel_size=preset.size // 2**preset.critic_layers
    )
    critic = PatchCritic(
        {"condition": head},
        base_channels=preset.critic_channels,
        num_layers=preset.critic_layers,
        negative_slope=preset.negative_slope,
    )
    targets = ShuffleTargets(jitter=preset.jitter)
    return GANimation(
        generator, critic, weights=preset.weights, targets=targets, instance_noise=preset.instance_noise
    )


def main() -> None:
    """Train, judge, draw, save."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    preset, space = PRESETS[arguments.preset], SPACES[arguments.condition]
    config = dataclasses.replace(preset.config, seed=arguments.seed)
    if arguments.preset == "quick":  # the paper's preset stays in the paper's precision
        config = dataclasses.replace(config, precision=native_precision())
    if arguments.steps is not None:
        warmup = min(config.critic_warmup_steps, arguments.steps // 4)
        decay = None if config.decay_start is None else min(config.decay_start, arguments.steps)
        config = dataclasses.replace(
            config, steps=arguments.steps, critic_warmup_steps=warmup, decay_start=decay
        )

    if arguments.data is None:
        samples = arguments.samples or preset.samples
        print(f"rendering {samples} faces (kept for the next run)", flush=True)
        render = faces_of(space, preset.size)
        training: Any = render(range(preset.identities), samples, seed=arguments.seed)
        held_out: Any = render(range(1_000_000, 1_000_064), 256, seed=arguments.seed + 1)
    else:
        training = open_dataset(arguments.data, space, size=preset.size)
        held_out = training
    batch_size = min(preset.batch_size, len(training))

    objective = build_objective(preset, space, arguments.seed)
    source, current, target, truth = evaluation_edits(held_out, arguments.seed)

    def preview(generator: Any) -> Tensor:
        shown = None if truth is None else truth[:SHOWN]
        return picture_of_edits(generator, source[:SHOWN], current[:SHOWN], target[:SHOWN], shown)

    trainer = Trainer(objective, config, folder=arguments.output, preview=preview)
    loader = TensorLoader(training, batch_size, seed=arguments.seed)
    started = time.monotonic()
    if preset.pretraining_steps and not trainer.started:
        steps = min(preset.pretraining_steps, config.steps * 2)
        print(f"teaching the critic to read conditions, {steps} batches", flush=True)
        pretrain_condition_head(
            objective.critic, loader, steps=steps, instance_noise=preset.instance_noise, seed=arguments.seed
        )
    trainer.fit(loader, resume=arguments.resume)
    if preset.instance_noise > 0:
        # So far the critic has only seen noisy pictures; whoever loads it will show it photos.
        pretrain_condition_head(
            objective.critic, loader, steps=min(CLEAN_BATCHES, config.steps), seed=arguments.seed + 1
        )
    seconds = time.monotonic() - started

    generator: Any = trainer.ema.cpu()
    generator.save_pretrained(arguments.output / "generator")
    objective.critic.save_pretrained(arguments.output / "critic")
    save_png(preview(generator), arguments.output / "samples.png")
    frames = sweep_frames(generator, space, source[:SHOWN], current[:SHOWN])
    save_gif(frames, arguments.output / "sweep.gif")
    metrics: dict[str, Any] = {
        "condition": arguments.condition,
        "preset": arguments.preset,
        "seed": arguments.seed,
        "steps": config.steps,
        "training_seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "precision": config.precision,
        "torch": torch.__version__,
    }
    if truth is not None:
        print("training a reader of conditions on the ground truth, to judge the edits", flush=True)
        reader = train_regressor(
            training.images, training.conditions, space=space, epochs=8, seed=arguments.seed
        )
        metrics |= evaluate_edits(generator, source, current, target, truth, reader=reader).to_dict()
    write_json(metrics, arguments.output / "metrics.json")
    print(json.dumps(metrics, indent=2))


def faces_of(space: ConditionSpace, size: int) -> Callable[..., Any]:
    """Renders ``(people, samples, seed=...)`` in the condition space; needs the faces extra, as photos do not."""
    from aucond.faces import SyntheticFaces, head_blendshapes, sample_expressions

    render = functools.partial(SyntheticFaces, size=size, space=space, pose=0.3)
    if not space.names[0].startswith("pca"):
        return render
    # The names of principal components say neither how they move the head nor which of them go together.
    shapes = head_blendshapes(space.dim)

    def expressive(people: range, samples: int, seed: int) -> Any:
        drawn = sample_expressions(samples, torch.Generator().manual_seed(seed))
        conditions = shapes.parameters(drawn)
        return render(people, samples, seed=seed, expression=shapes.expression, conditions=conditions)

    return expressive


def evaluation_edits(dataset: Any, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Sources, their conditions, targets (each another sample's condition) and, where it can be drawn, the truth."""
    known = hasattr(dataset, "render")
    count = len(dataset.conditions) if known else min(SHOWN, len(dataset.conditions))
    rng = torch.Generator().manual_seed(seed)
    target = dataset.conditions[torch.randperm(len(dataset.conditions), generator=rng)[:count]]
    truth = dataset.render(range(count), target) if known else None
    return images_to_float(dataset.images[:count]), dataset.conditions[:count], target, truth


def sweep_frames(
    generator: AttentionGenerator, space: ConditionSpace, source: Tensor, current: Tensor
) -> list[Tensor]:
    """Frames in which one component after another goes from 0 to 1 and back."""
    wanted = ("AU12", "AU26", "AU04", "AU45", "mouthSmileLeft", "jawOpen", "browInnerUp", "eyeBlinkLeft")
    names = [name for name in wanted if name in space.names] or space.names[:4]
    rise = torch.linspace(0, 1, 9).tolist()
    frames = []
    for name in names:
        for images in sweep(generator, source, current, name, rise + rise[-2::-1]):
            frames.append(label_rows(tile([images], scale=2 if source.shape[-1] < 128 else 1), [name]))
    return frames


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write values to a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as handle:
        handle.write(json.dumps(values, indent=2) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


if __name__ == "__main__":
    main()
