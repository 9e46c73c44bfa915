"""Kill a training with SIGKILL at random moments, resume it each time, and compare with an undisturbed run.

    python tests/train/kill_and_resume.py --kills 50 --seed 0

Compared is every file of the run but for the seconds in its log. Ends with status 1 at the first difference. Each start
is a forked process, so that it costs milliseconds; ``--spawn`` starts a new interpreter each time instead.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

torch.set_num_threads(1)  # before any work: OpenMP threads do not survive a fork

from toy_training import noisy_loader, run_bytes, toy_trainer  # noqa: E402

SETTINGS = {"steps": 60, "checkpoint_every": 3, "log_every": 2, "preview_every": 5}


def train(folder: Path) -> None:
    toy_trainer(folder, **SETTINGS).fit(noisy_loader(), resume=True)


def start(folder: Path, spawn: bool) -> int:
    """Start or resume the training in a process of its own; returns its id."""
    if spawn:
        return subprocess.Popen([sys.executable, __file__, "--train", str(folder)]).pid
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(folder)
            status = 0
        finally:
            os._exit(status)
    return child


def run_for(folder: Path, seconds: float | None, spawn: bool) -> bool:
    """Run the training, and kill it after so many seconds; returns whether it was still running then."""
    child = start(folder, spawn)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit("the training ended with an error")
    return False


def difference(expected: dict[str, bytes], got: dict[str, bytes]) -> list[str]:
    return sorted(name for name in {*expected, *got} if expected.get(name) != got.get(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spawn", action="store_true")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train is not None:
        train(arguments.train)
        return
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        toy_trainer(root / "none")  # imports what training imports, which every child then has
        began = time.perf_counter()
        run_for(root / "whole", None, arguments.spawn)
        duration = time.perf_counter() - began
        expected = run_bytes(root / "whole")
        kills = runs = in_writing = 0
        while kills < arguments.kills:
            folder = root / "killed"
            while kills < arguments.kills:
                # Moments are spread over a third of the run, so that one run is killed several times.
                if not run_for(folder, moments.uniform(0, duration / 3), arguments.spawn):
                    break
                kills += 1
                in_writing += any(folder.glob("checkpoints/.*"))
            run_for(folder, None, arguments.spawn)
            runs += 1
            differing = difference(expected, run_bytes(folder))
            if differing:
                raise SystemExit(f"after {kills} kills, run {runs} differs in: {', '.join(differing)}")
            shutil.rmtree(folder)
    print(
        f"kills={kills} while_writing_a_checkpoint={in_writing} runs={runs} files={len(expected)} all_equal=True"
    )


if __name__ == "__main__":
    main()
