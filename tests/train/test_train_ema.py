from __future__ import annotations

import pytest
import torch
from torch import nn

from aucond.train import GeneratorAverage


def test_starts_as_a_copy_and_keeps_off_the_network() -> None:
    network = nn.Linear(2, 2).train()
    average = GeneratorAverage(network, 0.9)
    assert torch.equal(average.network.weight, network.weight)
    with torch.no_grad():
        network.weight.zero_()
    assert average.network.weight.abs().sum() > 0
    assert not average.network.training and network.training
    assert not any(p.requires_grad for p in average.network.parameters())
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_follows_the_formula(decay: float) -> None:
    network = nn.Linear(1, 1, bias=False).double()
    average = GeneratorAverage(network, decay)
    expected = 0.0
    for n, value in enumerate([1.0, 3.0, -2.0, 0.5, 8.0]):
        nn.init.constant_(network.weight, value)
        average.update(network)
        d = min(decay, (1 + n) / (10 + n)) if n else 0.0
        expected = d * expected + (1 - d) * value
        assert average.network.weight.item() == pytest.approx(expected, abs=1e-12)
    assert average.updates == 5


def test_buffers_are_copied() -> None:
    network = nn.BatchNorm1d(3).train()
    average = GeneratorAverage(network, 0.9)
    for _ in range(3):
        network(torch.randn(8, 3))
        average.update(network)
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert average.network.num_batches_tracked == 3


def test_going_on_with_the_count_gives_the_same_average() -> None:
    def run(stop: int) -> torch.Tensor:
        network = nn.Linear(1, 1, bias=False)
        average = GeneratorAverage(network, 0.999)
        for step in range(6):
            if step == stop:
                again = GeneratorAverage(average.network, 0.999)
                again.updates, average = average.updates, again
            nn.init.constant_(network.weight, float(step))
            average.update(network)
        return average.network.weight

    assert torch.equal(run(stop=3), run(stop=-1))
