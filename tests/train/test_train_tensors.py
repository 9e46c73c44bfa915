from __future__ import annotations

from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from aucond.train.tensors import (
    adam_tensors,
    all_finite,
    check_same_layout,
    load_adam,
    load_network,
    network_tensors,
)


def convolutions(channels_last: bool) -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 3))
    return network.to(memory_format=torch.channels_last) if channels_last else network


def adam(network: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.5, 0.999), fused=True)


def train(network: nn.Module, optimizer: torch.optim.Adam, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        image = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        network(image).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("channels_last", [False, True])
def test_an_optimiser_goes_on_exactly(channels_last: bool) -> None:
    whole, other = convolutions(channels_last), convolutions(channels_last)
    optimizer = adam(whole)
    train(whole, optimizer, range(3))
    saved = safetensors.torch.load(safetensors.torch.save(adam_tensors(optimizer, whole)))
    weights = safetensors.torch.load(safetensors.torch.save(network_tensors(whole)))
    train(whole, optimizer, range(3, 6))
    fresh = adam(other)
    load_network(other, weights)
    load_adam(fresh, other, saved, "here")
    for parameter in other.parameters():
        assert fresh.state[parameter]["exp_avg"].stride() == parameter.stride()
    train(other, fresh, range(3, 6))
    assert all(map(torch.equal, whole.state_dict().values(), other.state_dict().values()))


def test_a_parameter_without_state_stays_without() -> None:
    network = nn.Linear(2, 2)
    optimizer = adam(network)
    network.weight.grad = torch.ones(2, 2)
    optimizer.step()
    saved = adam_tensors(optimizer, network)
    assert set(saved) == {"weight.step", "weight.exp_avg", "weight.exp_avg_sq"}
    fresh = adam(network)
    load_adam(fresh, network, saved, "here")
    assert network.weight in fresh.state and network.bias not in fresh.state


def test_tied_weights_can_be_saved() -> None:
    network = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    network["b"].weight = network["a"].weight
    loaded = safetensors.torch.load(safetensors.torch.save(network_tensors(network)))
    assert torch.equal(loaded["a.weight"], loaded["b.weight"])


def test_state_that_is_no_tensor_is_refused() -> None:
    class Odd(nn.Module):
        def get_extra_state(self) -> Any:
            return {"x": 1}

        def set_extra_state(self, state: Any) -> None: ...

    with pytest.raises(
        ValueError, match="_extra_state: expected a network whose state is all tensors, got a dict"
    ):
        network_tensors(Odd())


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (
            {"weight": torch.zeros(2, 3)},
            "x: the checkpoint is of another architecture: bias is not in the file",
        ),
        (
            {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "c": torch.zeros(1)},
            "c is not in the network",
        ),
        (
            {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)},
            r"weight is float32 \(2, 4\), the network's is float32 \(2, 3\)",
        ),
        ({"weight": torch.zeros(2, 3).half(), "bias": torch.zeros(2)}, "weight is float16"),
        ({f"n{i}": torch.zeros(1) for i in range(9)}, "and 6 more"),
    ],
)
def test_every_difference_is_named(saved: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_same_layout(nn.Linear(3, 2).state_dict(), saved, "x")


def test_all_finite() -> None:
    assert all_finite({"a": torch.ones(2), "b": torch.tensor([1])})
    assert not all_finite({"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])})
    assert not all_finite({"a": torch.tensor(float("inf"))})
