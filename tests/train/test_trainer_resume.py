from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy_training import ToyObjective, noisy_loader, run_bytes, toy_trainer

from aucond import Hinge, ShuffleTargets, Wasserstein
from aucond.train import DamagedCheckpointError, TrainerConfig, read_checkpoint, read_log
from aucond.types import Batch, LossTerms

NAMES = ["step_00000028", "step_00000030"]


class InterruptionError(Exception):
    pass


class Stopping(ToyObjective):
    """The toy that is interrupted in the critic's loss of one step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        self.left -= 1
        if self.left == 0:
            raise InterruptionError
        return super().critic_loss(batch, rng)


def interrupted(folder: Path, step: int, **changes: Any) -> Path:
    with pytest.raises(InterruptionError):
        toy_trainer(folder, Stopping(step), **changes).fit(noisy_loader())
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    toy_trainer(folder).fit(noisy_loader())
    return run_bytes(folder)


@pytest.mark.parametrize("step", [1, 7, 8, 13, 15, 26, 30])
def test_an_interrupted_run_ends_with_the_same_bytes(
    tmp_path: Path, whole: dict[str, bytes], step: int
) -> None:
    interrupted(tmp_path, step)
    result = toy_trainer(tmp_path, ToyObjective(init_seed=9 if step > 7 else 0)).fit(
        noisy_loader(), resume=True
    )
    assert run_bytes(tmp_path) == whole
    assert result.steps == 30 and result.checkpoint.name == NAMES[1]


def test_resume_and_fit_are_two_halves(tmp_path: Path, whole: dict[str, bytes]) -> None:
    interrupted(tmp_path, 20)
    trainer = toy_trainer(tmp_path)
    assert trainer.resume() is trainer and trainer.step == 14
    trainer.fit(noisy_loader())
    assert run_bytes(tmp_path) == whole


def test_a_run_interrupted_many_times(tmp_path: Path, whole: dict[str, bytes]) -> None:
    for step in (9, 1, 8, 5, 9):  # counted from each resumption
        with pytest.raises(InterruptionError):
            toy_trainer(tmp_path, Stopping(step)).fit(noisy_loader(), resume=True)
    toy_trainer(tmp_path).fit(noisy_loader(), resume=True)
    assert run_bytes(tmp_path) == whole


def test_how_often_it_reports_may_change(tmp_path: Path, whole: dict[str, bytes]) -> None:
    interrupted(tmp_path, 20, checkpoint_every=5, log_every=4)
    toy_trainer(tmp_path, checkpoint_every=7).fit(noisy_loader(), resume=True)
    for name in ("generator", "critic", "ema", "generator_optimizer", "critic_optimizer"):
        file = f"checkpoints/{NAMES[1]}/{name}.safetensors"
        assert (tmp_path / file).read_bytes() == whole[file]


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_of_the_loader_make_no_difference_to_resuming(tmp_path: Path, persistent: bool) -> None:
    options = {"num_workers": 1, "persistent_workers": persistent}
    ends = []
    for name in ("whole", "parts"):
        if name == "parts":
            with pytest.raises(InterruptionError):
                toy_trainer(tmp_path / name, Stopping(6), steps=8, checkpoint_every=2).fit(
                    noisy_loader(**options)
                )
        toy_trainer(tmp_path / name, steps=8, checkpoint_every=2).fit(noisy_loader(**options), resume=True)
        ends.append(run_bytes(tmp_path / name))
    assert ends[0] == ends[1]


def test_a_finished_run_stays_finished(tmp_path: Path, whole: dict[str, bytes]) -> None:
    toy_trainer(tmp_path).fit(noisy_loader())
    result = toy_trainer(tmp_path).fit(noisy_loader(), resume=True)
    assert result.steps == 30 and run_bytes(tmp_path) == whole
    assert result.terms.keys() >= {"critic/adversarial", "monitor/attention_mean"}


def test_a_damaged_checkpoint_is_passed_over_and_set_aside(tmp_path: Path, whole: dict[str, bytes]) -> None:
    interrupted(tmp_path, 20)
    damaged = tmp_path / "checkpoints" / "step_00000014" / "critic.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.warns(
        RuntimeWarning, match="step_00000014/critic.safetensors: expected .* back to step_00000007"
    ):
        toy_trainer(tmp_path).fit(noisy_loader(), resume=True)
    aside = tmp_path / "checkpoints" / "set_aside"
    assert [p.name for p in aside.iterdir()] == ["step_00000014"]
    shutil.rmtree(aside)
    assert run_bytes(tmp_path) == whole


def test_going_back_to_a_chosen_checkpoint(tmp_path: Path, whole: dict[str, bytes]) -> None:
    interrupted(tmp_path, 20)
    trainer = toy_trainer(tmp_path).resume(tmp_path / "checkpoints" / "step_00000007")
    assert trainer.step == 7
    trainer.fit(noisy_loader())
    shutil.rmtree(tmp_path / "checkpoints" / "set_aside")
    assert run_bytes(tmp_path) == whole


def test_going_on_in_another_folder(tmp_path: Path) -> None:
    interrupted(tmp_path / "first", 20)
    before = run_bytes(tmp_path / "first")
    toy_trainer(tmp_path / "second").resume(tmp_path / "first").fit(noisy_loader())
    assert run_bytes(tmp_path / "first") == before
    assert read_log(tmp_path / "second" / "log.jsonl")[0]["step"] == 15
    with pytest.raises(FileExistsError, match="holds the checkpoints of an earlier run"):
        toy_trainer(tmp_path / "second").resume(tmp_path / "first").fit(noisy_loader())


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    interrupted(tmp_path, 20)
    before = run_bytes(tmp_path)
    with pytest.raises(FileExistsError, match=r"fit\(loader, resume=True\), or choose another folder"):
        toy_trainer(tmp_path).fit(noisy_loader())
    assert run_bytes(tmp_path) == before


def test_other_settings_are_refused_or_named(tmp_path: Path) -> None:
    interrupted(tmp_path, 20)
    changed = {"learning_rate": 1e-2, "steps": 16}
    with pytest.raises(
        ValueError, match=r"other settings: steps was 30, is 16, learning_rate was 0\.001, is 0\.01"
    ):
        toy_trainer(tmp_path, **changed).fit(noisy_loader(), resume=True)
    trainer = toy_trainer(tmp_path, **changed)
    with pytest.warns(
        RuntimeWarning, match=r"step_00000014: going on with other settings: steps was 30, is 16"
    ):
        trainer.resume(allow_changed_config=True)
    assert trainer.fit(noisy_loader()).steps == 16


@dataclasses.dataclass(frozen=True)
class ToyWeights:
    cycle: float = 10.0
    norm: str = "l1"
    limits: tuple[float, ...] = (0.0, math.inf)
    bank: Tensor | None = None


class Telling:
    """The toy's networks and losses, with attributes that say what they compute."""

    def __init__(self, **settings: Any) -> None:
        toy = ToyObjective()
        self.generator, self.critic = toy.generator, toy.critic
        self.critic_loss, self.generator_loss = toy.critic_loss, toy.generator_loss
        vars(self).update(settings)


class Addressed:
    """An object of which nothing can be told."""


TOLD = {
    "weights": ToyWeights(),
    "adversarial": Wasserstein(),
    "targets": ShuffleTargets(),
    "instance_noise": 0.0,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": ToyWeights(cycle=1.0)}, r"settings: weights\.cycle was 10\.0, is 1\.0; use"),
        ({"weights": ToyWeights(norm="l2")}, r"weights\.norm was 'l1', is 'l2'"),
        ({"weights": ToyWeights(limits=(0.0,))}, r"weights\.limits was '\(0\.0, inf\)', is '\(0\.0,\)'"),
        ({"adversarial": Hinge()}, "adversarial was 'Wasserstein', is 'Hinge'"),
        ({"targets": ShuffleTargets(0.2)}, r"targets\.jitter was 0\.1, is 0\.2"),
        ({"instance_noise": 0.1}, r"instance_noise was 0\.0, is 0\.1"),
        ({"instance_noise": 0.1, "learning_rate": 0.1}, "learning_rate was .*, instance_noise was"),
    ],
)
def test_another_objective_is_refused_or_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    rate = {name: value for name, value in changes.items() if name == "learning_rate"}
    toy_trainer(tmp_path, Telling(**TOLD), steps=4).fit(noisy_loader())
    toy_trainer(tmp_path, Telling(**TOLD), steps=4).resume()
    other = toy_trainer(tmp_path, Telling(**{**TOLD, **changes}), steps=4, **rate)
    with pytest.raises(ValueError, match=message):
        other.resume()
    with pytest.warns(RuntimeWarning, match=message.removesuffix("; use")):
        assert other.resume(allow_changed_config=True).step == 4


def test_of_an_objective_only_what_both_runs_tell_is_compared(tmp_path: Path) -> None:
    untold = {"targets": Addressed(), "adversarial": lambda: None, "weights": ToyWeights(bank=torch.ones(2))}
    toy_trainer(tmp_path / "untold", Telling(**untold), steps=4).fit(noisy_loader())
    saved = read_checkpoint(tmp_path / "untold" / "checkpoints" / "step_00000004").state["objective"]
    assert set(saved) == {"weights", "weights.cycle", "weights.norm", "weights.limits"}
    toy_trainer(tmp_path / "untold", Telling(**TOLD), steps=4).resume()
    toy_trainer(tmp_path / "untold", ToyObjective(), steps=4).resume()
    rewrite(
        tmp_path / "untold" / "checkpoints" / "step_00000004" / "state.json",
        lambda state: state.pop("objective"),  # as every checkpoint was before
    )
    toy_trainer(tmp_path / "untold", Telling(weights=ToyWeights(cycle=1.0)), steps=4).resume()


class Space:
    def __init__(self, *names: str) -> None:
        self.names = names

    def to_dict(self) -> dict[str, Any]:
        return {"names": list(self.names), "low": 0.0}


def with_space(space: Space | None) -> ToyObjective:
    toy = ToyObjective()
    if space is not None:
        toy.generator.space = space  # type: ignore[assignment]
    return toy


def test_another_condition_space_is_refused(tmp_path: Path) -> None:
    toy_trainer(tmp_path, with_space(Space("AU01", "AU02", "AU12")), steps=2).fit(noisy_loader())
    toy_trainer(tmp_path, with_space(Space("AU01", "AU02", "AU12")), steps=2).resume()
    saved = read_checkpoint(tmp_path / "checkpoints" / "step_00000002").state["condition_space"]
    assert saved["names"] == ["AU01", "AU02", "AU12"]
    for other, message in (
        (
            Space("smile", "blink", "jaw"),
            r"it has 3 conditions \(AU01, .*this run has 3 .*smile.*differ in names",
        ),
        (None, "this run has none"),
    ):
        with pytest.raises(ValueError, match=f"of another condition space: .*{message}"):
            toy_trainer(tmp_path, with_space(other), steps=2).resume()


def test_another_architecture_is_refused_and_nothing_is_loaded(tmp_path: Path) -> None:
    interrupted(tmp_path, 20)
    wider = ToyObjective(width=5)
    before = [p.clone() for n in (wider.generator, wider.critic) for p in n.parameters()]
    with pytest.raises(
        ValueError, match=r"generator\.safetensors: the checkpoint is of another architecture: first"
    ):
        toy_trainer(tmp_path, wider).resume()
    after = [p for n in (wider.generator, wider.critic) for p in n.parameters()]
    assert all(map(torch.equal, before, after))
    other_critic = ToyObjective()
    other_critic.critic = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    generator = [p.clone() for p in other_critic.generator.parameters()]
    with pytest.raises(ValueError, match=r"critic\.safetensors: the checkpoint is of another architecture"):
        toy_trainer(tmp_path, other_critic).resume()
    assert all(map(torch.equal, generator, other_critic.generator.parameters()))


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from aucond.train.checkpoint import _digest

    state = json.loads(path.read_text())
    del state["sha256"]
    change(state)
    path.write_text(json.dumps({**state, "sha256": _digest(state)}))


def test_a_config_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path, 20)
    path = tmp_path / "checkpoints" / "step_00000014" / "state.json"
    rewrite(path, lambda state: state["config"].update(warp_factor=9))
    with pytest.raises(ValueError, match="saved config cannot be used: .*'warp_factor' is no field"):
        toy_trainer(tmp_path).resume()
    rewrite(path, lambda state: state.update(format=2))
    with pytest.raises(ValueError, match="written by a newer one"):
        toy_trainer(tmp_path).resume()


def test_another_number_of_processes_is_named(tmp_path: Path) -> None:
    interrupted(tmp_path, 20)
    path = tmp_path / "checkpoints" / "step_00000014" / "state.json"
    rewrite(path, lambda state: state.update(processes=2))
    with pytest.raises(ValueError, match="number of processes was 2, is 1"):
        toy_trainer(tmp_path).resume()


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected at least one checkpoint"):
        toy_trainer(tmp_path).resume()
    interrupted(tmp_path, 20)
    for state in tmp_path.glob("checkpoints/*/state.json"):
        state.write_bytes(b"")
    with pytest.raises(DamagedCheckpointError, match="no checkpoint is whole"):
        toy_trainer(tmp_path).fit(noisy_loader(), resume=True)


def test_a_damaged_checkpoint_that_is_named_is_not_called_missing(tmp_path: Path) -> None:
    toy_trainer(tmp_path, steps=4).fit(noisy_loader())
    named = tmp_path / "checkpoints" / "step_00000004"
    (named / "state.json").unlink()
    with pytest.raises(DamagedCheckpointError, match=r"step_00000004/state\.json: cannot be read"):
        toy_trainer(tmp_path, steps=4).resume(named)
    with pytest.raises(FileNotFoundError, match="expected at least one checkpoint"):
        toy_trainer(tmp_path, steps=4).resume(tmp_path / "checkpoints" / "step_00000099")


def test_a_run_may_be_called_like_a_checkpoint(tmp_path: Path) -> None:
    toy_trainer(tmp_path / "step_00000099", steps=4).fit(noisy_loader())
    assert toy_trainer(tmp_path / "step_00000099", steps=4).resume().step == 4


def test_other_data_is_noticed(tmp_path: Path) -> None:
    interrupted(tmp_path, 20)  # its last checkpoint is in the middle of an epoch of 4 batches
    loader = noisy_loader(batch_size=14)
    with pytest.raises(
        ValueError, match="2 batches of epoch 3 were used before the checkpoint, now it has only 1"
    ):
        toy_trainer(tmp_path).fit(loader, resume=True)


def test_the_checkpoint_says_what_it_is(tmp_path: Path) -> None:
    toy_trainer(tmp_path, steps=6).fit(noisy_loader())
    checkpoint = read_checkpoint(tmp_path / "checkpoints" / "step_00000006")
    assert TrainerConfig.from_dict(checkpoint.state["config"]).steps == 6
    assert checkpoint.state["progress"]["step"] == 6 and checkpoint.state["progress"]["epoch"] == 1
    assert checkpoint.state["progress"]["batch"] == 2 and checkpoint.state["good"] is True
    assert set(checkpoint.state["versions"]) == {"aucond", "torch", "numpy", "python"}
    assert set(checkpoint.state["files"]) == {f"{n}.safetensors" for n in checkpoint.tensors}


def test_killed_runs_end_with_the_same_bytes() -> None:
    script = Path(__file__).with_name("kill_and_resume.py")
    done = subprocess.run(
        [sys.executable, str(script), "--kills", "3"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "kills=3" in done.stdout and "all_equal=True" in done.stdout
