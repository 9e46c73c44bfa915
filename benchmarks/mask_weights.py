"""How the weights of the mask's two regularisers show in the mask: collapse, its cure, and total variation.

Every run goes on training the shipped editor as GANimation, with the same faces, draws and number of steps; only
weights of the mask's terms change. Judged on people whom no training saw, against the rendered truth::

    python benchmarks/mask_weights.py            # 3 minutes on one core; goes on where it stopped
    python benchmarks/mask_weights.py --quick    # seconds, to see that it runs

Writes ``benchmarks/results/mask_weights_<device type>.json`` and the pictures ``mask_collapse_to_0.png``,
``mask_collapse_to_1.png`` and ``mask_tv.png``, which the gallery of the documentation shows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measuring
import torch
from torch import Tensor

from aucond import AttentionGenerator, FaceEditor, GANimation, GANimationWeights, ShuffleTargets
from aucond.data import TensorLoader, images_to_float
from aucond.edit import label_rows, save_png, tile
from aucond.faces import SyntheticFaces
from aucond.losses import attention_tv_loss
from aucond.metrics import evaluate_edits
from aucond.types import Batch

IMAGES = Path(__file__).parents[1] / "docs" / "images"
HEALTHY = GANimationWeights.small_faces()
SIZE, BATCH_SIZE, NOISE, LEARNING_RATE = 64, 4, 0.2, 4e-4
COLLAPSES = {
    # Direction: what makes the mask collapse, and what is done about it afterwards.
    "to_0": (replace(HEALTHY, attention=100.0), HEALTHY),
    "to_1": (replace(HEALTHY, attention=100.0, penalised_mask="keep"), replace(HEALTHY, attention=30.0)),
}
TV_WEIGHTS = (0.0, 1e-4, 1e-2, 1e-1)
SHOWN = 3


@dataclass(frozen=True)
class HeldOut:
    """Edits whose truth is known, of people whom no training saw."""

    source: Tensor
    current: Tensor
    target: Tensor
    truth: Tensor

    @classmethod
    def render(cls, count: int) -> HeldOut:
        """Every person takes the expression of another one."""
        people = range(1_000_000, 1_000_000 + count)
        faces = SyntheticFaces(people, samples=count, size=SIZE, seed=6, pose=0.3)
        target = faces.conditions.roll(1, 0)
        source = images_to_float(faces.images)
        return cls(source, faces.conditions, target, faces.render(range(count), target))

    @torch.no_grad()
    def attention_mean(self, generator: AttentionGenerator) -> float:
        """Mean of the mask over the first eight edits, often enough for a curve."""
        part = slice(0, 8)
        masks = generator.edit(self.source[part], self.target[part], self.current[part]).attention
        return round(float(masks.mean()), 5)

    @torch.no_grad()
    def report(self, generator: AttentionGenerator) -> dict[str, float]:
        """All figures of a generator's edits."""
        found = evaluate_edits(generator, self.source, self.current, self.target, self.truth)
        masks = generator.edit(self.source, self.target, self.current).attention
        return {
            "attention_mean": round(found.attention_mean, 5),
            "attention_saturated": round(found.attention_saturated, 4),
            "ied_ratio": round(found.ied_ratio, 4),
            "attention_tv": round(float(attention_tv_loss(masks)), 3),
        }

    @torch.no_grad()
    def rows(self, generator: AttentionGenerator, when: str) -> dict[str, Tensor]:
        """Mask and edit of the first few."""
        part = slice(0, SHOWN)
        output = generator.edit(self.source[part], self.target[part], self.current[part])
        return {f"{when}\nmask": output.attention, f"{when}\nedit": output.image}


class Training:
    """The shipped editor, trained further as GANimation."""

    def __init__(self, faces: SyntheticFaces, held_out: HeldOut) -> None:
        editor = FaceEditor.from_pretrained()
        if editor.critic is None:
            raise RuntimeError("the shipped editor has lost its critic")
        self.generator, self.critic = editor.generator, editor.critic
        self.held_out = held_out
        self.curve = [held_out.attention_mean(self.generator)]
        self._batches = endless(faces)
        self._rng = torch.Generator().manual_seed(0)
        adam: dict[str, Any] = {"betas": (0.5, 0.999), "fused": True}
        self._generator_adam = torch.optim.Adam(self.generator.parameters(), LEARNING_RATE, **adam)
        self._critic_adam = torch.optim.Adam(self.critic.parameters(), 2 * LEARNING_RATE, **adam)

    def go_on(self, weights: GANimationWeights, steps: int) -> None:
        """Train both networks for some steps with these weights."""
        objective = GANimation(
            self.generator,
            self.critic,
            weights=weights,
            targets=ShuffleTargets(jitter=0.0),
            instance_noise=NOISE,
        )
        for _ in range(steps):
            batch = next(self._batches)
            self._critic_adam.zero_grad()
            torch.autograd.backward(objective.critic_loss(batch, self._rng).total)
            self._critic_adam.step()
            self._generator_adam.zero_grad()
            torch.autograd.backward(objective.generator_loss(batch, self._rng).total)
            self._generator_adam.step()
            self.curve.append(self.held_out.attention_mean(self.generator))


def endless(faces: SyntheticFaces) -> Iterator[Batch]:
    """Batches without end, in the same order for every run."""
    loader, epoch = TensorLoader(faces, BATCH_SIZE, seed=0), 0
    while True:
        loader.set_epoch(epoch)
        yield from loader
        epoch += 1


def attention_weights(name: str) -> dict[str, float]:
    """The weights of a collapse and of its cure."""
    heavy, cure = COLLAPSES[name]
    return {"collapsed": heavy.attention, "cured": cure.attention}


def earlier(arguments: argparse.Namespace, steps: int) -> dict[str, Any]:
    """What the file holds of runs that would be made again in the same way."""
    path: Path = arguments.output / "mask_weights_cpu.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() and not arguments.quick else {}
    kept: dict[str, Any] = {"collapse": {}}
    for name, one in found.get("collapse", {}).items():
        if one["steps"] == steps and one["attention_weight"] == attention_weights(name):
            kept["collapse"][name] = one
    figures = found.get("total_variation", [])
    if [(one["steps"], one["weight"]) for one in figures] == [(steps, weight) for weight in TV_WEIGHTS]:
        kept["total_variation"] = figures
    return kept


def collapse(name: str, faces: SyntheticFaces, held_out: HeldOut, steps: int, images: Path) -> dict[str, Any]:
    """Drive the mask to one end, then cure it."""
    heavy, cure = COLLAPSES[name]
    run = Training(faces, held_out)
    rows = {"source": held_out.source[:SHOWN], **held_out.rows(run.generator, "before")}
    reports = {"before": held_out.report(run.generator)}
    for when, weights in (("collapsed", heavy), ("cured", cure)):
        run.go_on(weights, steps)
        rows |= held_out.rows(run.generator, when)
        reports[when] = held_out.report(run.generator)
        print(f"{name}, {when}: {reports[when]}", flush=True)
    show(rows, images / f"mask_collapse_{name}.png")
    return {
        "steps": steps,
        "attention_weight": attention_weights(name),
        "curve": run.curve,
        "reports": reports,
    }


def total_variation(
    faces: SyntheticFaces, held_out: HeldOut, steps: int, images: Path
) -> list[dict[str, float]]:
    """One run for each weight of the total variation."""
    rows = {"source": held_out.source[:SHOWN]}
    figures = []
    for weight in TV_WEIGHTS:
        run = Training(faces, held_out)
        run.go_on(replace(HEALTHY, attention_tv=weight), steps)
        rows |= held_out.rows(run.generator, f"TV {weight:g}")
        figures.append({"steps": steps, "weight": weight, **held_out.report(run.generator)})
        print(f"TV {weight:g}: {figures[-1]}", flush=True)
    rows["truth"] = held_out.truth[:SHOWN]
    show(rows, images / "mask_tv.png")
    return figures


def show(rows: dict[str, Tensor], path: Path) -> None:
    """Write labelled rows as a picture."""
    save_png(label_rows(tile(list(rows.values()), scale=2), list(rows), width=90), path)


def main() -> None:
    """Run everything; the file is complete after every part."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--images", type=Path, help="folder of the pictures [docs/images; --quick: --output]")
    arguments = parser.parse_args()
    device = measuring.prepare(arguments)
    if device.type != "cpu":
        raise SystemExit("--device: these runs take minutes, they are made on the CPU only")
    images = arguments.images or (arguments.output if arguments.quick else IMAGES)
    quick = arguments.quick
    faces = SyntheticFaces(
        range(4 if quick else 100), samples=8 if quick else 800, size=SIZE, seed=5, pose=0.3
    )
    held_out = HeldOut.render(4 if quick else 48)
    steps = 2 if quick else 40
    results: dict[str, Any] = {
        "environment": measuring.environment(device, quick),
        "setting": f"the shipped editor trained on, {SIZE} px, batch {BATCH_SIZE}, learning rate {LEARNING_RATE:g}",
        **earlier(arguments, steps),
    }
    for name in COLLAPSES:
        if name not in results["collapse"]:
            results["collapse"][name] = collapse(name, faces, held_out, steps, images)
            measuring.save("mask_weights", results, arguments)
    if "total_variation" not in results:
        results["total_variation"] = total_variation(faces, held_out, steps, images)
        measuring.save("mask_weights", results, arguments)


if __name__ == "__main__":
    main()
