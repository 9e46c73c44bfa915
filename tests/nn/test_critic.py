from functools import partial

import pytest
import torch
from torch import nn

from aucond import (
    OPENFACE_AUS,
    BoundedRegressionHead,
    ClassificationHead,
    ConvRegressionHead,
    MLPRegressionHead,
    PatchCritic,
    PooledRegressionHead,
)


def test_published_critic_has_the_published_number_of_parameters():
    widths = [3, 64, 128, 256, 512, 1024, 2048]
    by_hand = sum(a * b * 16 + b for a, b in zip(widths[:-1], widths[1:], strict=True))
    by_hand += 2048 * 1 * 9  # score, bias-free
    by_hand += 2048 * 17 * 2 * 2  # condition, bias-free, 128 / 2**6 = 2
    critic = PatchCritic({"condition": partial(ConvRegressionHead, out_features=17, kernel_size=2)})
    assert sum(parameter.numel() for parameter in critic.parameters()) == by_hand == 44_860_352


@pytest.mark.parametrize(
    "head, dim",
    [
        (OPENFACE_AUS, 17),
        (6, 6),
        (partial(PooledRegressionHead, out_features=4), 4),
        (partial(MLPRegressionHead, out_features=4), 4),
        (partial(BoundedRegressionHead, space=OPENFACE_AUS), 17),
        (partial(ClassificationHead, num_classes=7), 7),
        (lambda in_channels: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), 3),
    ],
)
def test_every_kind_of_head_predicts_one_vector_per_image(head, dim):
    critic = PatchCritic({"condition": head}, base_channels=4, num_layers=3)
    for batch in (1, 2):
        output = critic(torch.randn(batch, 3, 16, 24))
        assert output.score.shape == (batch, 1, 2, 3)
        assert output.predictions["condition"].shape == (batch, dim)


def test_several_heads_and_none():
    critic = PatchCritic(
        {"condition": 5, "class": partial(ClassificationHead, num_classes=2)}, base_channels=4
    )
    assert set(critic(torch.randn(1, 3, 64, 64)).predictions) == {"condition", "class"}
    assert PatchCritic(base_channels=4)(torch.randn(1, 3, 64, 64)).predictions == {}


def test_score_layers_are_the_path_to_the_score():
    critic = PatchCritic({"condition": 5}, base_channels=4, num_layers=2)
    image = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(nn.Sequential(*critic.score_layers())(image), critic(image).score)


def test_bounded_head_reaches_both_ends_of_the_range():
    head = BoundedRegressionHead(1, OPENFACE_AUS)
    with torch.no_grad():
        head.pooled.linear.weight.fill_(1)
    high, low = head(torch.full((1, 1, 2, 2), 60.0)), head(torch.full((1, 1, 2, 2), -60.0))
    torch.testing.assert_close(high, torch.ones(1, 17))
    torch.testing.assert_close(low, torch.zeros(1, 17))


WRONG_ARGUMENTS = [
    (
        {"heads": {"condition": "pooled"}},
        TypeError,
        r"heads\['condition'\]: expected a ConditionSpace, an int or a",
    ),
    ({"heads": {"condition": nn.Linear(3, 4)}}, TypeError, r"heads\['condition'\]: .*callable"),
    (
        {"heads": {"condition": lambda channels: 3}},
        TypeError,
        "expected the callable to return a torch.nn.Module",
    ),
    ({"heads": {"condition": 0}}, ValueError, r"heads\['condition'\]: expected an integer at least 1"),
    (
        {"heads": {"a.b": 3}},
        ValueError,
        "heads: expected names that are non-empty and hold no dot, got 'a.b'",
    ),
    ({"heads": [3]}, TypeError, "heads: expected a mapping from a name to a head, got list"),
    ({"heads": {"condition": None}}, ValueError, "pass heads={...} to from_pretrained"),
    ({"base_channels": 0}, ValueError, "base_channels: expected an integer at least 1"),
    ({"num_layers": 0}, ValueError, "num_layers: expected an integer at least 1"),
    ({"negative_slope": 2.0}, ValueError, r"negative_slope: expected a finite number in \[0.0, 1.0\]"),
]


@pytest.mark.parametrize("arguments, error, message", WRONG_ARGUMENTS)
def test_wrong_arguments_say_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        PatchCritic(**({"base_channels": 4} | arguments))


def test_wrong_images_say_what_is_wrong():
    critic = PatchCritic({"condition": 5}, base_channels=4)
    with pytest.raises(
        ValueError, match=r"image: expected height and width of at least 2\*\*num_layers = 64, got 32x64"
    ):
        critic(torch.zeros(1, 3, 32, 64))
    with pytest.raises(ValueError, match="image: expected a floating tensor of shape"):
        critic(torch.zeros(1, 4, 64, 64))
    with pytest.raises(ValueError, match=r"heads\['flat'\]: expected .*\(B, N\), got .*\(1, 128, 1, 1\)"):
        PatchCritic({"flat": lambda channels: nn.Identity()}, base_channels=4)(torch.zeros(1, 3, 64, 64))
    head = ConvRegressionHead(128, 5, kernel_size=2)
    with pytest.raises(ValueError, match=r"features: expected .*\(B, C, 2, 2\), got .*\(1, 128, 3, 2\)"):
        head(torch.zeros(1, 128, 3, 2))


@pytest.mark.parametrize(
    "head",
    [
        17,
        partial(BoundedRegressionHead, space=OPENFACE_AUS),
        partial(ConvRegressionHead, out_features=17, kernel_size=4),
        partial(MLPRegressionHead, out_features=17),
        partial(ClassificationHead, num_classes=17),
    ],
)
def test_every_head_runs_under_autocast(head):
    torch.manual_seed(0)
    critic = PatchCritic({"condition": head}, base_channels=8, num_layers=2)
    image = torch.rand(2, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = critic(image).predictions["condition"]
    torch.testing.assert_close(found.float(), critic(image).predictions["condition"], rtol=0.1, atol=0.02)


def test_names_and_spaces_that_no_head_can_have():
    for name in ("type", "items", "train"):
        with pytest.raises(ValueError, match=f"heads: '{name}' cannot name a head"):
            PatchCritic({name: 3}, base_channels=4, num_layers=2)
    with pytest.raises(TypeError, match="space: expected a ConditionSpace, got 17"):
        BoundedRegressionHead(8, 17)
