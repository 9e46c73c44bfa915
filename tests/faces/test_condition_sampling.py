from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aucond.conditions import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.faces import PROTOTYPES, sample_conditions


def draw(space: ConditionSpace, count: int = 4000, seed: int = 0) -> torch.Tensor:
    return sample_conditions(space, count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("space", [OPENFACE_AUS, ARKIT_BLENDSHAPES], ids=["openface", "arkit"])
def test_conditions_lie_in_the_space_and_repeat(space: ConditionSpace) -> None:
    conditions = draw(space)
    assert conditions.shape == (4000, space.dim) and conditions.dtype == torch.float32
    space.validate(conditions, tolerance=0.0)
    assert torch.equal(conditions, draw(space))
    assert not torch.equal(conditions, draw(space, seed=1))


def test_without_a_generator_the_draw_is_fixed() -> None:
    assert torch.equal(sample_conditions(OPENFACE_AUS, 5), sample_conditions(OPENFACE_AUS, 5))


def test_openface_conditions_are_sparse_but_use_every_unit() -> None:
    conditions = draw(OPENFACE_AUS)
    active = (conditions > 0).sum(1).float()
    assert 1.5 < active.mean() < 4.5 and active.max() <= 10
    assert 0.03 < (active == 0).float().mean() < 0.2, "neutral faces come too"
    shown = (conditions > 0).float().mean(0)
    assert shown.min() > 0.05
    assert conditions.amax(0).min() > 0.9


def test_arkit_sides_mostly_move_together() -> None:
    conditions = draw(ARKIT_BLENDSHAPES)
    left = conditions[:, ARKIT_BLENDSHAPES.index("mouthSmileLeft")]
    right = conditions[:, ARKIT_BLENDSHAPES.index("mouthSmileRight")]
    either = (left > 0) | (right > 0)
    together = (left > 0) & (right > 0)
    assert 0.6 < together.sum() / either.sum() < 0.98
    assert torch.corrcoef(torch.stack([left, right]))[0, 1] > 0.6


def test_both_eyes_look_the_same_way() -> None:
    conditions = draw(ARKIT_BLENDSHAPES)
    by_name = dict(zip(ARKIT_BLENDSHAPES.names, conditions.T, strict=True))
    assert torch.equal(by_name["eyeLookOutLeft"], by_name["eyeLookInRight"])
    assert torch.equal(by_name["eyeLookUpLeft"], by_name["eyeLookUpRight"])
    assert 0.2 < (by_name["eyeLookUpLeft"] > 0).float().mean() < 0.3


@pytest.mark.parametrize(
    ("space", "first", "second"),
    [
        (OPENFACE_AUS, "AU12", "AU15"),
        (OPENFACE_AUS, "AU05", "AU45"),
        (ARKIT_BLENDSHAPES, "mouthSmileLeft", "mouthFrownLeft"),
        (ARKIT_BLENDSHAPES, "eyeWideRight", "eyeBlinkRight"),
        (ARKIT_BLENDSHAPES, "jawOpen", "mouthPressLeft"),
        (ARKIT_BLENDSHAPES, "jawLeft", "jawRight"),
    ],
)
def test_no_contradictions(space: ConditionSpace, first: str, second: str) -> None:
    conditions = draw(space)
    a, b = conditions[:, space.index(first)], conditions[:, space.index(second)]
    assert a.max() > 0 and b.max() > 0
    assert not ((a > 0) & (b > 0)).any()


@pytest.mark.parametrize("unit", ["jaw", "mouth", "mouthSmile"])
def test_both_sides_are_shown_equally_often(unit: str) -> None:
    conditions = draw(ARKIT_BLENDSHAPES, 20_000)
    left, right = (conditions[:, ARKIT_BLENDSHAPES.index(unit + side)] > 0 for side in ("Left", "Right"))
    assert 0.8 < left.float().mean() / right.float().mean() < 1.25


def test_lips_close_no_further_than_the_jaw_opens() -> None:
    conditions = draw(ARKIT_BLENDSHAPES)
    close, jaw = (conditions[:, ARKIT_BLENDSHAPES.index(n)] for n in ("mouthClose", "jawOpen"))
    assert close.max() > 0 and (close <= jaw).all()


def test_known_mixtures_come_up() -> None:
    conditions = draw(OPENFACE_AUS)
    surprise = [OPENFACE_AUS.index(name) for name in PROTOTYPES["surprise"]]
    assert ((conditions[:, surprise] > 0).all(1)).float().mean() > 0.01


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.floats(-2, -0.1), st.floats(0.1, 3), st.integers(0, 40))
def test_spaces_of_ones_own(dim: int, low: float, high: float, count: int) -> None:
    space = ConditionSpace([f"x{i}" for i in range(dim)], low=low, high=high)
    conditions = draw(space, count)
    assert conditions.shape == (count, dim)
    space.validate(conditions)


@pytest.mark.parametrize(
    ("space", "count", "error", "message"),
    [
        (OPENFACE_AUS, -1, ValueError, "count: expected an integer at least 0, got -1"),
        (OPENFACE_AUS, 2.0, TypeError, "count: expected an integer at least 0, got 2.0"),
        ("openface", 2, TypeError, "space: expected a ConditionSpace"),
    ],
)
def test_wrong_calls(space: Any, count: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sample_conditions(space, count)
