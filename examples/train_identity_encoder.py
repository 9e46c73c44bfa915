"""Train the small identity encoder that comes with the library.

Rendered people under changing expression, pose, light and background; an angular margin (ArcFace, Deng et al. 2019, as
pytorch-metric-learning has it) pulls the pictures of one person together::

    pip install "aucond[faces]" pytorch-metric-learning
    python examples/train_identity_encoder.py --output runs/identity

It writes ``identity.safetensors`` (float16) and ``training.json``; ``benchmarks/identity_verification.py`` then
measures the encoder on people it has never seen.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from aucond.faces import IdentityEncoder, SyntheticFaces

FIRST_IDENTITY = 100_000
"""The people of the training set are numbered from here, away from those of the recipes and of the benchmarks."""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("::")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/identity"), help="folder to write to")
    parser.add_argument("--identities", type=int, default=1500, help="people in the training set")
    parser.add_argument("--samples", type=int, default=18_000, help="pictures of them")
    parser.add_argument("--epochs", type=int, default=8, help="how often each picture is seen")
    parser.add_argument("--batch-size", type=int, default=100, help="pictures a step")
    parser.add_argument(
        "--learning-rate", type=float, default=3e-3, help="highest rate of the one-cycle schedule"
    )
    parser.add_argument("--margin", type=float, default=20.0, help="angular margin in degrees")
    parser.add_argument("--scale", type=float, default=24.0, help="scale of the cosines")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    return parser.parse_args()


def varied(images: Tensor, rng: torch.Generator) -> Tensor:
    """Bytes (B, 3, H, W) as images in [-1, 1]: moved, mirrored, tinted, noisy, and half of them without their collar.

    The clothes of a person are always the same here; an encoder that goes by them says nothing about a face.
    """
    count, _, height, width = images.shape
    image = images.float() / 127.5 - 1
    mirrored = torch.rand(count, generator=rng) < 0.5
    image = torch.where(mirrored[:, None, None, None], image.flip(-1), image)
    moved = torch.randint(-4, 5, (count, 2), generator=rng)
    rows = (torch.arange(height) + moved[:, :1]).clamp(0, height - 1)
    columns = (torch.arange(width) + moved[:, 1:]).clamp(0, width - 1)
    at = torch.arange(count)[:, None, None]
    image = image.permute(0, 2, 3, 1)[at, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    hidden = torch.randint(0, height // 4, (count,), generator=rng)
    hidden = hidden * (torch.rand(count, generator=rng) < 0.7)
    below = torch.arange(height)[None, :] >= height - hidden[:, None]
    paint = 2 * torch.rand(count, 3, 1, 1, generator=rng) - 1
    image = torch.where(below[:, None, :, None], paint, image)
    gain = 1 + 0.2 * (2 * torch.rand(count, 3, 1, 1, generator=rng) - 1)
    offset = 0.2 * (2 * torch.rand(count, 3, 1, 1, generator=rng) - 1)
    noise = 0.08 * torch.rand(count, 1, 1, 1, generator=rng) * torch.randn(image.shape, generator=rng)
    return (image * gain + offset + noise).clamp(-1, 1)


def train(
    images: Tensor, people: Tensor, arguments: argparse.Namespace
) -> tuple[IdentityEncoder, list[dict[str, float]]]:
    """Train an encoder on pictures (M, 3, H, W) of people numbered from 0 (M,)."""
    from pytorch_metric_learning.losses import ArcFaceLoss

    torch.manual_seed(arguments.seed)
    encoder = IdentityEncoder().train()
    embedding = encoder.head.out_features
    loss: Any = ArcFaceLoss(int(people.max()) + 1, embedding, margin=arguments.margin, scale=arguments.scale)
    parameters = [*encoder.parameters(), *loss.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=arguments.learning_rate, weight_decay=0.02)
    steps = len(images) // arguments.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, arguments.learning_rate, total_steps=arguments.epochs * steps
    )
    rng = torch.Generator().manual_seed(arguments.seed)
    history = []
    for epoch in range(arguments.epochs):
        order = torch.randperm(len(images), generator=rng)[: steps * arguments.batch_size]
        total = 0.0
        for chosen in order.view(steps, arguments.batch_size):
            value = loss(encoder(varied(images[chosen], rng)), people[chosen])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            schedule.step()
            total += float(value.detach())
        history.append({"epoch": epoch + 1, "loss": total / steps})
        print(f"epoch {epoch + 1}: loss {total / steps:.3f}", flush=True)
    return encoder.eval(), history


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def main() -> None:
    """Render, train, save."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    print(f"rendering {arguments.samples} pictures (kept for the next run)", flush=True)
    people = range(FIRST_IDENTITY, FIRST_IDENTITY + arguments.identities)
    faces = SyntheticFaces(people, arguments.samples, size=64, seed=arguments.seed)
    started = time.monotonic()
    encoder, history = train(faces.images, faces.identities - FIRST_IDENTITY, arguments)
    seconds = time.monotonic() - started
    arguments.output.mkdir(parents=True, exist_ok=True)
    weights = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in encoder.state_dict().items()
    }
    write(arguments.output / "identity.safetensors", save(weights))
    report = {
        "command": vars(arguments) | {"output": str(arguments.output)},
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "training_seconds": round(seconds, 1),
        "torch": torch.__version__,
        "history": history,
    }
    write(arguments.output / "training.json", (json.dumps(report, indent=2) + "\n").encode())
    print(json.dumps({k: v for k, v in report.items() if k != "history"}, indent=2))


if __name__ == "__main__":
    main()
