"""Identity loss: the cosine, and an encoder that stays what it was."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from aucond.losses import IdentityLoss, identity_loss


def encoder():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 36, 5)
    )


def images(batch=3, seed=0):
    return torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("degrees", "value"), [(0, 0.0), (60, 0.5), (90, 1.0), (180, 2.0)])
def test_known_angles(degrees, value):
    radians = math.radians(degrees)
    turned = torch.tensor([[3 * math.cos(radians), 3 * math.sin(radians)]], dtype=torch.float64)
    assert identity_loss(turned, torch.tensor([[0.5, 0.0]], dtype=torch.float64)).item() == pytest.approx(
        value
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), batch=st.integers(1, 5), scale=st.floats(0.01, 100))
def test_scale_does_not_matter_and_samples_are_apart(seed, batch, scale):
    rng = torch.Generator().manual_seed(seed)
    first, second = (torch.randn(batch, 6, generator=rng, dtype=torch.float64) for _ in range(2))
    values = identity_loss(first, second, "none")
    assert values.shape == (batch,)
    assert ((values >= -1e-12) & (values <= 2 + 1e-12)).all()
    torch.testing.assert_close(identity_loss(scale * first, second, "none"), values)
    torch.testing.assert_close(identity_loss(first[-1:], second[-1:]), values[-1])


def test_gradients():
    first, second = (torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert gradcheck(identity_loss, (first, second))
    assert gradgradcheck(identity_loss, (first, second))


def test_embeddings_of_zeros_give_no_nan():
    zero = torch.zeros(1, 4, requires_grad=True)
    identity_loss(zero, torch.ones(1, 4)).backward()
    assert zero.grad.isfinite().all()


class TestIdentityLoss:
    def test_equals_the_function(self):
        net = encoder()
        loss = IdentityLoss(net)
        edited, image = images(seed=1), images(seed=2)
        expected = identity_loss(net(edited), net(image), "none")
        torch.testing.assert_close(loss(edited, image, "none"), expected.detach())
        torch.testing.assert_close(loss(edited, image), expected.mean().detach())

    def test_encoder_is_frozen_and_stays_in_evaluation_mode(self):
        net = encoder()
        loss = IdentityLoss(net)
        before = {k: v.clone() for k, v in net.state_dict().items()}
        assert not any(p.requires_grad for p in net.parameters())
        outer = nn.ModuleDict({"identity": loss})
        outer.train()
        assert loss.training
        assert not any(m.training for m in net.modules())
        edited = images(seed=1).requires_grad_()
        loss(edited, images(seed=2)).backward()
        for name, value in net.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_gradient_flows_to_the_edit_only(self):
        edited, image = images(seed=1).requires_grad_(), images(seed=2).requires_grad_()
        IdentityLoss(encoder())(edited, image).backward()
        assert edited.grad.abs().sum() > 0
        assert image.grad is None

    def test_same_image_costs_nothing(self):
        assert IdentityLoss(encoder())(images(), images()).item() == pytest.approx(0, abs=1e-6)

    def test_wrong_encoders(self):
        with pytest.raises(TypeError, match=r"encoder: expected a torch\.nn\.Module, got a function"):
            IdentityLoss(lambda x: x)
        with pytest.raises(ValueError, match=r"encoder: expected it to give embeddings of shape \(3, D\)"):
            IdentityLoss(nn.Identity())(images(), images())
