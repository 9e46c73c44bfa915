"""Checkpoints: one folder each, complete or not there, and checked when read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from aucond.train.files import sync_folder, write_synced

__all__ = [
    "Checkpoint",
    "DamagedCheckpointError",
    "checkpoint_path",
    "is_checkpoint",
    "list_checkpoints",
    "newest_checkpoint",
    "newest_good",
    "prune_checkpoints",
    "read_checkpoint",
    "set_aside_after",
    "write_checkpoint",
]

FORMAT = 1
_STATE = "state.json"
_NAME = re.compile(r"step_(\d{8,})")
_WRITING, _REPLACED = ".writing_", ".replaced_"


class DamagedCheckpointError(ValueError):
    """A checkpoint that cannot be read: files missing, cut short or changed."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds."""

    path: Path
    """Its folder."""
    state: dict[str, Any]
    """The content of ``state.json``."""
    tensors: dict[str, dict[str, Tensor]]
    """The content of each safetensors file, by the file's name without suffix."""


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after step number ``step`` is, or will be."""
    return folder / f"step_{step:08d}"


def write_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> Path:
    """Write ``folder/step_<8 digits>`` so that the name appears only when everything in it is on the disk.

    Args:
        folder: The run's folder of checkpoints; made if missing.
        step: The number of the last finished step.
        tensors: The tensors of each file, by the file's name without suffix.
        state: What else to keep; anything JSON knows.

    Returns:
        The checkpoint's folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = checkpoint_path(folder, step)
    temporary = folder / f"{_WRITING}{path.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    files = {}
    for name, content in tensors.items():
        data = safetensors.torch.save(dict(content))
        write_synced(temporary / f"{name}.safetensors", data)
        files[f"{name}.safetensors"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    whole = {"format": FORMAT, "step": step, **state, "files": files}
    whole["sha256"] = _digest(whole)
    write_synced(temporary / _STATE, json.dumps(whole, indent=1, allow_nan=False).encode())
    sync_folder(temporary)
    if path.exists():
        replaced = folder / f"{_REPLACED}{path.name}"
        shutil.rmtree(replaced, ignore_errors=True)
        path.rename(replaced)
    temporary.rename(path)
    sync_folder(folder)
    shutil.rmtree(folder / f"{_REPLACED}{path.name}", ignore_errors=True)
    return path


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint's folder and check every byte of it against the digests in ``state.json``.

    Raises:
        DamagedCheckpointError: If it is not whole; the message names the file and what is wrong with it.
        ValueError: If a newer version of aucond wrote it.
    """
    path = Path(path)
    state = _read_state(path)
    tensors = {}
    for name, expected in state["files"].items():
        if Path(name).name != name:
            raise DamagedCheckpointError(f"{path / _STATE}: {name!r} is no plain file name")
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            raise DamagedCheckpointError(f"{path / name}: cannot be read: {error.strerror}") from error
        if len(data) != expected["bytes"]:
            raise DamagedCheckpointError(
                f"{path / name}: expected {expected['bytes']} bytes, got {len(data)}"
            )
        if hashlib.sha256(data).hexdigest() != expected["sha256"]:
            raise DamagedCheckpointError(
                f"{path / name}: the content is not what was written (sha256 differs)"
            )
        try:
            tensors[name.removesuffix(".safetensors")] = safetensors.torch.load(data)
        except SafetensorError as error:
            raise DamagedCheckpointError(f"{path / name}: is no safetensors file: {error}") from error
    return Checkpoint(path=path, state=state, tensors=tensors)


def is_checkpoint(path: Path) -> bool:
    """Whether this is a folder with the name of a checkpoint; it has not been looked into."""
    return _NAME.fullmatch(path.name) is not None and path.is_dir()


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first, by name; they have not been looked into."""
    if not folder.is_dir():
        return []
    found = {int(m[1]): p for p in folder.iterdir() if (m := _NAME.fullmatch(p.name)) and p.is_dir()}
    return [found[step] for step in sorted(found)]


def newest_checkpoint(folder: Path) -> Checkpoint:
    """Read the newest checkpoint that is whole; a warning names each newer one that is not, and why.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        DamagedCheckpointError: If none is whole.
    """
    paths = list_checkpoints(folder)
    if not paths:
        raise FileNotFoundError(f"{folder}: expected at least one checkpoint (step_...), found none")
    damages = []
    for path in reversed(paths):
        try:
            checkpoint = read_checkpoint(path)
        except DamagedCheckpointError as error:
            damages.append(str(error))
            continue
        for damage in damages:
            warnings.warn(f"{damage}; going back to {path.name}", RuntimeWarning, stacklevel=3)
        return checkpoint
    raise DamagedCheckpointError(f"{folder}: no checkpoint is whole: {'; '.join(damages)}")


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints and the newest good one, and what interrupted writes left."""
    if not folder.is_dir():
        return
    paths = list_checkpoints(folder)
    kept = {*paths[-keep:], newest_good(folder)}
    for path in paths:
        if path not in kept:
            # Renamed first, so that a kill in between leaves no half-deleted checkpoint under its name.
            path.rename(folder / f"{_REPLACED}{path.name}")
    for leftover in folder.iterdir():
        if leftover.name.startswith((_WRITING, _REPLACED)):
            shutil.rmtree(leftover, ignore_errors=True)


def newest_good(folder: Path) -> Path | None:
    """The newest checkpoint that says training was healthy when it was written, or None."""
    for path in reversed(list_checkpoints(folder)):
        try:
            if _read_state(path).get("good") is True:
                return path
        except ValueError:
            continue
    return None


def set_aside_after(folder: Path, step: int) -> list[Path]:
    """Move checkpoints past ``step`` to ``folder/set_aside``: the run goes on from ``step`` and will write its own.

    Returns:
        Where they are now; nothing is deleted.
    """
    moved = []
    for path in reversed(list_checkpoints(folder)):
        if int(path.name.removeprefix("step_")) > step:
            (folder / "set_aside").mkdir(exist_ok=True)
            target, copies = folder / "set_aside" / path.name, 1
            while target.exists():
                copies += 1
                target = folder / "set_aside" / f"{path.name}_{copies}"
            path.rename(target)
            moved.append(target)
    return moved


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state = json.loads((path / _STATE).read_bytes())
    except OSError as error:
        raise DamagedCheckpointError(f"{path / _STATE}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DamagedCheckpointError(f"{path / _STATE}: is no JSON: {error}") from error
    if not isinstance(state, dict) or not isinstance(state.get("files"), dict):
        raise DamagedCheckpointError(f"{path / _STATE}: is not the state of a checkpoint")
    version = state.get("format")
    if isinstance(version, int) and version > FORMAT:
        # Not damage: going back to an older checkpoint of a run that a newer version has continued would be wrong.
        raise ValueError(
            f"{path / _STATE}: has checkpoint format {version}, this version of aucond reads up to {FORMAT}; "
            "it was written by a newer one"
        )
    if _digest({k: v for k, v in state.items() if k != "sha256"}) != state.get("sha256"):
        raise DamagedCheckpointError(f"{path / _STATE}: the content is not what was written (sha256 differs)")
    return state


def _digest(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
