"""SliderGAN's terms, worked by hand on 2x2 images with networks whose outputs are written down."""

import dataclasses

import pytest
import torch
from torch import nn

from aucond import (
    OPENFACE_AUS,
    AttentionGenerator,
    ConditionSpace,
    CriticOutput,
    GeneratorOutput,
    IdentityLoss,
    PatchCritic,
    RelativisticAverage,
    Wasserstein,
    pca_blendshapes,
)
from aucond.recipes import SliderGAN, SliderGANWeights

SPACE = ConditionSpace(["jaw", "brow"], low=-1.0, high=1.0)


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
    """Scores the square of the sum S of channel 0: the gradient is 2 S at 4 pixels, so its norm is 4 |S|."""

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleDict({"condition": nn.Identity()})
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.seen = []

    def forward(self, image):
        self.seen.append(image.detach())
        score = self.scale * image[:, :1].sum((2, 3), keepdim=True).square()
        prediction = torch.stack([image[:, 0, 0, 0], image[:, 1, 0, 0]], 1)
        return CriticOutput(score, {"condition": prediction})


class WrittenEncoder(nn.Module):
    """Embeds an image as two of its pixels."""

    def forward(self, image):
        return torch.stack([image[:, 0, 0, 0] + 1, image[:, 0, 0, 1]], 1)


def swap_targets(conditions, space, rng=None):
    return conditions.flip(0)


IMAGES = torch.stack([torch.zeros(3, 2, 2), torch.full((3, 2, 2), 0.8)])
UNPAIRED = {"image": IMAGES, "condition": torch.tensor([[0.0, 0.2], [0.6, 1.0]])}
PAIRED = UNPAIRED | {
    "target_image": torch.full((2, 3, 2, 2), 0.5),
    "target_condition": torch.tensor([[0.3, -0.1], [-0.7, 0.4]]),
}
# Eq. 4 at the four pixels: G_m = 0, .5, 1, .25 and G_i = .5; edits of 0 and of 0.8.
EDITED = [[0.0, 0.25, 0.5, 0.125], [0.8, 0.65, 0.5, 0.725]]
REAL_SCORES, FAKE_SCORES = [0.0, 3.2**2], [sum(pixels) ** 2 for pixels in EDITED]
WEIGHTS = SliderGANWeights(
    adversarial=2.0, gradient_penalty=3.0, expression=7.0, reconstruction=5.0, generation=11.0, identity=4.0,
    attention=1.5,
)  # fmt: skip


def objective(**options):
    options = {"weights": WEIGHTS, "targets": swap_targets} | options
    return SliderGAN(WrittenGenerator(), WrittenCritic(), **options)


def sigmoid(x):
    return torch.sigmoid(torch.tensor(x)).item()


def mean(values):
    return sum(values) / len(values)


def rad(real, fake):
    """Eq. 5 and 6 without the penalty, in plain numbers."""
    reals = mean([sigmoid(score - mean(fake)) for score in real])
    return reals - mean([sigmoid(score - mean(real)) for score in fake])


def test_generator_terms_of_an_unpaired_batch_by_hand():
    terms = objective().generator_loss(UNPAIRED)
    assert list(terms) == ["adversarial", "expression", "reconstruction", "attention"]
    # The generator minimises L_adv of Eq. 6: both expectations are in its objective.
    assert terms["adversarial"].item() == pytest.approx(2 * rad(REAL_SCORES, FAKE_SCORES), rel=1e-5)
    # Eq. 8: predictions are the pixel (0, 0), which the mask leaves alone; targets are the swapped conditions.
    squared = [(0 - 0.6) ** 2 + (0 - 1.0) ** 2, (0.8 - 0.0) ** 2 + (0.8 - 0.2) ** 2]
    assert terms["expression"].item() == pytest.approx(7 * mean(squared) / 2)
    # Eq. 9: the second pass blends once more towards .5; three channels, divided by W H alone.
    keep = [1.0, 0.5, 0.0, 0.75]
    restored = [[0.5 + (e - 0.5) * k for e, k in zip(row, keep, strict=True)] for row in EDITED]
    cycle = [
        mean([abs(r - original) for r in row]) for row, original in zip(restored, (0.0, 0.8), strict=True)
    ]
    assert terms["reconstruction"].item() == pytest.approx(5 * 3 * mean(cycle))
    # Eq. 12: the mean mask once for each of the two passes.
    assert terms["attention"].item() == pytest.approx(1.5 * 2 * 1.75 / 4)
    assert terms.total.item() == pytest.approx(sum(term.item() for term in terms.values()), rel=1e-5)


def test_a_batch_with_exact_pairs_gets_their_condition_and_their_term():
    recipe = objective()
    terms = recipe.generator_loss(PAIRED)
    assert list(terms) == ["adversarial", "expression", "reconstruction", "generation", "attention"]
    # Eq. 10 against a truth of .5 everywhere.
    distance = mean([mean([abs(pixel - 0.5) for pixel in row]) for row in EDITED])
    assert terms["generation"].item() == pytest.approx(11 * 3 * distance)
    squared = [(0 - 0.3) ** 2 + (0 + 0.1) ** 2, (0.8 + 0.7) ** 2 + (0.8 - 0.4) ** 2]
    assert terms["expression"].item() == pytest.approx(7 * mean(squared) / 2)
    (there, current), (back, from_there) = recipe.generator.asked
    assert torch.equal(there, PAIRED["target_condition"]) and torch.equal(from_there, there)
    assert torch.equal(current, PAIRED["condition"]) and torch.equal(back, current)


def test_image_distances_averaged_over_channels_are_a_third():
    printed = objective().generator_loss(PAIRED)
    averaged = objective(weights=dataclasses.replace(WEIGHTS, image_norm="mean")).generator_loss(PAIRED)
    for name in ("reconstruction", "generation"):
        assert printed[name].item() == pytest.approx(3 * averaged[name].item())


def test_identity_term_by_hand():
    terms = objective(identity=IdentityLoss(WrittenEncoder())).generator_loss(PAIRED)
    assert list(terms) == [
        "adversarial", "expression", "reconstruction", "generation", "identity", "attention",
    ]  # fmt: skip
    cosines = []
    for original, edited in zip((0.0, 0.8), EDITED, strict=True):
        a, b = (original + 1, original), (edited[0] + 1, edited[1])
        cosines.append(
            (a[0] * b[0] + a[1] * b[1]) / ((a[0] ** 2 + a[1] ** 2) * (b[0] ** 2 + b[1] ** 2)) ** 0.5
        )
    assert terms["identity"].item() == pytest.approx(4 * (1 - mean(cosines)), rel=1e-5)


def test_critic_terms_of_rad_by_hand():
    terms = objective().critic_loss(PAIRED)
    assert terms["adversarial"].item() == pytest.approx(-2 * rad(REAL_SCORES, FAKE_SCORES), rel=1e-5)
    # Eq. 6 takes the gradient at the generated images, and lambda_adv multiplies all of Eq. 6.
    penalty = mean([(4 * sum(pixels) - 1) ** 2 for pixels in EDITED])
    assert terms["gradient_penalty"].item() == pytest.approx(2 * 3 * penalty, rel=1e-5)
    # Eq. 7 asks for the parameters of the real images, pairs or not.
    squared = [0.0**2 + 0.2**2, (0.8 - 0.6) ** 2 + (0.8 - 1.0) ** 2]
    assert terms["expression"].item() == pytest.approx(7 * mean(squared) / 2)


def test_critic_terms_of_wgp_by_hand():
    recipe = objective(adversarial=Wasserstein())
    rng = torch.Generator().manual_seed(0)
    terms = recipe.critic_loss(UNPAIRED, rng)
    assert terms["adversarial"].item() == pytest.approx(2 * (mean(FAKE_SCORES) - mean(REAL_SCORES)), rel=1e-5)
    # WGAN-GP takes it between real and generated ones.
    points = recipe.critic.seen[-1]
    assert not torch.allclose(points, recipe.critic.seen[0][2:])
    penalty = mean([(4 * abs(image[0].sum().item()) - 1) ** 2 for image in points])
    assert terms["gradient_penalty"].item() == pytest.approx(2 * 3 * penalty, rel=1e-5)
    assert recipe.generator_loss(UNPAIRED)["adversarial"].item() == pytest.approx(-2 * mean(FAKE_SCORES))


@pytest.mark.parametrize(
    "adversarial, chosen, points",
    [
        (None, None, "generated"),
        (RelativisticAverage("log"), None, "generated"),
        (Wasserstein(), None, "between"),
        (Wasserstein(), "generated", "generated"),
        (RelativisticAverage(), "between", "between"),
    ],
)
def test_where_the_penalty_is_taken(adversarial, chosen, points):
    assert objective(adversarial=adversarial, penalty_points=chosen).penalty_points == points


def test_each_loss_trains_its_own_network():
    recipe = objective()
    recipe.critic_loss(PAIRED).total.backward()
    assert recipe.generator.mask.grad is None and recipe.critic.scale.grad is not None


def test_paper_weights_are_the_printed_ones():
    assert dataclasses.asdict(SliderGANWeights.paper()) == {
        "adversarial": 30.0,
        "gradient_penalty": 10.0,
        "expression": 1000.0,
        "reconstruction": 10.0,
        "generation": 10.0,
        "identity": 4.0,
        "attention": 0.3,
        "image_norm": "per_pixel",
    }


def test_monitor_watches_mask_and_edit():
    monitor = objective().generator_loss(PAIRED).monitor
    assert monitor["attention_mean"].item() == pytest.approx(1.75 / 4)
    assert monitor["attention_saturated"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("space", [OPENFACE_AUS, pca_blendshapes(30)])
@pytest.mark.parametrize("adversarial", [RelativisticAverage(), Wasserstein()])
@pytest.mark.parametrize("paired", [True, False])
def test_real_networks_learn_something_from_every_term(space, adversarial, paired):
    torch.manual_seed(0)
    generator = AttentionGenerator(space, 4, 2, 1)
    critic = PatchCritic({"condition": space}, base_channels=4, num_layers=3)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    recipe = SliderGAN(generator, critic, adversarial=adversarial, identity=IdentityLoss(encoder))
    rng = torch.Generator().manual_seed(0)
    images, conditions = torch.rand(2, 3, 3, 16, 16, generator=rng) * 2 - 1, torch.rand(2, 3, space.dim)
    batch = {"image": images[0], "condition": conditions[0]}
    if paired:
        batch |= {"target_image": images[1], "target_condition": conditions[1]}
    recipe.critic_loss(batch, rng).total.backward()
    recipe.generator_loss(batch, rng).total.backward()
    for name, parameter in [*generator.named_parameters(), *critic.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_same_rng_same_loss():
    recipe = SliderGAN(
        AttentionGenerator(SPACE, 4, 2, 1),
        PatchCritic({"condition": SPACE}, base_channels=4, num_layers=3),
        instance_noise=0.1,
    )
    batch = {"image": torch.rand(4, 3, 16, 16), "condition": torch.rand(4, 2)}
    for loss in (recipe.critic_loss, recipe.generator_loss):
        first = loss(batch, torch.Generator().manual_seed(5)).total
        second = loss(batch, torch.Generator().manual_seed(5)).total
        other = loss(batch, torch.Generator().manual_seed(6)).total
        assert first.item() == second.item() != other.item()


def test_instance_noise_is_on_everything_the_critic_sees():
    recipe, plain = objective(instance_noise=0.5), objective()
    for one in (recipe, plain):
        one.critic_loss(UNPAIRED, torch.Generator().manual_seed(3))
        one.generator_loss(UNPAIRED, torch.Generator().manual_seed(3))
    for noisy, clean in zip(recipe.critic.seen, plain.critic.seen, strict=True):
        assert 0.2 < (noisy - clean).std() < 0.8


def test_moving_takes_the_encoder_along():
    recipe = objective(identity=IdentityLoss(nn.Sequential(nn.Flatten(), nn.Linear(12, 2))))
    assert recipe.to("meta") is recipe
    assert {p.device.type for p in recipe.identity.encoder.parameters()} == {"meta"}
    assert recipe.generator.mask.device.type == recipe.critic.scale.device.type == "meta"


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (
            {"expression": -1.0},
            ValueError,
            "SliderGANWeights.expression: expected a finite number at least 0.0",
        ),
        ({"adversarial": "30"}, TypeError, "SliderGANWeights.adversarial: expected a finite number"),
        (
            {"image_norm": "l1"},
            ValueError,
            "SliderGANWeights.image_norm: expected one of 'per_pixel', 'mean'",
        ),
    ],
)
def test_wrong_weights_say_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        SliderGANWeights(**arguments)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"weights": {"identity": 1}}, TypeError, "weights: expected a SliderGANWeights, got a dict"),
        ({"adversarial": RelativisticAverage}, TypeError, "adversarial: expected an adversarial loss"),
        ({"targets": "shuffle"}, TypeError, "targets: expected a target sampler"),
        (
            {"identity": WrittenEncoder()},
            TypeError,
            r"identity: expected an IdentityLoss\(encoder\), got a Written",
        ),
        ({"penalty_points": "real"}, ValueError, "penalty_points: expected one of 'generated', 'between'"),
        ({"instance_noise": -1.0}, ValueError, "instance_noise: expected a finite number at least 0.0"),
        ({"space": OPENFACE_AUS}, ValueError, "space: expected 2 conditions as the generator has, got 17"),
    ],
)
def test_wrong_pieces_say_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        objective(**arguments)


def test_a_critic_without_the_head_and_a_pair_without_its_condition():
    with pytest.raises(ValueError, match=r"critic: expected a head named 'condition', got heads \['au'\]"):
        SliderGAN(AttentionGenerator(SPACE, 4), PatchCritic({"au": 2}, base_channels=4))
    with pytest.raises(ValueError, match="space: expected a ConditionSpace"):
        SliderGAN(AttentionGenerator(2, 4), PatchCritic({"condition": 2}, base_channels=4))
    half = {key: value for key, value in PAIRED.items() if key != "target_condition"}
    with pytest.raises(ValueError, match="batch: expected 'target_condition' beside 'target_image'"):
        objective().generator_loss(half)
