"""An edit as a change that can be carried to another resolution."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aucond.types import GeneratorOutput

__all__ = ["Change", "enlarged_onto", "smoothstep"]

_KEPT, _REPLACED = 0.25, 0.75
"""Mean change of colour, black to white being 2, up to which all fine detail is kept, and from which none is."""


class Change(NamedTuple):
    r"""What an edit does to its crops, at the network's size.

    Where the change is small, the fine detail of the photo, which the network cannot see, stays as it is: the skin is
    still that skin. Where it is so large that something else comes into view, teeth in place of lips, the old
    detail would show through as a ghost, so it fades out:

    .. math:: I' = I + A'(C - \bar I) - R\,(I - \bar I)

    with :math:`\bar I` the crop as the network saw it, enlarged. R is 0 for changes of at most 32 grey levels and 1
    for those of 96 and more.
    """

    mask: Tensor
    """A' (F, 1, S, S) in [0, 1]: ``max(A - floor, 0) / (1 - floor)``, 0 up to the floor, from where it rises."""
    color: Tensor
    """A' (C - I) (F, 3, S, S)."""
    replaced: Tensor
    """R (F, 1, S, S) in [0, 1]: how much of the old detail goes."""
    seen: Tensor
    """The crops (F, 3, S, S) in [-1, 1]."""

    @classmethod
    def of(cls, output: GeneratorOutput, image: Tensor, floor: float) -> Change:
        """The change of a generator's output on ``image`` (F, 3, S, S); mask values up to ``floor`` count as 0.

        >>> output = GeneratorOutput(torch.zeros(1), torch.ones(1, 3, 1, 2), torch.tensor([[[[0.1, 1.0]]]]))
        >>> Change.of(output, torch.zeros(1, 3, 1, 2), 0.2).mask.flatten()
        tensor([0., 1.])
        """
        mask = (output.attention - floor).clamp(min=0) / (1 - floor)
        color = mask * (output.color - image)
        size = color.abs().mean(1, keepdim=True)
        return cls(mask, color, smoothstep((size - _KEPT) / (_REPLACED - _KEPT)), image)

    def one(self, number: int) -> Change:
        """The change of one face, still with its first axis."""
        return Change(*(part[number : number + 1] for part in self))


def enlarged_onto(change: Change, before: Tensor) -> Tensor:
    """Carry a change onto the same crops at another size.

    Args:
        change: The change of F crops.
        before: The crops (F, 3, H, W) in [-1, 1].

    Returns:
        (F, 3, H, W) in [-1, 1], equal to ``before`` where the enlarged mask is 0.
    """
    size = before.shape[-2:]
    weight, replaced = (
        F.interpolate(part, size, mode="bilinear", align_corners=False)
        for part in (change.mask, change.replaced)
    )
    color, seen = (
        F.interpolate(part, size, mode="bicubic", align_corners=False) for part in (change.color, change.seen)
    )
    after = (before + color - replaced * (before - seen)).clamp(-1, 1)
    return torch.where(weight > 0, after, before)


def smoothstep(x: Tensor) -> Tensor:
    """0 up to 0, 1 from 1 on, and a smooth rise between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)
