"""Asking a network for its opinion without changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from aucond._check import check_finite, check_tensor, describe

__all__ = ["judge", "judging"]


@contextmanager
def judging(network: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Run the block without gradients and with ``network`` in evaluation mode; every mode is put back after."""
    modules = list(network.modules()) if isinstance(network, nn.Module) else []
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def judge(name: str, network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return ``network(images)``, checked to be finite and of shape (B, D).

    A module is run in evaluation mode, without gradients, and left in the mode it was in.

    Raises:
        TypeError: ``network`` cannot be called, or gives something other than a floating tensor.
        ValueError: Another shape than one row per image, or values that are not finite.
    """
    if not callable(network):
        raise TypeError(f"{name}: expected a module or a callable images -> (B, D), got {describe(network)}")
    with judging(network):
        output = network(images)
    check_tensor(f"{name}(images)", output, (images.shape[0], "D"))
    check_finite(f"{name}(images)", output)
    return output
