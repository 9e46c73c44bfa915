"""Networks and optimisers as flat dictionaries of tensors, and back, with every difference named."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = [
    "adam_tensors",
    "all_finite",
    "check_same_layout",
    "load_adam",
    "load_network",
    "network_tensors",
]

_MOMENTS = ("exp_avg", "exp_avg_sq")


def network_tensors(network: nn.Module) -> dict[str, Tensor]:
    """A network's parameters and buffers on the CPU, each with memory of its own.

    Raises:
        ValueError: If the network's state holds something other than tensors.
    """
    tensors = {}
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{name}: expected a network whose state is all tensors, got a {type(value).__name__}"
            )
        tensors[name] = _stored(value)
    return tensors


@torch.no_grad()
def load_network(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into a network of the same layout, in place."""
    for name, target in network.state_dict().items():
        target.copy_(tensors[name])


def check_same_layout(own: Mapping[str, Tensor], saved: Mapping[str, Tensor], what: str) -> None:
    """Raise unless saved tensors have the names, shapes and dtypes of a network's own.

    Raises:
        ValueError: If they differ; the message begins with ``what`` and lists the differences.
    """
    differences = [f"{name} is not in the file" for name in own if name not in saved]
    differences += [f"{name} is not in the network" for name in saved if name not in own]
    for name in own:
        if name in saved and (own[name].shape, own[name].dtype) != (saved[name].shape, saved[name].dtype):
            differences.append(f"{name} is {_layout(saved[name])}, the network's is {_layout(own[name])}")
    if differences:
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise ValueError(
            f"{what}: the checkpoint is of another architecture: {'; '.join(differences[:5])}{more}"
        )


def adam_tensors(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """Adam's state as ``<parameter>.step``, ``<parameter>.exp_avg`` and ``<parameter>.exp_avg_sq``."""
    return {
        f"{name}.{key}": _stored(optimizer.state[parameter][key])
        for name, parameter in network.named_parameters()
        if parameter in optimizer.state
        for key in ("step", *_MOMENTS)
    }


@torch.no_grad()
def load_adam(
    optimizer: torch.optim.Optimizer, network: nn.Module, tensors: Mapping[str, Tensor], what: str
) -> None:
    """Put back what :func:`adam_tensors` gave. A parameter without saved state starts without state.

    Raises:
        ValueError: If a parameter's state is incomplete, has another shape, or belongs to no parameter.
    """
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    parameters = {n: p for n, p in network.named_parameters() if id(p) in trained}
    owners = {name.rpartition(".")[0] for name in tensors}
    layout = {f"{n}.step": torch.zeros(()) for n in parameters if n in owners}
    layout |= {f"{n}.{key}": p for n, p in parameters.items() if n in owners for key in _MOMENTS}
    check_same_layout(layout, tensors, what)
    optimizer.state.clear()
    for name in parameters.keys() & owners:
        parameter = parameters[name]
        state = {"step": tensors[f"{name}.step"].clone().to(parameter.device)}
        for key in _MOMENTS:
            # Like the parameter also in memory layout: fused Adam walks both in memory order and does not look.
            state[key] = torch.empty_like(parameter).copy_(tensors[f"{name}.{key}"])
        optimizer.state[parameter] = state


def all_finite(tensors: Mapping[str, Tensor]) -> bool:
    """Whether no floating tensor holds a NaN or an infinity."""
    return all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point())


def _stored(tensor: Tensor) -> Tensor:
    # A copy even when on the CPU: safetensors refuses tied weights that share their memory.
    return tensor.detach().to("cpu", copy=True).contiguous()


def _layout(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
