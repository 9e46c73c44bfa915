"""The moving average of the generator's weights, which is what one keeps from a GAN."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["GeneratorAverage"]


class GeneratorAverage:
    """An exponential moving average of a network's parameters; buffers are copied.

    ``average <- d * average + (1 - d) * parameter`` with ``d = min(decay, (1 + n) / (10 + n))`` after n updates. The
    rising decay lets the average forget the first weights in short runs: 400 updates at a fixed 0.999 would leave
    them 67%.

    Args:
        network: The network to follow; the average starts as its copy.
        decay: The largest decay, in [0, 1).

    >>> network = nn.Linear(1, 1, bias=False)
    >>> average = GeneratorAverage(network, decay=0.999)
    >>> _ = nn.init.constant_(network.weight, 1.0); average.update(network)
    >>> _ = nn.init.constant_(network.weight, 0.0); average.update(network)
    >>> round(average.network.weight.item(), 4)
    0.1818
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._averaged = AveragedModel(network, multi_avg_fn=self._blend)
        # On the host, where reading it does not wait for the accelerator.
        self._averaged.n_averaged = self._averaged.n_averaged.cpu()
        self._averaged.requires_grad_(False)
        self._averaged.eval()

    @property
    def network(self) -> nn.Module:
        """The averaged network, in evaluation mode."""
        return self._averaged.module

    @property
    def updates(self) -> int:
        """How many updates were averaged; the first one copies."""
        return int(self._averaged.n_averaged)

    @updates.setter
    def updates(self, count: int) -> None:
        self._averaged.n_averaged.fill_(count)

    def update(self, network: nn.Module) -> None:
        """Take in the network's present weights."""
        with torch.no_grad():
            self._averaged.update_parameters(network)

    def _blend(self, averages: Sequence[Tensor], parameters: Sequence[Tensor], _count: Tensor | int) -> None:
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        # One kernel for all on an accelerator, one after the other on a CPU: the numbers of Tensor.lerp_.
        torch._foreach_lerp_(list(averages), list(parameters), 1 - decay)
