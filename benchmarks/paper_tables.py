"""The tables of the SliderGAN paper, recomputed on faces whose truth is known.

GANimation (with an ideal coder's action units, and with units as wrong as a detector's may be), SliderGAN-WGP,
SliderGAN-RaD, and RaD without pairs and without the identity term; several seeds each; people who were in no training
set. Every system sees the same pictures and takes the same number of steps with networks of the same size::

    python benchmarks/paper_tables.py --preset quick     # an hour of one core
    python benchmarks/paper_tables.py --preset medium    # hours of a CPU
    python benchmarks/paper_tables.py --preset full      # made for a GPU

A run that is stopped goes on where it was: the rendered faces, critics that learned to read and finished (system, seed)
pairs are kept, an unfinished one resumes from its checkpoint. Writes ``benchmarks/results/paper_tables_<preset>.json``
and the page ``docs/results.md``; ``--page-only`` writes the page anew from the files.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch
from paper_data import (
    CLASSES,
    Annotation,
    action_units,
    blendshape_parameters,
    correlation,
    discrete_edits,
    discrete_units,
    disturbed,
    explained,
    expression_edits,
    inter_ocular,
    other_faces,
    speech_edits,
    to_bytes,
    training_faces,
    unsettled,
)
from paper_files import kept, write_text
from paper_page import write_page
from paper_scores import Task, Trials, references, relative_error, score
from paper_systems import PRESETS, SYSTEMS, Preset, Study, build, is_slider

from aucond import Trainer, labels, pretrain_condition_head
from aucond.data import PairedPhases, TensorLoader
from aucond.faces import synthetic_identity_encoder
from aucond.metrics import train_regressor

HERE = Path(__file__).parent
LANDMARK_ERRORS = (0.002, 0.005, 0.01, 0.02)
"""Shares of the inter-ocular distance for which the page says how far the fitted parameters move."""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("::")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--preset", choices=list(PRESETS), default="quick", help="size and length")
    parser.add_argument(
        "--folder", type=Path, help="where runs are kept; default: runs/paper_tables_<preset>"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder of the JSON file")
    parser.add_argument(
        "--page", type=Path, default=HERE.parent / "docs" / "results.md", help="page to write"
    )
    parser.add_argument("--page-only", action="store_true", help="only write the page, from the JSON files")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="which to run")
    parser.add_argument("--seeds", type=int, help="how many, in place of the preset's")
    parser.add_argument("--steps", type=int, help="training steps, in place of the preset's")
    parser.add_argument("--scenes", type=int, help="training scenes, in place of the preset's")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    return parser.parse_args()


def chosen_preset(arguments: argparse.Namespace) -> Preset:
    """The preset with what the command line says in its place."""
    preset = PRESETS[arguments.preset]
    if arguments.steps is not None:
        config = dataclasses.replace(preset.config, steps=arguments.steps)
        reading = tuple((min(batches, arguments.steps), rate) for batches, rate in preset.reading)
        preset = dataclasses.replace(preset, config=config, reading=reading)
    changed = {name: getattr(arguments, name) for name in ("seeds", "scenes") if getattr(arguments, name)}
    if "scenes" in changed:
        changed["identities"] = min(preset.identities, changed["scenes"] // 2)
        changed["test_scenes"] = min(preset.test_scenes, changed["scenes"])
    return dataclasses.replace(preset, **changed)


def prepare(preset: Preset, folder: Path) -> Study:
    """Render the faces, annotate them, train the judge of Table 2 on the truth."""
    known = kept(folder / "training.safetensors", lambda: annotated_faces(preset))
    held_out = other_faces(1_000_000, preset.test_scenes, preset.size, seed=1)
    sequences = min(preset.speech_sequences, preset.test_scenes)
    expressions = expression_edits(held_out, seed=1)
    spoken = speech_edits(held_out, sequences, preset.speech_frames, seed=2)
    discrete, classes = discrete_edits(held_out)
    judges = (classes, classifier_of_truth(preset), synthetic_identity_encoder())

    def trials(annotation: Annotation) -> Trials:
        return Trials(*(Task.of(edits, annotation) for edits in (expressions, spoken, discrete)), *judges)

    units, shapes = action_units(), blendshape_parameters()
    shown = expressions.current
    return Study(
        known=known,
        action_units=units.space,
        blendshapes=shapes.space,
        trials_of_units=trials(units),
        trials_of_blendshapes=trials(shapes),
        eyes=float(inter_ocular(shown.landmarks).mean()) * preset.size,
        unsettled={str(e): relative_error(*unsettled(shapes, shown, e, seed=7)) for e in LANDMARK_ERRORS},
    )


def annotated_faces(preset: Preset) -> dict[str, torch.Tensor]:
    """The training pictures, what they truly show, and what each paper's annotation says of it."""
    faces = training_faces(preset.identities, preset.scenes, preset.size, seed=0)
    exact = action_units().annotate(faces.expressions)
    return {
        "images": faces.images,
        "groups": faces.groups,
        "identities": faces.identities,
        "true_units": faces.expressions.units,
        "exact": exact,
        "detected": disturbed(exact, seed=3),
        "parameters": blendshape_parameters().annotate(faces.expressions),
    }


def classifier_of_truth(preset: Preset) -> torch.nn.Module:
    """Reads the seven expressions; trained on true pictures of people of its own."""
    scenes = min(preset.scenes, 300 if preset.size < 64 else 1500)
    faces = other_faces(500_000, scenes, preset.size, seed=5)
    strength = 0.6 + 0.4 * torch.rand(scenes, generator=torch.Generator().manual_seed(6))
    targets = discrete_units(strength).flatten(0, 1)
    images = to_bytes(faces.render(torch.arange(scenes).repeat_interleave(len(CLASSES)), targets))
    classes = torch.eye(len(CLASSES)).repeat(scenes, 1)
    return train_regressor(images, classes, space=labels(CLASSES), epochs=8, batch_size=50, seed=0)


def run(system: str, preset: Preset, study: Study, seed: int, folder: Path) -> dict[str, float]:
    """Train a system with a seed, or go on with it, and score it; a finished run is only read."""
    scores = folder / "scores.json"
    if scores.exists():
        return dict(json.loads(scores.read_text(encoding="utf-8")))
    objective, batches = build(system, preset, study, seed)
    config = dataclasses.replace(preset.config, seed=seed)
    started = time.monotonic()
    trainer = Trainer(objective, config, folder=folder, progress=False, tensorboard=False)
    if not trainer.started:
        alone = batches.unpaired if isinstance(batches, PairedPhases) else batches
        taught = kept(folder / "taught_critic.safetensors", lambda: teach(objective, alone, preset, seed))
        objective.critic.load_state_dict(taught)
    trainer.fit(batches, resume=True)
    seconds = time.monotonic() - started
    generator: Any = trainer.ema.cpu()
    trials = study.trials_of_blendshapes if is_slider(system) else study.trials_of_units
    objective.critic.cpu()
    result = score(generator, objective, trials)
    result["seconds"] = round(seconds, 1)
    write_text(scores, json.dumps(result, indent=2) + "\n")
    return result


def teach(objective: Any, batches: TensorLoader, preset: Preset, seed: int) -> dict[str, torch.Tensor]:
    """Let the critic learn to read conditions before the game; its weights."""
    device = next(objective.critic.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=preset.config.precision == "bfloat16"):
        for part, (steps, rate) in enumerate(preset.reading):
            pretrain_condition_head(
                objective.critic,
                batches,
                steps=steps,
                learning_rate=rate,
                instance_noise=objective.instance_noise,
                seed=seed + part,
            )
    return dict(objective.critic.state_dict())


def settle(folder: Path, preset: Preset) -> None:
    """Refuse a folder whose runs have other settings: their scores would be mixed."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps(dataclasses.asdict(preset) | {"seeds": None}))
    path = folder / "settings.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise SystemExit(f"{path}: the runs in this folder have other settings; choose another --folder")
    write_text(path, json.dumps(settings, indent=2) + "\n")


def main() -> None:
    """Train what is missing, then write the tables."""
    arguments = parse_arguments()
    if arguments.page_only:
        show_page(arguments)
        return
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    preset = chosen_preset(arguments)
    folder = arguments.folder or Path("runs") / f"paper_tables_{arguments.preset}"
    settle(folder, preset)
    started = time.monotonic()
    print("rendering and annotating faces", flush=True)
    study = prepare(preset, folder)
    print(f"ready after {time.monotonic() - started:.0f} s", flush=True)
    runs: dict[str, list[dict[str, float]]] = {system: [] for system in arguments.systems}
    for seed in range(preset.seeds):
        for system in arguments.systems:
            result = run(system, preset, study, seed, folder / system / f"seed_{seed}")
            runs[system].append(result)
            print(
                f"{system:32s} seed {seed}: IED {result['ied']:.5f}, speech {result['ied_speech']:.5f}, "
                f"accuracy {result['accuracy']:.3f}, consistency {result['consistency']:.3f} "
                f"({result['seconds']:.0f} s)",
                flush=True,
            )
        # After every seed, so that a run that is cut off leaves tables of what it has.
        write_report(runs, preset, study, arguments)


def write_report(
    runs: dict[str, list[dict[str, float]]], preset: Preset, study: Study, arguments: argparse.Namespace
) -> None:
    """Write the JSON file and the page."""
    true, exact, parameters = (study.known[name] for name in ("true_units", "exact", "parameters"))
    report = {
        "preset": arguments.preset,
        "settings": json.loads(json.dumps(dataclasses.asdict(preset))),
        "runs": runs,
        "references": references(study.trials_of_units),
        "annotation_explains": {
            "action_units": explained(exact, study.action_units, true),
            "blendshapes": explained(parameters, study.blendshapes, true),
        },
        "inter_ocular_pixels": study.eyes,
        "unsettled_by_landmark_error": dict(study.unsettled),
        "detector_correlation": float(correlation(study.known["detected"], exact).mean()),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "machine": platform.machine(),
        "threads": arguments.threads,
        "torch": torch.__version__,
    }
    path = results_file(arguments.results, arguments.preset)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(report, indent=2) + "\n")
    print(f"wrote {path}", flush=True)
    show_page(arguments)


def results_file(folder: Path, preset: str) -> Path:
    """The JSON file of a preset."""
    return folder / f"paper_tables_{preset}.json"


def show_page(arguments: argparse.Namespace) -> None:
    """Write the page from the JSON files of all presets that were run."""
    paths = [results_file(arguments.results, name) for name in PRESETS]
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    if not reports:
        raise SystemExit(f"{arguments.results}: there are no results; run without --page-only first")
    write_page(reports, arguments.page)
    print(f"wrote {arguments.page}", flush=True)


if __name__ == "__main__":
    main()
