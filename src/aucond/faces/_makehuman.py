"""Reads MakeHuman's base mesh and shape targets (CC0), and mixes targets into random people."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BaseMesh", "ShapeSampler", "read_base_mesh", "read_target"]

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

REGION_SPREAD = {
    "head": 0.35,
    "forehead": 0.35,
    "eyebrows": 0.25,
    "eyes": 0.2,
    "nose": 0.3,
    "mouth": 0.25,
    "cheek": 0.35,
    "chin": 0.3,
    "ears": 0.3,
    "neck": 0.15,
}
"""Standard deviation of the local shape sliders, by region of the face."""
LEFT_OUT = (
    "head-trans", "head-age", "head-angle", "neck-trans", "neck-double", "eye-push", "mouth-trans",
    "nose-trans-in", "nose-trans-out", "ear-shape-pointed", "ear-shape-triangle", "dimples",
)  # fmt: skip
"""Sliders that only move parts as a whole, or that are no traits of a person."""


@dataclass(frozen=True)
class BaseMesh:
    """Vertices (V, 3) in decimetres, texture coordinates, quads (Q, 4) into both, and the group of each quad."""

    vertices: Floats
    uv: Floats
    quads: Ints
    quad_uv: Ints
    groups: NDArray[np.str_]


def read_base_mesh(path: Path) -> BaseMesh:
    """Read the quads of a Wavefront OBJ file."""
    vertices, uv, quads, quad_uv, groups = [], [], [], [], []
    group = ""
    for line in path.read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif kind == "vt":
            uv.append([float(x) for x in rest[:2]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            corners = [corner.split("/") for corner in rest]
            quads.append([int(c[0]) - 1 for c in corners])
            quad_uv.append([int(c[1]) - 1 for c in corners])
            groups.append(group)
    return BaseMesh(np.array(vertices), np.array(uv), np.array(quads), np.array(quad_uv), np.array(groups))


def read_target(path: Path, num_vertices: int) -> Floats:
    """Read a shape target as dense offsets (num_vertices, 3), float32."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    offsets = np.zeros((num_vertices, 3), dtype=np.float32)
    offsets[table[:, 0].astype(int)] = table[:, 1:]
    return offsets


class ShapeSampler:
    """Draws random people: the phenotype targets mixed as their names say, plus random local sliders."""

    def __init__(self, folder: Path, num_vertices: int, kept: Ints) -> None:
        self._folder, self._num_vertices, self._kept = folder, num_vertices, kept
        self._targets: dict[str, Floats] = {}
        self._sliders = list(self._find_sliders())

    def _target(self, name: str) -> Floats:
        if name not in self._targets:
            path = self._folder / f"{name}.target.gz"
            self._targets[name] = read_target(path, self._num_vertices)[self._kept]
        return self._targets[name]

    def _find_sliders(self) -> Iterator[tuple[float, list[tuple[str, str]]]]:
        """Pairs (negative target, positive target); left and right of one change go together."""
        opposite = {"decr": "incr", "down": "up", "backward": "forward", "in": "out", "concave": "convex",
                    "compress": "uncompress"}  # fmt: skip
        for region, spread in REGION_SPREAD.items():
            stems = {p.name.removesuffix(".target.gz") for p in (self._folder / region).glob("*.target.gz")}
            for stem in sorted(stems):
                if stem.startswith("r-") or any(word in stem for word in LEFT_OUT):
                    continue
                head, _, last = stem.rpartition("-")
                if last in opposite:
                    pair = (f"{region}/{stem}", f"{region}/{head}-{opposite[last]}")
                elif last in opposite.values():
                    continue
                else:
                    pair = ("", f"{region}/{stem}")
                pairs = [pair]
                if stem.startswith("l-"):
                    pairs.append((pair[0].replace("/l-", "/r-"), pair[1].replace("/l-", "/r-")))
                yield spread, pairs

    def _phenotype(self, rng: np.random.Generator) -> Floats:
        gender = rng.beta(0.5, 0.5)
        age = rng.uniform(0.0, 0.75)
        weight = np.clip(rng.normal(0.0, 0.45), -1, 1)
        muscle = np.clip(rng.normal(0.0, 0.4), -1, 1)
        race = rng.dirichlet([0.6, 0.6, 0.6])
        shape = np.zeros((len(self._kept), 3), dtype=np.float32)
        for gender_name, g in (("female", 1 - gender), ("male", gender)):
            for age_name, a in (("young", 1 - age), ("old", age)):
                for race_name, r in zip(("african", "asian", "caucasian"), race, strict=True):
                    shape += g * a * r * self._target(f"macrodetails/{race_name}-{gender_name}-{age_name}")
                for muscle_name, m in _two_sided("muscle", muscle):
                    for weight_name, w in _two_sided("weight", weight):
                        name = f"macrodetails/universal-{gender_name}-{age_name}-{muscle_name}-{weight_name}"
                        shape += g * a * m * w * self._target(name)
        return shape

    def sample(self, rng: np.random.Generator) -> Floats:
        """Offsets of the kept vertices from the base mesh, for one random person."""
        shape = self._phenotype(rng)
        for spread, pairs in self._sliders:
            common = rng.normal(0.0, spread)
            for negative, positive in pairs:
                value = float(np.clip(common + 0.1 * rng.normal(0.0, spread), -1, 1))
                name = positive if value > 0 else negative
                if name:
                    shape += abs(value) * self._target(name)
        return shape


def _two_sided(name: str, value: float) -> list[tuple[str, float]]:
    """Weights of the min/average/max targets for a slider in [-1, 1]."""
    side = "max" if value > 0 else "min"
    return [(f"average{name}", 1 - abs(value)), (f"{side}{name}", abs(value))]
