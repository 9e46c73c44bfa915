"""Freed memory that is kept.

On a CPU the page faults of memory that is given back and asked for again can cost a third of a training step.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["kept_memory"]

# glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
# What glibc's own moving thresholds come to in a process that has freed large tensors: twice 32 MiB, its largest
# block that does not get pages of its own. Where they began cannot be put back.
_AFTERWARDS = {_TRIM_THRESHOLD: 64 * 2**20, _MMAP_THRESHOLD: 32 * 2**20, _MMAP_MAX: 65536}
_CHOICES = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
)


@contextmanager
def kept_memory(wanted: bool = True) -> Iterator[bool]:
    """Have glibc keep what is freed instead of giving it back to the system at once; end that afterwards.

    No number changes, only where memory comes from. The process holds on to its peak meanwhile, and gives it back at
    the end. Nothing is done without glibc, or where the environment already says how memory is to be handled
    (``MALLOC_TRIM_THRESHOLD_`` and its like, ``GLIBC_TUNABLES``, ``LD_PRELOAD``).

    Args:
        wanted: False does nothing, for callers that decide at run time.

    Yields:
        Whether memory is kept.

    >>> with kept_memory(wanted=False) as kept:
    ...     kept
    False
    """
    library = _glibc() if wanted and not any(name in os.environ for name in _CHOICES) else None
    if library is None:
        yield False
        return
    kept = bool(library.mallopt(_MMAP_MAX, 0)) and bool(library.mallopt(_TRIM_THRESHOLD, 2**31 - 1))
    try:
        yield kept
    finally:
        for option, value in _AFTERWARDS.items():
            library.mallopt(option, value)
        library.malloc_trim(0)


def _glibc() -> Any | None:
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
    except (OSError, TypeError):  # no dynamic loading, or a system whose loader wants a name
        return None
