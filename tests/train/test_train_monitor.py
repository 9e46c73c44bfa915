from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aucond.train import HEALTHY_RANGES, WATCHES, Monitor, Verdict

HEALTHY = {"attention_mean": 0.2, "attention_saturated": 0.5, "edit_size": 0.05}


def feed(monitor: Monitor, values: list[dict[str, float]], start: int = 1) -> list[Verdict]:
    return [v for step, watched in enumerate(values, start) for v in monitor.update(step, {}, watched)]


@pytest.mark.parametrize(
    ("kind", "watched"),
    [
        ("collapsed_to_0", {"attention_mean": 0.001}),
        ("collapsed_to_1", {"attention_mean": 0.99}),
        ("saturated", {"attention_saturated": 0.9999}),
        ("edit_too_small", {"edit_size": 0.0001}),
        ("edit_too_large", {"edit_size": 0.9}),
    ],
)
def test_each_trouble_is_told_once_and_its_end_too(kind: str, watched: dict[str, float]) -> None:
    monitor = Monitor(window=5)
    assert feed(monitor, [HEALTHY] * 5) == [] and monitor.healthy
    [begun] = feed(monitor, [HEALTHY | watched] * 12, start=6)
    assert (begun.kind, begun.over, begun.step) == (kind, False, begun.step) and 6 <= begun.step <= 10
    assert monitor.alarms == (kind,) and not monitor.healthy
    assert begun.message.startswith(f"step {begun.step}: ") and begun.name in begun.message
    [ended] = feed(monitor, [HEALTHY] * 12, start=18)
    assert (ended.kind, ended.over) == (kind, True) and "it is over" in ended.message
    assert monitor.healthy and monitor.alarms == () and monitor.history == [begun, ended]


def test_a_single_bad_step_is_no_trouble() -> None:
    monitor = Monitor(window=50)
    bad = {"attention_mean": 0.0, "edit_size": 0.0}
    assert feed(monitor, [HEALTHY] * 50 + [bad] + [HEALTHY] * 50) == []
    assert monitor.healthy


def test_nothing_is_judged_before_the_window_is_full() -> None:
    monitor = Monitor(window=4)
    assert feed(monitor, [{"attention_mean": 0.0}] * 3) == [] and monitor.alarms == ()
    assert [v.kind for v in feed(monitor, [{"attention_mean": 0.0}])] == ["collapsed_to_0"]


def test_a_value_between_the_limits_neither_raises_nor_clears_but_is_not_healthy() -> None:
    between = {"attention_mean": 0.01}
    monitor = Monitor(window=1)
    assert feed(monitor, [between]) == [] and not monitor.healthy and monitor.alarms == ()
    feed(monitor, [{"attention_mean": 0.0}])
    assert feed(monitor, [between, {"attention_mean": 0.004}, between]) == []
    assert monitor.alarms == ("collapsed_to_0",)


def test_a_last_value_past_the_limit_is_not_healthy() -> None:
    monitor = Monitor(window=10)
    feed(monitor, [HEALTHY] * 10)
    assert monitor.healthy
    feed(monitor, [HEALTHY | {"attention_mean": 0.01}])
    assert not monitor.healthy and monitor.alarms == ()
    feed(monitor, [HEALTHY])
    assert monitor.healthy


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_term_that_is_not_finite_is_told_at_once(value: float) -> None:
    monitor = Monitor({"not_finite": "raise ToyWeights.penalty"})
    [verdict] = monitor.update(9, {"critic/adversarial": 1.0, "generator/cycle": value}, {})
    assert verdict.kind == "not_finite" and verdict.name == "generator/cycle"
    assert verdict.message == f"step 9: the loss term generator/cycle is {value}: raise ToyWeights.penalty"
    assert not monitor.healthy


def test_watched_values_that_are_not_finite_or_not_watched_are_let_pass() -> None:
    monitor = Monitor(window=1)
    assert feed(monitor, [{"attention_mean": math.nan, "other": math.inf}]) == [] and monitor.healthy


def test_the_recipes_words_take_the_place_of_the_general_ones() -> None:
    own, general = Monitor({"collapsed_to_1": "raise X.attention"}, window=1), Monitor(window=1)
    [a], [b] = (m.update(1, {}, {"attention_mean": 1.0}) for m in (own, general))
    assert a.message.endswith(": raise X.attention")
    assert b.message.endswith(": raise the weight of the attention penalty")


def test_ranges_and_watches_agree() -> None:
    for watch in WATCHES:
        low, high = HEALTHY_RANGES[watch.name]
        assert watch.clear == (low if watch.side == "below" else high)
        assert watch.beyond(watch.alarm, watch.clear), "an alarm must lie past its end"


@given(
    st.lists(
        st.fixed_dictionaries({"attention_mean": st.floats(0, 1), "edit_size": st.floats(0, 2)}),
        min_size=1,
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_going_on_from_the_saved_state_says_the_same(values: list[dict[str, float]], stop: int) -> None:
    whole, first, second = (Monitor(window=3) for _ in range(3))
    feed(whole, values)
    feed(first, values[:stop])
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    feed(second, values[stop:], start=min(stop, len(values)) + 1)
    assert second.history == whole.history
    assert (second.healthy, second.alarms) == (whole.healthy, whole.alarms)


def test_a_history_with_nan_survives_json() -> None:
    first, second = Monitor(), Monitor()
    first.update(1, {"x": math.nan}, {})
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert math.isnan(second.history[0].value) and second.alarms == ("not_finite",)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (({"collapsed_to_2": "x"},), {}, ValueError, "got 'collapsed_to_2'; did you mean 'collapsed_to_"),
        (({"saturated": 3},), {}, TypeError, r"advice\['saturated'\]: expected a sentence, got 3"),
        ((["x"],), {}, TypeError, "advice: expected a mapping"),
        ((), {"window": 0}, ValueError, "window: expected an integer at least 1"),
    ],
)
def test_bad_arguments(arguments: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Monitor(*arguments, **options)
