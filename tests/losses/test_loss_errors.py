"""Wrong calls: each says which argument, what was expected and what came."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aucond import losses as L
from aucond.types import CriticOutput

IMAGES = torch.zeros(2, 3, 8, 8)
MASK = torch.zeros(2, 1, 8, 8)
SCORES = torch.zeros(2, 1, 4, 4)
CRITIC = nn.Sequential(nn.Conv2d(3, 1, 3))

WRONG = [
    # scores
    (
        lambda: L.wgan_critic_loss(SCORES, SCORES[:1]),
        ValueError,
        r"fake_scores: expected the shape of real_scores",
    ),
    (
        lambda: L.wgan_critic_loss(SCORES, SCORES[..., :1]),
        ValueError,
        r"fake_scores: .*\(2, 1, 4, 4\).*\(2, 1, 4, 1\)",
    ),
    (
        lambda: L.wgan_critic_loss([1.0], SCORES),
        TypeError,
        r"real_scores: expected floating scores .* got a list",
    ),
    (lambda: L.hinge_critic_loss(SCORES.long(), SCORES), TypeError, r"real_scores: .* got a int64 tensor"),
    (lambda: L.hinge_generator_loss(IMAGES), ValueError, r"fake_scores: .* got .* \(2, 3, 8, 8\)"),
    (lambda: L.wgan_generator_loss(torch.tensor(1.0)), ValueError, r"fake_scores: .* got .* shape \(\)"),
    (lambda: L.wgan_generator_loss(torch.zeros(0)), ValueError, r"fake_scores: .* got .* shape \(0,\)"),
    (
        lambda: L.wgan_generator_loss(SCORES, SCORES[:1]),
        ValueError,
        r"fake_scores: expected the shape of real",
    ),
    (lambda: L.relativistic_pairing_critic_loss(SCORES, SCORES[:1]), ValueError, r"as many fakes as reals"),
    (lambda: L.RelativisticPairing().generator(SCORES), ValueError, r"real_scores: .*RelativisticPairing"),
    (lambda: L.RelativisticAverage().generator(SCORES), ValueError, r"real_scores: .*RelativisticAverage"),
    (
        lambda: L.RelativisticAverage("logs"),
        ValueError,
        r"form: expected one of 'slidergan', 'log', got 'logs'",
    ),
    (
        lambda: L.relativistic_average_critic_loss(SCORES, SCORES, form="sgan"),
        ValueError,
        r"form: expected one of 'slidergan', 'log', got 'sgan'",
    ),
    (lambda: L.LeastSquares().critic(SCORES, SCORES, "avg"), ValueError, r"reduction: .* got 'avg'"),
    # penalties
    (lambda: L.gradient_penalty(CRITIC, IMAGES[0]), ValueError, r"points: expected .* \(B, C, H, W\)"),
    (lambda: L.gradient_penalty(CRITIC, IMAGES[:0]), ValueError, r"points: expected at least one image"),
    (lambda: L.gradient_penalty(CRITIC, IMAGES.byte()), TypeError, r"points: .* got a uint8 tensor"),
    (lambda: L.gradient_penalty("critic", IMAGES), TypeError, r"critic: expected a callable .* got 'critic'"),
    (
        lambda: L.gradient_penalty(CRITIC, IMAGES, center=-1),
        ValueError,
        r"center: expected a finite number at least 0",
    ),
    (lambda: L.gradient_penalty(CRITIC, IMAGES, center="1"), TypeError, r"center: .* got '1'"),
    (
        lambda: L.gradient_penalty(CRITIC, IMAGES, method="explict"),
        ValueError,
        r"method: .* got 'explict'; did you mean 'explicit'\?",
    ),
    (lambda: L.gradient_penalty(CRITIC, IMAGES, reduction="batch"), ValueError, r"reduction: .* got 'batch'"),
    (
        lambda: L.gradient_penalty(lambda x: torch.ones(2), IMAGES),
        ValueError,
        r"critic: expected scores that depend on the image",
    ),
    (
        lambda: L.gradient_penalty(lambda x: nn.Parameter(torch.ones(2)), IMAGES),
        ValueError,
        r"critic: expected scores that depend on the image",
    ),
    (
        lambda: L.gradient_penalty(lambda x: x.mean((0, 1, 2, 3))[None], IMAGES),
        ValueError,
        r"critic\(image\): expected one score or score map for each of 2 images, got .* \(1,\)",
    ),
    (
        lambda: L.gradient_penalty(lambda x: x, IMAGES),
        ValueError,
        r"critic\(image\): .* got .* \(2, 3, 8, 8\)",
    ),
    (
        lambda: L.gradient_penalty(lambda x: (x, x), IMAGES),
        TypeError,
        r"critic: expected it to return a CriticOutput or a tensor, got a tuple",
    ),
    (lambda: L.r1_penalty(CRITIC, IMAGES[0]), ValueError, r"real: expected"),
    (lambda: L.r2_penalty(CRITIC, IMAGES[0]), ValueError, r"fake: expected"),
    (lambda: L.wgan_gp_loss(3, IMAGES, IMAGES), TypeError, r"critic: expected a callable .* got 3"),
    (
        lambda: L.relativistic_average_loss(3, IMAGES, IMAGES),
        TypeError,
        r"critic: expected a callable .* got 3",
    ),
    (
        lambda: L.condition_regression_loss(torch.zeros(0, 17), torch.zeros(0, 17)),
        ValueError,
        r"prediction: expected at least one sample of at least one value, got .* \(0, 17\)",
    ),
    (
        lambda: L.identity_loss(torch.zeros(2, 0), torch.zeros(2, 0)),
        ValueError,
        r"embedding: expected at least one sample of at least one value, got .* \(2, 0\)",
    ),
    (lambda: L.r2_penalty(CRITIC, IMAGES, method="jvp"), ValueError, r"method: .* got 'jvp'"),
    (lambda: L.interpolate(IMAGES, IMAGES[:1]), ValueError, r"fake: expected the shape of real"),
    (
        lambda: L.interpolate(IMAGES, IMAGES, rng=0),
        TypeError,
        r"rng: expected a torch.Generator or None, got 0",
    ),
    (lambda: L.wgan_gp_loss(CRITIC, IMAGES, IMAGES[:1]), ValueError, r"fake: expected the shape of real"),
    (
        lambda: L.wgan_gp_loss(CRITIC, IMAGES, None),
        TypeError,
        r"fake: expected a floating tensor .* got None",
    ),
    (
        lambda: L.wgan_gp_loss(CRITIC, IMAGES, IMAGES, gp_weight=-1),
        ValueError,
        r"gp_weight: .* at least 0, got -1",
    ),
    (
        lambda: L.wgan_gp_loss(CRITIC, IMAGES, IMAGES, gp_weight=float("nan")),
        ValueError,
        r"gp_weight: expected a finite number at least 0, got nan",
    ),
    (lambda: L.relativistic_average_loss(CRITIC, IMAGES[0], IMAGES), ValueError, r"real: expected"),
    (
        lambda: L.wgan_gp_loss(lambda x: CriticOutput(SCORES[:1], {}), IMAGES, IMAGES),
        ValueError,
        r"critic\(image\): expected one score or score map for each of 2 images",
    ),
    # masks
    (
        lambda: L.attention_tv_loss(MASK[:, 0]),
        ValueError,
        r"mask: expected .* \(B, 1, H, W\), got .* \(2, 8, 8\)",
    ),
    (
        lambda: L.attention_tv_loss(IMAGES),
        ValueError,
        r"mask: expected .* \(B, 1, H, W\), got .* \(2, 3, 8, 8\)",
    ),
    (lambda: L.attention_tv_loss(MASK, norm="L2"), ValueError, r"norm: expected one of 'l2', 'l1', got 'L2'"),
    (lambda: L.attention_l2_loss(MASK.bool()), TypeError, r"mask: .* got a bool tensor"),
    (lambda: L.attention_l2_loss(MASK[:0]), ValueError, r"mask: expected at least one image"),
    (lambda: L.attention_l1_loss(0.5), TypeError, r"mask: .* got 0.5"),
    # images, conditions, identities
    (
        lambda: L.cycle_identity_loss(IMAGES, IMAGES[:1]),
        ValueError,
        r"image: expected the shape of reconstructed",
    ),
    (lambda: L.cycle_identity_loss(IMAGES, MASK), ValueError, r"image: expected .* \(B, 3, H, W\)"),
    (
        lambda: L.paired_reconstruction_loss(IMAGES.int(), IMAGES),
        TypeError,
        r"generated: .* got a int32 tensor",
    ),
    (
        lambda: L.paired_reconstruction_loss(IMAGES, IMAGES[..., :7]),
        ValueError,
        r"target: expected the shape of",
    ),
    (
        lambda: L.condition_regression_loss(torch.zeros(2, 17), torch.zeros(2, 16)),
        ValueError,
        r"target: expected the shape of prediction, \(2, 17\), got .* \(2, 16\)",
    ),
    (
        lambda: L.condition_regression_loss(torch.zeros(17), torch.zeros(17)),
        ValueError,
        r"prediction: expected .* \(B, N\), got .* \(17,\)",
    ),
    (
        lambda: L.condition_regression_loss(torch.zeros(2, 17), torch.zeros(1, 17)),
        ValueError,
        r"target: expected the shape of prediction",
    ),
    (
        lambda: L.condition_regression_loss(torch.zeros(2, 3), torch.zeros(2, 3), norm="l2"),
        ValueError,
        r"norm: expected one of 'squared_l2', 'mse', got 'l2'",
    ),
    (
        lambda: L.identity_loss(torch.zeros(2, 4), torch.zeros(1, 4)),
        ValueError,
        r"reference_embedding: expected the shape of embedding",
    ),
    (
        lambda: L.IdentityLoss(nn.Flatten())(IMAGES, IMAGES[:1]),
        ValueError,
        r"image: expected the shape of edited",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_call(call, error, message):
    with pytest.raises(error, match=message):
        call()
