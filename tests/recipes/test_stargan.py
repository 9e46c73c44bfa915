"""StarGAN's terms, worked by hand with networks whose outputs are written down, and a short training."""

import inspect
import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from aucond import (
    AttentionGenerator,
    ClassificationHead,
    CriticOutput,
    GANimation,
    GeneratorOutput,
    PatchCritic,
    RelativisticAverage,
    ShuffleTargets,
    Trainer,
    TrainerConfig,
    labels,
)
from aucond.recipes import MasklessGenerator, StarGAN, StarGANWeights

SPACE = labels(["neutral", "happy"])
BATCH = {"image": torch.stack([torch.zeros(3, 2, 2), torch.full((3, 2, 2), 0.8)]), "condition": torch.eye(2)}


class WrittenGenerator(nn.Module):
    """Adds a tenth of the target label's number, and remembers what it was asked for."""

    space, condition_dim = SPACE, 2

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.1))
        self.asked = []

    def edit(self, image, target, current):
        self.asked.append((target, current))
        color = image + self.gain * (1 + target[:, 1]).view(-1, 1, 1, 1)
        return GeneratorOutput(color, color, torch.ones_like(color[:, :1]))


class WrittenCritic(nn.Module):
    """Scores the mean of channel 0; its logits are 0 and the first pixel."""

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleDict({"condition": nn.Identity()})
        self.scale = nn.Parameter(torch.tensor(0.25))

    def forward(self, image):
        score = self.scale * image[:, :1].sum((2, 3), keepdim=True)
        first = image[:, 0, 0, 0]
        return CriticOutput(score, {"condition": torch.stack([0 * first, first], 1)})


def swap(conditions, space, rng=None):
    return conditions.flip(0)


def written(**options):
    return StarGAN(WrittenGenerator(), WrittenCritic(), targets=swap, **options)


def entropy(logit, label):
    """-log softmax([0, logit])[label]."""
    return math.log(1 + math.exp(logit)) - (logit if label else 0)


def test_generator_terms_by_hand():
    objective = written(weights=StarGANWeights(adversarial=2.0, classification=3.0, reconstruction=5.0))
    terms = objective.generator_loss(BATCH)
    # Image 0 goes to label 1: 0 + 0.2; image 1 to label 0: 0.8 + 0.1. Back they gain 0.1 and 0.2 more.
    assert terms["adversarial"].item() == pytest.approx(-2 * (0.2 + 0.9) / 2)
    expected = 3 * (entropy(0.2, 1) + entropy(0.9, 0)) / 2
    assert terms["classification"].item() == pytest.approx(expected)
    assert terms["reconstruction"].item() == pytest.approx(5 * 0.3)
    assert terms.monitor["edit_size"].item() == pytest.approx(0.15)
    assert list(terms) == ["adversarial", "classification", "reconstruction"]
    (there, home), (back, away) = objective.generator.asked
    assert torch.equal(there, back.flip(0)) and torch.equal(there, away) and torch.equal(home, back)


def test_critic_terms_by_hand():
    terms = written().critic_loss(BATCH, torch.Generator().manual_seed(0))
    assert terms["adversarial"].item() == pytest.approx((0.2 + 0.9) / 2 - (0 + 0.8) / 2)
    # The score's gradient is 1/4 at four pixels of one channel: norm 1/2 at any point.
    assert terms["gradient_penalty"].item() == pytest.approx(10 * 0.5**2)
    expected = (entropy(0.0, 0) + entropy(0.8, 1)) / 2
    assert terms["classification"].item() == pytest.approx(expected)


def test_independent_labels_sum_their_binary_entropies():
    objective = written(weights=StarGANWeights(classes="independent"))
    loss = objective.classification_term(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 1.0]]))
    assert loss.item() == pytest.approx(math.log(2) + math.log(1 + math.exp(-2)))


def test_a_relativistic_loss_sees_the_real_images():
    terms = written(adversarial=RelativisticAverage("log")).generator_loss(BATCH)
    assert terms["adversarial"].isfinite()


def test_maskless_generator_is_the_masked_one_without_its_blend():
    torch.manual_seed(0)
    masked = AttentionGenerator(SPACE, base_channels=4, num_residual_blocks=1, relative=True)
    plain = MasklessGenerator(SPACE, base_channels=4, num_residual_blocks=1, relative=True)
    plain.load_state_dict(masked.state_dict())
    image, target, current = torch.rand(2, 3, 8, 12), torch.eye(2), torch.eye(2).flip(0)
    output = plain.edit(image, target, current)
    assert torch.equal(output.image, masked.edit(image, target, current).color)
    assert output.attention.shape == (2, 1, 8, 12) and bool((output.attention == 1).all())


def test_maskless_generator_is_saved_and_loaded(tmp_path):
    generator = MasklessGenerator(SPACE, base_channels=4, num_residual_blocks=1)
    generator.save_pretrained(tmp_path)
    loaded = MasklessGenerator.from_pretrained(tmp_path)
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(loaded(image, torch.eye(2)[:1]).image, generator(image, torch.eye(2)[:1]).image)
    assert loaded.space == SPACE


def test_the_trainer_trains_it(tmp_path):
    torch.manual_seed(0)
    generator = MasklessGenerator(SPACE, base_channels=4, num_residual_blocks=1)
    head = partial(ClassificationHead, num_classes=2)
    critic = PatchCritic({"condition": head}, base_channels=4, num_layers=2)
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    image = torch.cat([torch.full((4, 3, 16, 16), -0.5), torch.full((4, 3, 16, 16), 0.5)])
    batch = {"image": image, "condition": torch.eye(2).repeat_interleave(4, 0)}
    objective = StarGAN(generator, critic, instance_noise=0.05)
    config = TrainerConfig(steps=30, critic_steps_per_generator_step=2, learning_rate=5e-3)
    result = Trainer(objective, config, folder=tmp_path, progress=False, tensorboard=False).fit([batch] * 5)
    assert result.terms["critic/classification"] < 0.5 < math.log(2)
    moved = [k for k, v in generator.state_dict().items() if not torch.equal(v, before[k])]
    assert "heads.weight" in moved and len(moved) == len(before)
    # The mask's row of the last convolution has no part in anything.
    assert torch.equal(generator.heads.weight[3], before["heads.weight"][3])


@pytest.mark.parametrize("side", ["critic_loss", "generator_loss"])
def test_the_diff_in_the_documentation_is_the_diff(side):
    page = Path(__file__).parents[2] / "docs" / "recipes" / "stargan.md"
    shown = re.findall(r"^```text\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    diff = shown[1 if side == "critic_loss" else 2].splitlines()
    for recipe, sign in ((GANimation, "-"), (StarGAN, "+")):
        code = inspect.getsource(getattr(recipe, side)).split('"""')[2]
        ours = [line[8:] for line in code.splitlines() if line.strip()]
        assert [line[1:] for line in diff if line[0] in (" ", sign)] == ours


GENERATOR = MasklessGenerator(SPACE, base_channels=4, num_residual_blocks=1)
CRITIC = PatchCritic({"condition": 2}, base_channels=4, num_layers=2)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: StarGAN(GENERATOR, PatchCritic()), ValueError, "critic: expected a head named 'condition'"),
        (lambda: StarGAN(GENERATOR, CRITIC, space=labels(["a"])), ValueError, "space: expected 2 conditions"),
        (
            lambda: StarGAN(GENERATOR, CRITIC, weights=3),
            TypeError,
            "weights: expected a StarGANWeights, got 3",
        ),
        (lambda: StarGAN(GENERATOR, CRITIC, targets=ShuffleTargets), TypeError, "targets: expected a target"),
        (lambda: StarGAN(GENERATOR, CRITIC, instance_noise=-1), ValueError, "instance_noise: expected"),
        (lambda: StarGANWeights(classes="many"), ValueError, "classes: expected one of 'exclusive'"),
        (lambda: StarGANWeights(reconstruction=-1.0), ValueError, "StarGANWeights.reconstruction: expected"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
