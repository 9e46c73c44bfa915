"""Faces for the papers' tables: expressions and speech with their truth, annotated as each system's paper does it.

Every face is made from units of the head model's expression (:data:`UNITS`). A system never sees these: GANimation is
trained with the 17 action units that an ideal coder would give the same face, SliderGAN with the blendshape parameters
that a fit to the face's 68 landmarks finds, and all are judged on pictures of the same true expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from aucond import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.faces import (
    PROTOTYPES,
    SpaceModel,
    SyntheticFaces,
    expression_matrix,
    fit_landmarks,
    head_blendshapes,
    sample_speech,
)

_STILL = tuple(n for n in ARKIT_BLENDSHAPES.names if n.startswith("eyeLook") or n == "tongueOut")
_MOVING = [name for name in ARKIT_BLENDSHAPES.names if name not in _STILL]
UNITS = ConditionSpace(
    _MOVING,
    mirror={n: n.removesuffix("Left") + "Right" for n in _MOVING if n.endswith("Left")},
)
"""The ARKit units that move the face; gaze and tongue, which neither paper's annotation knows, stay still."""

_COLUMNS = [ARKIT_BLENDSHAPES.index(name) for name in UNITS.names]

CLASSES: Mapping[str, str | None] = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happiness": "smile",
    "sadness": "sadness",
    "surprise": "surprise",
    "neutral": None,
}
"""The seven expressions of SliderGAN Table 2, and the mixture of action units that is each."""


DETECTOR_CORRELATION = 0.6
"""Pearson correlation with the truth that the disturbed action units are brought to: an assumption about a good
detector on spontaneous faces, not a published figure. Put your own detector's here."""


FIT_NOISE = 0.02
"""What the fits believe of the landmarks, in shares of the inter-ocular distance: a detector's error. They are exact
here, so it only says how far a component must move them before it is believed."""


@dataclass(frozen=True, eq=False)
class Expressions:
    """What faces show: the true units (M, 43), and the 68 landmarks (M, 68, 2) in shares of the image's side."""

    units: Tensor
    landmarks: Tensor


@dataclass(frozen=True, eq=False)
class Annotation:
    """A condition space, and how true expressions are written in it."""

    space: ConditionSpace
    annotate: Callable[[Expressions], Tensor]
    """Expressions of M faces -> conditions (M, N)."""


@dataclass(frozen=True, eq=False)
class Faces:
    """Pictures and what they show; groups of pictures share everything but the expression."""

    images: Tensor
    expressions: Expressions
    groups: Tensor
    identities: Tensor


@dataclass(frozen=True, eq=False)
class Edits:
    """Edits whose truth is known: sources, what they show, what is asked for, true pictures."""

    source: Tensor
    current: Expressions
    target: Expressions
    truth: Tensor


def units_to_head(units: Tensor) -> Tensor:
    """Units (M, 43) as coefficients of the head model (M, 52)."""
    head = torch.zeros(len(units), ARKIT_BLENDSHAPES.dim)
    head[:, _COLUMNS] = units
    return head


def speech(sequences: int, frames: int, rng: torch.Generator, hold: int = 4) -> Tensor:
    """Smooth mouth movements (sequences, frames, 43): one mouth shape glides into the next every ``hold`` frames."""
    keys = frames // hold + 2
    said = sample_speech(sequences * keys, rng)[:, _COLUMNS].view(sequences, keys, -1)
    said[:, 0] = 0
    at = torch.arange(frames) / hold
    left = at.long()
    glide = (0.5 - 0.5 * torch.cos(torch.pi * (at - left)))[None, :, None]
    return torch.lerp(said[:, left], said[:, left + 1], glide)


def discrete_units(strength: Tensor) -> Tensor:
    """Units (len(strength), 7, 43) of the seven expressions at some strengths (M,) in [0, 1]."""
    to_units = expression_matrix(OPENFACE_AUS)[:, _COLUMNS]
    vectors = [OPENFACE_AUS.vector(**(PROTOTYPES[name] if name else {})) for name in CLASSES.values()]
    full = (torch.stack(vectors) @ to_units).clamp(0, 1)
    return strength[:, None, None] * full


def training_faces(identities: int, scenes: int, size: int, seed: int) -> Faces:
    """Two pictures of every scene: an expression, and another expression or (every second scene) a moment of speech."""
    faces = SyntheticFaces(range(identities), scenes, size=size, seed=seed, space=UNITS, pose=0.3)
    rng = torch.Generator().manual_seed(seed)
    other = faces.conditions[torch.randperm(scenes, generator=rng)]
    spoken = sample_speech(scenes, rng)[:, _COLUMNS]
    other = torch.where(torch.arange(scenes)[:, None] % 2 == 0, other, spoken)
    every = torch.arange(scenes)
    return Faces(
        torch.cat([faces.images, to_bytes(faces.render(every, other))]),
        expressions_of(faces, every.repeat(2), torch.cat([faces.conditions, other])),
        every.repeat(2),
        faces.identities.repeat(2),
    )


def other_faces(first: int, scenes: int, size: int, seed: int) -> SyntheticFaces:
    """Scenes of people numbered from ``first``, who are in no training set, two of each."""
    people = range(first, first + max(1, scenes // 2))
    return SyntheticFaces(people, scenes, size=size, seed=seed, space=UNITS, pose=0.3)


def expressions_of(faces: SyntheticFaces, scenes: Tensor, units: Tensor) -> Expressions:
    """Scenes (M,) under units (M, 43)."""
    return Expressions(units, faces.landmarks(scenes, units) / faces.size)


def edits_to(faces: SyntheticFaces, scenes: Tensor, current: Tensor, target: Tensor) -> Edits:
    """Edits of scenes (M,) that show units (M, 43) to others (M, 43), with their truth."""
    return Edits(
        faces.render(scenes, current),
        expressions_of(faces, scenes, current),
        expressions_of(faces, scenes, target),
        faces.render(scenes, target),
    )


def expression_edits(faces: SyntheticFaces, seed: int) -> Edits:
    """Every scene to the expression of another one."""
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(seed))
    return edits_to(faces, torch.arange(len(faces)), faces.conditions, faces.conditions[order])


def speech_edits(faces: SyntheticFaces, sequences: int, frames: int, seed: int) -> Edits:
    """The first, silent frame of a scene to every frame of a speech sequence (SliderGAN Sec. 4.5)."""
    said = speech(sequences, frames, torch.Generator().manual_seed(seed)).flatten(0, 1)
    scenes = torch.arange(sequences).repeat_interleave(frames)
    return edits_to(faces, scenes, torch.zeros_like(said), said)


def discrete_edits(faces: SyntheticFaces) -> tuple[Edits, Tensor]:
    """Every scene to each of the seven expressions, and which one it is (M,)."""
    count = len(faces)
    target = discrete_units(torch.ones(count)).flatten(0, 1)
    scenes = torch.arange(count).repeat_interleave(len(CLASSES))
    return edits_to(faces, scenes, faces.conditions[scenes], target), torch.arange(len(CLASSES)).repeat(count)


def action_units() -> Annotation:
    """What an ideal coder writes down: the action units whose face is nearest to the true one, each in [0, 1]."""
    metric = head_blendshapes(30, speech=10).metric
    matrix = expression_matrix(OPENFACE_AUS).double()
    hessian = matrix @ metric @ matrix.T
    step = 1 / torch.linalg.eigvalsh(hessian).max()

    def annotate(shown: Expressions) -> Tensor:
        pull = units_to_head(shown.units).double() @ metric @ matrix.T
        found = torch.zeros_like(pull)
        for _ in range(3000):  # projected gradient: a convex problem of 17 unknowns
            found = (found - step * (found @ hessian - pull)).clamp(0, 1)
        return found.float()

    return Annotation(OPENFACE_AUS, annotate)


def disturbed(conditions: Tensor, seed: int) -> Tensor:
    """Action units (M, 17) as a detector might read them: noise brings each unit's correlation to DETECTOR_CORRELATION.

    Gaussian noise, the sum clipped to [0, 1] as a detector's intensities are; its size is found per unit by bisection,
    so the correlation after clipping is the wanted one on these very data.
    """
    noise = torch.randn(conditions.shape, generator=torch.Generator().manual_seed(seed))
    wanted = torch.full((OPENFACE_AUS.dim,), DETECTOR_CORRELATION)
    low, high = torch.zeros(OPENFACE_AUS.dim), torch.full((OPENFACE_AUS.dim,), 10.0)
    for _ in range(40):
        middle = (low + high) / 2
        too_good = correlation((conditions + middle * noise).clamp(0, 1), conditions) > wanted
        low, high = torch.where(too_good, middle, low), torch.where(too_good, high, middle)
    return (conditions + high * noise).clamp(0, 1)


def blendshape_parameters() -> Annotation:
    """SliderGAN's: 30 principal components of expressions and 10 of speech, fitted to the 68 landmarks (Sec. 4.1).

    The fit knows neither the person nor the pose. What no landmark shows stays near 0, as in any regularised fit.
    """
    shapes = head_blendshapes(30, speech=10)
    fitted = SpaceModel.of(shapes.space, shapes.expression)

    def annotate(shown: Expressions) -> Tensor:
        found = fit_landmarks(
            fitted.model,
            shown.landmarks,
            centre=torch.full((len(shown.landmarks), 2), 0.5),
            prior=fitted.prior,
            low=fitted.low,
            high=fitted.high,
            noise=FIT_NOISE,
            contour="fixed",
            iterations=20,
        )
        return fitted.conditions(found.expression)

    return Annotation(shapes.space, annotate)


def unsettled(annotation: Annotation, shown: Expressions, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """What becomes of the conditions of M expressions when landmarks are read with an error, and the conditions (M, N).

    Args:
        annotation: That looks at landmarks.
        shown: What faces show.
        share: Standard deviation of the error of every coordinate, as a share of a face's inter-ocular distance.
        seed: Of the errors.
    """
    noise = torch.randn(shown.landmarks.shape, generator=torch.Generator().manual_seed(seed))
    error = share * inter_ocular(shown.landmarks)[:, None, None] * noise
    return annotation.annotate(Expressions(shown.units, shown.landmarks + error)), annotation.annotate(shown)


def inter_ocular(landmarks: Tensor) -> Tensor:
    """The distance (M,) of the eyes' centres in landmarks (M, 68, 2)."""
    return (landmarks[:, 36:42].mean(1) - landmarks[:, 42:48].mean(1)).norm(dim=1)


def explained(conditions: Tensor, space: ConditionSpace, units: Tensor) -> float:
    """Share of the squared deformation of true units (M, 43) that their conditions (M, N) reproduce."""
    shapes = head_blendshapes(30, speech=10)
    matrix = shapes.expression if space == shapes.space else expression_matrix(space)
    true = units_to_head(units).double()
    rest = true - conditions.double() @ matrix.double()
    return float(1 - (rest @ shapes.metric * rest).sum() / (true @ shapes.metric * true).sum())


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation per column of (M, N)."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / (a.square().sum(0) * b.square().sum(0)).sqrt().clamp(min=1e-12)


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as bytes."""
    return ((images + 1) * 127.5).round().to(torch.uint8)
