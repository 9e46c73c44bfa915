"""Where a run stands, and whether another run may go on from there."""

from __future__ import annotations

import dataclasses
import math
import platform
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aucond._version import __version__
from aucond.train.checkpoint import Checkpoint, is_checkpoint, newest_checkpoint, read_checkpoint
from aucond.train.config import TrainerConfig
from aucond.types import Objective

__all__ = ["Progress", "check_same_run", "find_checkpoint", "saved_settings"]

_OBJECTIVE = ("weights", "adversarial", "targets", "penalty_points", "instance_noise")
"""The attributes by which the recipes' objectives say what they compute."""


@dataclasses.dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    """How many steps are done."""
    epoch: int = 0
    """The epoch the next batch is from, counted from 0."""
    batch: int = 0
    """How many batches of that epoch are used."""
    logged: int = 0
    """The step of the last log line."""
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    """The latest value of each loss term and watched value."""

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON knows them: no number is not finite."""
        values = {name: v if math.isfinite(v) else None for name, v in self.values.items()}
        return {**dataclasses.asdict(self), "values": values}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Progress:
        """What :meth:`to_json` gave."""
        values = {name: math.nan if v is None else v for name, v in state["values"].items()}
        return cls(**{**state, "values": values})


def saved_settings(config: TrainerConfig, objective: Objective, processes: int) -> dict[str, Any]:
    """What a checkpoint says about the run it is of."""
    return {
        "config": config.to_dict(),
        "processes": processes,
        "condition_space": _condition_space(objective),
        "objective": _objective_settings(objective),
        "versions": {
            "aucond": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def check_same_run(
    checkpoint: Checkpoint,
    config: TrainerConfig,
    objective: Objective,
    processes: int,
    *,
    allow_changed_config: bool,
) -> None:
    """Raise unless a run with these settings can go on from the checkpoint.

    Raises:
        ValueError: If the condition space differs, or the settings do and that is not allowed; each difference is
            named.
    """
    state, where = checkpoint.state, checkpoint.path / "state.json"
    space = _condition_space(objective)
    if state["condition_space"] != space:
        raise ValueError(
            f"{where}: the checkpoint is of another condition space: "
            + _space_difference(state["condition_space"], space)
        )
    try:
        saved = TrainerConfig.from_dict(state["config"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: the saved config cannot be used: {error}") from error
    changes = saved.changes(config)
    if state["processes"] != processes:
        changes["number of processes"] = (state["processes"], processes)
    told, own = state.get("objective", {}), _objective_settings(objective)
    # Only what both tell: checkpoints of earlier versions, and of an objective that was changed, may lack some.
    changes |= {name: (told[name], own[name]) for name in told if name in own and told[name] != own[name]}
    if not changes:
        return
    listed = ", ".join(f"{name} was {old!r}, is {new!r}" for name, (old, new) in changes.items())
    if not allow_changed_config:
        raise ValueError(
            f"{where}: the run was started with other settings: {listed}; "
            "use the same ones, or resume(..., allow_changed_config=True) to go on with the new ones"
        )
    warnings.warn(
        f"{checkpoint.path.name}: going on with other settings: {listed}", RuntimeWarning, stacklevel=3
    )


def find_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint, or the newest whole one of a run's folder.

    Raises:
        FileNotFoundError: If there is none.
        DamagedCheckpointError: If the one named, or every one in the folder, is damaged.
    """
    named = is_checkpoint(folder) and not (folder / "checkpoints").is_dir()
    if named or (folder / "state.json").exists():
        return read_checkpoint(folder)
    return newest_checkpoint(folder / "checkpoints")


def _condition_space(objective: Objective) -> Any:
    space = getattr(objective.generator, "space", None) or getattr(objective, "space", None)
    to_dict = getattr(space, "to_dict", None)
    return to_dict() if callable(to_dict) else None


def _objective_settings(objective: Objective) -> dict[str, Any]:
    """What the objective says of itself, as JSON knows it, one entry a number so that a difference can be named."""
    found: dict[str, Any] = {}
    for name in _OBJECTIVE:
        if hasattr(objective, name):
            found |= _told(name, getattr(objective, name))
    return found


def _told(name: str, value: Any) -> dict[str, Any]:
    """A dataclass as its type and fields, anything else as itself or its repr; nothing if that does not tell it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts: dict[str, Any] = {name: type(value).__name__}
        for field in dataclasses.fields(value):
            parts |= _told(f"{name}.{field.name}", getattr(value, field.name))
        return parts
    if value is None or isinstance(value, bool | int | str):
        return {name: value}
    if isinstance(value, float) and math.isfinite(value):
        return {name: value}
    if isinstance(value, Tensor | set | frozenset):  # abridged, of a device; in the order of this process
        return {}
    text = repr(value)
    return {} if re.search(r" at 0x[0-9a-fA-F]+|\btensor\(", text) else {name: text}


def _space_difference(saved: Any, own: Any) -> str:
    if not isinstance(saved, Mapping) or not isinstance(own, Mapping):
        return f"it has {_space_size(saved)}, this run has {_space_size(own)}"
    differing = [k for k in {**saved, **own} if saved.get(k) != own.get(k)]
    return (
        f"it has {_space_size(saved)}, this run has {_space_size(own)}; they differ in {', '.join(differing)}"
    )


def _space_size(space: Any) -> str:
    if not isinstance(space, Mapping):
        return "none"
    names = space.get("names", ())
    return f"{len(names)} conditions ({', '.join(map(str, names[:3]))}, ...)"
