"""Train CycleGAN on two heaps of unpaired faces, calm and smiling: two generators, two critics, one Trainer.

The faces are rendered, so the true smile of a calm face is known, though never shown in training::

    python examples/cyclegan_recipe.py --output runs/cyclegan

It writes ``samples.png`` (calm faces, their translation, the way back, the truth), ``metrics.json``, ``checkpoints/``,
and a folder per generator, ``to_smiling/`` and ``to_calm/``, which ``MasklessGenerator.from_pretrained`` loads.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aucond import PatchCritic, Trainer, TrainerConfig
from aucond.data import TensorLoader, images_to_float
from aucond.edit import label_rows, save_png, tile
from aucond.faces import SyntheticFaces
from aucond.metrics import image_euclidean_distance
from aucond.recipes import CycleGAN, CycleGANWeights, MasklessGenerator, UnpairedDomains

DOMAINS = ("calm", "smiling")
SMILE = {"AU06": 0.7, "AU12": 0.9}


@dataclasses.dataclass(frozen=True)
class Heap:
    """Pictures of one domain: what a TensorLoader takes."""

    images: Tensor
    conditions: Tensor


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("::")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/cyclegan"), help="folder to write to")
    parser.add_argument("--steps", type=int, default=600, help="steps of all four networks")
    parser.add_argument("--samples", type=int, default=8000, help="rendered faces to choose the domains from")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    return parser.parse_args()


def heaps(faces: SyntheticFaces) -> tuple[Heap, Heap]:
    """Calm faces and smiling ones; nobody is asked to be in both."""
    smile = faces.conditions[:, faces.space.index("AU12")]
    calm = faces.conditions.amax(1) < 0.3
    return tuple(Heap(faces.images[kind], faces.conditions[kind]) for kind in (calm, smile >= 0.5))  # type: ignore


def build_objective(seed: int) -> CycleGAN:
    """The four networks and their objective: the only place that chooses pieces."""
    torch.manual_seed(seed)
    generators: dict[str, Any] = {
        name: MasklessGenerator(1, base_channels=24, num_residual_blocks=3) for name in DOMAINS
    }
    critics = {name: PatchCritic(base_channels=32, num_layers=3, negative_slope=0.2) for name in DOMAINS}
    return CycleGAN(generators, critics, weights=CycleGANWeights(identity=5.0), instance_noise=0.1)


@torch.inference_mode()
def translate(generator: MasklessGenerator, image: Tensor) -> Tensor:
    """Images (B, 3, H, W) as the generator's domain would have them."""
    result: Tensor = generator(image, torch.zeros(len(image), 1)).image
    return result


def main() -> None:
    """Train, judge, draw, save."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    print(f"rendering {arguments.samples} faces (kept for the next run)", flush=True)
    faces = SyntheticFaces(range(300), arguments.samples, size=64, seed=arguments.seed, pose=0.3)
    held_out = SyntheticFaces(range(1_000_000, 1_000_064), 256, size=64, seed=arguments.seed + 1, pose=0.3)
    calm, smiling = heaps(faces)
    batch_size = min(8, len(calm.images), len(smiling.images))
    loader = UnpairedDomains(
        TensorLoader(calm, batch_size, seed=arguments.seed),
        TensorLoader(smiling, batch_size, seed=arguments.seed + 1),
    )
    objective = build_objective(arguments.seed)
    config = TrainerConfig(
        steps=arguments.steps,
        critic_steps_per_generator_step=1,
        learning_rate=4e-4,
        ema_decay=0.99,
        seed=arguments.seed,
    )
    trainer = Trainer(objective, config, folder=arguments.output)
    trainer.fit(loader, resume=arguments.resume)

    generators: Any = trainer.ema.cpu()
    for name in DOMAINS:
        generators[name].save_pretrained(arguments.output / f"to_{name}")
    known = torch.arange(len(held_out))[held_out.conditions.amax(1) < 0.3]
    source = images_to_float(held_out.images[known])
    smile = held_out.space.vector(**SMILE).expand(len(known), -1)
    truth = held_out.render(known, torch.maximum(held_out.conditions[known], smile))
    edit = translate(generators["smiling"], source)
    back = translate(generators["calm"], edit)
    rows = {"calm": source, "smiling": edit, "and back": back, "true smile": truth}
    picture = label_rows(tile([row[:8] for row in rows.values()], scale=2), list(rows))
    save_png(picture, arguments.output / "samples.png")
    metrics = {
        "steps": config.steps,
        "seed": config.seed,
        "calm": len(calm.images),
        "smiling": len(smiling.images),
        "ied_edit": float(image_euclidean_distance(edit, truth, per_pixel=True, reduction="mean")),
        "ied_source": float(image_euclidean_distance(source, truth, per_pixel=True, reduction="mean")),
        "ied_there_and_back": float(image_euclidean_distance(back, source, per_pixel=True, reduction="mean")),
    }
    text = json.dumps(metrics, indent=2)
    (arguments.output / "metrics.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
