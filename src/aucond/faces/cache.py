"""Rendered sets on disk: one safetensors file a recipe, whole and current or built again."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import atomic_file

__all__ = ["content_version", "default_cache_folder", "read_cached", "write_cached"]

_log = logging.getLogger(__name__)


def default_cache_folder() -> Path:
    """``$XDG_CACHE_HOME/aucond/faces``, or ``~/.cache/aucond/faces``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aucond" / "faces"


@functools.cache
def content_version() -> str:
    """Fingerprint of the face model and of the code that renders it: another one makes cached images stale."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted([*folder.glob("*.py"), *folder.glob("*.safetensors")]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_path(folder: Path, recipe: Mapping[str, Any]) -> Path:
    """The file of a recipe; the name depends on nothing but the recipe."""
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:24]
    return folder / f"faces-{digest}.safetensors"


def read_cached(
    folder: Path, recipe: Mapping[str, Any]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
    """Images and poses of a recipe, or None if they are absent, stale, damaged or of something else."""
    path = cache_path(folder, recipe)
    if not path.is_file():
        return None
    try:
        from safetensors import safe_open

        with safe_open(str(path), framework="numpy") as handle:
            header = handle.metadata() or {}
            images, poses = handle.get_tensor("images"), handle.get_tensor("poses")
    except (
        Exception
    ) as error:  # damage shows as SafetensorError, OSError, KeyError or ValueError: all mean rebuild
        _log.warning("%s: cannot be read (%s); rendering it again", path, error)
        return None
    if header.get("version") != content_version():
        _log.info("%s: made by another version; rendering it again", path)
        return None
    shape = (recipe["samples"], 3, recipe["size"], recipe["size"])
    if header.get("recipe") != json.dumps(recipe, sort_keys=True) or images.shape != shape:
        _log.warning("%s: holds another recipe; rendering it again", path)
        return None
    if header.get("crc32") != _checksum(images, poses):
        _log.warning("%s: damaged; rendering it again", path)
        return None
    return images, poses


def write_cached(
    folder: Path, recipe: Mapping[str, Any], images: NDArray[np.uint8], poses: NDArray[np.float32]
) -> None:
    """Keep the images and poses of a recipe; a folder that cannot be written to is only logged."""
    from safetensors.numpy import save

    metadata = {
        "recipe": json.dumps(recipe, sort_keys=True),
        "version": content_version(),
        "crc32": _checksum(images, poses),
    }
    path = cache_path(folder, recipe)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as stream:
            stream.write(save({"images": images, "poses": poses}, metadata=metadata))
    except OSError as error:
        _log.warning("%s: cannot be written (%s); going on without the cache", path, error)


def _checksum(images: NDArray[np.uint8], poses: NDArray[np.float32]) -> str:
    return str(zlib.crc32(poses.tobytes(), zlib.crc32(np.ascontiguousarray(images).data)))
