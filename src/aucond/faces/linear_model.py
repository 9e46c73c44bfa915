"""A linear face model S = mean + U_id p_id + U_exp p_exp, and its file format."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._check import check_choice, describe
from .._files import atomic_file
from .model_file import checked_suffix, read_arrays

__all__ = ["HEAD_FILE", "LinearFaceModel"]

HEAD_FILE = Path(__file__).with_name("head.safetensors")
"""The head model that comes with the package."""

_REQUIRED = ("mean", "identity_basis", "expression_basis", "triangles")


@dataclass(frozen=True, eq=False)
class LinearFaceModel:
    """A face as mean plus linear combinations: ``S(p_id, p_exp) = mean + U_id p_id + U_exp p_exp``.

    The model of SliderGAN Sec. 3 (there written for the expression part alone). Identity components are scaled to
    unit variance: coefficients of typical people are standard normal. ``eigenvalues`` keeps the variances that the
    scaling took out, in squared length units, summed over all coordinates.

    File keys (``.safetensors`` or ``.npz``; K identity components, E expression components, V vertices, T triangles):

    ====================  ===================  ================================================================
    key                   shape                meaning
    ====================  ===================  ================================================================
    ``mean``              (V, 3) float         neutral mean shape; x to the subject's left, y up, z out of the face
    ``identity_basis``    (K, V, 3) float      offsets per unit of an identity coefficient
    ``expression_basis``  (E, V, 3) float      offsets per unit of an expression coefficient
    ``triangles``         (T, 3) int           vertex indices, counter-clockwise seen from outside
    ``eigenvalues``       (K,) float           optional; ones if absent
    ``landmarks``         (L,) int             optional; vertex indices, the 68 of iBUG in their order
    ``expression_names``  JSON list of E str   optional; safetensors: header metadata; npz: a 0-d string array
    ====================  ===================  ================================================================

    Args:
        mean: Mean shape (V, 3).
        identity_basis: Identity components (K, V, 3); K may be 0.
        expression_basis: Expression components (E, V, 3).
        triangles: Vertex indices (T, 3).
        eigenvalues: Identity variances (K,).
        expression_names: One name per expression component; ``expression_0``, ... if empty.
        landmarks: Vertex indices (L,); empty if unknown.

    Raises:
        ValueError: Arrays do not fit together, an index is out of range, or a value is not finite.

    >>> model = LinearFaceModel.default()
    >>> model.num_expressions
    52
    >>> identity = torch.zeros(2, model.num_identities)
    >>> model.vertices(identity, torch.zeros(2, 52)).shape == (2, model.num_vertices, 3)
    True
    """

    mean: NDArray[np.float32]
    identity_basis: NDArray[np.float32]
    expression_basis: NDArray[np.float32]
    triangles: NDArray[np.int32]
    eigenvalues: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    expression_names: tuple[str, ...] = ()
    landmarks: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))

    def __post_init__(self) -> None:
        for name in ("mean", "identity_basis", "expression_basis", "eigenvalues"):
            object.__setattr__(self, name, _as_array(name, getattr(self, name), np.float32))
        for name in ("triangles", "landmarks"):
            object.__setattr__(self, name, _as_array(name, getattr(self, name), np.int32))
        if len(self.eigenvalues) == 0:
            object.__setattr__(self, "eigenvalues", np.ones(len(self.identity_basis), np.float32))
        if not self.expression_names:
            names = tuple(f"expression_{i}" for i in range(len(self.expression_basis)))
            object.__setattr__(self, "expression_names", names)
        self._check()

    def _check(self) -> None:
        vertices = self.mean.shape[0] if self.mean.ndim else 0
        wanted = {
            "mean": (self.mean, (vertices, 3)),
            "identity_basis": (self.identity_basis, (len(self.identity_basis), vertices, 3)),
            "expression_basis": (self.expression_basis, (len(self.expression_basis), vertices, 3)),
            "triangles": (self.triangles, (len(self.triangles), 3)),
            "eigenvalues": (self.eigenvalues, (len(self.identity_basis),)),
            "landmarks": (self.landmarks, (len(self.landmarks),)),
        }
        for name, (array, shape) in wanted.items():
            if array.shape != shape:
                raise ValueError(f"{name}: expected an array of shape {shape}, got shape {array.shape}")
        for name in ("triangles", "landmarks"):
            indices = getattr(self, name)
            if indices.size and (indices.min() < 0 or indices.max() >= vertices):
                raise ValueError(
                    f"{name}: expected vertex indices in [0, {vertices - 1}], "
                    f"got {indices.min()} to {indices.max()}"
                )
        names = self.expression_names
        if len(names) != len(self.expression_basis) or len(set(names)) != len(names):
            raise ValueError(
                f"expression_names: expected {len(self.expression_basis)} different names, got {len(names)} names, "
                f"{len(set(names))} of them different"
            )

    @property
    def num_vertices(self) -> int:
        """Number of vertices V."""
        return len(self.mean)

    @property
    def num_identities(self) -> int:
        """Number of identity components K."""
        return len(self.identity_basis)

    @property
    def num_expressions(self) -> int:
        """Number of expression components E."""
        return len(self.expression_basis)

    @overload
    def vertices(self, identity: Tensor, expression: Tensor) -> Tensor: ...
    @overload
    def vertices(self, identity: NDArray[Any], expression: NDArray[Any]) -> NDArray[np.float32]: ...
    def vertices(
        self, identity: Tensor | NDArray[Any], expression: Tensor | NDArray[Any]
    ) -> Tensor | NDArray[np.float32]:
        """Shapes ``mean + U_id p_id + U_exp p_exp``; differentiable when given tensors.

        Args:
            identity: Identity coefficients (..., K), standard normal for typical people.
            expression: Expression coefficients (..., E); 0 is neutral.

        Returns:
            Vertices (..., V, 3), of the kind (tensor or array) of the input.

        Raises:
            TypeError: One is a tensor and the other is not.
            ValueError: Wrong sizes.
        """
        if isinstance(identity, Tensor) != isinstance(expression, Tensor):
            raise TypeError(
                f"expression: expected the kind of identity, {describe(identity)}, got {describe(expression)}"
            )
        for name, value, size in (
            ("identity", identity, self.num_identities),
            ("expression", expression, self.num_expressions),
        ):
            if value.ndim < 1 or value.shape[-1] != size:
                raise ValueError(f"{name}: expected shape (..., {size}), got {tuple(value.shape)}")
        if identity.shape[:-1] != expression.shape[:-1]:
            raise ValueError(
                f"expression: expected the leading shape of identity, {tuple(identity.shape[:-1])}, "
                f"got {tuple(expression.shape[:-1])}"
            )
        if isinstance(identity, Tensor) and isinstance(expression, Tensor):
            mean, id_basis, exp_basis = (
                torch.from_numpy(a).to(identity)
                for a in (self.mean, self.identity_basis, self.expression_basis)
            )
            shape: Tensor = mean + torch.tensordot(identity, id_basis, 1)
            shape = shape + torch.tensordot(expression, exp_basis, 1)
            return shape
        offsets = np.tensordot(identity, self.identity_basis, 1)
        offsets = offsets + np.tensordot(expression, self.expression_basis, 1)
        result: NDArray[np.float32] = (self.mean + offsets).astype(np.float32)
        return result

    def save(
        self,
        path: str | Path,
        *,
        dtype: Literal["float32", "float16"] = "float32",
        extras: Mapping[str, NDArray[Any]] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write the model; the suffix ``.safetensors`` or ``.npz`` chooses the format. Atomic.

        Args:
            path: Where to write.
            dtype: Precision of the two bases; the mean is always float32.
            extras: More arrays for the file; ``load`` leaves them alone, ``model_file.read_arrays`` gives them back.
            metadata: More header strings (safetensors only).

        Raises:
            ValueError: Another suffix, or an extra that uses a key of the model.
        """
        target = checked_suffix(path)
        check_choice("dtype", dtype, ("float32", "float16"))
        arrays: dict[str, NDArray[Any]] = {
            "mean": self.mean,
            "identity_basis": self.identity_basis.astype(dtype),
            "expression_basis": self.expression_basis.astype(dtype),
            "triangles": self.triangles,
            "eigenvalues": self.eigenvalues,
            "landmarks": self.landmarks,
        }
        for name, array in (extras or {}).items():
            if name in arrays:
                raise ValueError(f"extras: {name!r} is a key of the model itself")
            arrays[name] = np.ascontiguousarray(array)
        names = json.dumps(list(self.expression_names))
        if target.suffix == ".npz":
            buffer = io.BytesIO()
            np.savez_compressed(buffer, expression_names=np.array(names), **arrays)  # type: ignore[arg-type]
            content = buffer.getvalue()
        else:
            from safetensors.numpy import save

            content = save(arrays, metadata={"expression_names": names, **(metadata or {})})
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as stream:
            stream.write(content)

    @classmethod
    def load(cls, path: str | Path) -> LinearFaceModel:
        """Read a model written by :meth:`save`, or your own arrays under the keys of the class's table.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Not such a file, a missing key, or arrays that do not fit together (the message names both).
        """
        source = Path(path)
        arrays, names = read_arrays(source)
        missing = [key for key in _REQUIRED if key not in arrays]
        if missing:
            raise ValueError(
                f"{source}: expected the keys {', '.join(_REQUIRED)}; missing: {', '.join(missing)}"
            )
        optional = {key: arrays[key] for key in ("eigenvalues", "landmarks") if key in arrays}
        try:
            return cls(**{k: arrays[k] for k in _REQUIRED}, **optional, expression_names=names)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{source}: {error}") from error

    @classmethod
    def default(cls) -> LinearFaceModel:
        """The head model that comes with the package: 52 ARKit units, 40 identity components, CC0 data."""
        return _default_model()


@functools.cache
def _default_model() -> LinearFaceModel:
    return LinearFaceModel.load(HEAD_FILE)


def _as_array(name: str, value: Any, dtype: Any) -> NDArray[Any]:
    array = np.asarray(value)
    kinds = "fiu" if dtype is np.float32 else "iu"
    if array.size and array.dtype.kind not in kinds:
        kind = "numbers" if dtype is np.float32 else "integers"
        raise TypeError(f"{name}: expected an array of {kind}, got an array of {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite values, got NaN or infinity")
    return np.ascontiguousarray(array, dtype=dtype)
