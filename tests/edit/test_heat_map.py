"""Edit masks as colours."""

import pytest
import torch

from aucond.edit import heat_map


def test_brightness_rises_with_the_mask_and_colours_stay_in_range():
    picture = heat_map(torch.linspace(0, 1, 101).view(1, 1, 1, 101))
    assert picture.shape == (1, 3, 1, 101) and picture.min() >= -1 and picture.max() <= 1
    brightness = (picture[0, :, 0] * torch.tensor([0.2126, 0.7152, 0.0722])[:, None]).sum(0)
    assert bool((brightness.diff() > 0).all())


def test_values_outside_and_single_precision():
    mask = torch.tensor([-0.5, 0.0, 1.0, 2.0]).view(4, 1, 1, 1)
    colours = heat_map(mask)
    assert torch.equal(colours[0], colours[1]) and torch.equal(colours[2], colours[3])
    assert heat_map(mask.double()).dtype == torch.float64


@pytest.mark.parametrize(
    "value, exception, message",
    [
        (torch.zeros(1, 3, 4, 4), ValueError, r"attention: .*\(B, 1, H, W\)"),
        (torch.zeros(4, 4), ValueError, r"attention: .*\(4, 4\)"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.long), TypeError, "attention: .*int64"),
        (None, TypeError, "attention: .*got None"),
    ],
)
def test_wrong_calls(value, exception, message):
    with pytest.raises(exception, match=message):
        heat_map(value)
