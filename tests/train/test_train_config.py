from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aucond.train import TrainerConfig


def test_defaults_are_the_papers() -> None:
    config = TrainerConfig(steps=240_000)
    assert (config.critic_steps_per_generator_step, config.learning_rate, config.betas) == (
        5,
        1e-4,
        (0.5, 0.999),
    )
    assert (
        config.critic_learning_rate is None
        and config.gradient_clip is None
        and config.critic_warmup_steps == 0
    )
    # 30 epochs of 8,000 batches: constant for 20, then straight down to 0.
    assert [config.learning_rate_factor(e * 8_000 + 1) for e in (0, 19, 20, 25)] == [1.0, 1.0, 1.0, 0.5]
    assert config.learning_rate_factor(240_000) == 1 / 80_000


def test_every_fifth_step_trains_the_generator_after_the_warmup() -> None:
    config = TrainerConfig(steps=30, critic_warmup_steps=12)
    assert [s for s in range(1, 31) if config.trains_generator(s)] == [15, 20, 25, 30]


def test_no_decay() -> None:
    config = TrainerConfig(steps=10, decay_start=10)
    assert {config.learning_rate_factor(s) for s in range(1, 11)} == {1.0}


@given(steps=st.integers(1, 400), start=st.integers(0, 400))
def test_the_learning_rate_never_rises_and_never_reaches_zero(steps: int, start: int) -> None:
    config = TrainerConfig(steps=steps, decay_start=min(start, steps))
    factors = [config.learning_rate_factor(s) for s in range(1, steps + 1)]
    assert factors[0] == 1.0 and min(factors) > 0
    assert all(a >= b for a, b in zip(factors, factors[1:], strict=False))


@given(
    steps=st.integers(1, 10**6),
    betas=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    clip=st.none() | st.floats(0.1, 10),
    precision=st.sampled_from(["float32", "bfloat16"]),
    speed=st.sampled_from(["reference", "fast"]),
)
def test_survives_json(
    steps: int, betas: tuple[float, float], clip: float | None, precision: Any, speed: Any
) -> None:
    config = TrainerConfig(steps=steps, betas=betas, gradient_clip=clip, precision=precision, speed=speed)
    assert TrainerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_changes_name_what_changes_the_result_only() -> None:
    old = TrainerConfig(steps=10, log_every=1, keep_checkpoints=1)
    new = TrainerConfig(steps=10, log_every=5, keep_checkpoints=9, checkpoint_every=2, learning_rate=1e-3)
    assert old.changes(new) == {"learning_rate": (1e-4, 1e-3)}


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps: expected an integer at least 1, got 0"),
        ({"steps": 10.0}, TypeError, "steps: expected an integer"),
        ({"steps": True}, TypeError, "steps: expected an integer"),
        ({"critic_steps_per_generator_step": 0}, ValueError, "critic_steps_per_generator_step"),
        ({"learning_rate": 0}, ValueError, "learning_rate: expected a finite number above 0, got 0"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate: expected a finite number"),
        ({"critic_learning_rate": -1.0}, ValueError, "critic_learning_rate"),
        ({"betas": [0.5, 0.9]}, TypeError, "betas: expected a tuple of two numbers"),
        ({"betas": (0.5,)}, TypeError, "betas: expected a tuple of two numbers"),
        ({"betas": (0.5, 1.0)}, ValueError, r"betas\[1\]: expected a finite number in \[0, 1\)"),
        ({"decay_start": 11}, ValueError, r"decay_start: expected an integer in \[0, 10\], got 11"),
        ({"critic_warmup_steps": -1}, ValueError, "critic_warmup_steps"),
        ({"ema_decay": 1}, ValueError, "ema_decay"),
        (
            {"precision": "float16"},
            ValueError,
            "precision: expected one of 'float32', 'bfloat16', got 'float16'",
        ),
        ({"seed": -1}, ValueError, "seed: expected an integer at least 0"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every"),
        ({"keep_checkpoints": 0}, ValueError, "keep_checkpoints"),
        ({"log_every": 0}, ValueError, "log_every"),
        ({"preview_every": None}, TypeError, "preview_every"),
        ({"gradient_clip": 0.0}, ValueError, "gradient_clip"),
        ({"speed": "slow"}, ValueError, "speed: expected one of 'reference', 'fast', got 'slow'"),
    ],
)
def test_bad_fields(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TrainerConfig(**{"steps": 10, **fields})


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"steps": 1, "learn_rate": 1}, ValueError, "'learn_rate' is no field.*did you mean 'learning_rate'"),
        ({"seed": 1}, TypeError, "expected the field 'steps'"),
        ([("steps", 1)], TypeError, "expected a mapping"),
    ],
)
def test_bad_dicts(values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TrainerConfig.from_dict(values)
