from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aucond.conditions import ConditionSpace, pca_blendshapes
from aucond.targets import BankTargets, ShuffleTargets, TargetSampler, UniformTargets

SPACE = ConditionSpace(["a", "b", "c"])
SAMPLERS: list[TargetSampler] = [
    ShuffleTargets(),
    ShuffleTargets(jitter=0.3, clamp=False),
    UniformTargets(),
    BankTargets(torch.rand(7, 3), jitter=0.05),
]


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_targets_follow_from_the_seed_alone(sampler: TargetSampler) -> None:
    conditions = torch.rand(6, 3, generator=rng(1))
    first = sampler(conditions, SPACE, rng(5))
    torch.manual_seed(123)
    assert torch.equal(sampler(conditions, SPACE, rng(5)), first)
    assert not torch.equal(sampler(conditions, SPACE, rng(6)), first)
    assert first.shape == conditions.shape


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_targets_keep_dtype_and_leave_the_batch_alone(sampler: TargetSampler) -> None:
    conditions = torch.rand(6, 3, dtype=torch.float64)
    before = conditions.clone()
    assert sampler(conditions, SPACE, rng(0)).dtype == torch.float64
    assert torch.equal(conditions, before)


@pytest.mark.parametrize("sampler", [SAMPLERS[0], SAMPLERS[2], SAMPLERS[3]])
def test_targets_lie_in_the_space(sampler: TargetSampler) -> None:
    for seed in range(20):
        SPACE.validate(sampler(torch.rand(8, 3).round(), SPACE, rng(seed)), tolerance=0.0)


@given(st.integers(2, 20), st.integers(0, 10_000))
def test_shuffle_uses_every_other_sample_once(batch: int, seed: int) -> None:
    conditions = torch.arange(batch, dtype=torch.float32)[:, None].expand(batch, 3) / batch
    targets = ShuffleTargets(jitter=0.0)(conditions, SPACE, rng(seed))
    assert sorted(targets[:, 0].tolist()) == conditions[:, 0].tolist()
    assert not bool((targets == conditions).any())


def test_shuffle_jitter_is_uniform_and_bounded() -> None:
    wide = pca_blendshapes(3)
    noise = ShuffleTargets(jitter=0.1)(torch.zeros(4000, 3), wide, rng(0))
    assert float(noise.abs().max()) <= 0.1
    assert float(noise.max()) > 0.099 and float(noise.min()) < -0.099
    # Variance of a uniform distribution of half width 0.1.
    assert float(noise.var()) == pytest.approx(0.1**2 / 3, rel=0.03)
    assert abs(float(noise.mean())) < 0.002


def test_clamp_is_a_choice() -> None:
    zeros = torch.zeros(50, 3)
    assert float(ShuffleTargets(clamp=False)(zeros, SPACE, rng(0)).min()) < 0
    assert float(ShuffleTargets(clamp=True)(zeros, SPACE, rng(0)).min()) == 0


def test_a_batch_of_one_is_its_own_neighbour() -> None:
    condition = torch.full((1, 3), 0.5)
    assert torch.equal(ShuffleTargets(jitter=0.0)(condition, SPACE), condition)
    assert ShuffleTargets()(condition, SPACE, rng(0)).shape == (1, 3)


def test_uniform_fills_each_range() -> None:
    space = ConditionSpace(["a", "b"], low=[-2.0, 0.0], high=[-1.0, 10.0], neutral=[-1.5, 0.0])
    drawn = UniformTargets()(torch.zeros(4000, 2), space, rng(0))
    assert drawn.amin(0).tolist() == pytest.approx([-2.0, 0.0], abs=0.01)
    assert drawn.amax(0).tolist() == pytest.approx([-1.0, 10.0], abs=0.01)
    assert drawn.mean(0).tolist() == pytest.approx([-1.5, 5.0], abs=0.15)


def test_bank_gives_its_rows() -> None:
    bank = torch.tensor([[0.0, 0.1, 0.2], [1.0, 0.9, 0.8]])
    drawn = BankTargets(bank)(torch.zeros(200, 3), SPACE, rng(0))
    rows = {tuple(row) for row in drawn.tolist()}
    assert rows == {tuple(row) for row in bank.tolist()}
    near = BankTargets(bank, jitter=0.05)(torch.zeros(200, 3), SPACE, rng(0))
    assert 0 < float((near - drawn).abs().max()) <= 0.05 + 1e-6


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: ShuffleTargets(jitter=-0.1),
            ValueError,
            "jitter: expected a finite number at least 0.0, got -0.1",
        ),
        (lambda: ShuffleTargets(jitter="0"), TypeError, "jitter: expected"),
        (
            lambda: ShuffleTargets()(torch.zeros(2, 4), SPACE),
            ValueError,
            r"conditions: .* \(B, 3\), got .* \(2, 4\)",
        ),
        (lambda: ShuffleTargets()([[0.0] * 3], SPACE), TypeError, "conditions: expected a floating tensor"),
        (lambda: UniformTargets()(torch.zeros(3), SPACE), ValueError, r"conditions: .* got .* \(3,\)"),
        (
            lambda: ShuffleTargets()(torch.zeros(2, 3), 3),
            TypeError,
            r"space: expected a ConditionSpace, got 3",
        ),
        (
            lambda: ShuffleTargets()(torch.zeros(2, 3), SPACE, 0),
            TypeError,
            r"rng: expected a torch.Generator .* got 0",
        ),
        (
            lambda: UniformTargets()(torch.zeros(2, 3), SPACE, 0),
            TypeError,
            r"rng: expected a torch.Generator .* got 0",
        ),
        (lambda: BankTargets(torch.zeros(0, 3)), ValueError, "bank: expected at least one condition"),
        (lambda: BankTargets(torch.zeros(3)), ValueError, r"bank: expected .* \(M, N\)"),
        (lambda: BankTargets(torch.full((1, 3), float("nan"))), ValueError, "bank: expected finite values"),
        (lambda: BankTargets(torch.zeros(2, 4))(torch.zeros(2, 3), SPACE), ValueError, r"bank: .* \(M, 3\)"),
        (
            lambda: BankTargets(torch.full((1, 3), 2.0))(torch.zeros(2, 3), SPACE),
            ValueError,
            "bank: component 'a'",
        ),
        (lambda: BankTargets([[0.0]]), TypeError, "bank: expected a floating tensor"),
    ],
)
def test_wrong_arguments_are_named(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
