from __future__ import annotations

import pytest
import torch

from aucond import AttentionGenerator
from aucond.edit import picture_of_edits


@pytest.fixture
def generator() -> AttentionGenerator:
    torch.manual_seed(0)
    return AttentionGenerator(2, base_channels=4, num_residual_blocks=1).eval()


def test_the_rows_are_the_source_the_parts_the_edit_and_the_truth(generator):
    source, truth = torch.rand(3, 3, 16, 16) * 2 - 1, torch.ones(3, 3, 16, 16)
    current, target = torch.zeros(3, 2), torch.ones(3, 2)
    picture = picture_of_edits(generator, source, current, target, truth)
    rows = picture[:, :, 96:].unflatten(1, (5, 32))[..., ::2, ::2].permute(1, 0, 2, 3)
    with torch.no_grad():
        output = generator.edit(source, target, current)
    expected = [source, (2 * output.attention - 1).expand(-1, 3, -1, -1), output.color, output.image, truth]
    for row, images in zip(rows, expected, strict=True):
        torch.testing.assert_close(row, torch.cat(list(images), dim=2))


def test_without_a_truth_there_are_four_rows_and_large_images_keep_their_size(generator):
    source, condition = torch.zeros(1, 3, 128, 128), torch.zeros(1, 2)
    assert picture_of_edits(generator, source, condition, condition).shape == (3, 4 * 128, 96 + 128)


def test_a_truth_of_another_shape_is_refused(generator):
    source, condition = torch.zeros(2, 3, 16, 16), torch.zeros(2, 2)
    with pytest.raises(ValueError, match="truth"):
        picture_of_edits(generator, source, condition, condition, truth=torch.zeros(1, 3, 16, 16))
