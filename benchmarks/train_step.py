"""Whole training steps of GANimation: as published, by our reference, and fast; measured in turn.

Each is trained in a process of its own on the same weights; per size it prints and saves seconds of the generator
alone, of the critic's and the generator's step and of a cycle (5 critic steps and a generator step), images a second,
peak memory, floating-point operations and the share of the device's measured matrix rate, and what the paper's whole
training would take at that pace.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import torch
from figures import draw_steps
from measuring import environment, matrix_rate, parser, prepare, save, table
from variants import CYCLE, Name, Setting, Variant
from workers import Worker

PAPER_GENERATOR_IMAGES = 1_200_000
"""30 epochs of 200,000 images, of which every fifth batch trains the generator too."""
PHASES = ("generator_forward", "critic_step", "generator_step", "cycle")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    made = parser(__doc__)
    made.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], help="image sizes, pixels")
    made.add_argument("--batch", type=int, help="images a batch; default: 25 on a GPU, by size on a CPU")
    made.add_argument(
        "--steady",
        type=float,
        default=0.0,
        help="seconds of uninterrupted training at 128 px, for the projection",
    )
    return made.parse_args()


def setting_of(size: int, options: argparse.Namespace) -> Setting:
    """The published networks; with ``--quick`` a few channels."""
    if options.quick:
        return Setting(size, 2, 3, channels=4, blocks=1, layers=3, device=options.device, threads=1)
    batch = options.batch
    if batch is None:
        batch = 25 if options.device != "cpu" else max(1, 8 * 128**2 // size**2) if size > 128 else 8
    return Setting(size, batch, device=options.device, threads=options.threads)


def variants_on(device: torch.device) -> list[Name]:
    """What is compared; bfloat16 on a GPU only, as it is another precision than the published one.

    On a CPU the fast steps are measured twice, as keeping freed memory is what they pay for some of their speed.
    """
    names: list[Name] = ["published", "reference", "fast"]
    return [*names, "fast_bfloat16" if device.type == "cuda" else "fast_memory_returned"]


def measure(setting: Setting, names: list[Name], rounds: int, steady: float) -> dict[str, dict[str, float]]:
    """Every figure of every variant at one size."""
    where: dict[str, Any] = {"device": setting.device, "threads": setting.threads}
    workers = {name: Worker(Variant, name, setting, **where) for name in names}
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    try:
        for name, worker in workers.items():
            found[name] |= worker.ask("flops")
            if setting.device != "cpu":  # counting was a CPU's first round
                worker.ask("warm_up")
        for _ in range(rounds):
            for name, worker in workers.items():
                times[name].append({**worker.ask("round"), **worker.ask("inference")})
        for name, worker in workers.items():
            found[name] |= worker.ask("peak")
            if steady:
                found[name] |= worker.ask("steady", steady)
    finally:
        for worker in workers.values():
            worker.close()
    for name in names:
        for phase in (*PHASES, "inference_batch_1"):
            values = [one[phase] for one in times[name]]
            found[name][phase] = statistics.median(values)
            found[name][f"{phase}_range"] = max(values) / min(values)
    return found


def derive(found: dict[str, dict[str, float]], setting: Setting, rates: dict[str, float]) -> None:
    """Add what follows from the measured figures."""
    base = found["published"]
    for name, values in found.items():
        batch, cycle = setting.batch, values.get("steady_cycle", values["cycle"])
        values["critic_images_per_second"] = CYCLE * batch / values["cycle"]
        values["memory_over_start"] = values["peak_bytes"] - values["bytes_before"]
        rate = rates["bfloat16" if name == "fast_bfloat16" else "float32"]
        for phase in PHASES:
            values[f"speedup_{phase}"] = base[phase] / values[phase]
            values[f"share_of_rate_{phase}"] = values[f"flops_{phase}"] * batch / values[phase] / rate
        values["speedup_inference"] = base["inference_batch_1"] / values["inference_batch_1"]
        values["memory_ratio"] = values["memory_over_start"] / base["memory_over_start"]
        # The paper's images at this size and pace, all of them at this batch size.
        values["paper_training_hours"] = PAPER_GENERATOR_IMAGES / batch * cycle / 3600


def main() -> None:
    """Measure, print and save."""
    options = arguments()
    device = prepare(options)
    info = environment(device, options.quick)
    dtypes = {"float32": torch.float32}
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # the rate that convolutions have by default
        dtypes["bfloat16"] = torch.bfloat16
    rates = {name: matrix_rate(device, dtype, options.quick) for name, dtype in dtypes.items()}
    results: dict[str, Any] = {"environment": info, "matrix_rate": rates, "sizes": []}
    rounds = options.rounds or (1 if options.quick else 10 if device.type == "cuda" else 3)
    for size in [16] if options.quick else options.sizes:
        setting = setting_of(size, options)
        steady = options.steady if size == 128 or options.quick else 0.0
        found = measure(setting, variants_on(device), rounds, steady)
        derive(found, setting, rates)
        results["sizes"].append({"size": size, "batch": setting.batch, "rounds": rounds, "variants": found})
        print(f"\n{size} px, batch {setting.batch}, {info['device']}, seconds")
        shown = (*PHASES, "inference_batch_1", "speedup_cycle", "memory_ratio", "share_of_rate_cycle")
        print(
            table([{"variant": name, **{key: v[key] for key in shown}} for name, v in found.items()]),
            flush=True,
        )
    draw_steps(results, save("train_step", results, options).with_suffix(".png"))


if __name__ == "__main__":
    main()
