"""The generator without its mask, for papers that paint the whole image."""

from __future__ import annotations

import torch
from torch import Tensor

from aucond.nn import AttentionGenerator
from aucond.types import GeneratorOutput

__all__ = ["MasklessGenerator"]


class MasklessGenerator(AttentionGenerator):
    """An :class:`~aucond.AttentionGenerator` whose colour image is the result: StarGAN's and CycleGAN's generator.

    The same network and the same arguments; only the blend is left out. The channel of the mask head stays in the
    last convolution, unused and untrained, so that weights of both kinds of generator have one layout.

    Convention:
        ``image`` and ``color`` are the same tensor, and ``attention`` is 1 everywhere: the edit mask of an edit
        that replaces every pixel. Whatever reads a :class:`~aucond.GeneratorOutput` goes on working.

    >>> generator = MasklessGenerator(2, base_channels=4, num_residual_blocks=1)
    >>> output = generator(torch.zeros(1, 3, 16, 16), torch.zeros(1, 2))
    >>> output.image is output.color, bool((output.attention == 1).all())
    (True, True)
    """

    def forward(self, image: Tensor, condition: Tensor) -> GeneratorOutput:
        """Repaint images (B, 3, H, W) in [-1, 1] under conditions (B, N)."""
        color = super().forward(image, condition).color
        return GeneratorOutput(color, color, torch.ones_like(color[:, :1]))
