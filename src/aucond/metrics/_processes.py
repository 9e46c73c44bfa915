"""Sums and rows from every process of a torch.distributed run; one process alone is its own answer."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["exchange_device", "gather_rows", "sum_over_processes"]


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the elementwise sum of ``values`` over all processes, on the CPU; every process must call."""
    if not _several():
        return values.cpu()
    moved = values.to(exchange_device(values.device))
    # A clone, because all_reduce writes into its argument, which must stay this process's own.
    moved = moved.clone()
    dist.all_reduce(moved)
    return moved.cpu()


def gather_rows(rows: Tensor) -> Tensor:
    """Return ``rows`` (n, ...) of all processes, in the order of their ranks, on the CPU; every process must call.

    The processes may hold different numbers of rows, also none; the other dimensions and the dtype agree.
    """
    if not _several():
        return rows.cpu()
    rows = rows.to(exchange_device(rows.device)).contiguous()
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([rows.shape[0]], device=rows.device))
    lengths = [int(count) for count in counts]
    # all_gather wants equal shapes, so everybody pads to the longest and the padding is cut off again.
    padded = rows.new_zeros((max(lengths), *rows.shape[1:]))
    padded[: rows.shape[0]] = rows
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)]).cpu()


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def exchange_device(device: torch.device) -> torch.device:
    """Return the device a tensor on ``device`` must be moved to before it can be sent to other processes."""
    # NCCL moves nothing that lies on the CPU; the other backends do.
    if _several() and dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return device
