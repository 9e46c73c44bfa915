"""Adversarial losses: numbers worked by hand, shifts, batches, gradients, and objects equal to functions."""

from __future__ import annotations

import inspect
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from aucond.losses import (
    Hinge,
    LeastSquares,
    NonSaturating,
    RelativisticAverage,
    RelativisticPairing,
    Wasserstein,
    adversarial,
)

PAIRS = {
    Wasserstein(): ("wgan", {}),
    RelativisticAverage(): ("relativistic_average", {"form": "slidergan"}),
    RelativisticAverage("log"): ("relativistic_average", {"form": "log"}),
    RelativisticPairing(): ("relativistic_pairing", {}),
    LeastSquares(): ("least_squares", {}),
    Hinge(): ("hinge", {}),
    NonSaturating(): ("non_saturating", {}),
}
OBJECTS = list(PAIRS)
NAMES = [repr(loss) for loss in OBJECTS]
RELATIVISTIC = [loss for loss in OBJECTS if loss.needs_real]
SHAPES = [(3,), (3, 1), (3, 1, 2, 4)]
every = pytest.mark.parametrize("loss", OBJECTS, ids=NAMES)


def functions(loss):
    name, arguments = PAIRS[loss]
    critic = getattr(adversarial, f"{name}_critic_loss")
    generator = getattr(adversarial, f"{name}_generator_loss")
    return partial(critic, **arguments), partial(generator, **arguments)


def scores(shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    make = partial(torch.randn, *shape, generator=rng, dtype=torch.float64)
    return make(), make()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softplus(x):
    return math.log1p(math.exp(x))


# Reals 1 and 3 (mean 2), fakes 0 and -2 (mean -1).
a, b = [2.0, 4.0], [-2.0, -4.0]
BY_HAND = {
    Wasserstein(): (-3.0, 1.0),
    RelativisticAverage(): (
        (sum(map(sigmoid, b)) - sum(map(sigmoid, a))) / 2,
        (sum(map(sigmoid, a)) - sum(map(sigmoid, b))) / 2,
    ),
    RelativisticAverage("log"): (
        sum(softplus(-x) for x in a) / 2 + sum(softplus(x) for x in b) / 2,
        sum(softplus(x) for x in a) / 2 + sum(softplus(-x) for x in b) / 2,
    ),
    RelativisticPairing(): ((softplus(-1) + softplus(-5)) / 2, (softplus(1) + softplus(5)) / 2),
    LeastSquares(): (0.5 * (0 + 4) / 2 + 0.5 * (0 + 4) / 2, 0.5 * (1 + 9) / 2),
    Hinge(): (0.5 * (1 + 0), 1.0),
    NonSaturating(): (
        (softplus(-1) + softplus(-3)) / 2 + (softplus(0) + softplus(-2)) / 2,
        (softplus(0) + softplus(2)) / 2,
    ),
}


@every
def test_known_answer(loss):
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, -2.0])
    critic, generator = BY_HAND[loss]
    assert loss.critic(real, fake).item() == pytest.approx(critic, rel=1e-6)
    assert loss.generator(fake, real).item() == pytest.approx(generator, rel=1e-6)


@every
def test_patch_map_is_averaged_per_sample(loss):
    """Two samples of two patches each: the value is the mean over patches of the per-patch loss."""
    real = torch.tensor([[1.0, 3.0], [0.5, -1.0]], dtype=torch.float64).reshape(2, 1, 1, 2)
    fake = torch.tensor([[0.0, -2.0], [2.0, 0.25]], dtype=torch.float64).reshape(2, 1, 1, 2)
    flat_critic = loss.critic(real.flatten(), fake.flatten(), "none").reshape(2, 2).mean(1)
    flat_generator = loss.generator(fake.flatten(), real.flatten(), "none").reshape(2, 2).mean(1)
    torch.testing.assert_close(loss.critic(real, fake, "none"), flat_critic)
    torch.testing.assert_close(loss.generator(fake, real, "none"), flat_generator)


@every
def test_object_and_functions_have_one_signature(loss):
    critic, generator = (function.func for function in functions(loss))
    for method, function in ((loss.critic, critic), (loss.generator, generator)):
        own = inspect.signature(method).parameters
        theirs = {k: p for k, p in inspect.signature(function).parameters.items() if p.kind != p.KEYWORD_ONLY}
        assert [(p.name, p.default, p.kind) for p in own.values()] == [
            (p.name, p.default, p.kind) for p in theirs.values()
        ]


@every
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_object_and_functions_give_the_same_numbers(loss, shape, reduction):
    real, fake = scores(shape)
    critic, generator = functions(loss)
    assert torch.equal(loss.critic(real, fake, reduction), critic(real, fake, reduction))
    assert torch.equal(loss.generator(fake, real, reduction), generator(fake, real, reduction))


@every
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reductions(loss, shape):
    real, fake = scores(shape)
    for call in (partial(loss.critic, real, fake), partial(loss.generator, fake, real)):
        values = call("none")
        assert values.shape == (3,)
        torch.testing.assert_close(call("mean"), values.mean())
        torch.testing.assert_close(call("sum"), values.sum())


@pytest.mark.parametrize("loss", RELATIVISTIC, ids=repr)
@settings(max_examples=30, deadline=None)
@given(shift=st.floats(-50, 50), seed=st.integers(0, 10**6), patches=st.integers(1, 3))
def test_relativistic_losses_ignore_a_shift_of_all_scores(loss, shift, seed, patches):
    real, fake = scores((4, 1, patches, 2), seed)
    for first, second in (
        (loss.critic(real, fake), loss.critic(real + shift, fake + shift)),
        (loss.generator(fake, real), loss.generator(fake + shift, real + shift)),
    ):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("loss", [LeastSquares(), Hinge(), NonSaturating()], ids=repr)
def test_the_others_do_not(loss):
    real, fake = scores((4,))
    assert abs(loss.critic(real, fake) - loss.critic(real + 3, fake + 3)) > 0.1


@pytest.mark.parametrize("loss", [x for x in OBJECTS if not isinstance(x, RelativisticAverage)], ids=repr)
@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_a_sample_does_not_know_its_batch(loss, batch, seed):
    real, fake = scores((batch, 1, 2, 3), seed)
    alone = torch.cat([loss.critic(r[None], f[None], "none") for r, f in zip(real, fake, strict=True)])
    torch.testing.assert_close(loss.critic(real, fake, "none"), alone)
    alone = torch.cat([loss.generator(f[None], r[None], "none") for r, f in zip(real, fake, strict=True)])
    torch.testing.assert_close(loss.generator(fake, real, "none"), alone)


@pytest.mark.parametrize("form", ["slidergan", "log"])
@pytest.mark.parametrize("repeats", [2, 5])
def test_relativistic_average_of_a_repeated_batch_is_unchanged(form, repeats):
    loss = RelativisticAverage(form)
    real, fake = scores((3, 1, 2, 2))
    many = loss.critic(real.repeat(repeats, 1, 1, 1), fake.repeat(repeats, 1, 1, 1))
    torch.testing.assert_close(many, loss.critic(real, fake))


def test_slidergan_form_is_a_zero_sum_game():
    """SliderGAN Eq. 6: both terms are also in the generator's objective, with the opposite sign."""
    real, fake = scores((5, 1, 2, 2))
    loss = RelativisticAverage()
    torch.testing.assert_close(loss.generator(fake, real, "none"), -loss.critic(real, fake, "none"))


@every
def test_critic_pulls_scores_apart_and_generator_pushes_them_back(loss):
    real, fake = (torch.full((6,), 0.5, requires_grad=True) for _ in range(2))
    on_real, on_fake = torch.autograd.grad(loss.critic(real, fake), (real, fake))
    assert on_real.sum() < 0 < on_fake.sum()
    (on_fake,) = torch.autograd.grad(loss.generator(fake, real), fake)
    assert on_fake.sum() < 0


@every
def test_real_scores_are_asked_for_exactly_when_needed(loss):
    real, fake = scores((4,))
    if loss.needs_real:
        with pytest.raises(
            ValueError, match=r"real_scores: expected the scores of the real images, got None"
        ):
            loss.generator(fake)
    else:
        assert torch.equal(loss.generator(fake), loss.generator(fake, real))


@every
@pytest.mark.parametrize("shape", [(3,), (2, 1, 1, 2)], ids=str)
def test_gradients(loss, shape):
    real, fake = (s.requires_grad_() for s in scores(shape, seed=3))
    assert gradcheck(loss.critic, (real, fake))
    assert gradgradcheck(loss.critic, (real, fake))
    assert gradcheck(loss.generator, (fake, real), check_undefined_grad=False)
    assert gradgradcheck(loss.generator, (fake, real), check_undefined_grad=False)


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_are_averaged_in_float32(loss, dtype):
    real, fake = (s.to(dtype) for s in scores((2, 1, 16, 16)))
    value = loss.critic(real, fake)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss.critic(real.float(), fake.float()))
    assert torch.equal(loss.generator(fake, real), loss.generator(fake.float(), real.float()))
    # Scores that have drifted far together: where half precision counts in steps of a half or overflows when squared.
    real, fake = (400 + 0.3 * s for s in (real, fake))
    assert torch.equal(loss.critic(real, fake), loss.critic(real.float(), fake.float()))
    assert loss.critic(real, fake).isfinite()


@every
def test_extreme_scores_stay_finite(loss):
    real, fake = torch.tensor([-1e4, 1e4]), torch.tensor([1e4, -1e4])
    assert loss.critic(real, fake).isfinite()
    assert loss.generator(fake, real).isfinite()


@every
def test_objects_are_frozen_and_compare_by_value(loss):
    assert loss == type(loss)(*([loss.form] if isinstance(loss, RelativisticAverage) else []))
    with pytest.raises(AttributeError):
        loss.weight = 2.0
