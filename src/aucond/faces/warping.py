"""Exact pairs from real photos: a fitted photo warped by the motion of its mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .._check import check_images, check_number, check_tensor, describe
from ..conditions import ARKIT_BLENDSHAPES, ConditionSpace
from ..data.pairs import ExactPairs
from ._parts import Part
from .camera import pose_rotation
from .detection import DlibDetector, FaceDetector, find_faces
from .fitting import LandmarkFit, fit_landmarks
from .geometry import HeadGeometry
from .mesh_motion import SolidHead, mesh_motion
from .mouth_paint import paint_mouth
from .sampling import sample_conditions
from .space_model import SpaceModel
from .warp_layers import FINE, inner_layer, mouth_mask, outer_layer, pooled, unmoved_inside

__all__ = ["FittedPhoto", "fit_photo", "warp_pairs"]

_SNAP_RADIUS = 0.18
"""Decimetres over which the rest between found and fitted landmarks is spread over the mesh."""
_FALL_OFF = 0.35
"""How far the face's motion reaches beyond the head, in inter-ocular distances."""
_LIP_EDGE, _LID_EDGE = 0.02, 0.05
"""How far around the seen gap of the mouth and around an unfolding lid skin is not believed, in the same unit."""
_STAY = ("eyeLook", "tongueOut")
"""Units whose motion no landmark shows: pairs keep them as they are."""


@dataclass(frozen=True, eq=False)
class FittedPhoto:
    """A photo of one face, with the face model fitted to it.

    Args:
        image: The photo (3, H, W) in [-1, 1].
        landmarks: The points that were fitted (68, 2), pixels.
        fitted: The space on the default head.
        fit: What the fit found, for one face.
    """

    image: Tensor
    landmarks: Tensor
    fitted: SpaceModel
    fit: LandmarkFit

    @property
    def condition(self) -> Tensor:
        """The photo's own condition (N,)."""
        return self.fitted.conditions(self.fit.expression[0])

    def mesh(self, conditions: Tensor | None = None) -> Tensor:
        """The head on the photo, x and y in pixels and depth, under conditions (M, N): (M, V, 3).

        What the fit left between its landmarks and those of the photo is spread over the mesh around them, the same
        for all conditions, so that lips and lids lie where they are seen. None: the photo's own condition.
        """
        own = self.condition[None]
        wanted = own if conditions is None else conditions
        check_tensor("conditions", wanted, ("M", self.fitted.space.dim))
        self.fitted.space.validate(wanted, name="conditions")
        rest = self._rest()
        screens = [self._projected(condition) for condition in wanted]
        return torch.stack([torch.cat([s[:, :2] + rest, s[:, 2:]], 1) for s in screens])

    def wireframe(self, condition: Tensor | None = None) -> Tensor:
        """Edges (L, 2, 2) in pixels of the skin's triangles that face the camera; ``edges[i]`` are two ends (x, y)."""
        screen = self.mesh(None if condition is None else condition[None])[0, :, :2]
        head = SolidHead.default()
        corners = torch.from_numpy(head.triangles[head.part == Part.SKIN]).long()
        u, v = screen[corners[:, 1]] - screen[corners[:, 0]], screen[corners[:, 2]] - screen[corners[:, 0]]
        facing = corners[u[:, 1] * v[:, 0] > u[:, 0] * v[:, 1]]
        pairs = torch.cat([facing[:, [0, 1]], facing[:, [1, 2]], facing[:, [2, 0]]])
        pairs = torch.unique(pairs.sort(1).values, dim=0)
        return screen[pairs]

    def warp(self, conditions: Tensor) -> Tensor:
        """The photo under other conditions (M, N): images (M, 3, H, W) in [-1, 1].

        Every pixel of the moved head takes its colour from where that spot of the skin was in the photo; beyond the
        head the motion fades away. Where lips part, teeth and mouth are painted in the photo's light; lids that close
        are painted from the skin around them. Pixels that do not move keep their value, bit for bit.
        """
        before = self.mesh()[0]
        after = self.mesh(conditions)
        return torch.stack(
            [self._warped(before, moved, c) for moved, c in zip(after, conditions, strict=True)]
        )

    def _shape(self, condition: Tensor) -> Tensor:
        coefficients = self.fitted.coefficients(condition[None])
        return HeadGeometry.default().model.vertices(self.fit.identity, coefficients)

    def _projected(self, condition: Tensor) -> Tensor:
        return self.fit.camera.project(self._shape(condition))[0]

    def _rest(self) -> Tensor:
        """Offsets (V, 2) in pixels: a Gaussian process through what is left at the landmarks, on the fitted surface."""
        model = HeadGeometry.default().model
        marks = torch.from_numpy(model.landmarks).long()
        shape = self._shape(self.condition)[0].double()
        inner = marks[17:]  # The jaw's landmarks march: they belong to no vertex.
        seen = self._projected(self.condition)[inner, :2].double()
        left = self.landmarks[17:].double() - seen

        def kernel(a: Tensor, b: Tensor) -> Tensor:
            return torch.exp(-torch.cdist(a, b).square() / (2 * _SNAP_RADIUS**2))

        solved = torch.linalg.solve(kernel(shape[inner], shape[inner]) + 0.05 * torch.eye(len(inner)), left)
        spread: Tensor = kernel(shape, shape[inner]) @ solved
        return spread.float()

    def _warped(self, before: Tensor, after: Tensor, condition: Tensor) -> Tensor:
        height, width = self.image.shape[1:]
        top, bottom, left, right = _region(before, after, height, width)
        origin = torch.tensor([left, top, 0.0])
        scale = torch.tensor([FINE, FINE, 1.0])
        rows, columns = FINE * (bottom - top), FINE * (right - left)
        first, second = ((screen - origin) * scale for screen in (before, after))
        motion = mesh_motion(first.numpy(), second.numpy(), rows, columns)
        photo = self.image[None, :, top:bottom, left:right]
        right_eye, left_eye = (int(v) for v in HeadGeometry.default().model.landmarks[[36, 45]])
        eyes = float((before[right_eye, :2] - before[left_eye, :2]).norm())
        gap = mouth_mask(self.landmarks - origin[:2], photo.shape[2:], _LIP_EDGE * eyes)
        outer, still = outer_layer(photo, motion, gap, _FALL_OFF * FINE * eyes, _LID_EDGE * eyes)
        inside = pooled(torch.from_numpy(motion.inside))
        if bool((inside > 0).any()):
            paint = self._painted(second, condition, rows, columns)
            inner = inner_layer(photo, motion, paint)
            outer = (1 - inside) * outer + inside * inner
            still = still & ((inside == 0) | unmoved_inside(motion))
        result = self.image.clone()
        result[:, top:bottom, left:right] = torch.where(still, photo, outer.clamp(-1, 1))[0]
        return result

    def _painted(self, screen: Tensor, condition: Tensor, rows: int, columns: int) -> Tensor:
        shape = self._shape(condition)[0]
        turned = shape @ pose_rotation(self.fit.camera.pose)[0].T
        upper, lower = HeadGeometry.default().model.landmarks[[62, 66]]
        gap = float(shape[upper, 1] - shape[lower, 1])
        painted = paint_mouth(
            turned.numpy(), screen.numpy(), gap, _brightness(self.image, self.landmarks), rows, columns
        )
        smooth = F.avg_pool2d(torch.from_numpy(painted).permute(2, 0, 1)[None], 3, stride=1, padding=1)
        return F.avg_pool2d(2 * smooth - 1, FINE)


def fit_photo(
    image: Tensor,
    landmarks: Tensor | None = None,
    *,
    space: ConditionSpace = ARKIT_BLENDSHAPES,
    expression: Tensor | None = None,
    detector: FaceDetector | None = None,
) -> FittedPhoto:
    """Fit the default head to the largest face of a photo.

    Args:
        image: The photo (3, H, W) in [-1, 1], RGB.
        landmarks: Its 68 points (68, 2) in pixels; None: ask the detector.
        space: The space of the conditions.
        expression: Coefficients of the head's 52 ARKit units per component (N, 52); None: from the names.
        detector: Finds the face; None: :class:`~aucond.faces.detection.DlibDetector`.

    Raises:
        ValueError: Wrong shapes, or no face is found.

    >>> from aucond.faces import SyntheticFaces
    >>> faces = SyntheticFaces(1, samples=1, size=64, cache=False)
    >>> photo = fit_photo(faces[0]["image"], faces.landmarks([0])[0])
    >>> photo.warp(photo.condition[None]).shape
    torch.Size([1, 3, 64, 64])
    """
    if not isinstance(image, Tensor) or image.dim() != 3:
        raise ValueError(f"image: expected a photo (3, H, W), got {describe(image)}")
    check_images("image", image[None])
    if landmarks is None:
        picture = (
            ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        )
        faces = find_faces(DlibDetector() if detector is None else detector, picture)
        if not faces:
            raise ValueError("image: no face was found in it; give its landmarks, or another detector")
        landmarks = faces[0].landmarks
    check_tensor("landmarks", landmarks, (68, 2))
    fitted = SpaceModel.of(space, expression)
    fit = fit_landmarks(
        fitted.model,
        landmarks[None].float(),
        prior=fitted.prior,
        low=fitted.low,
        high=fitted.high,
        noise=0.01,
    )
    return FittedPhoto(image.detach().float().cpu(), landmarks.detach().float().cpu(), fitted, fit)


def warp_pairs(
    photos: Sequence[FittedPhoto], count: int = 20, *, generator: torch.Generator | None = None
) -> ExactPairs:
    """Warp every photo to random conditions (SliderGAN Sec. 4.1: 20 a photo).

    Conditions are drawn as faces show them; gaze and tongue, which the landmarks do not tell, stay as they are.

    Args:
        photos: Fitted photos of one size and one space.
        count: Warps of each, at least 1.
        generator: Source of randomness; a fresh one seeded with 0 if None.

    Returns:
        Groups of 1 + count images: group i is photo i and its warps, in this order; any two are an exact pair.
    """
    if not photos:
        raise ValueError("photos: expected at least one fitted photo, got none")
    check_number("count", count, low=1, integer=True)
    rng = generator if generator is not None else torch.Generator().manual_seed(0)
    space, size = photos[0].fitted.space, photos[0].image.shape
    images, conditions = [], []
    for number, photo in enumerate(photos):
        if photo.fitted.space != space or photo.image.shape != size:
            raise ValueError(f"photos[{number}]: expected the first photo's space and size, got others")
        drawn = sample_conditions(space, count, rng)
        for column, name in enumerate(space.names):
            if name.startswith(_STAY):
                drawn[:, column] = photo.condition[column]
        images += [photo.image[None], photo.warp(drawn)]
        conditions += [photo.condition[None], drawn]
    pixels = ((torch.cat(images) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    groups = torch.arange(len(photos)).repeat_interleave(1 + count)
    return ExactPairs(pixels, torch.cat(conditions), groups, space=space, identities=groups)


def _region(before: Tensor, after: Tensor, height: int, width: int) -> tuple[int, int, int, int]:
    """Rows and columns of the picture that the motion may reach."""
    both = torch.cat([before, after])[:, :2]
    margin = _FALL_OFF * float((both.amax(0) - both.amin(0)).max())
    left, top = (both.amin(0) - margin).floor().clamp(min=0).long().tolist()
    right, bottom = (both.amax(0) + margin).ceil().long().tolist()
    return top, min(bottom, height), left, min(right, width)


def _brightness(image: Tensor, landmarks: Tensor) -> float:
    """Of the light on the face: its brightest few percent, eyes and highlights, taken for white."""
    (left, top), (right, bottom) = (
        corner.long().tolist() for corner in (landmarks.amin(0), landmarks.amax(0))
    )
    face = image[:, max(top, 0) : bottom + 1, max(left, 0) : right + 1]
    linear = ((face.clamp(-1, 1) + 1) / 2) ** 2.2
    luminance = (linear * torch.tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(0)
    return float(luminance.flatten().quantile(0.97).clamp(0.1, 0.9))
