"""What ``paper_tables.py`` keeps on the disk, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from aucond._files import atomic_file


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with atomic_file(path) as stream:
        stream.write(text.encode())


def kept(path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors from a file, or made and written to it: a run that goes on does not make them again."""
    if not path.exists():
        tensors = {name: tensor.contiguous() for name, tensor in make().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as stream:
            stream.write(save(tensors))
    return load_file(path)
