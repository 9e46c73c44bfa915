"""The monitor: notices the failures everyone meets, and says in plain words what to do about them."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from aucond._check import check_number, describe, nearest

__all__ = ["HEALTHY_RANGES", "WATCHES", "Monitor", "Verdict", "VerdictKind", "Watch"]

VerdictKind = Literal[
    "collapsed_to_0", "collapsed_to_1", "saturated", "edit_too_small", "edit_too_large", "not_finite"
]

HEALTHY_RANGES: dict[str, tuple[float, float]] = {
    "attention_mean": (0.02, 0.6),
    "attention_saturated": (0.0, 0.98),
    "edit_size": (0.01, 0.45),
}
"""Where the watched values lie in a healthy run.

``attention_mean`` is the mean of the edit mask; ``attention_saturated`` the share of its values below 0.01 or above
0.99 (a mask that leaves the background alone is mostly near 0, so a large share is normal, all of it is not);
``edit_size`` the mean of \\|edit - input\\| for images in [-1, 1].
"""


@dataclass(frozen=True)
class Watch:
    """When a watched value raises an alarm, and when the alarm is over.

    The two limits differ (hysteresis) so that a value at the border does not raise one alarm after another.
    """

    name: str
    """Which entry of ``LossTerms.monitor`` is watched."""
    kind: VerdictKind
    """What an alarm means."""
    side: Literal["below", "above"]
    """On which side of the limits the trouble lies."""
    alarm: float
    """The alarm is raised when the mean over the window is past this."""
    clear: float
    """The alarm is over when the mean over the window is not past this."""
    meaning: str
    """The alarm in plain words."""
    advice: str
    """What to do, in words that fit every recipe; a recipe's own advice takes its place."""

    def beyond(self, value: float, limit: float) -> bool:
        """Whether ``value`` is past ``limit`` on the troubled side."""
        return value < limit if self.side == "below" else value > limit


WATCHES: tuple[Watch, ...] = (
    Watch(
        name="attention_mean",
        kind="collapsed_to_0",
        side="below",
        alarm=0.005,
        clear=0.02,
        meaning="the attention mask has collapsed to 0, the generator returns its input",
        advice="lower the weight of the attention penalty, or raise the weight of the condition loss",
    ),
    Watch(
        name="attention_mean",
        kind="collapsed_to_1",
        side="above",
        alarm=0.9,
        clear=0.6,
        meaning="the attention mask has collapsed to 1, the generator repaints the whole image",
        advice="raise the weight of the attention penalty",
    ),
    Watch(
        name="attention_saturated",
        kind="saturated",
        side="above",
        alarm=0.998,
        clear=0.98,
        meaning="the attention mask is 0 or 1 nearly everywhere, so that hardly any gradient passes it",
        advice="raise the weight of the mask's total variation, or lower the learning rate",
    ),
    Watch(
        name="edit_size",
        kind="edit_too_small",
        side="below",
        alarm=0.003,
        clear=0.01,
        meaning="edits hardly differ from their input",
        advice="raise the weight of the condition loss, or lower the weight of the cycle loss",
    ),
    Watch(
        name="edit_size",
        kind="edit_too_large",
        side="above",
        alarm=0.6,
        clear=0.45,
        meaning="edits have little to do with their input",
        advice="raise the weight of the cycle loss, or lower the weight of the condition loss",
    ),
)
"""What is watched by default; the limits to clear an alarm are the borders of :data:`HEALTHY_RANGES`."""

_NOT_FINITE_ADVICE = (
    "lower the learning rate, raise the weight of the gradient penalty, set gradient_clip, "
    "or train in float32 if this was bfloat16"
)


@dataclass(frozen=True)
class Verdict:
    """One thing the monitor noticed."""

    step: int
    """The step after which it was noticed."""
    kind: VerdictKind
    """What it is."""
    name: str
    """Which value showed it."""
    value: float
    """That value: its mean over the window, or the value that is not finite."""
    over: bool
    """False: the trouble has begun; True: it is over."""
    message: str
    """It in plain words, with what to do."""


class Monitor:
    """Watches the values of each step and tells when training goes wrong, and when it is right again.

    A watched value raises an alarm when its mean over the last ``window`` values is past the limit, never for a
    single step. A loss term that is not finite is told at once. The monitor only looks; what is done about it is the
    Trainer's business.

    Args:
        advice: What to do about each kind of verdict, in the recipe's own words (the weight to move and in which
            direction); where it says nothing, general words are used.
        window: How many values are averaged, at least 1. Mask values come with the generator's steps.
        watches: What is watched.

    Raises:
        ValueError: If ``advice`` has a key that is no kind of verdict.
        TypeError: If ``advice`` is no mapping from str to str.

    >>> monitor = Monitor({"collapsed_to_0": "lower GANimationWeights.attention"}, window=2)
    >>> monitor.update(1, {}, {"attention_mean": 0.0})
    []
    >>> [verdict] = monitor.update(2, {}, {"attention_mean": 0.001})
    >>> verdict.kind, verdict.value
    ('collapsed_to_0', 0.0005)
    >>> verdict.message.split(": ")[-1]
    'lower GANimationWeights.attention'
    >>> monitor.healthy
    False
    """

    def __init__(
        self,
        advice: Mapping[str, str] | None = None,
        *,
        window: int = 50,
        watches: tuple[Watch, ...] = WATCHES,
    ) -> None:
        check_number("window", window, low=1, integer=True)
        self._advice = _checked_advice({} if advice is None else advice)
        self._window = window
        self._watches = watches
        self._values: dict[str, deque[float]] = {w.name: deque(maxlen=window) for w in watches}
        self._alarms: set[str] = set()
        self.history: list[Verdict] = []
        """Every verdict of the run, oldest first."""

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong: no alarm, and neither the last value nor the mean past a limit that clears one.

        Stricter than "no alarm", since a mask is on its way to collapse for a while before the alarm is raised.
        """
        if self._alarms:
            return False
        for watch in self._watches:
            values = self._values[watch.name]
            full = len(values) == self._window
            if (values and watch.beyond(values[-1], watch.clear)) or (
                full and watch.beyond(_mean(values), watch.clear)
            ):
                return False
        return True

    @property
    def alarms(self) -> tuple[str, ...]:
        """The kinds of verdict that are on, in alphabetical order."""
        return tuple(sorted(self._alarms))

    def update(self, step: int, terms: Mapping[str, float], watched: Mapping[str, float]) -> list[Verdict]:
        """Take in the values of one step.

        Args:
            step: The step's number.
            terms: The loss terms, by name.
            watched: The ``monitor`` entries of the losses, by name. Those that nobody watches, and those that are not
                finite (a mean over nothing, say), are let pass.

        Returns:
            What is new: troubles that began and troubles that ended with this step.
        """
        verdicts = []
        for name, value in terms.items():
            if not math.isfinite(value):
                self._alarms.add("not_finite")
                verdicts.append(self._not_finite(step, name, value))
        for name, value in watched.items():
            if name in self._values and math.isfinite(value):
                self._values[name].append(value)
        for watch in self._watches:
            if watch.name in watched and len(self._values[watch.name]) == self._window:
                verdicts += self._judge(step, watch, _mean(self._values[watch.name]))
        self.history += verdicts
        return verdicts

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs to go on, as JSON knows it."""
        history = [{**dataclasses.asdict(v), "value": _json_number(v.value)} for v in self.history]
        return {
            "values": {name: list(values) for name, values in self._values.items()},
            "alarms": sorted(self._alarms),
            "history": history,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another monitor stood. Values that are not watched here are left out."""
        for name, values in self._values.items():
            values.clear()
            values.extend(state["values"].get(name, ()))
        self._alarms = set(state["alarms"])
        self.history = [Verdict(**{**v, "value": float(v["value"])}) for v in state["history"]]

    def _judge(self, step: int, watch: Watch, mean: float) -> list[Verdict]:
        low, high = HEALTHY_RANGES.get(watch.name, (-math.inf, math.inf))
        figures = f"({watch.name} is {mean:.4g}, healthy is {low:g} to {high:g})"
        if watch.kind not in self._alarms and watch.beyond(mean, watch.alarm):
            self._alarms.add(watch.kind)
            advice = self._advice.get(watch.kind, watch.advice)
            message = f"step {step}: {watch.meaning} {figures}: {advice}"
            return [Verdict(step, watch.kind, watch.name, mean, over=False, message=message)]
        if watch.kind in self._alarms and not watch.beyond(mean, watch.clear):
            self._alarms.discard(watch.kind)
            message = f"step {step}: it is over that {watch.meaning} {figures}"
            return [Verdict(step, watch.kind, watch.name, mean, over=True, message=message)]
        return []

    def _not_finite(self, step: int, name: str, value: float) -> Verdict:
        advice = self._advice.get("not_finite", _NOT_FINITE_ADVICE)
        message = f"step {step}: the loss term {name} is {value}: {advice}"
        return Verdict(step, "not_finite", name, value, over=False, message=message)


def _checked_advice(advice: Any) -> dict[str, str]:
    if not isinstance(advice, Mapping):
        raise TypeError(
            f"advice: expected a mapping from kinds of verdict to sentences, got {describe(advice)}"
        )
    kinds = get_args(VerdictKind)
    for kind, words in advice.items():
        if kind not in kinds:
            raise ValueError(
                f"advice: expected keys among {', '.join(kinds)}, got {kind!r}{nearest(str(kind), kinds)}"
            )
        if not isinstance(words, str):
            raise TypeError(f"advice[{kind!r}]: expected a sentence, got {describe(words)}")
    return dict(advice)


def _mean(values: deque[float]) -> float:
    return math.fsum(values) / len(values)


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
