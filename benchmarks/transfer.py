"""Transfer and interpolation as the papers do them, against the truth.

The critic reads the condition of a target picture, the generator puts it on a source of another person. Judged on
people of no training set: the distance from the true picture, the expression as an independent reader sees it, and
whether it is still the source's face. Doing nothing (the identity mapping) and the truth are the two ends of the
scale::

    python benchmarks/transfer.py                   # the networks that come with the package
    python benchmarks/transfer.py runs/ganimation

The folder holds ``generator/`` and ``critic/`` as the recipes of ``examples/`` write them. Interpolation
(``p = a p_src + (1 - a) p_trg``, SliderGAN Sec. 4.2) is judged at five values of a. Writes
``benchmarks/results/transfer.json``.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aucond import AttentionGenerator, PatchCritic
from aucond.edit.loading import load_pair
from aucond.faces import SyntheticFaces, head_blendshapes, synthetic_identity_encoder
from aucond.metrics import condition_error, identity_cosine, image_euclidean_distance, train_regressor

RESULTS = Path(__file__).parent / "results" / "transfer.json"
AMOUNTS = (1.0, 0.75, 0.5, 0.25, 0.0)


@torch.inference_mode()
def transfer(
    generator: AttentionGenerator, critic: PatchCritic, source: Tensor, target: Tensor, amount: float = 0.0
) -> Tensor:
    """Sources (B, 3, H, W) with the expression that the critic reads from the targets, or a way towards it.

    Args:
        generator: Edits.
        critic: Reads conditions with its head ``"condition"``.
        source: Whose face.
        target: Whose expression.
        amount: a of ``p = a p_src + (1 - a) p_trg``; 0 is the target's expression.
    """
    current, wanted = (critic(image).predictions["condition"] for image in (source, target))
    space = generator.space
    if space is not None:
        current, wanted = space.clamp(current), space.clamp(wanted)
    edit: Tensor = generator.edit(source, amount * current + (1 - amount) * wanted, current).image
    return edit


def judged(
    edit: Tensor, source: Tensor, truth: Tensor, wanted: Tensor, judges: dict[str, Any]
) -> dict[str, float]:
    """IED per pixel, expression error (mean absolute, read by the judge) and identity cosine of edits."""
    with torch.inference_mode():
        read = judges["reader"](edit)
    return {
        "ied": float(image_euclidean_distance(edit, truth, per_pixel=True, reduction="mean")),
        "expression_error": float(condition_error(read, wanted, norm="mean_absolute", reduction="mean")),
        "identity_cosine": float(identity_cosine(judges["encoder"], edit, source, reduction="mean")),
    }


def report(folder: Path | None, samples: int, training: int, epochs: int, seed: int = 0) -> dict[str, Any]:
    """Every figure for the networks in a folder; None: those that come with the package."""
    generator, critic, _ = load_pair(folder, "cpu")
    if critic is None or generator.space is None:
        raise SystemExit(f"{folder}: expected a critic and a generator that knows its condition space")
    size = 64
    space = generator.space
    expression = None
    if space.names[0].startswith("pca_"):
        spoken = sum(name.startswith("speech_") for name in space.names)
        expression = head_blendshapes(space.dim - spoken, speech=spoken).expression
    options: dict[str, Any] = {"size": size, "space": space, "expression": expression, "pose": 0.3}
    faces = SyntheticFaces(range(1_000_000, 1_000_000 + samples // 4), samples, seed=seed + 1, **options)
    learned = SyntheticFaces(range(300), training, seed=seed, **options)
    reader = train_regressor(learned.images, learned.conditions, space=space, epochs=epochs, seed=seed)
    judges = {"reader": reader, "encoder": synthetic_identity_encoder()}

    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    batch = faces.batch(torch.arange(samples))
    source, current, target_image = batch["image"], batch["condition"], batch["image"][order]
    steps = {}
    for amount in AMOUNTS:
        wanted = amount * current + (1 - amount) * current[order]
        truth = faces.render(range(samples), wanted)
        edit = torch.cat(
            [
                transfer(generator, critic, a, b, amount)
                for a, b in zip(source.split(64), target_image.split(64), strict=True)
            ]
        )
        steps[f"{amount:g}"] = {
            "edit": judged(edit, source, truth, wanted, judges),
            "identity_mapping": judged(source, source, truth, wanted, judges),
            "truth": judged(truth, source, truth, wanted, judges),
        }
    return {
        "what": "expression transfer between people of no training set; the critic reads the target picture",
        "folder": "shipped" if folder is None else folder.name,
        "samples": samples,
        "conditions": space.dim,
        "transfer": steps["0"],
        "interpolation": steps,
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("::")[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", help="with generator/ and critic/; default: the shipped"
    )
    parser.add_argument("--samples", type=int, default=256, help="transfers")
    parser.add_argument("--training", type=int, default=8000, help="pictures that the reader is trained on")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of the reader")
    parser.add_argument("--output", type=Path, default=RESULTS, help="file to write")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = report(arguments.folder, arguments.samples, arguments.training, arguments.epochs)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.output.with_name(f".{arguments.output.name}.new")
    with temporary.open("w", encoding="utf-8") as handle:
        handle.write(json.dumps(found, indent=2) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(arguments.output)
    print(f"{'transfer':18s} {'IED':>8s} {'expression error':>18s} {'identity cosine':>17s}")
    for name, figures in found["transfer"].items():
        print(
            f"{name:18s} {figures['ied']:8.4f} {figures['expression_error']:18.3f} "
            f"{figures['identity_cosine']:17.3f}"
        )


if __name__ == "__main__":
    main()
