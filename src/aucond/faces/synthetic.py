"""A dataset of rendered faces with exact conditions, and the true image of every edit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .._check import check_finite, check_number, check_tensor, describe
from ..conditions import OPENFACE_AUS, ConditionSpace
from .action_units import expression_coefficients, expression_matrix
from .cache import default_cache_folder, read_cached, write_cached
from .linear_model import LinearFaceModel
from .renderer import Person, project_landmarks, render
from .sampling import sample_conditions
from .scene import Scene

__all__ = ["SyntheticFaces", "checked_matrix", "to_float"]

MIN_SIZE = 16
"""Smallest image side that still shows a face."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


class SyntheticFaces(Dataset[dict[str, Any]]):
    """Rendered faces of known identity, condition and pose.

    Convention:
        Images are RGB in [-1, 1], (3, size, size); conditions are normalised as in ``space``; poses are yaw, pitch and
        roll in radians. Identity numbers are global: number k is the same person in every dataset, so
        ``range(0, 200)`` and ``range(1000, 1050)`` share nobody. The same arguments give the same bytes.

    Args:
        identities: The people: a number n for ``range(n)``, or their numbers (each at least 0).
        samples: Number of images; sample i shows person i modulo the number of people.
        size: Side of the images in pixels, at least 16.
        seed: Seed of conditions, poses, light and backgrounds.
        space: The condition space; OpenFace and ARKit names are known, others need ``expression``.
        expression: Coefficients of the head's 52 ARKit units per component at full intensity (N, 52); None: from the
            names.
        pose: Factor on the spread of the head pose; 0 is frontal.
        conditions: What each sample shows (samples, N), in ``space``; None: drawn by :func:`sample_conditions`.
        cache: Folder of rendered sets; None or True: ``$XDG_CACHE_HOME/aucond/faces``, False: no cache.

    Attributes:
        images: All images as bytes (samples, 3, size, size).
        conditions: (samples, N) float32.
        identities: Person of each sample (samples,) int64.
        poses: (samples, 3) float32.

    Raises:
        TypeError: An argument of a wrong kind.
        ValueError: A value out of range, ``conditions`` of another shape or outside the space, or a space with unknown
            names and no ``expression``.
        ImportError: numba is missing.

    >>> faces = SyntheticFaces(2, samples=4, size=32, cache=False)
    >>> faces[1]["image"].shape
    torch.Size([3, 32, 32])
    >>> bool((faces.render(1, faces.conditions[1]) == faces[1]["image"]).all())
    True
    """

    def __init__(
        self,
        identities: int | Sequence[int],
        samples: int,
        size: int = 64,
        seed: int = 0,
        *,
        space: ConditionSpace = OPENFACE_AUS,
        expression: Tensor | None = None,
        pose: float = 1.0,
        conditions: Tensor | None = None,
        cache: Path | str | bool | None = None,
    ) -> None:
        people = _checked_identities(identities)
        check_number("samples", samples, low=1, integer=True)
        check_number("size", size, low=MIN_SIZE, high=4096, integer=True)
        check_number("seed", seed, low=0, integer=True)
        check_number("pose", pose, low=0.0, high=2.0)
        self.space = space
        self.size = size
        self._matrix = checked_matrix(space, expression)
        self._pose, self._seed = float(pose), seed
        self.identities = torch.tensor([people[i % len(people)] for i in range(samples)])
        self.conditions = _shown(space, samples, seed, conditions)
        given = None if conditions is None else hashlib.sha256(self.conditions.numpy().tobytes()).hexdigest()
        images, poses = self._cached(people, given, cache)
        self.images = torch.from_numpy(images)
        self.poses = torch.from_numpy(poses)

    def _cached(
        self, people: tuple[int, ...], given: str | None, cache: Path | str | bool | None
    ) -> tuple[Bytes, Floats]:
        """Images and poses, from the cache if they are there; ``given`` stands for conditions of the caller's."""
        if cache is False:
            return self._render_all()
        folder = default_cache_folder() if cache is None or cache is True else Path(cache)
        recipe = {
            "identities": list(people),
            "samples": len(self),
            "size": self.size,
            "seed": self._seed,
            "pose": self._pose,
            "space": self.space.to_dict(),
            "matrix": hashlib.sha256(self._matrix.numpy().tobytes()).hexdigest(),
            **({} if given is None else {"conditions": given}),
        }
        stored = read_cached(folder, recipe)
        if stored is None:
            stored = self._render_all()
            write_cached(folder, recipe, *stored)
        return stored

    def _render_all(self) -> tuple[Bytes, Floats]:
        everyone = range(len(self))
        poses = np.stack([self._scene(i).pose for i in everyone])
        return self._render_many(everyone, self.conditions), poses

    def _scene(self, index: int) -> Scene:
        return Scene.random((self._seed, index, 11), self._pose)

    def __len__(self) -> int:
        return len(self.identities)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample: image (3, size, size) in [-1, 1], condition (N,), identity (), pose (3,), index ()."""
        i = self._checked_index(index)
        return {
            "image": to_float(self.images[i]),
            "condition": self.conditions[i],
            "identity": self.identities[i],
            "pose": self.poses[i],
            "index": torch.tensor(i),
        }

    def batch(self, indices: Tensor | Sequence[int]) -> dict[str, Tensor]:
        """Many samples at once, each value stacked: faster than a DataLoader where all fits in memory."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        if chosen.dim() != 1:
            raise ValueError(f"indices: expected one dimension, got shape {tuple(chosen.shape)}")
        for index in (chosen.min(), chosen.max()) if len(chosen) else ():
            self._checked_index(int(index))
        chosen = chosen % len(self)
        return {
            "image": to_float(self.images[chosen]),
            "condition": self.conditions[chosen],
            "identity": self.identities[chosen],
            "pose": self.poses[chosen],
            "index": chosen,
        }

    def render(self, index: int | Tensor | Sequence[int], condition: Tensor) -> Tensor:
        """The true image of a sample under another condition: same person, pose, light and background.

        Args:
            index: One sample, or B of them.
            condition: Target condition (N,) for one sample, (B, N) for many.

        Returns:
            (3, size, size) or (B, 3, size, size) in [-1, 1]; ``render(i, conditions[i])`` is image i, bit for bit.

        Raises:
            IndexError: No such sample.
            ValueError: A condition of another shape, out of range, or not finite.
        """
        single = isinstance(index, int) or (isinstance(index, Tensor) and index.dim() == 0)
        listed = [index] if single else index
        indices = [self._checked_index(int(i)) for i in listed]  # type: ignore[union-attr, arg-type]
        shape = (self.space.dim,) if single else (len(indices), self.space.dim)
        check_tensor("condition", condition, shape)
        check_finite("condition", condition)
        self.space.validate(condition)
        images = self._render_many(indices, condition.detach().reshape(len(indices), -1).cpu())
        result = to_float(torch.from_numpy(images))
        return result[0] if single else result

    def landmarks(self, indices: Tensor | Sequence[int], conditions: Tensor | None = None) -> Tensor:
        """The true 68 landmarks of samples, in the order of iBUG.

        Args:
            indices: B samples.
            conditions: Conditions (B, N) to put on; None: their own.

        Returns:
            (B, 68, 2) float32: x to the right, y down, in pixels; the centre of the first pixel is (0.5, 0.5).
        """
        chosen = [self._checked_index(int(i)) for i in indices]
        wanted = self.conditions[chosen] if conditions is None else conditions
        check_tensor("conditions", wanted, (len(chosen), self.space.dim))
        check_finite("conditions", wanted)
        coefficients = expression_coefficients(self.space, wanted.detach().cpu(), self._matrix).numpy()
        marks = np.empty((len(chosen), 68, 2), np.float32)
        for row, index in enumerate(chosen):
            person = Person.of_identity(int(self.identities[index]), self.size)
            marks[row] = project_landmarks(person, coefficients[row], self._scene(index), self.size)
        return torch.from_numpy(marks)

    def _render_many(self, indices: Sequence[int], conditions: Tensor) -> Bytes:
        """Images (B, 3, size, size); threads share the people, each person's images are made by one of them."""
        coefficients = expression_coefficients(self.space, conditions, self._matrix).numpy()
        images = np.empty((len(indices), 3, self.size, self.size), np.uint8)
        by_person: dict[int, list[int]] = {}
        for row, index in enumerate(indices):
            by_person.setdefault(int(self.identities[index]), []).append(row)

        def draw(identity: int) -> None:
            person = Person.of_identity(identity, self.size)
            for row in by_person[identity]:
                images[row] = render(person, coefficients[row], self._scene(indices[row]), self.size)

        threads = min(os.cpu_count() or 1, len(by_person))
        if threads <= 1:
            for identity in by_person:
                draw(identity)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(draw, by_person))
        return images

    def _checked_index(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index: expected a sample in [0, {len(self) - 1}], got {index}")
        return index % len(self)


def to_float(images: Tensor) -> Tensor:
    """Bytes to [-1, 1]."""
    return images.float() / 127.5 - 1.0


def _checked_identities(identities: Any) -> tuple[int, ...]:
    if isinstance(identities, int) and not isinstance(identities, bool):
        check_number("identities", identities, low=1, integer=True)
        return tuple(range(identities))
    if isinstance(identities, Tensor | np.ndarray):
        identities = identities.tolist()
    if isinstance(identities, str) or not isinstance(identities, Sequence):
        raise TypeError(
            "identities: expected a number of people or a non-empty sequence of their numbers, "
            f"got {describe(identities)}"
        )
    if len(identities) == 0:
        raise ValueError("identities: expected at least one person, got an empty sequence")
    for number in identities:
        check_number("identities", number, low=0, high=2**62, integer=True)
    if len(set(identities)) != len(identities):
        raise ValueError("identities: expected different numbers, got one more than once")
    return tuple(identities)


def _shown(space: ConditionSpace, samples: int, seed: int, conditions: Tensor | None) -> Tensor:
    """The conditions of a set (samples, N): the caller's, or drawn."""
    if conditions is None:
        return sample_conditions(space, samples, torch.Generator().manual_seed(seed))
    check_tensor("conditions", conditions, (samples, space.dim))
    check_finite("conditions", conditions)
    space.validate(conditions, name="conditions")
    return conditions.detach().to("cpu", torch.float32, copy=True).contiguous()


def checked_matrix(space: ConditionSpace, expression: Tensor | None) -> Tensor:
    """Coefficients of the head per component (N, 52), of the caller or from the names."""
    if expression is None:
        return expression_matrix(space)
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    components = LinearFaceModel.default().num_expressions
    check_tensor("expression", expression, (space.dim, components))
    check_finite("expression", expression)
    return expression.detach().to("cpu", torch.float32).contiguous()
