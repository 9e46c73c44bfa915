"""The one place that touches numba: a typed decorator that compiles a function and releases the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["compiled"]

_F = TypeVar("_F", bound=Callable[..., Any])


def compiled(function: _F) -> _F:
    """Compile a function over numbers and arrays; the machine code is cached on disk."""
    try:
        import numba
    except ImportError as error:
        raise ImportError('rendering faces needs numba: pip install "aucond[faces]"') from error
    result: _F = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return result
