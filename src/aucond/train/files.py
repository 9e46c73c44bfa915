"""Files that are either whole or not there, whatever happens while they are written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["replace_file", "sync_folder", "write_synced"]


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk. A reader may see it half-written meanwhile."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that at any moment its name leads to the old content or to all of the new.

    One process at a time: the temporary name is always the same, so that what a killed process left is overwritten.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write_synced(temporary, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's list of names is on the disk; Windows offers no such call and needs none."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
