"""How long ``examples/ganimation_recipe.py`` trains with the reference and with the fast steps.

The networks, the batch and the objective of one of its presets, on random images: seconds of a cycle, measured in
turn, and what the preset's number of steps comes to. Rendering, the head's first lessons and the judgement are not in.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from measuring import environment, parser, peak_memory, prepare, reset_peak_memory, save, seconds_of, table
from workers import Worker

from aucond.conditions import OPENFACE_AUS
from aucond.train.learner import Learner
from aucond.train.loading import to_device
from aucond.train.pending import PendingValues
from aucond.train.processes import Processes


class Example:
    """The example's training at one speed."""

    def __init__(self, preset_name: str, speed: str, device: str, quick: bool) -> None:
        sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
        import ganimation_recipe  # type: ignore[import-not-found]

        preset = ganimation_recipe.PRESETS[preset_name]
        if quick:
            preset = dataclasses.replace(preset, base_channels=4, critic_channels=4, batch_size=2)
        self.config = dataclasses.replace(preset.config, speed=speed)
        self.processes = Processes(0, 1, torch.device(device))
        objective = ganimation_recipe.build_objective(preset, OPENFACE_AUS, 0)
        self.learner = Learner(objective, self.config, self.processes)
        self.values = PendingValues(self.processes)
        rng = torch.Generator().manual_seed(0)
        image = torch.rand(preset.batch_size, 3, preset.size, preset.size, generator=rng) * 2 - 1
        condition = torch.rand(preset.batch_size, OPENFACE_AUS.dim, generator=rng)
        self.batch = to_device(
            {"image": image, "condition": condition}, self.processes.device, channels_last=speed == "fast"
        )
        self.step = 0
        # For the life of this process, as it is for the length of Trainer.fit.
        self.training = self.learner.training()
        self.training.__enter__()

    def cycle(self) -> None:
        """As many steps as there are from one generator step to the next."""
        for _ in range(self.config.critic_steps_per_generator_step):
            self.step += 1
            self.learner.learn(self.batch, self.step, self.values)
        self.values.fetch()

    def round(self) -> dict[str, float]:
        """Seconds of a cycle, and of the preset's whole training at that pace."""
        seconds = seconds_of(self.cycle, self.processes.device)
        cycles = self.config.steps / self.config.critic_steps_per_generator_step
        return {"cycle": seconds, "training_minutes": seconds * cycles / 60}

    def peak(self) -> dict[str, float]:
        """Bytes in use at the peak of a cycle."""
        reset_peak_memory(self.processes.device)
        self.cycle()
        return {"peak_bytes": float(peak_memory(self.processes.device))}


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__)
    made.add_argument("--preset", default="quick", help="of the example")
    options = made.parse_args()
    device = prepare(options)
    info = environment(device, options.quick)
    rounds = options.rounds or (1 if options.quick else 10)
    workers = {
        speed: Worker(
            *(Example, options.preset, speed, options.device, options.quick),
            device=options.device,
            threads=options.threads,
        )
        for speed in ("reference", "fast")
    }
    times: dict[str, list[dict[str, float]]] = {speed: [] for speed in workers}
    try:
        for worker in workers.values():
            for _ in range(4 if device.type == "cuda" else 1):
                worker.ask("round")
        for _ in range(rounds):
            for speed, worker in workers.items():
                times[speed].append(worker.ask("round"))
        peaks = {speed: worker.ask("peak")["peak_bytes"] for speed, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()
    rows: list[dict[str, Any]] = [
        {
            "speed": speed,
            **{key: statistics.median(t[key] for t in found) for key in ("cycle", "training_minutes")},
            "peak_bytes": peaks[speed],
        }
        for speed, found in times.items()
    ]
    print(table(rows))
    save("example", {"environment": info, "preset": options.preset, "rounds": rounds, "rows": rows}, options)


if __name__ == "__main__":
    main()
