from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_training import run_bytes

from aucond.train import read_checkpoint, read_log
from aucond.train.processes import Processes

SCRIPT = Path(__file__).with_name("two_processes.py")


def launch(folder: Path, processes: int) -> dict[str, Any]:
    folder.mkdir()
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(folder)]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command[1:1] = launcher
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, dict[str, Any]]]:
    root = tmp_path_factory.mktemp("processes")
    return {n: (root / str(n), launch(root / str(n), n)) for n in (1, 2)}


def test_two_processes_take_the_steps_of_one(runs: dict[int, tuple[Path, dict[str, Any]]]) -> None:
    assert runs[1][1]["world_size"] == 1
    assert runs[2][1]["world_size"] == 2
    one, two = (read_checkpoint(runs[n][0] / "whole" / "checkpoints" / "step_00000009") for n in (1, 2))
    assert (one.state["processes"], two.state["processes"]) == (1, 2)
    for file, tensors in one.tensors.items():
        assert tensors.keys() == two.tensors[file].keys()
        for name, tensor in tensors.items():
            torch.testing.assert_close(
                two.tensors[file][name], tensor, rtol=1e-11, atol=1e-13, msg=f"{file} {name}"
            )
    assert not any(name.startswith("spare.never") for name in one.tensors["critic_optimizer"])
    assert one.tensors["critic_optimizer"]["spare.sometimes.weight.step"] < 9


def test_the_logged_values_are_those_of_the_joined_batch(
    runs: dict[int, tuple[Path, dict[str, Any]]],
) -> None:
    one, two = (read_log(runs[n][0] / "whole" / "log.jsonl") for n in (1, 2))
    assert [line["step"] for line in one] == [line["step"] for line in two] == [2, 4, 6, 8, 9]
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        values = {k: v for k, v in a.items() if "/" in k}
        assert values == pytest.approx({k: b[k] for k in values}, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_run_of_several_processes_ends_with_the_same_bytes(
    runs: dict[int, tuple[Path, dict[str, Any]]], processes: int
) -> None:
    folder, _ = runs[processes]
    assert run_bytes(folder / "parts") == run_bytes(folder / "whole")


def test_one_process_needs_no_exchange() -> None:
    alone = Processes.current(cpu=True)
    assert (alone.index, alone.count, alone.is_main, alone.device.type) == (0, 1, True, "cpu")
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    alone.average_gradients([parameter], samples=3)
    assert parameter.grad.tolist() == [1.0, 2.0]
    assert alone.same_object("x") == "x"
    assert alone.mean(torch.tensor([1.0]), torch.tensor([4.0])).tolist() == [1.0]
