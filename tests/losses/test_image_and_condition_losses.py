"""Reconstruction and condition losses: Eq. 3 and 4 by hand, per sample, differentiable."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from aucond.losses import condition_regression_loss, cycle_identity_loss, paired_reconstruction_loss

RECONSTRUCTION = pytest.mark.parametrize("loss", [cycle_identity_loss, paired_reconstruction_loss])
CONDITION = {
    "squared_l2": condition_regression_loss,
    "mse": partial(condition_regression_loss, norm="mse"),
}


def pair(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    make = partial(torch.randn, *shape, generator=rng, dtype=torch.float64)
    return make(), make()


@RECONSTRUCTION
def test_eq_4_by_hand_on_2x2_images(loss):
    """Differences 0.1, 0.2, 0.3, 0.4 in each channel: the printed sum is 3.0, the mean 0.25."""
    difference = torch.tensor([[0.1, -0.2], [0.3, -0.4]], dtype=torch.float64)
    image = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    value = loss(image + difference, image)
    assert value.item() == pytest.approx(0.25)
    assert value.item() * 3 * 2 * 2 == pytest.approx(3.0)


def test_eq_3_by_hand():
    prediction = torch.tensor([[0.5, 0.0, 1.0], [0.0, 0.0, 0.0]])
    target = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
    torch.testing.assert_close(
        condition_regression_loss(prediction, target, reduction="none"), torch.tensor([1.25, 5])
    )
    assert condition_regression_loss(prediction, target).item() == pytest.approx(3.125)
    assert condition_regression_loss(prediction, target, "mse").item() == pytest.approx(3.125 / 3)


CASES = {
    "cycle": (cycle_identity_loss, (3, 4, 5)),
    "paired": (paired_reconstruction_loss, (3, 4, 5)),
    **{name: (loss, (7,)) for name, loss in CONDITION.items()},
}
every = pytest.mark.parametrize(("loss", "shape"), CASES.values(), ids=CASES.keys())


@every
@settings(max_examples=15, deadline=None)
@given(batch=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_a_sample_does_not_know_its_batch(loss, shape, batch, seed):
    first, second = pair(batch, *shape, seed=seed)
    alone = torch.cat([loss(a[None], b[None], reduction="none") for a, b in zip(first, second, strict=True)])
    assert alone.shape == (batch,)
    torch.testing.assert_close(loss(first, second, reduction="none"), alone)
    torch.testing.assert_close(loss(first, second), alone.mean())
    torch.testing.assert_close(loss(first, second, reduction="sum"), alone.sum())


@every
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_symmetric_and_0_only_for_equals(loss, shape, seed):
    first, second = pair(2, *shape, seed=seed)
    torch.testing.assert_close(loss(first, second), loss(second, first))
    assert loss(first, first).item() == 0
    assert loss(first, second).item() > 0


@every
def test_gradients(loss, shape):
    first, second = (t[:2].requires_grad_() for t in pair(2, *[min(n, 3) for n in shape]))
    assert gradcheck(loss, (first, second))
    assert gradgradcheck(loss, (first, second))


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(loss, shape, dtype):
    first, second = (t.to(dtype) for t in pair(2, *shape))
    assert loss(first, second).dtype == torch.float32
    torch.testing.assert_close(loss(first, second), loss(first.float(), second.float()), rtol=1e-2, atol=1e-2)


@RECONSTRUCTION
def test_gradient_of_equal_pixels_is_0(loss):
    image = torch.zeros(1, 3, 2, 2, requires_grad=True)
    loss(image, torch.zeros(1, 3, 2, 2)).backward()
    assert torch.equal(image.grad, torch.zeros_like(image))
