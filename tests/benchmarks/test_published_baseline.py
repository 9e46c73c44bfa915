"""The baseline is the training it says it is: ours on the same weights gives the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measuring
import pytest
import torch
from published import Critic, Generator, PublishedTraining
from torch import Tensor
from variants import Setting, Variant
from workers import Worker

SMALL = Setting(16, 2, 3, channels=4, blocks=1, layers=3)


def test_the_published_sizes() -> None:
    generator, critic = Generator(17), Critic(128, 17)
    assert sum(p.numel() for p in generator.parameters()) == 8_471_296
    assert sum(p.numel() for p in critic.parameters()) == 44_860_352


def test_all_variants_hold_the_same_networks() -> None:
    published, ours = Variant("published", SMALL), Variant("fast", SMALL)
    image, condition = published.batch["image"], published.batch["condition"]
    edited: Any = published.forward(image, condition)
    other: Any = ours.forward(image, condition)
    torch.testing.assert_close(other.image, edited[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other.attention, 1 - edited[1], rtol=1e-4, atol=1e-5)


def test_a_step_trains_both_networks() -> None:
    torch.manual_seed(0)
    training = PublishedTraining(Generator(3, 4, 1), Critic(16, 3, 4, 3))

    def weights(network: torch.nn.Module) -> Tensor:
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    image, condition = torch.rand(2, 3, 16, 16), torch.rand(2, 3)
    before = weights(training.critic), weights(training.generator)
    training.critic_step(image, condition)
    assert not torch.equal(before[0], weights(training.critic))
    assert torch.equal(before[1], weights(training.generator))
    training.generator_step(image, condition)
    assert not torch.equal(before[1], weights(training.generator))


def test_operations_by_hand() -> None:
    linear = torch.nn.Linear(3, 5, bias=False)
    assert measuring.count_flops(lambda: linear(torch.ones(2, 3))) == 2 * 2 * 3 * 5
    conv = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)
    points = torch.ones(1, 3, 8, 8, requires_grad=True)
    forward = 2 * 64 * 27 * 4
    count = measuring.count_flops(lambda: torch.autograd.grad(conv(points).sum(), points))
    assert count == 2 * forward


def test_interleaving_measures_each_in_turn() -> None:
    order: list[str] = []
    works = {name: lambda name=name: order.append(name) for name in "ab"}  # type: ignore[misc]
    found = measuring.interleaved(works, torch.device("cpu"), rounds=3, at_least=0.0)
    assert set(found) == {"a", "b"} and all(value >= 0 for value in found.values())
    assert order[-6:] == ["a", "b"] * 3


def test_a_worker_answers_fails_and_ends() -> None:
    worker = Worker(Variant, "reference", SMALL, device="cpu", threads=1)
    try:
        answer = worker.ask("round")
        assert answer["cycle"] > answer["generator_step"] > 0 and answer["bytes_before"] > 0
        assert worker.ask("peak")["peak_bytes"] > answer["bytes_before"]
        with pytest.raises(RuntimeError, match="nothing: AttributeError"):
            worker.ask("nothing")
    finally:
        worker.close()


def test_results_are_written_whole(tmp_path: Path) -> None:
    options = measuring.parser("x").parse_args(["--output", str(tmp_path)])
    path = measuring.save("name", {"a": 1}, options)
    assert path == tmp_path / "name_cpu.json" and path.read_text(encoding="utf-8") == '{\n "a": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["name_cpu.json"]
