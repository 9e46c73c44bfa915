"""GANimation's terms, worked by hand on 2x2 images with networks whose outputs are written down."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from aucond import (
    ARKIT_BLENDSHAPES,
    OPENFACE_AUS,
    AttentionGenerator,
    ConditionSpace,
    CriticOutput,
    GANimation,
    GANimationWeights,
    GeneratorOutput,
    PatchCritic,
    RelativisticAverage,
)

SPACE = ConditionSpace(["smile", "blink"])


class WrittenGenerator(nn.Module):
    """Blends 2x2 images with one fixed mask and colour, and remembers the conditions it was asked for."""

    space, condition_dim = SPACE, 2

    def __init__(self):
        super().__init__()
        self.mask = nn.Parameter(torch.tensor([[0.0, 0.5], [1.0, 0.25]]).reshape(1, 1, 2, 2))
        self.asked = []

    def edit(self, image, target, current):
        self.asked.append((target, current))
        color = torch.full_like(image, 0.5)
        mask = self.mask.expand(len(image), -1, -1, -1)
        return GeneratorOutput(mask * color + (1 - mask) * image, color, mask)


class WrittenCritic(nn.Module):
    """Scores the sum of the pixels of channel 0 over 4, so its gradient is 1/4 at 4 pixels: norm 1/2."""

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleDict({"condition": nn.Identity()})
        self.scale = nn.Parameter(torch.tensor(0.25))

    def forward(self, image):
        score = self.scale * image[:, :1].sum((2, 3), keepdim=True)
        prediction = torch.stack([image[:, 0, 0, 0], image[:, 1, 0, 0]], 1)
        return CriticOutput(score, {"condition": prediction})


def swap_targets(conditions, space, rng=None):
    return conditions.flip(0)


BATCH = {
    "image": torch.stack([torch.zeros(3, 2, 2), torch.full((3, 2, 2), 0.8)]),
    "condition": torch.tensor([[0.0, 0.2], [0.6, 1.0]]),
}
WEIGHTS = GANimationWeights(condition=7.0, attention=2.0, attention_tv=3.0, cycle=5.0, adversarial=1.5)


def objective(weights=WEIGHTS, **options):
    return GANimation(WrittenGenerator(), WrittenCritic(), weights=weights, targets=swap_targets, **options)


def test_generator_terms_by_hand():
    terms = objective().generator_loss(BATCH)
    # Eq. 1 at the four pixels: A = 0, .5, 1, .25 and C = .5; edits of 0 and of 0.8.
    edited = [[0.0, 0.25, 0.5, 0.125], [0.8, 0.65, 0.5, 0.725]]
    scores = [sum(pixels) / 4 for pixels in edited]
    assert terms["adversarial"].item() == pytest.approx(-1.5 * sum(scores) / 2)
    # Eq. 3: predictions are the pixel (0, 0), which the mask leaves alone; targets are the swapped conditions.
    squared = [(0 - 0.6) ** 2 + (0 - 1.0) ** 2, (0.8 - 0.0) ** 2 + (0.8 - 0.2) ** 2]
    assert terms["condition"].item() == pytest.approx(7 * sum(squared) / 2)
    # Eq. 2: Euclidean norm and squared neighbour differences, once for each of the two passes.
    norm = math.sqrt(0 + 0.25 + 1 + 0.0625)
    variation = (1 - 0) ** 2 + (0.25 - 0.5) ** 2 + (0.5 - 0) ** 2 + (0.25 - 1) ** 2
    assert terms["attention"].item() == pytest.approx(2 * 2 * norm)
    assert terms["attention_tv"].item() == pytest.approx(3 * 2 * variation)
    # Eq. 4: the second pass blends once more towards .5.
    keep = [1.0, 0.5, 0.0, 0.75]
    restored = [[0.5 + (e - 0.5) * k for e, k in zip(row, keep, strict=True)] for row in edited]
    cycle = [
        sum(abs(r - original) for r in row) / 4 for row, original in zip(restored, (0.0, 0.8), strict=True)
    ]
    assert terms["cycle"].item() == pytest.approx(5 * sum(cycle) / 2)
    assert terms.total.item() == pytest.approx(sum(term.item() for term in terms.values()))


def test_the_two_passes_ask_there_and_back():
    recipe = objective()
    recipe.generator_loss(BATCH)
    (target, current), (back, from_there) = recipe.generator.asked
    torch.testing.assert_close(target, BATCH["condition"].flip(0))
    torch.testing.assert_close(back, current)
    torch.testing.assert_close(from_there, target)


def test_critic_terms_by_hand():
    terms = objective().critic_loss(BATCH, torch.Generator().manual_seed(0))
    fake = [(0 + 0.25 + 0.5 + 0.125) / 4, (0.8 + 0.65 + 0.5 + 0.725) / 4]
    assert terms["adversarial"].item() == pytest.approx(1.5 * (sum(fake) / 2 - (0 + 0.8) / 2))
    # The score is linear with gradient norm 1/2 everywhere, wherever the points fall.
    assert terms["gradient_penalty"].item() == pytest.approx(10 * (0.5 - 1) ** 2)
    squared = [0.0**2 + 0.2**2, (0.8 - 0.6) ** 2 + (0.8 - 1.0) ** 2]
    assert terms["condition"].item() == pytest.approx(7 * sum(squared) / 2)


def test_critic_loss_leaves_the_generator_without_gradient():
    recipe = objective()
    recipe.critic_loss(BATCH).total.backward()
    assert recipe.generator.mask.grad is None
    assert recipe.critic.scale.grad is not None


def test_published_code_weights_give_the_published_sums():
    batch_size = 2
    recipe = objective(GANimationWeights.published_code(batch_size))
    terms = recipe.generator_loss(BATCH)
    mask = recipe.generator.mask.detach().expand(2, -1, -1, -1)
    keep = 1 - mask
    published_tv = 1e-5 * (
        (keep[:, :, 1:] - keep[:, :, :-1]).abs().sum() + (keep[..., 1:] - keep[..., :-1]).abs().sum()
    )
    assert terms["attention"].item() == pytest.approx(2 * 0.1 * keep.mean().item())
    assert terms["attention_tv"].item() == pytest.approx(2 * published_tv.item())
    predictions = torch.tensor([[0.0, 0.0], [0.8, 0.8]])
    mse = nn.functional.mse_loss(predictions, BATCH["condition"].flip(0))
    assert terms["condition"].item() == pytest.approx((mse / batch_size * 4000).item())
    assert GANimationWeights.published_code(25).condition == 160


def test_paper_weights_are_the_printed_ones():
    assert dataclasses.asdict(GANimationWeights.paper()) == {
        "adversarial": 1.0,
        "gradient_penalty": 10.0,
        "condition": 4000.0,
        "attention": 0.1,
        "attention_tv": pytest.approx(0.1 * 1e-4),
        "cycle": 10.0,
        "condition_norm": "squared_l2",
        "attention_norm": "l2",
        "tv_norm": "l2",
        "penalised_mask": "edit",
    }


def test_monitor_watches_mask_and_edit():
    monitor = objective().generator_loss(BATCH).monitor
    assert monitor["attention_mean"].item() == pytest.approx(1.75 / 4)
    assert monitor["attention_saturated"].item() == pytest.approx(0.5)
    changes = [0, 0.25, 0.5, 0.125, 0, 0.15, 0.3, 0.075]
    assert monitor["edit_size"].item() == pytest.approx(sum(changes) / 8)


@pytest.mark.parametrize("space", [OPENFACE_AUS, ARKIT_BLENDSHAPES, ConditionSpace(list("abcdef"))])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("adversarial", [None, RelativisticAverage()])
def test_real_networks_learn_something_from_every_term(space, relative, adversarial):
    torch.manual_seed(0)
    generator = AttentionGenerator(space, 4, 2, 1, relative=relative)
    recipe = GANimation(
        generator, PatchCritic({"condition": space}, base_channels=4, num_layers=3), adversarial=adversarial
    )
    rng = torch.Generator().manual_seed(0)
    batch = {
        "image": torch.rand(3, 3, 16, 16, generator=rng) * 2 - 1,
        "condition": torch.rand(3, space.dim, generator=rng),
    }
    recipe.critic_loss(batch, rng).total.backward()
    recipe.generator_loss(batch, rng).total.backward()
    for name, parameter in [*recipe.generator.named_parameters(), *recipe.critic.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_same_rng_same_loss():
    generator = AttentionGenerator(SPACE, 4, 2, 1)
    recipe = GANimation(generator, PatchCritic({"condition": SPACE}, base_channels=4, num_layers=3))
    batch = {"image": torch.rand(4, 3, 16, 16), "condition": torch.rand(4, 2)}
    first = recipe.critic_loss(batch, torch.Generator().manual_seed(5)).total
    second = recipe.critic_loss(batch, torch.Generator().manual_seed(5)).total
    other = recipe.critic_loss(batch, torch.Generator().manual_seed(6)).total
    assert first.item() == second.item() != other.item()


WRONG_WEIGHTS = [
    (
        {"condition": -1.0},
        ValueError,
        "GANimationWeights.condition: expected a finite number at least 0.0, got -1.0",
    ),
    ({"cycle": float("nan")}, ValueError, "GANimationWeights.cycle: expected a finite number"),
    ({"attention": "0.1"}, TypeError, "GANimationWeights.attention: expected a finite number"),
    ({"condition_norm": "l2"}, ValueError, "condition_norm: expected one of 'squared_l2', 'mse', got 'l2'"),
    ({"attention_norm": "max"}, ValueError, "attention_norm: expected one of 'l2', 'l1'"),
    ({"tv_norm": "L1"}, ValueError, "tv_norm: expected one of 'l2', 'l1'"),
    (
        {"penalised_mask": "edits"},
        ValueError,
        "penalised_mask: expected one of 'edit', 'keep', got 'edits'; did you mean",
    ),
]


@pytest.mark.parametrize("arguments, error, message", WRONG_WEIGHTS)
def test_wrong_weights_say_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        GANimationWeights(**arguments)


def test_networks_that_do_not_fit_say_so():
    critic = PatchCritic({"condition": 5}, base_channels=4)
    with pytest.raises(
        ValueError, match="space: expected a ConditionSpace, here or as the generator's condition"
    ):
        GANimation(AttentionGenerator(5, 4), critic)
    with pytest.raises(ValueError, match="space: expected 5 conditions as the generator has, got 17"):
        GANimation(AttentionGenerator(5, 4), critic, space=OPENFACE_AUS)
    with pytest.raises(ValueError, match=r"critic: expected a head named 'condition', got heads \['au'\]"):
        GANimation(AttentionGenerator(OPENFACE_AUS, 4), PatchCritic({"au": 17}, base_channels=4))
    with pytest.raises(ValueError, match="batch_size: expected an integer at least 1, got 0"):
        GANimationWeights.published_code(0)


def test_instance_noise_is_on_everything_the_critic_sees_and_comes_from_the_rng():
    recipe = objective(instance_noise=0.5)
    seen = []
    recipe.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    recipe.generator_loss(BATCH, torch.Generator().manual_seed(3))
    recipe.critic_loss(BATCH, torch.Generator().manual_seed(3))
    plain = objective()
    edited = plain.generator.edit(BATCH["image"], BATCH["condition"], BATCH["condition"]).image.detach()
    assert 0.2 < (seen[0] - edited).std() < 0.8
    assert 0.2 < (seen[1] - torch.cat([BATCH["image"], edited])).std() < 0.8
    first = recipe.critic_loss(BATCH, torch.Generator().manual_seed(3)).total
    assert first.item() == recipe.critic_loss(BATCH, torch.Generator().manual_seed(3)).total.item()
    assert objective().seen(BATCH["image"]) is BATCH["image"]


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (
            {"adversarial": RelativisticAverage},
            TypeError,
            r"adversarial: expected an adversarial loss such as Wasserstein\(\)",
        ),
        ({"adversarial": "hinge"}, TypeError, "adversarial: expected an adversarial loss .* got 'hinge'"),
        ({"weights": {"cycle": 1}}, TypeError, "weights: expected a GANimationWeights, got a dict"),
        (
            {"instance_noise": -0.1},
            ValueError,
            "instance_noise: expected a finite number at least 0.0, got -0.1",
        ),
    ],
)
def test_wrong_pieces_say_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        GANimation(WrittenGenerator(), WrittenCritic(), **arguments)


def test_a_sampler_class_instead_of_a_sampler_is_named():
    with pytest.raises(TypeError, match="targets: expected a target sampler such as ShuffleTargets"):
        GANimation(WrittenGenerator(), WrittenCritic(), targets="shuffle")


@pytest.mark.parametrize(("penalised", "pushes"), [("edit", 1), ("keep", -1)])
def test_advice_on_a_collapsed_mask_follows_the_mask_that_is_penalised(penalised, pushes):
    recipe = objective(dataclasses.replace(WEIGHTS, penalised_mask=penalised))
    mask = torch.full((1, 1, 2, 2), 0.05, requires_grad=True)
    (slope,) = torch.autograd.grad(recipe.attention_terms(mask)[0], mask)
    # A penalty that pushes the mask down has to be lowered where the mask has gone to 0, one that lifts it raised.
    assert slope.sum().sign() == pushes
    word = {1: "lower", -1: "raise"}[pushes]
    assert recipe.advice["collapsed_to_0"].startswith(f"{word} GANimationWeights.attention")
    assert not recipe.advice["collapsed_to_1"].startswith(word)
    assert recipe.advice["saturated"] == GANimation.advice["saturated"]
