"""Edit masks as heat maps."""

from __future__ import annotations

import torch
from torch import Tensor

from aucond._check import check_tensor

__all__ = ["heat_map"]

# Black, blue, magenta, orange, pale yellow: brightness rises all the way, so it also reads in grey.
_STOPS = torch.tensor(
    [[0.0, 0.0, 0.02], [0.22, 0.06, 0.45], [0.72, 0.21, 0.47], [0.97, 0.55, 0.25], [0.99, 0.99, 0.75]]
)


def heat_map(attention: Tensor) -> Tensor:
    """Colour edit masks from black (0, nothing changes) over violet and orange to pale yellow (1, all is replaced).

    Args:
        attention: Edit masks (B, 1, H, W) in [0, 1]; values outside are moved inside.

    Returns:
        Images (B, 3, H, W) in [-1, 1].

    >>> heat_map(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2))[0, :, 0].T
    tensor([[-1.0000, -1.0000, -0.9600],
            [ 0.9800,  0.9800,  0.5000]])
    """
    check_tensor("attention", attention, ("B", 1, "H", "W"))
    stops = _STOPS.to(attention)
    place = attention[:, 0].clamp(0, 1) * (len(stops) - 1)
    below = place.floor().clamp(max=len(stops) - 2)
    share = (place - below)[..., None]
    colors = torch.lerp(stops[below.long()], stops[below.long() + 1], share)
    return 2 * colors.permute(0, 3, 1, 2) - 1
