"""The processes of a run and the few things they tell each other.

Networks are not wrapped in DistributedDataParallel: its reducer expects one forward and one backward per step, while
a GAN's loss runs a network several times and differentiates it inside the loss (the gradient penalty). Equal weights
at the start and the mean of the gradients after each backward are all that is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["Processes"]


@dataclass(frozen=True)
class Processes:
    """This process's place among the processes of the run, and its device."""

    index: int
    count: int
    device: torch.device

    @classmethod
    def current(cls, *, cpu: bool = False) -> Processes:
        """What Accelerate finds: one process, or those of ``torchrun`` or ``accelerate launch``.

        Args:
            cpu: Use the CPU even if there is an accelerator, as ``ACCELERATE_USE_CPU=true`` also does.

        Raises:
            ImportError: If accelerate is not installed.
        """
        try:
            from accelerate import PartialState
            from accelerate.utils import str_to_bool
        except ImportError as error:
            raise ImportError('the Trainer needs accelerate: pip install "aucond[train]"') from error
        state = PartialState(cpu=cpu or bool(str_to_bool(os.environ.get("ACCELERATE_USE_CPU", "false"))))
        return cls(index=state.process_index, count=state.num_processes, device=state.device)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.index == 0

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.count > 1:
            dist.barrier()

    def same_object(self, value: Any) -> Any:
        """The main process's ``value``, in every process."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    @torch.no_grad()
    def share_weights(self, modules: Iterable[nn.Module]) -> None:
        """Give every process the main process's parameters and buffers."""
        if self.count > 1:
            for module in modules:
                for tensor in module.state_dict().values():
                    dense = tensor.contiguous()
                    dist.broadcast(dense, src=0)
                    tensor.copy_(dense)

    @torch.no_grad()
    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the main process's buffers (running statistics of norms), which are not averaged."""
        if self.count > 1:
            for buffer in module.buffers():
                dense = buffer.contiguous()
                dist.broadcast(dense, src=0)
                buffer.copy_(dense)

    @torch.no_grad()
    def average_gradients(self, parameters: Sequence[nn.Parameter], samples: int) -> None:
        """Replace every gradient by its mean over all samples of all processes, in one exchange.

        The mean is weighted by each process's number of samples, so that it is the gradient of the joined batch also
        when slices are uneven. A parameter that no process has a gradient of keeps None.

        Args:
            parameters: The parameters trained in this step, in the same order everywhere.
            samples: How many samples this process's loss was the mean of.
        """
        if self.count == 1:
            return
        pieces = [
            (torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) * samples for p in parameters
        ]
        # Booleans and sample counts travel with the gradients: a second exchange would cost its latency again.
        present = torch.tensor([float(p.grad is not None) for p in parameters], device=pieces[0].device)
        total = torch.tensor([float(samples)], device=pieces[0].device)
        flat = torch.cat([*pieces, present, total])
        dist.all_reduce(flat)
        *means, present, total = torch.split(flat, [*(p.numel() for p in parameters), len(parameters), 1])
        for index, (parameter, mean) in enumerate(zip(parameters, means, strict=True)):
            if parameter.grad is None:
                if present[index] == 0:
                    continue
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.copy_((mean / total).view_as(parameter))

    @torch.no_grad()
    def mean(self, values: Tensor, samples: Tensor) -> Tensor:
        """The mean over processes of ``values`` (K,), weighted by each process's ``samples`` (K,)."""
        if self.count == 1:
            return values
        both = torch.stack([values * samples, samples])
        dist.all_reduce(both)
        return both[0] / both[1]
