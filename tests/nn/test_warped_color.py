from __future__ import annotations

import pytest
import torch

from aucond import AttentionGenerator
from aucond.nn.warping import REACH, RETOUCH, warped_color


def picture(size: int = 20, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return 2 * torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=dtype) - 1


def logit_of(pixels: float, size: int) -> float:
    """The displacement that fetches a pixel from so many pixels away."""
    return torch.tensor(2 * pixels / size / REACH).atanh().item()


def test_a_constant_displacement_shifts_the_image() -> None:
    image, size = picture(40), 40
    still = torch.zeros(2, 3, size, size)
    displacement = torch.zeros(2, 2, size, size)
    displacement[:, 0] = logit_of(1.0, size)
    moved = warped_color(image, displacement, still, cell=4)
    torch.testing.assert_close(moved[..., :-1], image[..., 1:], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[..., -1], image[..., -1], rtol=0, atol=1e-5)
    displacement = displacement.flip(1)
    moved = warped_color(image, displacement, still, cell=1)
    torch.testing.assert_close(moved[..., :-1, :], image[..., 1:, :], rtol=0, atol=1e-5)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    image, size = picture(), 20
    displacement = torch.zeros(2, 2, size, size)
    displacement[:, 0] = logit_of(0.5, size)
    moved = warped_color(image, displacement, torch.zeros_like(image), cell=2)
    torch.testing.assert_close(moved[..., :-1], (image[..., 1:] + image[..., :-1]) / 2, rtol=0, atol=1e-5)


def test_displacement_and_retouch_are_bounded() -> None:
    image = picture() * 0.5
    wild = torch.full_like(image, 1e4)
    retouched = warped_color(image, torch.zeros(2, 2, 20, 20), wild, cell=4)
    torch.testing.assert_close(retouched, image + RETOUCH, rtol=0, atol=1e-5)
    assert warped_color(picture(), torch.zeros(2, 2, 20, 20), wild, cell=4).max() <= 1
    furthest = warped_color(image, torch.full((2, 2, 20, 20), 1e4), torch.zeros_like(image), cell=4)
    torch.testing.assert_close(furthest[..., :-1, :-1], image[..., 1:, 1:], rtol=0, atol=1e-5)


def test_what_it_paints_lies_within_what_the_neighbourhood_has() -> None:
    image, rng = picture(), torch.Generator().manual_seed(1)
    color = warped_color(image, torch.randn(2, 2, 20, 20, generator=rng) * 3, torch.zeros_like(image), cell=1)
    highest = torch.nn.functional.max_pool2d(image, 7, stride=1, padding=3)
    assert (color <= highest + 1e-5).all() and (color - image).abs().max() > 0.5


def test_gradients() -> None:
    rng = torch.Generator().manual_seed(2)
    image = picture(8, torch.float64) * 0.7
    displacement = torch.randn(2, 2, 8, 8, generator=rng, dtype=torch.float64)
    retouch = torch.randn(2, 3, 8, 8, generator=rng, dtype=torch.float64)
    inputs = [t.requires_grad_() for t in (image, displacement, retouch)]
    assert torch.autograd.gradcheck(lambda *t: warped_color(*t, cell=4), inputs)


def test_a_warped_generator_begins_near_its_input_and_can_be_rebuilt() -> None:
    torch.manual_seed(0)
    generator = AttentionGenerator(3, base_channels=8, num_residual_blocks=1, color="warped")
    image = torch.nn.functional.interpolate(picture(5), size=(20, 20), mode="bilinear")
    output = generator(image, torch.ones(2, 3))
    painted = AttentionGenerator(3, base_channels=8, num_residual_blocks=1)(image, torch.ones(2, 3))
    assert (output.color - image).abs().mean() < 0.3 * (painted.color - image).abs().mean()
    again = AttentionGenerator(**generator.config())
    again.load_state_dict(generator.state_dict())
    torch.testing.assert_close(again(image, torch.ones(2, 3)).image, output.image)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_keeps_the_images_dtype(dtype: torch.dtype) -> None:
    image = picture(8, torch.float32).to(dtype)
    color = warped_color(image, torch.zeros(2, 2, 8, 8), torch.zeros(2, 3, 8, 8), cell=2)
    assert color.dtype == dtype
    torch.testing.assert_close(color, image, rtol=0, atol=1e-2 if dtype == torch.bfloat16 else 1e-6)
