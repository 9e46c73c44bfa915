"""How well does fitting a face model to 68 landmarks recover the expression?

Rendered people with known ARKit units are fitted from their true landmarks, from these with noise, and from what dlib's
detector finds in the pictures::

    python benchmarks/landmark_fitting.py

Writes ``benchmarks/results/landmark_fitting.json``: per component the correlation of recovered and true values, for
the 52 units and for 30 principal blendshapes; landmark errors in percent of the distance between the outer eye corners.
"""

from __future__ import annotations

import importlib.metadata
import json
import time
from typing import Any

import measuring
import torch
from torch import Tensor

from aucond._files import atomic_file
from aucond.conditions import ARKIT_BLENDSHAPES, ConditionSpace
from aucond.faces import SpaceModel, SyntheticFaces, fit_landmarks, head_blendshapes
from aucond.faces.detection import DlibDetector
from aucond.metrics import ConditionAgreement

FIRST_IDENTITY = 3_000_000
SEED = 0
SIZE = 192
NOISE = 0.02


def main() -> None:
    """Render, fit three times, write the figures."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--faces", type=int, default=500, help="how many rendered people")
    arguments = parser.parse_args()
    device = measuring.prepare(arguments)
    count = 12 if arguments.quick else arguments.faces
    results: dict[str, Any] = measuring.environment(device, arguments.quick)
    results["dlib"] = importlib.metadata.version("dlib-bin")
    results |= {"seed": SEED, "faces": count, "image_size": SIZE, "iterations": 40, "settings": {}}

    people = range(FIRST_IDENTITY, FIRST_IDENTITY + count)
    faces = SyntheticFaces(people, count, SIZE, SEED, space=ARKIT_BLENDSHAPES)
    true = faces.landmarks(range(count))
    eyes = (true[:, 36] - true[:, 45]).norm(dim=-1)
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(SEED))
    found, seen = detected(faces)
    everyone = torch.arange(count)
    for name, marks, rows, options in (
        ("true landmarks", true, everyone, {"noise": 0.002, "contour": "fixed"}),
        (
            "noise of 2% on each coordinate",
            true + NOISE * eyes[:, None, None] * noise,
            everyone,
            {"contour": "fixed"},
        ),
        ("dlib's landmarks on the renders", found, seen, {"noise": 0.02}),
    ):
        started = time.perf_counter()
        results["settings"][name] = judge(faces, marks, true[rows], rows, options) | {"options": options}
        results["settings"][name]["seconds_per_face"] = round((time.perf_counter() - started) / len(rows), 4)
        print(name, summary(results["settings"][name]), flush=True)
    target = arguments.output / "landmark_fitting.json"
    with atomic_file(target) as stream:
        stream.write(json.dumps(results, indent=1).encode() + b"\n")
    print(target)


def detected(faces: SyntheticFaces) -> tuple[Tensor, Tensor]:
    """Landmarks (M, 68, 2) that dlib finds, and the samples (M,) in which it finds a face."""
    detector = DlibDetector()
    marks, rows = [], []
    for row, image in enumerate(faces.images):
        found = detector(image.permute(1, 2, 0).contiguous().numpy())
        if found:
            marks.append(found[0].landmarks)
            rows.append(row)
    return torch.stack(marks), torch.tensor(rows)


def judge(
    faces: SyntheticFaces, marks: Tensor, true: Tensor, rows: Tensor, options: dict[str, Any]
) -> dict[str, Any]:
    """Fit and compare with the truth."""
    fitted = SpaceModel.of(ARKIT_BLENDSHAPES)
    centre = torch.full((len(marks), 2), SIZE / 2)
    fit = fit_landmarks(
        fitted.model, marks, centre=centre, prior=fitted.prior, low=fitted.low, high=fitted.high, **options
    )
    conditions, truth = fitted.conditions(fit.expression), faces.conditions[rows]
    shapes = head_blendshapes(30)
    eyes = (true[:, 36] - true[:, 45]).norm(dim=-1)
    pose = (fit.camera.pose - faces.poses[rows]).rad2deg().square().mean(0).sqrt()
    return {
        "faces": len(marks),
        "landmark_error_percent": {
            "of the given landmarks": percent(fit.landmarks - marks, eyes),
            "of the true landmarks": percent(fit.landmarks - true, eyes),
            "given landmarks, of the true ones": percent(marks - true, eyes),
        },
        "pose_error_degrees": dict(zip(("yaw", "pitch", "roll"), pose.tolist(), strict=True)),
        "arkit": agreement(ARKIT_BLENDSHAPES, conditions, truth),
        "pca": agreement(shapes.space, shapes.parameters(conditions), shapes.parameters(truth)),
    }


def percent(difference: Tensor, eyes: Tensor) -> float:
    """Mean length of landmark differences (M, 68, 2) in percent of the inter-ocular distance."""
    return round(100 * float((difference.norm(dim=-1).mean(1) / eyes).mean()), 3)


def agreement(space: ConditionSpace, found: Tensor, truth: Tensor) -> dict[str, Any]:
    """Correlation per component, and their mean and median over the components that the truth moves."""
    meter = ConditionAgreement(space)
    meter.update(found, truth)
    report = meter.compute()
    values = report.correlation
    # A component that was never found has no correlation, but was missed all the same: it counts as 0.
    moved = truth.std(0) > 1e-3
    counted = values.nan_to_num(0.0)[moved]
    return {
        "mean": round(float(counted.mean()), 3),
        "median": round(float(counted.median()), 3),
        "mean_absolute_error": round(float(report.mean_absolute.mean()), 4),
        "correlation": {
            name: None if not there else round(float(value), 3)
            for name, value, there in zip(space.names, values.nan_to_num(0.0), moved, strict=True)
        },
    }


def summary(result: dict[str, Any]) -> str:
    """One line."""
    error = result["landmark_error_percent"]["of the given landmarks"]
    return f"{error}% landmark error; correlation {result['arkit']['mean']} (units), {result['pca']['mean']} (PCA)"


if __name__ == "__main__":
    main()
