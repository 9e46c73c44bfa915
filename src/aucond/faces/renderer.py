"""From identity, expression coefficients and scene to an image."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._compiled import compiled
from ._parts import Part
from .atlas import smoothstep
from .geometry import HeadGeometry, atlas_coordinates
from .hair import HairShells, grow_hair
from .looks import Looks
from .rasterizer import rasterize, vertex_normals
from .scene import Scene, paint_background
from .shading import resolve, shade, shade_lashes
from .skin import linear, paint_skin
from .surfaces import BONE, EYE, HAIR, LASH, MOUTH, PALETTE_SIZE, TONGUE
from .wrinkles import fold_depths, fold_maps

__all__ = ["Person", "project_landmarks", "render"]

Floats = NDArray[np.float32]

CAMERA_DISTANCE = 13.0
"""Decimetres from the head's middle."""
FRAME = 1.65
"""Width and height of the picture at the depth of the face, decimetres."""
FACE_DEPTH = 0.8
"""How far the face lies before the head's middle, decimetres."""
FRAME_CENTRE = -0.05
"""Height of the picture's middle above the head's middle, decimetres."""
BEHIND_LIDS, BEHIND_LIPS = -0.035, -0.1
"""Depth added to the eyes and to all inside the mouth: on their straight ways, linear lids cut through the eyeball and
linear lips through the teeth otherwise."""


@dataclass(frozen=True, eq=False)
class Person:
    """An identity made ready to be rendered: neutral vertices, painted atlas, hair, palette."""

    neutral: Floats
    atlas: NDArray[np.uint8]
    hair: HairShells
    palette: Floats
    folding: float
    """How easily the skin folds, about 1."""
    lashes: float
    """How dark the lashes are, in [0, 1]."""

    @classmethod
    def of_identity(cls, identity: int, size: int) -> Person:
        """Identity number ``identity`` with an atlas fine enough for images of ``size`` pixels.

        The most recent few are kept.
        """
        return _person(identity, _atlas_width(size))


def _atlas_width(size: int) -> int:
    return 384 if size <= 80 else 512 if size <= 160 else 896


@functools.lru_cache(maxsize=64)
def _person(identity: int, atlas_width: int) -> Person:
    geometry = HeadGeometry.default()
    looks = Looks.of_identity(identity)
    shape = np.asarray(looks.shape, np.float32)
    model = geometry.model
    neutral = model.mean.copy()
    add_offsets(neutral, shape, model.identity_basis)
    palette = np.zeros((PALETTE_SIZE, 3), np.float32)
    palette[EYE] = linear(looks.iris)
    palette[BONE] = linear(looks.teeth)
    palette[MOUTH] = linear(looks.lips) * [0.5, 0.35, 0.35]
    palette[TONGUE] = [0.42, 0.13, 0.12]
    palette[LASH] = 0.012
    palette[HAIR] = linear(looks.hair_color)
    return Person(
        neutral=neutral,
        atlas=paint_skin(looks, atlas_width),
        hair=grow_hair(looks, geometry, neutral),
        palette=palette,
        folding=looks.folding,
        lashes=looks.lash_strength,
    )


@compiled
def add_offsets(vertices: Floats, coefficients: Floats, basis: Floats) -> None:
    """``vertices += sum_k coefficients[k] * basis[k]`` in place, in a fixed order of summation."""
    for k in range(coefficients.shape[0]):
        w = coefficients[k]
        if w == 0.0:
            continue
        for v in range(vertices.shape[0]):
            for c in range(3):
                vertices[v, c] += w * basis[k, v, c]


@compiled
def _project(
    vertices: Floats, rotation: Floats, middle: Floats, scale: float, half: float
) -> tuple[Floats, Floats]:
    """Rotated vertices, and their place on the screen with depth in decimetres; ``middle`` lands in the centre."""
    turned = np.empty_like(vertices)
    screen = np.empty_like(vertices)
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for c in range(3):
            turned[v, c] = rotation[c, 0] * x + rotation[c, 1] * y + rotation[c, 2] * z
        k = scale * (CAMERA_DISTANCE - FACE_DEPTH) / (CAMERA_DISTANCE - turned[v, 2])
        screen[v, 0] = half + k * (turned[v, 0] - middle[0])
        screen[v, 1] = half - k * (turned[v, 1] - middle[1])
        screen[v, 2] = turned[v, 2]
    return turned, screen


def _rotation(pose: Floats) -> Floats:
    (cy, cp, cr), (sy, sp, sr) = np.cos(pose), np.sin(pose)
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    rotation: Floats = (roll @ pitch @ yaw).astype(np.float32)
    return rotation


@dataclass(frozen=True, eq=False)
class _Constants:
    """What is the same in every picture."""

    solid: NDArray[np.int32]
    """Triangles of everything but the lashes, with their parts and depth offsets."""
    part: NDArray[np.uint8]
    bias: Floats
    lashes: NDArray[np.int32]
    place: Floats
    """Atlas coordinates of the vertices."""
    pattern: Floats
    lip_gap: tuple[int, int]
    """Vertices in the middle of the inner upper and lower lip."""
    blink: list[int]
    """Expression components that close the right and the left eye."""
    on_left: NDArray[np.intp]
    """1 for vertices on the face's left, else 0."""
    lid_light: Floats
    """What closing the eyes adds to a vertex's ambient light."""


@functools.cache
def _constants() -> _Constants:
    geometry = HeadGeometry.default()
    triangles, lashes = geometry.model.triangles, geometry.part == Part.LASHES
    part = geometry.part[~lashes]
    bias = np.zeros(len(part), np.float32)
    bias[np.isin(part, [Part.EYE_LEFT, Part.EYE_RIGHT])] = BEHIND_LIDS
    bias[np.isin(part, [Part.MOUTH, Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE])] = BEHIND_LIPS
    place = atlas_coordinates(geometry.paint[:, 0], geometry.paint[:, 1])
    upper, lower = geometry.model.landmarks[[62, 66]]
    gap = (int(upper), int(lower))
    blink = [geometry.model.expression_names.index(name) for name in ("eyeBlinkRight", "eyeBlinkLeft")]
    left = (geometry.model.mean[:, 0] > 0).astype(np.intp)
    light = geometry.blink_occlusion - geometry.occlusion
    light[geometry.model.mean[:, 1] < 0] = 0
    return _Constants(
        triangles[~lashes], part, bias, triangles[lashes], place, _strand_pattern(), gap, blink, left, light
    )


def _strand_pattern(side: int = 256) -> Floats:
    """Uniformly distributed values (side, side) in [0, 1] that repeat seamlessly and are drawn out along v."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft2(rng.standard_normal((side, side)))
    fy = np.fft.fftfreq(side)[:, None] * side
    fx = np.fft.rfftfreq(side)[None, :] * side
    smooth = np.fft.irfft2(spectrum * np.exp(-((fy / 5) ** 2) - (fx / 70) ** 2), s=(side, side))
    rank = np.argsort(np.argsort(smooth, axis=None)).reshape(side, side)
    return (rank / rank.size).astype(np.float32)


def _view(scene: Scene, size: int) -> tuple[Floats, Floats, float, float]:
    """The camera: crops are aligned as face detectors' are, so the face stays in the middle when the head turns."""
    rotation = _rotation(scene.pose)
    middle = rotation @ np.array([0.0, FRAME_CENTRE, FACE_DEPTH], np.float32)
    return rotation, middle, size / FRAME, size / 2


def _expressed(person: Person, expression: Floats) -> Floats:
    """Vertices of the person under the expression, before the head turns."""
    vertices = person.neutral.copy()
    add_offsets(vertices, expression, HeadGeometry.default().model.expression_basis)
    return vertices


def project_landmarks(person: Person, expression: Floats, scene: Scene, size: int) -> Floats:
    """Where the 68 landmarks lie in the picture that :func:`render` makes of the same arguments.

    Returns:
        (68, 2) float32, x to the right and y down in pixels; the centre of the first pixel is (0.5, 0.5).
    """
    vertices = _expressed(person, np.ascontiguousarray(expression, np.float32))
    marks = np.ascontiguousarray(vertices[HeadGeometry.default().model.landmarks])
    _, screen = _project(marks, *_view(scene, size))
    return screen[:, :2]


def render(person: Person, expression: Floats, scene: Scene, size: int) -> NDArray[np.uint8]:
    """One image (3, size, size), RGB bytes; the same arguments give the same bytes.

    Args:
        person: Whose face.
        expression: Coefficients of the expression basis (E,).
        scene: Pose, light and background.
        size: Side of the image in pixels.
    """
    geometry, fixed = HeadGeometry.default(), _constants()
    expression = np.ascontiguousarray(expression, np.float32)
    vertices = _expressed(person, expression)
    upper, lower = fixed.lip_gap
    mouth_open = 0.15 + 0.85 * float(smoothstep(0.035, 0.085, vertices[upper, 1] - vertices[lower, 1]))
    occlusion = geometry.occlusion + fixed.lid_light * np.clip(expression[fixed.blink], 0, 1)[fixed.on_left]
    fine = 2 * size
    view = _view(scene, fine)
    turned, screen = _project(vertices, *view)
    normals = np.empty_like(turned)
    vertex_normals(turned, geometry.model.triangles, normals)
    hair = person.hair
    hair_turned, hair_screen = _project(hair.vertices, *view)
    hair_normals = np.empty_like(hair_turned)
    vertex_normals(hair_turned, hair.triangles, hair_normals)

    depth = np.full((fine, fine), -np.inf, np.float32)
    owner = np.full((fine, fine), -1, np.int32)
    weights = np.empty((fine, fine, 2), np.float32)
    everywhere = np.zeros((0, 4), np.float32)
    pattern, level = fixed.pattern, np.zeros(max(len(hair.triangles), len(fixed.lashes)), np.float32)
    rasterize(screen, fixed.solid, 0, False, fixed.bias, everywhere, pattern, depth, owner, weights)
    for first, last, two_sided in ((0, hair.hanging, False), (hair.hanging, len(hair.triangles), True)):
        rasterize(
            hair_screen, hair.triangles[first:last], len(fixed.solid) + first, two_sided, level, hair.cutout,
            pattern, depth, owner, weights,
        )  # fmt: skip
    samples = paint_background(scene.background_seed, size)
    depths = fold_depths(expression, person.folding)
    shade(
        owner, weights, fixed.solid, fixed.part, normals, geometry.paint, fixed.place, occlusion[:, None],
        person.atlas, fold_maps(person.atlas.shape[1]), depths, mouth_open,
        hair.triangles, hair_normals, hair.cutout, pattern, person.palette, scene.lights, samples,
    )  # fmt: skip
    owner[:] = -1
    rasterize(screen, fixed.lashes, 0, True, level, everywhere, pattern, depth, owner, weights)
    shade_lashes(
        owner, weights, fixed.lashes, geometry.paint, pattern, person.lashes, person.palette, samples
    )
    image = np.empty((3, size, size), np.uint8)
    resolve(samples, image)
    return image
