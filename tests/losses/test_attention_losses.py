"""Regularisers of a mask: Eq. 2 on masks that can be summed by hand."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from aucond.losses import attention_l1_loss, attention_l2_loss, attention_tv_loss

LOSSES = {
    "tv_l2": attention_tv_loss,
    "tv_l1": partial(attention_tv_loss, norm="l1"),
    "l2": attention_l2_loss,
    "l1": attention_l1_loss,
}
every = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def mask(*rows):
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def masks(batch=3, height=5, width=6, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, height, width, generator=rng, dtype=torch.float64)


def test_eq_2_by_hand():
    """Rows (0.1, 0.4), (0.8, 0.9): down 0.7 and 0.5, right 0.3 and 0.1."""
    m = mask([0.1, 0.4], [0.8, 0.9])
    assert attention_tv_loss(m).item() == pytest.approx(0.49 + 0.25 + 0.09 + 0.01)
    assert attention_tv_loss(m, norm="l1").item() == pytest.approx(0.7 + 0.5 + 0.3 + 0.1)
    assert attention_l2_loss(m).item() == pytest.approx((0.01 + 0.16 + 0.64 + 0.81) ** 0.5)
    assert attention_l1_loss(m).item() == pytest.approx(2.2 / 4)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (4, 5)], ids=str)
def test_tv_of_a_constant_is_0_and_so_is_its_gradient(norm, value, size):
    m = torch.full((2, 1, *size), value, requires_grad=True)
    loss = attention_tv_loss(m, norm=norm)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(m.grad, torch.zeros_like(m))


def test_l2_of_ones_is_the_side():
    assert attention_l2_loss(torch.ones(2, 1, 128, 128)).item() == pytest.approx(128)


@every
def test_gradient_at_an_empty_mask_is_0_not_nan(loss):
    m = torch.zeros(2, 1, 4, 4, requires_grad=True)
    loss(m).backward()
    assert torch.equal(m.grad, torch.zeros_like(m))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), norm=st.sampled_from(["l2", "l1"]), shift=st.floats(-2, 2))
def test_tv_is_the_same_for_edit_and_keep_mask_mirrored_turned_and_shifted(seed, norm, shift):
    m = masks(seed=seed)
    expected = attention_tv_loss(m, norm=norm, reduction="none")
    for other in (1 - m, m.flip(2), m.flip(3), m.transpose(2, 3), m + shift):
        torch.testing.assert_close(attention_tv_loss(other, norm=norm, reduction="none"), expected)


@every
@settings(max_examples=15, deadline=None)
@given(batch=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_an_image_does_not_know_its_batch(loss, batch, seed):
    m = masks(batch, seed=seed)
    alone = torch.cat([loss(one[None], reduction="none") for one in m])
    assert alone.shape == (batch,)
    torch.testing.assert_close(loss(m, reduction="none"), alone)
    torch.testing.assert_close(loss(m), alone.mean())
    torch.testing.assert_close(loss(m, reduction="sum"), alone.sum())


@every
def test_gradients(loss):
    m = masks(2, 3, 3).requires_grad_()
    assert gradcheck(loss, (m,))
    assert gradgradcheck(loss, (m,))


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(loss, dtype):
    m = masks(1, 64, 64).to(dtype)
    assert loss(m).dtype == torch.float32
    torch.testing.assert_close(loss(m), loss(m.double()).float(), rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_bounds(seed):
    m = masks(seed=seed)
    assert (attention_tv_loss(m, reduction="none") <= attention_tv_loss(m, norm="l1", reduction="none")).all()
    mean, norm = attention_l1_loss(m, "none"), attention_l2_loss(m, "none")
    assert (norm <= (mean * 30) + 1e-12).all()
    assert (norm >= mean * 30**0.5 - 1e-12).all()
