from __future__ import annotations

import sys

import numpy as np
import pytest

from aucond.faces._compiled import compiled
from aucond.faces.occlusion import ambient_occlusion
from aucond.faces.rasterizer import depth_map, rasterize, vertex_normals

SQUARE = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
"""Two triangles that wind clockwise on a screen whose y points down: front faces."""
FRONT = np.array([[0, 2, 1], [0, 3, 2]], np.int32)


def draw(
    screen: list[list[float]],
    triangles: np.ndarray,
    *,
    two_sided: bool = True,
    bias: float = 0.0,
    cutout: np.ndarray | None = None,
    pattern: np.ndarray | None = None,
    size: int = 4,
    owner: np.ndarray | None = None,
    depth: np.ndarray | None = None,
    first: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    depth = np.full((size, size), -np.inf, np.float32) if depth is None else depth
    owner = np.full((size, size), -1, np.int32) if owner is None else owner
    weights = np.zeros((size, size, 2), np.float32)
    rasterize(
        np.array(screen, np.float32),
        triangles,
        first,
        two_sided,
        np.full(len(triangles), bias, np.float32),
        np.zeros((0, 3), np.float32) if cutout is None else cutout,
        np.ones((1, 1), np.float32) if pattern is None else pattern,
        depth,
        owner,
        weights,
    )
    return owner, depth, weights


def square(left: float, top: float, right: float, bottom: float, z: float) -> list[list[float]]:
    return [[left, top, z], [right, top, z], [right, bottom, z], [left, bottom, z]]


def test_pixels_whose_centres_lie_inside() -> None:
    owner, depth, _ = draw(square(1, 0, 3, 3, 5.0), SQUARE)
    expected = np.zeros((4, 4), bool)
    expected[0:3, 1:3] = True
    assert ((owner >= 0) == expected).all()
    assert (depth[expected] == 5.0).all() and np.isneginf(depth[~expected]).all()


def test_neighbouring_triangles_leave_no_gap() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        corners = np.array(square(0, 0, 16, 16, 0.0)) + np.pad(rng.uniform(-3, 3, (4, 2)), ((0, 0), (0, 1)))
        owner, _, _ = draw(corners.tolist(), SQUARE, size=16)
        inside = owner >= 0
        for row in inside:
            filled = np.flatnonzero(row)
            assert len(filled) == 0 or filled[-1] - filled[0] + 1 == len(filled)


def test_barycentric_weights_interpolate_the_corners() -> None:
    screen = [[0, 0, 0], [8, 0, 0], [0, 8, 0]]
    owner, _, weights = draw(screen, np.array([[0, 1, 2]], np.int32), size=8)
    b, c = weights[2, 3]
    assert owner[2, 3] == 0
    assert 8 * b == pytest.approx(3.5) and 8 * c == pytest.approx(2.5)


def test_nearer_wins_whatever_the_order_and_bias_pushes_back() -> None:
    near, far = square(0, 0, 4, 4, 2.0), square(0, 0, 4, 4, 1.0)
    for first, second, expected in ((near, far, 0), (far, near, 10)):
        owner, depth, _ = draw(first, SQUARE)
        owner, depth, _ = draw(second, SQUARE, owner=owner, depth=depth, first=10)
        assert (owner // 10 * 10 == expected).all() and (depth == 2.0).all()
    owner, depth, _ = draw(far, SQUARE)
    owner, depth, _ = draw(near, SQUARE, owner=owner, depth=depth, first=10, bias=-1.5)
    assert (owner < 10).all()


def test_back_faces_are_left_out() -> None:
    assert (draw(square(0, 0, 4, 4, 0), FRONT, two_sided=False)[0] >= 0).all()
    assert (draw(square(0, 0, 4, 4, 0), SQUARE, two_sided=False)[0] == -1).all()


def test_cutout_draws_where_the_pattern_exceeds_the_threshold() -> None:
    pattern = np.array([[0.2, 0.8], [0.2, 0.8]], np.float32)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    cutout = np.concatenate([uv, np.full((4, 1), 0.5, np.float32)], 1)
    owner, _, _ = draw(square(0, 0, 4, 4, 0), SQUARE, cutout=cutout, pattern=pattern)
    assert ((owner >= 0) == [[False, False, True, True]] * 4).all()


def test_what_lies_outside_the_picture_is_ignored() -> None:
    owner, _, _ = draw(square(-100, -100, -10, 100, 0), SQUARE)
    assert (owner == -1).all()
    owner, _, _ = draw(square(-100, -100, 100, 100, 0), SQUARE)
    assert (owner >= 0).all()


def test_normals_of_a_square() -> None:
    vertices = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [9, 9, 9]], np.float32)
    normals = np.full_like(vertices, 7.0)
    vertex_normals(vertices, SQUARE, normals)
    assert normals[:4].tolist() == [[0, 0, 1]] * 4
    assert normals[4].tolist() == [0, 0, 0], "a vertex without a triangle has no normal"


def test_depth_map() -> None:
    depth = depth_map(np.array(square(0, 0, 2, 4, 3.0)), SQUARE, 4, 4)
    assert (depth[:, :2] == 3).all() and np.isneginf(depth[:, 2:]).all()


def test_open_plane_sees_the_sky_and_a_pit_does_not() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    corner = np.arange(20)[:, None] * 21 + np.arange(20)[None, :]
    quads = np.stack([corner, corner + 1, corner + 22, corner + 21], -1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    flat = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)
    pit = flat.copy()
    pit[:, 2] = np.where(np.hypot(x, y).ravel() < 0.25, -1.0, 0.0)
    middle = 10 * 21 + 10
    assert ambient_occlusion(flat, triangles)[middle] > 0.98
    assert ambient_occlusion(pit, triangles)[middle] < 0.35


def test_missing_numba_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r'pip install "aucond\[faces\]"'):
        compiled(lambda x: x)
