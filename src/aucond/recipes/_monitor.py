"""What every masked recipe lets the Trainer's monitor watch."""

from __future__ import annotations

import torch
from torch import Tensor

from aucond.types import GeneratorOutput

SATURATED = 0.01
"""A mask value this close to 0 or 1 has all but lost its gradient: sigmoid' is below 0.01 there."""


@torch.no_grad()
def watch_edit(output: GeneratorOutput, image: Tensor) -> dict[str, Tensor]:
    """Mean of the mask, share of it that is saturated, and mean absolute change of the image, all scalars."""
    mask = output.attention
    return {
        "attention_mean": mask.mean(),
        "attention_saturated": ((mask < SATURATED) | (mask > 1 - SATURATED)).float().mean(),
        "edit_size": (output.image - image).abs().mean(),
    }
