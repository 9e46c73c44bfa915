"""The regressor learns what can be learnt, repeats itself, and mirrors correctly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aucond.conditions import ConditionSpace
from aucond.metrics import ConditionRegressor, condition_agreement, train_regressor
from aucond.metrics.regressor import _vary

SIDES = ConditionSpace(["left", "right", "top"], mirror={"left": "right"})


def bars(count: int, seed: int, size: int = 32) -> tuple[Tensor, Tensor]:
    """Two bars left and right and one on top, as long as the condition says, on noise; no brightness tells them."""
    rng = torch.Generator().manual_seed(seed)
    conditions = torch.rand(count, 3, generator=rng)
    images = torch.randint(0, 80, (count, 3, size, size), generator=rng, dtype=torch.uint8)
    for image, (left, right, top) in zip(
        images, (conditions * (size - 12)).round().int().tolist(), strict=True
    ):
        image[:, 10 : 10 + left, 4:7] = 220
        image[:, 10 : 10 + right, size - 7 : size - 4] = 220
        image[:, 3:6, 6 : 6 + top] = 220
    return images, conditions


def train(seed: int = 0, epochs: int = 6, flip: bool = True, images: int = 256) -> ConditionRegressor:
    return train_regressor(
        *bars(images, 0), space=SIDES, epochs=epochs, batch_size=32, base_channels=8, flip=flip, seed=seed
    )


def test_reads_held_out_images() -> None:
    losses: list[float] = []
    regressor = train_regressor(
        *bars(768, 0), space=SIDES, epochs=12, batch_size=32, base_channels=8, flip=True,
        on_epoch=lambda epoch, loss: losses.append(loss) if epoch == len(losses) + 1 else pytest.fail("epoch"),
    )  # fmt: skip
    images, conditions = bars(128, 1)
    report = condition_agreement(regressor(images.float() / 127.5 - 1), conditions, condition=SIDES)
    assert (report.r2 > 0.8).all(), report.to_dict()
    assert len(losses) == 12
    assert losses[-1] < 0.3 * losses[0]
    assert not regressor.training
    assert not any(parameter.requires_grad for parameter in regressor.parameters())


def test_a_seed_gives_the_same_weights_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = train(seed=5, epochs=2).state_dict()
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(2)
    second, other = train(seed=5, epochs=2).state_dict(), train(seed=6, epochs=2).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.1.weight"], other["head.1.weight"])


def test_a_mirrored_image_gets_the_mirrored_condition() -> None:
    images, conditions = bars(64, 2)
    varied, targets = _vary(images, conditions, SIDES, True, torch.Generator().manual_seed(0))
    # Bars are brighter than 0.38 whatever the variation, the noise darker than -0.05.
    bright = (varied.mean(1) > 0.2)[:, 10:].float()
    left, right = bright[..., :9].mean((1, 2)), bright[..., -9:].mean((1, 2))
    moved = (targets != conditions).any(1)
    assert 0.3 < moved.float().mean() < 0.7
    torch.testing.assert_close(targets[moved], SIDES.flip(conditions[moved]))
    assert torch.corrcoef(torch.stack([left - right, targets[:, 0] - targets[:, 1]]))[0, 1] > 0.95


def test_variations_stay_in_range_and_small() -> None:
    images, conditions = bars(16, 3)
    varied, targets = _vary(images, conditions, SIDES, False, torch.Generator().manual_seed(0))
    assert torch.equal(targets, conditions)
    assert varied.shape == images.shape
    assert varied.abs().max() <= 1
    assert not torch.equal(varied[0], images[0].float() / 127.5 - 1)
    # A bar moves by a sixteenth of the size at most: two pixels here.
    bright = varied.mean(1) > 0.2
    assert not bright[:, 12:, 9:-9].any()


def test_a_component_that_never_varies_is_its_value() -> None:
    images, conditions = bars(64, 4)
    conditions[:, 1] = 0.25
    regressor = train_regressor(images, conditions, space=SIDES, epochs=4, batch_size=16, base_channels=4)
    assert regressor.scale[1] == 1
    assert (regressor(images.float() / 127.5 - 1)[:, 1] - 0.25).abs().mean() < 0.2


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (3, 3, 64, 48), (1, 3, 33, 100)])
def test_any_size_and_one_image_alone(shape: tuple[int, ...]) -> None:
    regressor = ConditionRegressor(SIDES, base_channels=4).eval()
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    together = regressor(images)
    assert together.shape == (shape[0], 3)
    torch.testing.assert_close(regressor(images[:1]), together[:1])


def test_output_is_in_units_of_the_condition_and_differentiable() -> None:
    regressor = ConditionRegressor(SIDES, base_channels=4).eval()
    image = (bars(2, 0)[0].float() / 127.5 - 1).requires_grad_()
    plain = regressor(image)
    regressor.scale.fill_(3.0)
    regressor.mean.fill_(0.5)
    torch.testing.assert_close(regressor(image), 3 * plain + 0.5)
    regressor(image).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_left_over_images_and_smallest_sets_are_taken() -> None:
    images, conditions = bars(5, 0, size=16)
    regressor = train_regressor(
        images, conditions.double(), space=SIDES, epochs=1, batch_size=2, base_channels=2
    )
    assert regressor(images.float()).isfinite().all()
