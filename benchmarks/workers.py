"""Work in a process of its own, done when it is asked for.

The allocator, the peak memory and the global generators are a process's: what is to be compared gets one each. They
wait for each other, so that they are measured in turn.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import torch
from measuring import peak_memory

__all__ = ["Worker"]


class Worker:
    """An object in a process of its own.

    Args:
        make: Makes the object, there; a class or function that can be pickled.
        arguments: What it is made of.
        device: Where its memory is looked at.
        threads: CPU threads of the process.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any, device: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, make, arguments, device, threads), daemon=True
        )
        self._process.start()
        other.close()

    def ask(self, method: str, *arguments: float) -> dict[str, float]:
        """What a method of the object gives, and ``bytes_before``, the process's memory before it was made.

        Raises:
            RuntimeError: If it failed there.
        """
        self._pipe.send((method, arguments))
        try:
            failed, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the process ended with exit status {self._process.exitcode}") from None
        if failed:
            raise RuntimeError(answer)
        return dict(answer)

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()


def _serve(
    pipe: Any, make: Callable[..., Any], arguments: tuple[Any, ...], device: str, threads: int
) -> None:
    torch.set_num_threads(threads)
    before = peak_memory(torch.device(device))
    made = None
    while True:
        try:
            method, values = pipe.recv()
        except EOFError:
            return
        try:
            made = make(*arguments) if made is None else made
            answer: tuple[bool, Any] = (
                False,
                {**getattr(made, method)(*values), "bytes_before": float(before)},
            )
        except Exception as error:
            answer = (True, f"{method}: {type(error).__name__}: {error}")
        pipe.send(answer)
