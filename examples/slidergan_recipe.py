"""Train SliderGAN on exact pairs, look at what it does, and keep the model.

Faces are rendered under known blendshape parameters: for a third of the training as exact pairs (one scene, several
expressions), then mixed with single images of other people. Every edit can be compared with the truth::

    python examples/slidergan_recipe.py --output runs/slidergan

The condition is one object; the critic's loss another; the identity term a flag::

    python examples/slidergan_recipe.py --condition openface
    python examples/slidergan_recipe.py --variant wgp --no-identity

It writes to the output folder: ``samples.png`` (source, attention, colour, edit and truth), ``sliders.png`` (eight
components slid through their range, above the truth), ``sweep.gif`` (the same in motion on several faces),
``metrics.json``, ``checkpoints/``, and ``generator/`` and ``critic/``, which ``AttentionGenerator.from_pretrained`` and
``PatchCritic.from_pretrained`` load.
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
    IdentityLoss,
    PatchCritic,
    RelativisticAverage,
    ShuffleTargets,
    Trainer,
    TrainerConfig,
    Wasserstein,
    pretrain_condition_head,
)
from aucond.data import PairedPhases, TensorLoader, images_to_float, make_loader
from aucond.edit import label_rows, picture_of_edits, save_gif, save_png, tile
from aucond.faces import (
    SyntheticFaces,
    head_blendshapes,
    render_pairs,
    sample_conditions,
    sample_expressions,
    synthetic_identity_encoder,
)
from aucond.metrics import (
    condition_agreement,
    condition_error,
    evaluate_edits,
    identity_cosine,
    train_regressor,
)
from aucond.recipes import SliderGAN, SliderGANWeights
from aucond.train import native_precision

ADVERSARIAL = {"rad": RelativisticAverage(), "wgp": Wasserstein()}
SHOWN = 8
"""Faces in the pictures, and components that are slid."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """Sizes and lengths of a run. The quick one is for two CPU cores and minutes, the paper's for a GPU and days."""

    size: int
    batch_size: int
    base_channels: int
    residual_blocks: int
    critic_channels: int
    critic_layers: int
    scenes: int
    expressions: int
    unpaired: int
    identities: int
    paired_share: float
    relative: bool
    initial_attention: float | None
    color: Literal["painted", "warped"]
    pretraining_steps: int
    weights: SliderGANWeights
    config: TrainerConfig


PRESETS = {
    "quick": Preset(
        size=64,
        batch_size=16,
        base_channels=24,
        residual_blocks=3,
        critic_channels=32,
        critic_layers=5,
        scenes=3000,
        expressions=4,
        unpaired=3000,
        identities=1000,
        paired_share=0.5,
        relative=True,
        initial_attention=0.8,
        color="warped",
        pretraining_steps=2400,
        weights=dataclasses.replace(SliderGANWeights.small_faces(), expression=40.0),
        config=TrainerConfig(
            steps=1500,
            critic_steps_per_generator_step=1,
            learning_rate=1e-3,
            critic_learning_rate=4e-4,
            ema_decay=0.99,
            checkpoint_every=500,
            preview_every=500,
        ),
    ),
    "paper": Preset(
        size=128,
        batch_size=16,
        base_channels=64,
        residual_blocks=6,
        critic_channels=64,
        critic_layers=6,
        scenes=10_000,
        expressions=20,
        unpaired=250_000,
        identities=10_000,
        paired_share=0.0,
        relative=False,
        initial_attention=None,
        color="painted",
        pretraining_steps=0,
        weights=SliderGANWeights.paper(),
        config=TrainerConfig(steps=750_000, decay_start=750_000),
    ),
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("::")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/slidergan"), help="folder to write to")
    parser.add_argument(
        "--condition", choices=("pca", "openface", "arkit"), default="pca", help="what is being edited"
    )
    parser.add_argument(
        "--variant", choices=sorted(ADVERSARIAL), default="rad", help="SliderGAN-RaD or SliderGAN-WGP"
    )
    parser.add_argument("--no-identity", action="store_true", help="leave the identity term of Eq. 11 out")
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default="quick", help="size and length of the run"
    )
    parser.add_argument("--steps", type=int, help="critic steps, in place of the preset's")
    parser.add_argument("--scenes", type=int, help="scenes rendered as pairs, in place of the preset's")
    parser.add_argument(
        "--paired-part",
        type=float,
        default=1 / 3,
        help="part of the run, 0 to 1, in which every batch has exact pairs",
    )
    parser.add_argument(
        "--reading-steps",
        type=int,
        default=0,
        help="batches on which the critic, after all else, learns to read once more",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in the output folder"
    )
    return parser.parse_args()


def faces_of(condition: str, size: int) -> Callable[..., SyntheticFaces]:
    """Renders ``(people, samples, seed=...)`` in the condition space."""
    if condition != "pca":
        space = {"openface": OPENFACE_AUS, "arkit": ARKIT_BLENDSHAPES}[condition]
        return functools.partial(SyntheticFaces, size=size, space=space, pose=0.3)
    shapes = head_blendshapes(30)

    def render(people: range, samples: int, seed: int) -> SyntheticFaces:
        # Half of the faces show expressions, all components at work at once; half what a slider shows, a few of them.
        rng = torch.Generator().manual_seed(seed)
        whole = shapes.parameters(sample_expressions(samples, rng))
        few = sample_conditions(shapes.space, samples, rng)
        conditions = torch.where(torch.rand(samples, 1, generator=rng) < 0.5, whole, few)
        return SyntheticFaces(
            people,
            samples,
            size,
            seed,
            space=shapes.space,
            expression=shapes.expression,
            pose=0.3,
            conditions=conditions,
        )

    return render


def build_objective(
    preset: Preset, space: ConditionSpace, variant: str, identity: bool, seed: int
) -> SliderGAN:
    """The two networks and their objective: the only place that chooses pieces."""
    torch.manual_seed(seed)
    generator = AttentionGenerator(
        space,
        base_channels=preset.base_channels,
        num_residual_blocks=preset.residual_blocks,
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
        negative_slope=0.2,
    )
    return SliderGAN(
        generator,
        critic,
        weights=preset.weights,
        targets=ShuffleTargets(jitter=0.0),
        adversarial=ADVERSARIAL[variant],
        identity=IdentityLoss(synthetic_identity_encoder()) if identity else None,
    )


def main() -> None:
    """Train, judge, draw, save."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    preset, seed = PRESETS[arguments.preset], arguments.seed
    config = dataclasses.replace(preset.config, seed=seed)
    if arguments.preset == "quick":  # the paper's preset stays in the paper's precision
        config = dataclasses.replace(config, precision=native_precision())
    if arguments.steps is not None:
        decay = None if config.decay_start is None else min(config.decay_start, arguments.steps)
        config = dataclasses.replace(config, steps=arguments.steps, decay_start=decay)

    scenes = arguments.scenes or preset.scenes
    singles = min(preset.unpaired, scenes) if arguments.scenes else preset.unpaired
    print(f"rendering {scenes * preset.expressions + singles} faces (kept for the next run)", flush=True)
    render, people = faces_of(arguments.condition, preset.size), preset.identities
    pairs = render_pairs(render(range(people), scenes, seed=seed), preset.expressions, seed=seed)
    unpaired = render(range(people, 2 * people), singles, seed=seed + 2)
    held_out = render(range(1_000_000, 1_000_064), 256, seed=seed + 1)

    space = held_out.space
    objective = build_objective(preset, space, arguments.variant, not arguments.no_identity, seed)
    source, current = images_to_float(held_out.images), held_out.conditions
    target = current[torch.randperm(len(current), generator=torch.Generator().manual_seed(seed))]
    truth = held_out.render(range(len(current)), target)

    def preview(generator: Any) -> Tensor:
        return picture_of_edits(generator, source[:SHOWN], current[:SHOWN], target[:SHOWN], truth[:SHOWN])

    loader = PairedPhases(
        make_loader(pairs, preset.batch_size, seed=seed),
        TensorLoader(unpaired, preset.batch_size, seed=seed),
        paired_steps=round(config.steps * arguments.paired_part),
        paired_share=preset.paired_share,
        seed=seed,
    )
    everything = TensorLoader(pairs, preset.batch_size, seed=seed)
    trainer = Trainer(objective, config, folder=arguments.output, preview=preview)
    started = time.monotonic()
    if preset.pretraining_steps and not trainer.started:
        steps = min(preset.pretraining_steps, config.steps * 2)
        print(f"teaching the critic to read conditions, {steps} batches", flush=True)
        pretrain_condition_head(objective.critic, everything, steps=steps, seed=seed)
    trainer.fit(loader, resume=arguments.resume)
    if arguments.reading_steps:
        print("teaching the critic to read once more", flush=True)
        pretrain_condition_head(objective.critic, everything, steps=arguments.reading_steps, seed=seed + 1)
    seconds = time.monotonic() - started

    generator: Any = trainer.ema.cpu()
    critic = objective.critic.cpu().eval()
    save_png(preview(generator), arguments.output / "samples.png")
    names = shown_components(space)
    save_png(slider_picture(generator, held_out, names), arguments.output / "sliders.png")
    save_gif(sweep_frames(generator, source[:SHOWN], current[:SHOWN], names), arguments.output / "sweep.gif")
    generator.save_pretrained(arguments.output / "generator")
    critic.save_pretrained(arguments.output / "critic")

    print("training a reader of conditions on the ground truth, to judge the edits", flush=True)
    reader = train_regressor(pairs.images, pairs.conditions, space=space, epochs=6, seed=seed)
    metrics: dict[str, Any] = {
        "condition": arguments.condition,
        "preset": arguments.preset,
        "variant": arguments.variant,
        "identity_term": not arguments.no_identity,
        "paired_part": round(arguments.paired_part, 4),
        "reading_steps": arguments.reading_steps,
        "seed": seed,
        "steps": config.steps,
        "training_seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "precision": config.precision,
        "torch": torch.__version__,
    }
    metrics |= evaluate_edits(generator, source, current, target, truth, reader=reader).to_dict()
    metrics |= critic_figures(generator, critic, source, current, target)
    write_json(metrics, arguments.output / "metrics.json")
    print(json.dumps(metrics, indent=2))


def shown_components(space: ConditionSpace) -> list[str]:
    """Eight components: well-known units where the space has them, else its first."""
    units = "AU12 AU26 AU04 AU45 AU01 AU15 AU09 AU25"
    shapes = (
        "mouthSmileLeft jawOpen browInnerUp eyeBlinkLeft mouthFrownLeft noseSneerLeft mouthPucker eyeWideLeft"
    )
    wanted = (*units.split(), *shapes.split())
    return ([name for name in wanted if name in space.names] or list(space.names))[:SHOWN]


def slid(space: ConditionSpace, name: str, positions: int) -> Tensor:
    """Conditions (positions, N) from one end of a component to the other, all else neutral."""
    index = space.index(name)
    conditions = space.neutral_vector().repeat(positions, 1)
    conditions[:, index] = torch.linspace(space.low[index], space.high[index], positions)
    return conditions


@torch.no_grad()
def slider_picture(generator: Any, faces: SyntheticFaces, names: list[str], index: int = 0) -> Tensor:
    """One face: the source, then each component slid through its range, the edit above the truth."""
    source, current = faces[index]["image"][None], faces.conditions[index][None]
    rows, labels = [], []
    for name in names:
        targets = slid(generator.space, name, 9)
        count = len(targets)
        edits = generator.edit(source.expand(count, -1, -1, -1), targets, current.expand(count, -1)).image
        rows += [torch.cat([source, edits]), torch.cat([source, faces.render([index] * count, targets)])]
        labels += [name, "truth"]
    return label_rows(tile(rows, scale=1), labels)


@torch.no_grad()
def sweep_frames(generator: Any, source: Tensor, current: Tensor, names: list[str]) -> list[Tensor]:
    """Frames in which one component after another goes from end to end and back, all else neutral."""
    frames = []
    for name in names:
        targets = slid(generator.space, name, 9)
        for target in torch.cat([targets, targets[1:-1].flip(0)]):
            images = generator.edit(source, target.expand(len(source), -1), current).image
            frames.append(label_rows(tile([images], scale=2 if source.shape[-1] < 128 else 1), [name]))
    return frames


@torch.no_grad()
def critic_figures(
    generator: AttentionGenerator, critic: PatchCritic, source: Tensor, current: Tensor, target: Tensor
) -> dict[str, float]:
    """How well the critic reads held-out faces and edits (Table 4), and whether edits stay who they are."""
    edited = generator.edit(source, target, current).image
    read, obeyed = (critic(images).predictions["condition"] for images in (source, edited))
    # A nearly neutral face has no relative error: its length counts as 0.25.
    relative = functools.partial(condition_error, relative=True, floor=0.25, reduction="mean")
    correlation = condition_agreement(read, current, condition=current.shape[1]).correlation
    return {
        "critic_mean_absolute_error": float((read - current).abs().mean()),
        "critic_correlation": float(correlation.nanmean()),
        "critic_relative_error": float(relative(read, current)),
        "consistency_relative_error": float(relative(obeyed, target)),
        "identity_cosine": float(
            identity_cosine(synthetic_identity_encoder(), edited, source, reduction="mean")
        ),
    }


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
