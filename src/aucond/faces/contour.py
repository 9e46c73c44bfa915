"""Where the jaw's landmarks lie on a turned head: on the outline that is seen, not on fixed vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .linear_model import LinearFaceModel

__all__ = ["ContourCandidates", "sliding_weights"]

JAW = 17
"""Landmarks 0 to 16 of iBUG run along the jaw, from the person's right ear to the left."""
_CHIN = range(6, 11)
"""Jaw landmarks that stay on their vertices: yaw hardly moves them along the surface."""


@dataclass(frozen=True, eq=False)
class ContourCandidates:
    """For each landmark the vertices that it may sit on: its own and, for the jaw, those before it at its height.

    A detector marks the jaw where the cheek ends against what lies behind it. On the side that a head turns away, this
    outline wanders over the cheek towards the nose (Zhu et al. 2015 call it landmark marching); on the side that turns
    to the camera, the landmark stays.

    Args:
        vertices: Vertex indices (L, C), int64; rows are filled up with the landmark's own vertex.
        side: -1 for landmarks on the person's right, +1 on the left, 0 for those that stay (L,).
    """

    vertices: Tensor
    side: Tensor

    @classmethod
    def fixed(cls, model: LinearFaceModel) -> ContourCandidates:
        """Every landmark on its own vertex."""
        own = torch.from_numpy(model.landmarks.astype(np.int64))
        return cls(own[:, None], torch.zeros(len(own)))

    @classmethod
    def marching(cls, model: LinearFaceModel) -> ContourCandidates:
        """The jaw's landmarks may march along the face at their own height."""
        own = model.landmarks.astype(np.int64)
        x, y, z = model.mean.astype(np.float64).T
        jaw = own[:JAW]
        middle = x[own[27:36]].mean()
        half_width = np.ptp(x[jaw]) / 2
        rows, sides = [], []
        for number, vertex in enumerate(own):
            row, side = np.empty(0, np.int64), 0
            if number < JAW and number not in _CHIN:
                side = 1 if x[vertex] > middle else -1
                level = np.abs(y - y[vertex]) < 0.06 * half_width
                outer = side * (x - middle) > 0.5 * abs(x[vertex] - middle)
                row = np.flatnonzero(level & outer & (z > z[vertex]))
            rows.append(np.concatenate([[vertex], row]))
            sides.append(side)
        longest = max(len(row) for row in rows)
        filled = np.stack([np.concatenate([row, np.repeat(row[:1], longest - len(row))]) for row in rows])
        return cls(torch.from_numpy(filled), torch.tensor(sides, dtype=torch.float32))

    def choose(self, sideways: Tensor) -> Tensor:
        """Vertex of each landmark (B, L): the candidate that reaches furthest out.

        Args:
            sideways: How far each candidate lies to the image's right, roll undone (B, L, C).
        """
        if self.vertices.shape[1] == 1:
            return self.vertices[:, 0].expand(len(sideways), -1)
        reach = sideways * self.side.to(sideways)[:, None]
        # A landmark whose reach is level with the outline keeps its own vertex: no jumping within a flat cheek.
        reach[..., 0] += 1e-3 * sideways.abs().amax((1, 2))[:, None]
        best = reach.argmax(-1)
        return self.vertices.expand(len(sideways), -1, -1).gather(2, best[..., None])[..., 0]


def sliding_weights(landmarks: Tensor, along: float) -> Tensor:
    """Symmetric matrices (B, 68, 2, 2) that weigh errors along the jaw line by ``along`` and all others by 1.

    Nothing but its neighbours says where on the line a jaw landmark sits.

    Args:
        landmarks: Detected points (B, 68, 2).
        along: Weight in [0, 1]; 1 treats the jaw as everything else.
    """
    matrices = torch.eye(2, dtype=landmarks.dtype, device=landmarks.device).repeat(*landmarks.shape[:2], 1, 1)
    before = torch.arange(JAW).sub(1).clamp(min=0)
    after = torch.arange(JAW).add(1).clamp(max=JAW - 1)
    tangent = torch.nn.functional.normalize(landmarks[:, after] - landmarks[:, before], dim=-1)
    matrices[:, :JAW] -= (1 - along) * tangent[..., :, None] * tangent[..., None, :]
    return matrices
