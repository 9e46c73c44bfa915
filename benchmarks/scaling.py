"""Time and memory of a fast cycle against batch, resolution and number of conditions, and two processes against one.

One setting is changed at a time, from 128 px (64 on a CPU), batch 8 and 17 conditions; each in a process of its own.
The two processes are a smoke test of the distributed path: gloo on the CPUs of one machine, gradients averaged.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from figures import draw_scaling
from measuring import environment, parser, prepare, save, seconds_of, table
from variants import CYCLE, Setting, Variant
from workers import Worker

SHOWN = ("generator_forward", "critic_step", "generator_step", "cycle")


def settings(options: argparse.Namespace) -> dict[str, list[Setting]]:
    """What to measure, by the setting that changes."""
    if options.quick:
        base = Setting(16, 2, 3, channels=4, blocks=1, layers=3, device=options.device)
        return {"batch": [base], "size": [base], "conditions": [base, replace(base, conditions=6)]}
    on_cpu = options.device == "cpu"
    base = Setting(64 if on_cpu else 128, 8, device=options.device, threads=options.threads)
    batches = [1, 2, 4, 8, 16] if on_cpu else [1, 4, 8, 16, 25, 50, 100]
    sizes = [64, 128, 192] if on_cpu else [64, 128, 256, 512]
    return {
        "batch": [replace(base, batch=n) for n in batches],
        "size": [replace(base, size=n) for n in sizes],
        "conditions": [replace(base, conditions=n) for n in (17, 52, 200)],
    }


def measure(setting: Setting, rounds: int) -> dict[str, Any]:
    """Median seconds of each phase and the peak memory, at one setting."""
    name = "fast_bfloat16" if setting.device != "cpu" else "fast"
    worker = Worker(Variant, name, setting, device=setting.device, threads=setting.threads)
    try:
        worker.ask("warm_up")
        times = [worker.ask("round") for _ in range(rounds)]
        peak = worker.ask("peak")
    finally:
        worker.close()
    found = {phase: sorted(t[phase] for t in times)[rounds // 2] for phase in SHOWN}
    found["critic_images_per_second"] = CYCLE * setting.batch / found["cycle"]
    return {**asdict(setting), **found, **peak}


def two_processes(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a cycle on one process, and on two that share the batch, with one thread each."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for count in (1, 2):
            path = Path(folder) / f"{count}.json"
            port = str(_free_port())
            environment = {
                **os.environ,
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "WORLD_SIZE": str(count),
                "OMP_NUM_THREADS": "1",
                "ACCELERATE_USE_CPU": "true",
            }
            command = [sys.executable, __file__, "--process", str(path)]
            command += ["--quick"] if options.quick else []
            processes = [
                subprocess.Popen(command, env={**environment, "RANK": str(i), "LOCAL_RANK": str(i)})
                for i in range(count)
            ]
            if any(process.wait() for process in processes):
                raise RuntimeError(f"{count} processes: one of them failed, see above")
            found[count] = json.loads(path.read_text(encoding="utf-8"))
    speedup = found[1]["cycle"] / found[2]["cycle"]
    return {
        "processes": [found[1], found[2]],
        "speedup": speedup,
        "efficiency": speedup / 2,
        "same_critic_loss": math.isclose(found[1]["loss"], found[2]["loss"], rel_tol=1e-5),
    }


def process(path: Path, quick: bool) -> None:
    """What each of the processes does: cycles on its share of one batch."""
    import torch.distributed as dist

    from aucond import AttentionGenerator, GANimation, PatchCritic, UniformTargets
    from aucond.train import TrainerConfig
    from aucond.train.learner import Learner
    from aucond.train.loading import EpochLoader
    from aucond.train.pending import PendingValues
    from aucond.train.processes import Processes

    torch.set_num_threads(1)
    processes = Processes.current(cpu=True)
    torch.manual_seed(0)
    channels, size, batch, rounds = (4, 16, 4, 1) if quick else (32, 64, 16, 5)
    objective = GANimation(
        AttentionGenerator(17, base_channels=channels, num_residual_blocks=2),
        PatchCritic({"condition": 17}, base_channels=channels, num_layers=4),
        space=_space(),
        targets=UniformTargets(),
    )
    config = TrainerConfig(steps=10**6, critic_steps_per_generator_step=CYCLE)
    learner, values = Learner(objective, config, processes), PendingValues(processes)
    rng = torch.Generator().manual_seed(1)
    whole: Any = {
        "image": torch.rand(batch, 3, size, size, generator=rng) * 2 - 1,
        "condition": torch.rand(batch, 17, generator=rng),
    }
    loader = EpochLoader([whole], 0, process=processes.index, processes=processes.count)
    share = next(iter(loader.epoch(0)))
    step = 0

    def cycle() -> None:
        nonlocal step
        for _ in range(CYCLE):
            step += 1
            learner.learn(share, step, values)

    with learner.training():
        cycle()
        first = values.fetch()[0].terms["critic/condition"]
        processes.wait()
        seconds = sorted(seconds_of(cycle, processes.device) for _ in range(rounds))[rounds // 2]
    if processes.is_main:
        result = {"processes": processes.count, "cycle": seconds, "loss": first, "batch": batch, "size": size}
        path.write_text(json.dumps(result), encoding="utf-8")
    if dist.is_initialized():
        dist.destroy_process_group()


def _space() -> Any:
    from aucond import ConditionSpace

    return ConditionSpace([f"c{i}" for i in range(17)])


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__)
    made.add_argument("--process", type=Path, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.process is not None:
        process(options.process, options.quick)
        return
    device = prepare(options)
    info = environment(device, options.quick)
    rounds = options.rounds or (1 if options.quick else 3)
    results: dict[str, Any] = {"environment": info, "rounds": rounds, "scaling": {}}
    for name, chosen in settings(options).items():
        rows = [measure(setting, rounds) for setting in chosen]
        results["scaling"][name] = rows
        print(f"\nagainst {name}")
        print(table([{k: row[k] for k in (name, *SHOWN, "peak_bytes")} for row in rows]), flush=True)
    if device.type == "cpu":
        results["two_processes"] = two_processes(options)
        print("\n", results["two_processes"])
    draw_scaling(results, save("scaling", results, options).with_suffix(".png"))


if __name__ == "__main__":
    main()
