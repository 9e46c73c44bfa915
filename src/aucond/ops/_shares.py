"""Work that releases the GIL, shared among the threads that torch's own operations run in.

After an operation torch's OpenMP threads wait for the next one with their cores held for some milliseconds. Threads of
any other kind would stand in line behind them for longer than most work takes. So the shares are handed to the same
OpenMP runtime, where it is GNU's; elsewhere the caller does them all.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["run_shares"]

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def run_shares(count: int, work: Callable[[int], None]) -> None:
    """Call ``work`` with 0 to ``count - 1``, in up to ``count`` threads at once.

    However many threads come, each takes shares until none is left.

    Raises:
        BaseException: What ``work`` raised first; the shares of other threads are finished.
    """
    parallel = _gnu_parallel() if count > 1 else None
    if parallel is None:
        for index in range(count):
            work(index)
        return
    indices, errors = itertools.count(), list[BaseException]()

    def take_shares(_: Any) -> None:
        try:
            while not errors and (index := next(indices)) < count:
                work(index)
        except BaseException as error:  # it must not pass through the runtime, which knows no exceptions
            errors.append(error)

    parallel(_CALLBACK(take_shares), None, count, 0)
    if errors:
        raise errors[0]


@cache
def _gnu_parallel() -> Any | None:
    """The entry to GNU's OpenMP runtime that torch has loaded, or None."""
    try:
        parallel = ctypes.CDLL(None).GOMP_parallel
    except (OSError, TypeError, AttributeError):  # no dynamic loading, or another runtime
        return None
    parallel.argtypes = [_CALLBACK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    parallel.restype = None
    return parallel
