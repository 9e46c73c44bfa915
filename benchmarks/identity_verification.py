"""Does the shipped identity encoder tell people apart whom it has never seen?

Verification on rendered people under changing expression, pose, light and background: of every two pictures, are they
of one person? The area under the ROC curve of the embeddings' cosine, at several resolutions, and with everything but
the inner face hidden (hair and clothes, which never change here, would give people away)::

    python benchmarks/identity_verification.py

Writes ``benchmarks/results/identity_verification.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from aucond.faces import SyntheticFaces, synthetic_identity_encoder
from aucond.faces.identity import WEIGHTS

FIRST_IDENTITY = 2_000_000
"""Nobody from here on was in any training set."""

RESULTS = Path(__file__).parent / "results" / "identity_verification.json"


def area_under_curve(positive: Tensor, negative: Tensor) -> float:
    """Probability that a positive value is the larger of a pair, ties counted half (Mann-Whitney)."""
    values = torch.cat([positive, negative]).double()
    _, inverse, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    ranks = (last - (counts.double() - 1) / 2)[inverse]
    wins = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(wins / (len(positive) * len(negative)))


def equal_error_rate(positive: Tensor, negative: Tensor) -> float:
    """Where as many true pairs are refused as false ones accepted."""
    thresholds = torch.cat([positive, negative]).sort().values
    refused = torch.searchsorted(positive.sort().values, thresholds) / len(positive)
    accepted = 1 - torch.searchsorted(negative.sort().values, thresholds) / len(negative)
    at = int((refused - accepted).abs().argmin())
    return float((refused[at] + accepted[at]) / 2)


def inner_face(image: Tensor) -> Tensor:
    """Images with all but an oval from the brows to the chin in grey."""
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    inside = (x / 0.64) ** 2 + ((y - 0.06) / 0.7) ** 2 < 1
    return torch.where(inside, image, torch.zeros_like(image))


@torch.inference_mode()
def verification(
    encoder: Callable[[Tensor], Tensor], images: Tensor, people: Tensor, batch_size: int = 100
) -> dict[str, Any]:
    """All pairs of pictures (M, 3, H, W) of people (M,): area under the curve, equal error rate, mean cosines."""
    embedding = torch.cat([encoder(part) for part in images.split(batch_size)])
    cosine = F.normalize(embedding, dim=1) @ F.normalize(embedding, dim=1).T
    first, second = torch.triu_indices(len(people), len(people), 1)
    values, same = cosine[first, second], people[first] == people[second]
    positive, negative = values[same], values[~same]
    return {
        "auc": area_under_curve(positive, negative),
        "equal_error_rate": equal_error_rate(positive, negative),
        "cosine_same_person": float(positive.mean()),
        "cosine_other_person": float(negative.mean()),
        "pairs_same_person": len(positive),
        "pairs_other_person": len(negative),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("::")[0])
    parser.add_argument(
        "--identities", type=int, default=200, help="people, none of them in the training set"
    )
    parser.add_argument("--pictures", type=int, default=8, help="pictures of each")
    parser.add_argument("--output", type=Path, default=RESULTS, help="file to write")
    arguments = parser.parse_args()
    people = range(FIRST_IDENTITY, FIRST_IDENTITY + arguments.identities)
    samples = arguments.identities * arguments.pictures
    encoder = synthetic_identity_encoder()
    pixels: Callable[[Tensor], Tensor] = lambda image: F.adaptive_avg_pool2d(image, 16).flatten(1)  # noqa: E731

    cases = {}
    for size in (64, 48, 128):
        faces = SyntheticFaces(people, samples, size=size, seed=7)
        image = faces.images.float() / 127.5 - 1
        cases[f"{size} pixels"] = verification(encoder, image, faces.identities)
        if size == 64:
            cases["64 pixels, inner face only"] = verification(encoder, inner_face(image), faces.identities)
            cases["baseline: 16 x 16 pixels as embedding"] = verification(pixels, image, faces.identities)
    report = {
        "what": "verification of held-out synthetic identities; expression, pose, light and background vary",
        "identities": [people.start, people.stop - 1],
        "pictures_each": arguments.pictures,
        "cases": cases,
        "encoder": {
            "parameters": sum(p.numel() for p in encoder.parameters()),
            "bytes": WEIGHTS.stat().st_size,
        },
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.output.with_name(f".{arguments.output.name}.new")
    with temporary.open("w", encoding="utf-8") as handle:
        handle.write(json.dumps(report, indent=2) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(arguments.output)
    for name, case in cases.items():
        print(f"{name:40s} AUC {case['auc']:.4f}  EER {case['equal_error_rate']:.3f}")


if __name__ == "__main__":
    main()
