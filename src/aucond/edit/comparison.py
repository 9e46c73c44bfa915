"""One picture that shows what a generator does: source, attention, colour, edit and, where it is known, the truth."""

from __future__ import annotations

import torch
from torch import Tensor

from aucond._check import check_images, check_same_shape
from aucond.edit.pictures import label_rows, tile
from aucond.nn import AttentionGenerator

__all__ = ["picture_of_edits"]


@torch.no_grad()
def picture_of_edits(
    generator: AttentionGenerator,
    source: Tensor,
    current: Tensor,
    target: Tensor,
    truth: Tensor | None = None,
) -> Tensor:
    """Edit images and join them into labelled rows; images below 128 pixels are shown twice as large.

    Args:
        generator: The generator, on any device.
        source: Images (B, 3, H, W) in [-1, 1].
        current: Their conditions (B, N).
        target: The wanted conditions (B, N).
        truth: What the edits should be, (B, 3, H, W), for a fifth row.

    Returns:
        (3, H', W') in [-1, 1], as :func:`save_png` takes it.

    Raises:
        ValueError: A wrong shape.

    >>> from aucond import OPENFACE_AUS
    >>> generator = AttentionGenerator(OPENFACE_AUS, base_channels=4, num_residual_blocks=1)
    >>> faces, conditions = torch.zeros(2, 3, 16, 16), torch.zeros(2, 17)
    >>> picture_of_edits(generator, faces, conditions, conditions, truth=faces).shape
    torch.Size([3, 160, 160])
    """
    check_images("source", source)
    device = next(generator.parameters()).device
    output = generator.edit(source.to(device), target.to(device), current.to(device))
    rows = {"source": source, "attention": output.attention, "colour": output.color, "edit": output.image}
    if truth is not None:
        check_same_shape("source", source, "truth", truth)
        rows["truth"] = truth
    return label_rows(tile(list(rows.values()), scale=2 if source.shape[-1] < 128 else 1), list(rows))
