"""Which generator learns best on ground truth: conditioning, decoder, absolute or relative conditions, colour.

Every variant trains GANimation on the same rendered faces, from the same taught critic, with the same seeds, batches
and number of steps, and is judged on held-out people against the rendered truth of each edit::

    python benchmarks/conditioning.py            # 6 variants x 3 seeds; resumes where it stopped
    python benchmarks/conditioning.py --quick    # seconds, to see that it runs

Writes ``benchmarks/results/conditioning_<device type>.json``: every run, then mean and deviation over the seeds.
"""

from __future__ import annotations

import copy
import functools
import json
import math
import tempfile
from collections.abc import Iterable
from typing import Any

import measuring
import torch
from torch import Tensor, nn

from aucond import (
    OPENFACE_AUS,
    AttentionGenerator,
    ConvRegressionHead,
    GANimation,
    GANimationWeights,
    PatchCritic,
    ShuffleTargets,
    Trainer,
    TrainerConfig,
    pretrain_condition_head,
)
from aucond.data import TensorLoader, images_to_float
from aucond.faces import SyntheticFaces
from aucond.metrics import evaluate_edits, train_regressor

VARIANTS: dict[str, dict[str, Any]] = {
    "FiLM, resize, relative": {"conditioning": "film", "decoder": "resize", "relative": True},
    "FiLM, transposed, relative": {"conditioning": "film", "decoder": "transposed", "relative": True},
    "planes, resize, relative": {"conditioning": "planes", "decoder": "resize", "relative": True},
    "FiLM, resize, absolute": {"conditioning": "film", "decoder": "resize", "relative": False},
    "FiLM, resize, relative, warped": {
        "conditioning": "film",
        "decoder": "resize",
        "relative": True,
        "color": "warped",
        "initial_attention": 0.8,
    },
    "planes, resize, relative, warped": {
        "conditioning": "planes",
        "decoder": "resize",
        "relative": True,
        "color": "warped",
        "initial_attention": 0.8,
    },
}
SIZE, BATCH_SIZE, NOISE = 32, 16, 0.2


class Setting:
    """What all variants of one seed share: faces, held-out edits with their truth, a taught critic and a judge."""

    def __init__(self, seed: int, quick: bool) -> None:
        render = functools.partial(SyntheticFaces, size=SIZE, pose=0.3)
        faces = render(range(1000 * seed, 1000 * seed + 300), 64 if quick else 6000, seed=seed)
        held_out = render(range(1_000_000, 1_000_064), 32 if quick else 256, seed=10_000 + seed)
        self.seed = seed
        self.quick = quick
        self.loader = TensorLoader(faces, BATCH_SIZE, seed=seed)
        self.source, self.current = images_to_float(held_out.images), held_out.conditions
        order = torch.randperm(len(self.current), generator=torch.Generator().manual_seed(seed))
        self.target = self.current[order]
        self.truth: Tensor = held_out.render(range(len(self.current)), self.target)
        torch.manual_seed(seed)
        head = functools.partial(ConvRegressionHead, out_features=OPENFACE_AUS.dim, kernel_size=2)
        self.critic = PatchCritic(
            {"condition": head}, base_channels=32, num_layers=int(math.log2(SIZE)) - 1, negative_slope=0.2
        )
        pretrain_condition_head(
            self.critic, self.loader, steps=2 if quick else 2400, instance_noise=NOISE, seed=seed
        )
        self.judge = train_regressor(
            faces.images, faces.conditions, space=OPENFACE_AUS, epochs=1 if quick else 8, seed=seed
        )

    def run(self, variant: dict[str, Any]) -> dict[str, float]:
        """Train one generator and judge it."""
        torch.manual_seed(self.seed)
        options: dict[str, Any] = {"initial_attention": 0.1} | variant
        generator = AttentionGenerator(OPENFACE_AUS, base_channels=16, num_residual_blocks=3, **options)
        objective = GANimation(
            generator,
            copy.deepcopy(self.critic),
            weights=GANimationWeights.small_faces(),
            targets=ShuffleTargets(jitter=0.0),
            instance_noise=NOISE,
        )
        steps = 4 if self.quick else 1200
        config = TrainerConfig(
            steps=steps,
            critic_steps_per_generator_step=2,
            learning_rate=4e-4,
            critic_learning_rate=8e-4,
            ema_decay=0.99,
            seed=self.seed,
            checkpoint_every=steps,
            preview_every=steps,
        )
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(objective, config, folder=folder)
            trainer.fit(self.loader)
            trained: nn.Module = trainer.ema.cpu()
        report = evaluate_edits(
            trained, self.source, self.current, self.target, self.truth, reader=self.judge
        ).to_dict()
        return {name: value for name, value in report.items() if isinstance(value, float)}


def summary(runs: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard deviation over the seeds of every figure of every variant."""
    return {
        variant: {
            name: {
                "mean": round(_mean(run[name] for run in by_seed.values()), 4),
                "deviation": round(_deviation([run[name] for run in by_seed.values()]), 4),
            }
            for name in next(iter(by_seed.values()))
        }
        for variant, by_seed in runs.items()
        if by_seed
    }


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return sum(collected) / len(collected)


def _deviation(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = _mean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def main() -> None:
    """Run what has not been run yet; the file is complete after every run."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds")
    arguments = parser.parse_args()
    device = measuring.prepare(arguments)
    path = arguments.output / f"conditioning_{device.type}.json"
    runs: dict[str, dict[str, dict[str, float]]] = {variant: {} for variant in VARIANTS}
    if path.exists() and not arguments.quick:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        # A quick run is not the beginning of a whole one.
        runs |= {} if earlier["environment"]["quick"] else earlier["runs"]
    for seed in range(1 if arguments.quick else arguments.seeds):
        missing = [variant for variant in VARIANTS if str(seed) not in runs[variant]]
        if not missing:
            continue
        setting = Setting(seed, arguments.quick)
        for variant in missing:
            runs[variant][str(seed)] = setting.run(VARIANTS[variant])
            print(f"seed {seed}, {variant}: {runs[variant][str(seed)]}", flush=True)
            results = {
                "environment": measuring.environment(device, arguments.quick),
                "setting": f"{SIZE} px, batch {BATCH_SIZE}, 16 channels, 3 blocks; the same budget for all",
                "runs": runs,
                "summary": summary(runs),
            }
            measuring.save("conditioning", results, arguments)


if __name__ == "__main__":
    main()
