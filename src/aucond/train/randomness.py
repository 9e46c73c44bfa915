"""Seeds as a pure function of where a run stands, so that no random state ever needs saving."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

__all__ = ["derived_seed", "loss_randomness", "preserved_global_state", "seed_global_state"]

Purpose = Literal["critic", "generator", "epoch", "preview"]
_PURPOSES: dict[Purpose, int] = {"critic": 0, "generator": 1, "epoch": 2, "preview": 3}


def derived_seed(seed: int, purpose: Purpose, count: int, process: int = 0) -> int:
    """A 64-bit seed that looks unrelated to that of any other (seed, purpose, count, process).

    Mixed by numpy's SeedSequence, which is made to give independent streams for neighbouring numbers.

    >>> derived_seed(0, "critic", 1) != derived_seed(0, "generator", 1) != derived_seed(1, "critic", 1)
    True
    """
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(_PURPOSES[purpose], count, process))
    return int(sequence.generate_state(1, np.uint64)[0])


@contextmanager
def loss_randomness(
    seed: int, device: torch.device, generator: torch.Generator | None = None
) -> Iterator[torch.Generator]:
    """A freshly seeded torch.Generator for one loss, with torch's global generator seeded alike meanwhile.

    Networks with dropout draw from the global generator. It is put back afterwards, for the data loader may be drawing
    from it too, and must see the same whether or not losses were computed in between.

    Args:
        seed: Of both.
        device: Where the loss draws.
        generator: The generator to seed, of that device; None makes a new one. A CUDA graph knows the generators it
            was captured with and reads their seed at each replay, so its loss must be given the same one every time.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        own = torch.Generator(device=device) if generator is None else generator
        yield own.manual_seed(seed)


def seed_global_state(seed: int) -> None:
    """Seed the global generators of torch, numpy and Python, which foreign datasets may draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def preserved_global_state() -> Iterator[None]:
    """Put the global generators of torch (CPU), numpy and Python back afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
