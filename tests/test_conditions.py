from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aucond.conditions import (
    ARKIT_BLENDSHAPES,
    OPENFACE_AUS,
    ConditionSpace,
    labels,
    pca_blendshapes,
    speech_blendshapes,
)

PAIR = ConditionSpace(["jaw", "smileLeft", "smileRight"], mirror={"smileLeft": "smileRight"})
UNEVEN = ConditionSpace(
    ["a", "b"], low=[-1.0, 0.0], high=[1.0, 2.0], neutral=[0.0, 0.5], raw_low=0, raw_high=[10, 4]
)


@st.composite
def spaces(draw: st.DrawFn) -> ConditionSpace:
    """Spaces of paired components (which share their ranges) and single ones."""
    number = st.floats(-100, 100, width=32)
    names, low, high, neutral, raw_low, raw_high = [], [], [], [], [], []
    mirror = {}
    for i in range(draw(st.integers(1, 5))):
        a, b = sorted(draw(st.tuples(number, number).filter(lambda t: abs(t[0] - t[1]) > 0.01)))
        c, d = sorted(draw(st.tuples(number, number).filter(lambda t: abs(t[0] - t[1]) > 0.01)))
        sides = ("Left", "Right") if draw(st.booleans()) else ("",)
        for side in sides:
            names.append(f"c{i}{side}")
            low.append(a)
            high.append(b)
            neutral.append((a + b) / 2)
            raw_low.append(c)
            raw_high.append(d)
        if len(sides) == 2:
            mirror[f"c{i}Left"] = f"c{i}Right"
    order = draw(st.permutations(range(len(names))))

    def pick(values: list[Any]) -> list[Any]:
        return [values[i] for i in order]

    return ConditionSpace(
        pick(names),
        pick(low),
        pick(high),
        pick(neutral),
        mirror,
        raw_low=pick(raw_low),
        raw_high=pick(raw_high),
    )


def random_conditions(space: ConditionSpace, seed: int, rows: int = 4) -> torch.Tensor:
    unit = torch.rand(rows, space.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    low, high = torch.tensor(space.low).double(), torch.tensor(space.high).double()
    return low + unit * (high - low)


@given(spaces(), st.integers(0, 1000))
def test_denormalize_undoes_normalize(space: ConditionSpace, seed: int) -> None:
    y = random_conditions(space, seed)
    raw = space.denormalize(y)
    assert torch.allclose(space.normalize(raw), y, rtol=0, atol=1e-8)
    low, high = torch.tensor(space.raw_low).double(), torch.tensor(space.raw_high).double()
    assert bool((raw >= low - 1e-8).all()) and bool((raw <= high + 1e-8).all())


@given(spaces(), st.integers(0, 1000))
def test_flip_is_an_involution_that_stays_in_the_space(space: ConditionSpace, seed: int) -> None:
    y = random_conditions(space, seed)
    flipped = space.flip(y)
    assert torch.equal(space.flip(flipped), y)
    space.validate(flipped)
    assert torch.equal(space.flip(space.neutral_vector()), space.neutral_vector())


@given(spaces())
def test_json_round_trip(space: ConditionSpace) -> None:
    again = ConditionSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert hash(again) == hash(space)


@given(spaces(), st.integers(0, 1000))
def test_clamp_is_idempotent_and_valid(space: ConditionSpace, seed: int) -> None:
    y = random_conditions(space, seed) * 3
    clamped = space.clamp(y)
    assert torch.equal(space.clamp(clamped), clamped)
    space.validate(clamped, tolerance=1e-9)


def test_flip_swaps_the_named_pair_only() -> None:
    assert PAIR.flip(torch.tensor([0.1, 0.2, 0.3])).tolist() == pytest.approx([0.1, 0.3, 0.2])
    assert PAIR.flip(torch.zeros(2, 5, 3)).shape == (2, 5, 3)


def test_mirror_as_mapping_in_either_or_both_directions_and_as_permutation_is_one_space() -> None:
    names = ["jaw", "smileLeft", "smileRight"]
    for mirror in (
        {"smileRight": "smileLeft"},
        {"smileLeft": "smileRight", "smileRight": "smileLeft"},
        [0, 2, 1],
    ):
        assert ConditionSpace(names, mirror=mirror) == PAIR
    assert (
        ConditionSpace(names, mirror=[0, 1, 2])
        == ConditionSpace(names, mirror={"jaw": "jaw"})
        == ConditionSpace(names)
    )


def test_normalize_known_answers() -> None:
    assert OPENFACE_AUS.normalize(torch.full((2, 17), 2.5)).tolist() == [[0.5] * 17] * 2
    assert UNEVEN.normalize(torch.tensor([10.0, 1.0])).tolist() == [1.0, 0.5]
    assert UNEVEN.denormalize(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 4.0]
    # Linear also outside: it is validate that refuses.
    assert OPENFACE_AUS.normalize(torch.full((17,), 10.0)).max() == 2.0


def test_vector_starts_from_neutral() -> None:
    assert UNEVEN.vector().tolist() == UNEVEN.neutral_vector().tolist() == [0.0, 0.5]
    assert UNEVEN.vector({"a": -1}, b=2).tolist() == [-1.0, 2.0]
    assert UNEVEN.vector().dtype == torch.float32


def test_validate_returns_its_argument_and_allows_rounding() -> None:
    y = torch.tensor([[1.00005, 2.0]])
    assert UNEVEN.validate(y) is y
    assert UNEVEN.validate(torch.zeros(0, 2)).shape == (0, 2)
    assert UNEVEN.validate(torch.zeros(3, 4, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_concatenation_keeps_ranges_and_mirrors() -> None:
    both = PAIR + UNEVEN
    assert both.names == ("jaw", "smileLeft", "smileRight", "a", "b")
    assert both.mirror == (0, 2, 1, 3, 4)
    assert both.low == (0, 0, 0, -1, 0) and both.raw_high == (1, 1, 1, 10, 4)
    assert both.subset(UNEVEN.names) == UNEVEN
    assert both.subset(PAIR.names) == PAIR


def test_subset_reorders_and_can_drop_the_mirror() -> None:
    swapped = PAIR.subset(["smileRight", "smileLeft"])
    assert swapped.names == ("smileRight", "smileLeft") and swapped.mirror == (1, 0)
    assert PAIR.subset(["smileLeft"], keep_mirror=False).mirror is None


def test_openface_preset() -> None:
    units = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
    assert [int(name.removeprefix("AU")) for name in OPENFACE_AUS.names] == list(units)
    assert {len(name) for name in OPENFACE_AUS.names} == {4}
    assert set(OPENFACE_AUS.raw_high) == {5.0} and set(OPENFACE_AUS.high) == {1.0}
    y = torch.rand(3, 17)
    assert torch.equal(OPENFACE_AUS.flip(y), y)


def test_arkit_preset() -> None:
    assert ARKIT_BLENDSHAPES.dim == len(ARKIT_BLENDSHAPES) == 52
    assert list(ARKIT_BLENDSHAPES.names) == sorted(ARKIT_BLENDSHAPES.names)
    flipped = ARKIT_BLENDSHAPES.flip(
        ARKIT_BLENDSHAPES.vector(mouthLeft=0.3, jawRight=0.5, eyeBlinkLeft=1, jawOpen=0.7)
    )
    assert torch.equal(
        flipped, ARKIT_BLENDSHAPES.vector(mouthRight=0.3, jawLeft=0.5, eyeBlinkRight=1, jawOpen=0.7)
    )
    assert ARKIT_BLENDSHAPES.mirror is not None
    for i, j in enumerate(ARKIT_BLENDSHAPES.mirror):
        name, other = ARKIT_BLENDSHAPES.names[i], ARKIT_BLENDSHAPES.names[j]
        assert (i == j) == ("Left" not in name and "Right" not in name)
        assert other == name.replace("Left", "#").replace("Right", "Left").replace("#", "Right")


def test_slidergan_presets_and_labels() -> None:
    both = pca_blendshapes(30) + speech_blendshapes(10)
    assert both.dim == 40 and set(both.low) == {-1.0} and set(both.neutral) == {0.0}
    assert labels(["sad", "happy"]).vector(happy=1).tolist() == [0.0, 1.0]


def test_space_is_frozen_and_short_to_print() -> None:
    with pytest.raises(AttributeError):
        PAIR.names = ("x",)  # type: ignore[misc]
    assert repr(PAIR) == "ConditionSpace(3: jaw, smileLeft, smileRight)"
    assert len(repr(ARKIT_BLENDSHAPES)) < 120


def test_flip_and_clamp_compile_without_graph_breaks() -> None:
    def step(y: torch.Tensor) -> torch.Tensor:
        return PAIR.clamp(PAIR.flip(PAIR.validate(y)))

    y = torch.rand(2, 3) * 2
    y.clamp_(0, 1)
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    assert torch.equal(compiled(y), step(y))


WRONG_SPACES = [
    (lambda: ConditionSpace([]), ValueError, "names: expected at least one name, got none"),
    (lambda: ConditionSpace("AU12"), TypeError, "names: expected a list of names, got 'AU12'"),
    (lambda: ConditionSpace(["a", 3]), TypeError, "names: expected strings, got 3"),
    (lambda: ConditionSpace(["a", ""]), ValueError, "printable names without blanks around them, got ''"),
    (lambda: ConditionSpace([" a"]), ValueError, "without blanks around them, got ' a'"),
    (lambda: ConditionSpace(["a\n"]), ValueError, "without blanks"),
    (lambda: ConditionSpace(["a", "b", "a"]), ValueError, "names: 'a' appears twice"),
    (
        lambda: ConditionSpace(["a"], low=1, high=1),
        ValueError,
        "low: expected a value below high for 'a', got low 1",
    ),
    (lambda: ConditionSpace(["a", "b"], low=[0, 2]), ValueError, "low: expected a value below high for 'b'"),
    (lambda: ConditionSpace(["a"], low=float("nan")), ValueError, "low: expected finite numbers, got nan"),
    (lambda: ConditionSpace(["a"], high=float("inf")), ValueError, "high: expected finite numbers, got inf"),
    (
        lambda: ConditionSpace(["a"], high=[1, 2]),
        ValueError,
        "high: expected a number or 1 numbers, got 2 numbers",
    ),
    (lambda: ConditionSpace(["a"], high="1"), TypeError, "high: expected a number or 1 numbers, got '1'"),
    (lambda: ConditionSpace(["a"], neutral=[True]), TypeError, "neutral: expected numbers, got True"),
    (
        lambda: ConditionSpace(["a"], neutral=2),
        ValueError,
        r"neutral: expected a value in \[0, 1\] for 'a', got 2",
    ),
    (
        lambda: ConditionSpace(["a"], raw_low=5, raw_high=0),
        ValueError,
        "raw_low: expected a value below raw_high",
    ),
    (
        lambda: ConditionSpace(["a", "b"], mirror={"a": "c"}),
        ValueError,
        "names: 'c' is not one of the 2 components",
    ),
    (
        lambda: ConditionSpace(["a", "b", "c"], mirror={"a": "b", "c": "b"}),
        ValueError,
        "mirror: 'c' and 'b' are no pair",
    ),
    (lambda: ConditionSpace(["a", "b", "c"], mirror=[1, 2, 0]), ValueError, "mirror: .* its own inverse"),
    (
        lambda: ConditionSpace(["a", "b"], mirror=[0]),
        ValueError,
        r"mirror: expected a permutation of range\(2\)",
    ),
    (
        lambda: ConditionSpace(["a", "b"], mirror=["b", "a"]),
        TypeError,
        "mirror: expected a permutation of integers",
    ),
    (
        lambda: ConditionSpace(["a"], mirror=3),
        TypeError,
        "mirror: expected a mapping of names or a permutation, got 3",
    ),
    (
        lambda: ConditionSpace(["a", "b"], high=[1, 2], mirror=[1, 0]),
        ValueError,
        "mirror: .* need the same high, got 1",
    ),
]

WRONG_CALLS = [
    (
        lambda: PAIR.index("smileLeftt"),
        ValueError,
        "'smileLeftt' is not one of the 3 .* did you mean 'smileLeft'",
    ),
    (lambda: OPENFACE_AUS.index("au12"), ValueError, "did you mean 'AU12'"),
    (lambda: PAIR.index(1), TypeError, "names: expected a component's name, got 1"),
    (lambda: PAIR.vector(jaw=1.5), ValueError, r"jaw: expected a finite number in \[0.0, 1.0\], got 1.5"),
    (lambda: PAIR.vector(jaw="1"), TypeError, "jaw: expected a finite number"),
    (lambda: PAIR.vector({"jaw": 1}, jaw=1), ValueError, "values: 'jaw' is given both"),
    (
        lambda: PAIR.validate([0, 0, 0]),
        TypeError,
        r"condition: expected a floating tensor of shape \(..., 3\), got a list",
    ),
    (
        lambda: PAIR.validate(torch.zeros(3, dtype=torch.int64)),
        TypeError,
        "got a int64 tensor|got an int64 tensor",
    ),
    (
        lambda: PAIR.validate(torch.zeros(2, 4)),
        ValueError,
        r"shape \(..., 3\), got a float32 tensor of shape \(2, 4\)",
    ),
    (lambda: PAIR.validate(torch.tensor(0.0)), ValueError, r"got a float32 tensor of shape \(\)"),
    (
        lambda: PAIR.validate(torch.tensor([[0, 0, 0], [0, float("nan"), 0]]), name="target"),
        ValueError,
        r"target: component 'smileLeft' must lie in \[0, 1\], got nan at index \(1, 1\)",
    ),
    (lambda: PAIR.validate(torch.tensor([0, 0, -0.2])), ValueError, "component 'smileRight' .* got -0.2"),
    (lambda: PAIR.validate(torch.tensor([float("inf"), 0, 0])), ValueError, "component 'jaw' .* got inf"),
    (
        lambda: PAIR.normalize(torch.zeros(2)),
        ValueError,
        r"raw: expected a floating tensor of shape \(..., 3\)",
    ),
    (lambda: PAIR.denormalize(None), TypeError, "y: expected a floating tensor .* got None"),
    (lambda: PAIR.flip(torch.zeros(2, 2)), ValueError, "y: expected a floating tensor"),
    (lambda: PAIR.clamp(torch.zeros(2, 2)), ValueError, "y: expected a floating tensor"),
    (lambda: PAIR.subset(["smileLeft"]), ValueError, "'smileLeft' becomes 'smileRight' on a flipped image"),
    (lambda: PAIR.subset(["jaww"]), ValueError, "did you mean 'jaw'"),
    (lambda: PAIR + ConditionSpace(["x", "jaw"]), ValueError, "names: 'jaw' is in both spaces"),
    (lambda: PAIR + 3, TypeError, "unsupported operand"),
    (lambda: ConditionSpace.from_dict([]), TypeError, "plain: expected the mapping"),
    (
        lambda: ConditionSpace.from_dict({"names": ["a"], "low": 0, "high": 1}),
        ValueError,
        "'neutral' is missing",
    ),
    (
        lambda: ConditionSpace.from_dict({**PAIR.to_dict(), "lo": 1}),
        ValueError,
        "unknown key 'lo'; did you mean 'low'",
    ),
    (
        lambda: ConditionSpace.from_dict({**PAIR.to_dict(), "low": [0]}),
        ValueError,
        "low: expected .* got 1 numbers",
    ),
    (lambda: pca_blendshapes(0), ValueError, "count: expected an integer at least 1, got 0"),
    (lambda: speech_blendshapes(2.5), TypeError, "count: expected an integer"),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG_SPACES + WRONG_CALLS)
def test_wrong_arguments_are_named(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
