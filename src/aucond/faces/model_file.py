"""Files of face models: named arrays plus the names of the expression components."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["checked_suffix", "read_arrays"]


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """All arrays of a model file and the expression names (empty if it has none).

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is not a readable ``.safetensors`` or ``.npz`` file.
    """
    source = checked_suffix(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such face model file")
    try:
        if source.suffix == ".npz":
            with np.load(source, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
            names = str(arrays.pop("expression_names", "[]"))
        else:
            from safetensors import safe_open

            with safe_open(str(source), framework="numpy") as handle:
                arrays = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
                names = (handle.metadata() or {}).get("expression_names", "[]")
        return arrays, tuple(str(name) for name in json.loads(names))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{source}: not a readable face model file ({error})") from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise ValueError(f"{source}: not a readable face model file ({error})") from error


def checked_suffix(path: str | Path) -> Path:
    """The path, if its suffix is one of the two that are known."""
    source = Path(path)
    if source.suffix not in (".safetensors", ".npz"):
        raise ValueError(f"path: expected a .safetensors or .npz file, got {str(path)!r}")
    return source
