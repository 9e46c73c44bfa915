from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aucond.faces import LinearFaceModel
from aucond.faces.model_file import read_arrays


def small_model(**changes: Any) -> LinearFaceModel:
    """Three vertices, one identity component along x, two expression components along y and z."""
    arrays: dict[str, Any] = {
        "mean": np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32),
        "identity_basis": np.tile(np.array([1, 0, 0], np.float32), (1, 3, 1)),
        "expression_basis": np.stack(
            [np.tile(np.array(a, np.float32), (3, 1)) for a in ([0, 1, 0], [0, 0, 2])]
        ),
        "triangles": np.array([[0, 1, 2]]),
    }
    return LinearFaceModel(**{**arrays, **changes})


def test_vertices_by_hand() -> None:
    shape = small_model().vertices(np.array([2.0]), np.array([3.0, 0.5]))
    assert shape.tolist() == [[2, 3, 1], [3, 3, 1], [2, 4, 1]]


def test_tensors_and_arrays_agree_and_batches_are_rows() -> None:
    model = LinearFaceModel.default()
    rng = np.random.default_rng(0)
    identity = rng.standard_normal((2, 3, model.num_identities)).astype(np.float32)
    expression = rng.random((2, 3, 52)).astype(np.float32)
    together = model.vertices(identity, expression)
    assert together.shape == (2, 3, model.num_vertices, 3)
    as_tensor = model.vertices(torch.from_numpy(identity), torch.from_numpy(expression))
    np.testing.assert_allclose(as_tensor.numpy(), together, atol=1e-5)
    np.testing.assert_allclose(model.vertices(identity[1, 2], expression[1, 2]), together[1, 2], atol=1e-5)


def test_gradient_reaches_both_coefficients() -> None:
    identity = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    expression = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(small_model().vertices, (identity, expression))


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_save_and_load_return_the_same_model(tmp_path: Path, suffix: str) -> None:
    model = small_model(
        eigenvalues=np.array([4.0]), expression_names=("smile", "kiss"), landmarks=np.array([2, 0], np.int32)
    )
    path = tmp_path / f"model{suffix}"
    model.save(path, extras={"colour": np.arange(3)})
    loaded = LinearFaceModel.load(path)
    for name in ("mean", "identity_basis", "expression_basis", "triangles", "eigenvalues", "landmarks"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
    assert loaded.expression_names == ("smile", "kiss")
    assert read_arrays(path)[0]["colour"].tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_half_precision_bases(tmp_path: Path) -> None:
    model = small_model(expression_basis=np.full((2, 3, 3), 0.1234567, np.float32))
    model.save(tmp_path / "m.npz", dtype="float16")
    np.testing.assert_allclose(
        LinearFaceModel.load(tmp_path / "m.npz").expression_basis, 0.1234567, rtol=1e-3
    )


def test_own_arrays_without_the_optional_keys(tmp_path: Path) -> None:
    model = small_model()
    np.savez(
        tmp_path / "own.npz",
        mean=model.mean.astype(np.float64),
        identity_basis=np.zeros((0, 3, 3)),
        expression_basis=model.expression_basis,
        triangles=model.triangles.astype(np.int64),
    )
    loaded = LinearFaceModel.load(tmp_path / "own.npz")
    assert (loaded.num_identities, loaded.num_expressions, len(loaded.landmarks)) == (0, 2, 0)
    assert loaded.expression_names == ("expression_0", "expression_1")


def test_default_model_is_a_head() -> None:
    model = LinearFaceModel.default()
    assert (model.num_identities, model.num_expressions, len(model.landmarks)) == (40, 52, 68)
    marks = model.mean[model.landmarks]
    assert marks[8, 1] - marks[:, 1].min() < 0.02, "nothing lies below the chin's tip"
    assert marks[30, 2] == marks[:, 2].max(), "the nose's tip is the foremost landmark"
    mirrored = marks[[16 - i for i in range(17)]] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, marks[:17], atol=0.02)
    assert marks[36, 0] < marks[45, 0], "landmark 36 lies on the subject's right, which is -x"
    assert np.all(np.diff(model.eigenvalues) <= 0)


def test_triangles_of_the_default_head_face_outwards() -> None:
    model = LinearFaceModel.default()
    corners = model.mean[model.triangles].astype(np.float64)
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert volume > 1.0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"mean": np.zeros((3, 2))}, ValueError, r"mean: expected an array of shape \(3, 3\)"),
        (
            {"identity_basis": np.zeros((1, 4, 3))},
            ValueError,
            r"identity_basis: .*\(1, 3, 3\), got shape \(1, 4, 3\)",
        ),
        ({"expression_basis": np.zeros((2, 3))}, ValueError, "expression_basis: expected an array of shape"),
        ({"triangles": np.array([[0, 1, 3]])}, ValueError, r"triangles: expected vertex indices in \[0, 2\]"),
        ({"triangles": np.array([[0.0, 1.0, 2.0]])}, TypeError, "triangles: expected an array of integers"),
        ({"landmarks": np.array([-1])}, ValueError, "landmarks: expected vertex indices"),
        ({"mean": np.full((3, 3), np.nan)}, ValueError, "mean: expected finite values"),
        ({"eigenvalues": np.ones(3)}, ValueError, r"eigenvalues: .*\(1,\), got shape \(3,\)"),
        ({"expression_names": ("a", "a")}, ValueError, "expression_names: expected 2 different names"),
        ({"mean": np.array([["a"]])}, TypeError, "mean: expected an array of numbers"),
    ],
)
def test_wrong_arrays(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        small_model(**changes)


@pytest.mark.parametrize(
    ("identity", "expression", "error", "message"),
    [
        (np.zeros(2), np.zeros(2), ValueError, r"identity: expected shape \(\.\.\., 1\), got \(2,\)"),
        (np.zeros(1), np.zeros(3), ValueError, r"expression: expected shape \(\.\.\., 2\)"),
        (
            np.zeros((4, 1)),
            np.zeros((5, 2)),
            ValueError,
            "expression: expected the leading shape of identity",
        ),
        (torch.zeros(1), np.zeros(2), TypeError, "expression: expected the kind of identity"),
    ],
)
def test_wrong_coefficients(identity: Any, expression: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        small_model().vertices(identity, expression)


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a .safetensors or .npz file"):
        LinearFaceModel.load(tmp_path / "model.pkl")
    with pytest.raises(FileNotFoundError, match=r"absent\.npz: no such face model file"):
        LinearFaceModel.load(tmp_path / "absent.npz")
    for suffix in ("npz", "safetensors"):
        garbage = tmp_path / f"garbage.{suffix}"
        garbage.write_bytes(b"not a model at all")
        with pytest.raises(ValueError, match=rf"garbage\.{suffix}: not a readable face model file"):
            LinearFaceModel.load(garbage)
    np.savez(tmp_path / "partial.npz", mean=np.zeros((3, 3)))
    with pytest.raises(
        ValueError, match=r"partial\.npz: .*missing: identity_basis, expression_basis, triangles"
    ):
        LinearFaceModel.load(tmp_path / "partial.npz")
    small_model().save(tmp_path / "cut.safetensors")
    whole = (tmp_path / "cut.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-7])
    with pytest.raises(ValueError, match=r"cut\.safetensors: not a readable"):
        LinearFaceModel.load(tmp_path / "cut.safetensors")
    np.savez(tmp_path / "pickled.npz", mean=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"pickled\.npz: not a readable"):
        LinearFaceModel.load(tmp_path / "pickled.npz")


def test_an_extra_may_not_replace_the_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="extras: 'mean' is a key of the model itself"):
        small_model().save(tmp_path / "m.npz", extras={"mean": np.zeros(1)})
    with pytest.raises(ValueError, match="dtype: expected one of 'float32', 'float16', got 'int8'"):
        small_model().save(tmp_path / "m.npz", dtype="int8")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
