"""``speed="fast"`` is the reference in other words: the same losses and the same weights up to rounding."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from aucond import AttentionGenerator, ConditionSpace, GANimation, PatchCritic
from aucond.train import TrainerConfig
from aucond.train.learner import Learner
from aucond.train.pending import PendingValues
from aucond.train.processes import Processes
from aucond.train.recording import CudaRecorder, RepeatedWork
from aucond.types import Batch, LossTerms

CPU = torch.device("cpu")
SPACE = ConditionSpace(["AU06", "AU12", "AU45"])
Speed = Literal["reference", "fast"]


class Faces(GANimation):
    """GANimation on a few thousand weights, with dropout, which draws from the global generator."""

    capturable = True

    def __init__(
        self, dtype: torch.dtype = torch.float32, device: torch.device = CPU, *, dropout: bool = True
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            generator = AttentionGenerator(SPACE, base_channels=4, num_downsamples=1, num_residual_blocks=1)
            critic = PatchCritic({"condition": SPACE}, base_channels=6, num_layers=2)
        if dropout:
            generator.residual.append(Dropped())
        super().__init__(generator.to(device, dtype), critic.to(device, dtype), instance_noise=0.1)


class Dropped(nn.Module):
    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        return nn.functional.dropout(features, 0.2, self.training)


def batches(dtype: torch.dtype, count: int = 8, short: tuple[int, ...] = ()) -> list[Batch]:
    rng = torch.Generator().manual_seed(1)
    sizes = [3 if i in short else 5 for i in range(count)]
    return [
        {
            "image": torch.rand(size, 3, 16, 16, generator=rng, dtype=dtype) * 2 - 1,
            "condition": torch.rand(size, 3, generator=rng, dtype=dtype),
        }
        for size in sizes
    ]


def learner(objective: GANimation, processes: Processes, recorder: Any = None, **settings: Any) -> Learner:
    options = {"steps": 100, "critic_steps_per_generator_step": 2, "learning_rate": 1e-3, **settings}
    return Learner(objective, TrainerConfig(**options), processes, recorder=recorder)


def train(
    one: Learner, processes: Processes, data: list[Batch], first: int = 1
) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    values = PendingValues(processes)
    with one.training():
        for step, batch in enumerate(data, start=first):
            one.learn(batch, step, values)
    flat = {f"{file}.{name}": t for file, tensors in one.tensors().items() for name, t in tensors.items()}
    return [phase.terms for phase in values.fetch()], flat


def changes(speed: Speed, dtype: torch.dtype, processes: Processes) -> tuple[list[dict[str, float]], Tensor]:
    # Dropout draws in memory order, so that its masks are others in channels_last memory.
    objective = Faces(dtype, processes.device, dropout=False)
    networks = (objective.generator, objective.critic)
    before = [p.detach().clone() for n in networks for p in n.parameters()]
    terms, _ = train(learner(objective, processes, speed=speed), processes, batches(dtype))
    after = [p.detach() for n in networks for p in n.parameters()]
    return terms, torch.cat([(a - b).double().flatten() for a, b in zip(after, before, strict=True)])


ALONE = Processes(0, 1, CPU)


@pytest.mark.parametrize(
    ("dtype", "of_terms", "of_changes"), [(torch.float64, 1e-6, 1e-6), (torch.float32, 1e-4, 1e-2)], ids=str
)
def test_fast_steps_are_the_reference_up_to_rounding(
    dtype: torch.dtype, of_terms: float, of_changes: float
) -> None:
    (plain, moved), (fast, also_moved) = (changes(s, dtype, ALONE) for s in ("reference", "fast"))
    assert len(plain) == len(fast) == 12
    for mine, other in zip(fast, plain, strict=True):
        assert mine == pytest.approx(other, rel=of_terms, abs=of_terms)
    assert moved.norm() > 0.1
    assert (moved - also_moved).norm() < of_changes * moved.norm()


def test_only_the_reference_differentiates_twice_and_keeps_contiguous_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The function of this name hides the module from a plain import.
    explicit = importlib.import_module("aucond.losses.explicit_gradient")
    calls: list[Any] = []
    original = explicit._convolution_backward
    monkeypatch.setattr(explicit, "_convolution_backward", lambda *a: calls.append(a[-1]) or original(*a))
    seen = {}
    for speed in ("reference", "fast"):
        calls.clear()
        objective = Faces()
        one = learner(objective, ALONE, speed=speed)
        train(one, ALONE, batches(torch.float32, 2))
        weight = objective.critic.features[0].weight
        last = weight.is_contiguous(memory_format=torch.channels_last)
        fused = one._critic.optimizer.param_groups[0].get("fused")
        seen[speed] = (bool(calls), last, bool(fused))
        assert explicit.why_not_explicit(objective.critic) is None
    assert seen == {"reference": (False, False, False), "fast": (True, True, True)}


class Again:
    """Stands in for CUDA graphs: a recording is the work itself, done again on the static buffers."""

    def __init__(self, error: str = "") -> None:
        self.error, self.recordings, self.repeats = error, 0, 0

    def warm_up(self, work: Callable[[], Any]) -> Any:
        return work()

    def record(self, work: Callable[[], Any]) -> Callable[[], Any]:
        if self.error:
            raise RuntimeError(self.error)
        self.recordings += 1

        def repeat() -> Any:
            self.repeats += 1
            return work()

        return repeat


def test_recorded_steps_end_with_the_same_bytes_also_with_a_short_batch_between() -> None:
    data = batches(torch.float32, 14, short=(6, 11))
    plain_terms, plain = train(learner(Faces(), ALONE), ALONE, data)
    again = Again()
    terms, recorded = train(learner(Faces(), ALONE, again), ALONE, data)
    # Of 14 critic steps 3 warm up and 2 are short; of 7 generator steps 3 warm up and one is short.
    assert (again.recordings, again.repeats) == (2, 14 - 3 - 2 + 7 - 3 - 1)
    assert terms == plain_terms
    assert plain.keys() == recorded.keys() and all(torch.equal(plain[k], recorded[k]) for k in plain)


def test_a_failed_recording_warns_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    data = batches(torch.float32, 8)
    _, plain = train(learner(Faces(), ALONE), ALONE, data)
    with caplog.at_level(logging.WARNING, logger="aucond.train"):
        _, other = train(learner(Faces(), ALONE, Again("operation not permitted")), ALONE, data)
    assert [m for m in caplog.messages if "cannot be recorded" in m] == [
        f"the {name}'s step cannot be recorded and goes on step by step: operation not permitted"
        for name in ("critic", "generator")
    ]
    assert all(torch.equal(plain[k], other[k]) for k in plain)


def test_an_objective_that_does_not_say_it_is_capturable_is_not_recorded() -> None:
    class Counting(Faces):
        capturable = False

    again = Again()
    train(learner(Counting(), ALONE, again), ALONE, batches(torch.float32, 8))
    assert again.recordings == 0


def test_restoring_drops_the_recording_and_goes_on_exactly(tmp_path: Any) -> None:
    from aucond.train.checkpoint import read_checkpoint, write_checkpoint

    data = batches(torch.float32, 16)
    _, whole = train(learner(Faces(), ALONE), ALONE, data)
    again = Again()
    one = learner(Faces(), ALONE, again)
    train(one, ALONE, data[:8])
    state = {"good": True, "ema_updates": one.average.updates}
    write_checkpoint(tmp_path, 8, one.tensors(), state)
    train(one, ALONE, data[:3])
    assert again.recordings == 2
    one.restore(read_checkpoint(tmp_path / "step_00000008"))
    assert not any(work.is_recorded for work in one._repeated)
    _, parts = train(one, ALONE, data[8:], first=9)
    assert again.recordings == 4
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_batches_that_hold_more_than_tensors_are_not_recorded() -> None:
    again = Again()
    work = RepeatedWork(lambda batch: batch["image"].sum(), again, name="a sum", warm_ups=1)
    odd: Any = {"image": torch.ones(2), "names": ["a", "b"]}
    assert [work(odd).item() for _ in range(3)] == [2.0, 2.0, 2.0]
    plain: Any = {"image": torch.ones(2)}
    assert [work(plain).item() for _ in range(3)] == [2.0, 2.0, 2.0]
    assert (again.recordings, again.repeats) == (1, 2) and work.is_recorded
    plain["image"] = torch.full((2,), 5.0)
    assert work(plain).item() == 10.0


@contextmanager
def needs_cuda() -> Iterator[Processes]:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device: run `pytest -m gpu` on a machine that has one")
    yield Processes(0, 1, torch.device("cuda", torch.cuda.current_device()))


@pytest.mark.gpu
def test_on_a_gpu_graphs_take_the_steps_of_eager_code() -> None:
    with needs_cuda() as processes:
        data = batches(torch.float32, 14, short=(6,))
        ends = []
        for capturable in (True, False):
            objective = Faces(device=processes.device)
            objective.capturable = capturable  # type: ignore[misc]
            one = learner(objective, processes)
            ends.append(train(one, processes, data))
            assert capturable == bool(one._repeated)
            assert all(work.is_recorded for work in one._repeated)
        for mine, other in zip(ends[0][0], ends[1][0], strict=True):
            assert mine == pytest.approx(other, rel=1e-3, abs=1e-3)


@pytest.mark.gpu
def test_on_a_gpu_the_reference_and_fast_agree() -> None:
    with needs_cuda() as processes, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        (plain, moved), (fast, also) = (changes(s, torch.float64, processes) for s in ("reference", "fast"))
        for mine, other in zip(fast, plain, strict=True):
            assert mine == pytest.approx(other, rel=1e-5, abs=1e-5)
        assert (moved - also).norm() < 1e-5 * moved.norm()


@pytest.mark.gpu
def test_on_a_gpu_a_replay_draws_from_the_seed_it_is_given() -> None:
    with needs_cuda() as processes:
        rng = torch.Generator(device=processes.device)
        recorder = CudaRecorder([rng])
        replay = recorder.record(lambda: torch.rand(4, generator=rng, device=processes.device))
        for seed in (3, 4, 3):
            expected = torch.rand(
                4,
                generator=torch.Generator(device=processes.device).manual_seed(seed),
                device=processes.device,
            )
            rng.manual_seed(seed)
            assert torch.equal(replay(), expected)


def test_terms_come_back_without_a_graph() -> None:
    objective = Faces()
    one = learner(objective, ALONE)
    [batch] = batches(torch.float32, 1)
    terms, gradients = one._critic_work(batch)
    assert isinstance(terms, LossTerms) and not terms.total.requires_grad
    assert len(gradients) == len(list(objective.critic.parameters()))
