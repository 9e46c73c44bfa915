"""A colour image that is the input itself, displaced and retouched."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["REACH", "RETOUCH", "warped_color"]

REACH = 0.1
"""The furthest a pixel is fetched from, in halves of the image: a twentieth of its width or height."""
RETOUCH = 0.12
"""The most that is added to a displaced pixel, on the scale of [-1, 1]."""


def warped_color(image: Tensor, displacement: Tensor, retouch: Tensor, cell: int = 2) -> Tensor:
    r"""Displace an image smoothly, then retouch it.

    .. math:: C(p) = \operatorname{clip}\bigl(I_o(p + \delta\tanh \bar d(p)) + \rho\tanh r(p)\bigr)

    where the means of d over cells of pixels, interpolated bilinearly, are the smooth :math:`\bar d`;
    :math:`\delta` is ``REACH``, :math:`\rho` is ``RETOUCH``. Every colour but
    the little that is added is one the face already has, whatever a critic can be talked into.

    Args:
        image: I_o (B, 3, H, W) in [-1, 1].
        displacement: d (B, 2, H, W), across and down, unbounded; 0 leaves a pixel where it is.
        retouch: r (B, 3, H, W), unbounded; 0 adds nothing.
        cell: Edge of a cell in pixels; divides H and W. Lids are a few pixels high: coarser cells cannot close them.

    Returns:
        C (B, 3, H, W) in [-1, 1], in the image's dtype; sampled in float32 at least. Its gradient repeats bit for bit
        on a CPU; CUDA sums a warp's gradient in any order.

    >>> image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> still = warped_color(image, torch.zeros(1, 2, 8, 8), torch.zeros(1, 3, 8, 8), cell=4)
    >>> torch.allclose(still, image, atol=1e-6)
    True
    """
    dtype = torch.promote_types(image.dtype, torch.float32)
    source, displacement = image.to(dtype), displacement.to(dtype)
    if cell > 1:
        means = F.avg_pool2d(displacement, cell)
        displacement = F.interpolate(means, scale_factor=float(cell), mode="bilinear", align_corners=False)
    height, width = image.shape[-2:]
    across = (2 * torch.arange(width, device=image.device, dtype=dtype) + 1) / width - 1
    down = (2 * torch.arange(height, device=image.device, dtype=dtype) + 1) / height - 1
    at_rest = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)
    places = at_rest + REACH * displacement.tanh().permute(0, 2, 3, 1)
    fetched = F.grid_sample(source, places, mode="bilinear", padding_mode="border", align_corners=False)
    return (fetched + RETOUCH * retouch.to(dtype).tanh()).clamp(-1, 1).to(image.dtype)
