from __future__ import annotations

import itertools
import random

import numpy as np
import torch

from aucond.train.randomness import derived_seed, loss_randomness, preserved_global_state, seed_global_state

CPU = torch.device("cpu")


def test_seeds_are_all_different_and_never_change() -> None:
    arguments = list(
        itertools.product((0, 1, 2**40), ("critic", "generator", "epoch", "preview"), range(20), (0, 1))
    )
    seeds = [derived_seed(*a) for a in arguments]
    assert len(set(seeds)) == len(arguments)
    # 32 of the 64 bits are what the CPU's generator takes.
    assert len({s % 2**32 for s in seeds}) == len(arguments)
    assert derived_seed(7, "critic", 123, 1) == 11822452570425630977


def test_loss_randomness_is_a_function_of_its_seed_and_leaves_no_trace() -> None:
    draws = []
    for _ in range(2):
        torch.rand(3)
        before = torch.get_rng_state()
        with loss_randomness(11, CPU) as rng:
            draws.append(torch.cat([torch.rand(4, generator=rng), torch.rand(4)]))
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(*draws)
    with loss_randomness(12, CPU) as rng:
        assert not torch.equal(draws[0][:4], torch.rand(4, generator=rng))


def test_global_state_is_seeded_and_put_back() -> None:
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    drawn = []
    for _ in range(2):
        with preserved_global_state():
            seed_global_state(2**50 + 1)
            drawn.append((random.random(), float(np.random.rand()), torch.rand(()).item()))
    assert drawn[0] == drawn[1]
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
