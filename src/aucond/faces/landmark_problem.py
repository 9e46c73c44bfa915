"""The landmarks of a linear face model as functions of camera and coefficients, with their derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .camera import HeadCamera, pose_rotation, rotation_slopes
from .contour import ContourCandidates
from .linear_model import LinearFaceModel

__all__ = ["CAMERA", "LandmarkProblem"]

CAMERA = 6
"""Variables before the coefficients: yaw, pitch, roll, logarithm of the scale, offset x and y."""


@dataclass(frozen=True, eq=False)
class LandmarkProblem:
    """Mean and bases at the vertices that landmarks may sit on, float64.

    Args:
        mean: (V, 3).
        basis: Identity and expression components (V, 3, P).
        candidates: Which of these V vertices each landmark may sit on.
        num_identities: K of the P components.
        distance: As of :class:`HeadCamera`.
        depth: As of :class:`HeadCamera`.
    """

    mean: Tensor
    basis: Tensor
    candidates: ContourCandidates
    num_identities: int
    distance: float
    depth: float

    @classmethod
    def of_model(
        cls, model: LinearFaceModel, candidates: ContourCandidates, distance: float, device: torch.device
    ) -> LandmarkProblem:
        """Cut the candidate vertices out of a model."""
        used, place = torch.unique(candidates.vertices, return_inverse=True)
        rows = used.numpy()
        basis = torch.cat(
            [
                torch.from_numpy(part[:, rows]).double()
                for part in (model.identity_basis, model.expression_basis)
            ]
        )
        return cls(
            mean=torch.from_numpy(model.mean[rows]).double().to(device),
            basis=basis.permute(1, 2, 0).contiguous().to(device),
            candidates=ContourCandidates(place.to(device), candidates.side.to(device)),
            num_identities=model.num_identities,
            distance=distance,
            depth=float(model.mean[model.landmarks, 2].mean()),
        )

    @property
    def size(self) -> int:
        """Number of variables."""
        return CAMERA + self.basis.shape[2]

    @property
    def mean_landmarks(self) -> Tensor:
        """The landmarks of the mean face (68, 3)."""
        return self.mean[self.candidates.vertices[:, 0]]

    def project(self, variables: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks (B, 68, 2) in pixels and the vertices (B, 68) they sit on."""
        everything = self.mean + torch.einsum("vcp,bp->bvc", self.basis, variables[:, CAMERA:])
        upright = variables[:, :3] * variables.new_tensor([1.0, 1.0, 0.0])
        sideways = (everything @ pose_rotation(upright).transpose(1, 2))[..., 0]
        chosen = self.candidates.choose(sideways[:, self.candidates.vertices])
        shape = everything.gather(1, chosen[..., None].expand(-1, -1, 3))
        return self._camera(variables, centre).project(shape)[..., :2], chosen

    def slopes(self, variables: Tensor, centre: Tensor, chosen: Tensor) -> Tensor:
        """Derivatives (B, 68, 2, 6 + P) of the landmarks by the variables, the vertices held."""
        basis = self.basis[chosen]
        shape = self.mean[chosen] + torch.einsum("blcp,bp->blc", basis, variables[:, CAMERA:])
        rotation = pose_rotation(variables[:, :3])
        turned = torch.einsum("bij,blj->bli", rotation, shape)
        spin = rotation_slopes(variables[:, :3])
        moved = torch.cat(
            [torch.einsum("bija,blj->blia", spin, shape), torch.einsum("bij,bljp->blip", rotation, basis)], -1
        )
        away = turned[..., :2] - variables[:, None, 4:6]
        factor = variables[:, 3].exp()[:, None].expand(turned.shape[:2])
        growth = torch.zeros_like(factor)
        if math.isfinite(self.distance):
            gap = self.distance + self.depth - turned[..., 2]
            factor, growth = factor * self.distance / gap, 1 / gap
        by_shape = moved[..., :2, :] + (away * growth[..., None])[..., None] * moved[..., 2:, :]
        by_offset = -torch.eye(2).to(away).expand(*away.shape[:2], 2, 2)
        columns = torch.cat([by_shape[..., :3], away[..., None], by_offset, by_shape[..., 3:]], -1)
        return columns * factor[..., None, None] * away.new_tensor([1.0, -1.0])[:, None]

    def _camera(self, variables: Tensor, centre: Tensor) -> HeadCamera:
        return HeadCamera(
            variables[:, :3], variables[:, 3].exp(), variables[:, 4:6], centre, self.distance, self.depth
        )
