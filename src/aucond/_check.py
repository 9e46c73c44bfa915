"""What every public entry says to a wrong argument: its name, what was expected, what came.

Shapes and dtypes are always checked. Values are checked only where that costs no GPU synchronisation,
which is why :func:`check_finite` looks at CPU tensors only.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "check_choice",
    "check_finite",
    "check_generator",
    "check_images",
    "check_not_empty",
    "check_number",
    "check_same_shape",
    "check_tensor",
    "describe",
    "nearest",
]


def describe(value: Any) -> str:
    """Say in a few words what a value is, for the 'got ...' half of an error message.

    >>> describe(torch.zeros(2, 3))
    'a float32 tensor of shape (2, 3)'
    >>> describe([1, 2])
    'a list'
    """
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def nearest(name: str, known: Collection[str]) -> str:
    """Return ``"; did you mean 'AU12'?"`` when a known name is close, else an empty string.

    >>> nearest("AU012", ["AU12", "AU45"])
    "; did you mean 'AU12'?"
    >>> nearest("zebra", ["AU12"])
    ''
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    if not close:
        close = [k for k in known if k.lower() == name.lower()][:1]
    return f"; did you mean {close[0]!r}?" if close else ""


def check_tensor(
    name: str,
    value: Any,
    shape: Sequence[int | str],
    *,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return ``value`` if it is a floating tensor of the given shape; letters in ``shape`` stand for any size.

    A letter that comes twice must have the same size in both places. With ``dtype`` the tensor must have that one.

    >>> check_tensor("condition", torch.zeros(2, 17), ("B", 17)).shape
    torch.Size([2, 17])
    >>> check_tensor("condition", torch.zeros(2, 16), ("B", 17))
    Traceback (most recent call last):
    ValueError: condition: expected a floating tensor of shape (B, 17), got a float32 tensor of shape (2, 16)
    """
    # Every layer of every pass comes through here: the message is made only when it is needed.
    error: type[Exception] = TypeError
    if isinstance(value, Tensor) and (value.is_floating_point() if dtype is None else value.dtype == dtype):
        if _has_shape(value, shape):
            return value
        error = ValueError
    kind = "floating" if dtype is None else str(dtype).removeprefix("torch.")
    wanted = "(" + ", ".join(str(s) for s in shape) + ("," if len(shape) == 1 else "") + ")"
    raise error(f"{name}: expected a {kind} tensor of shape {wanted}, got {describe(value)}")


def _has_shape(value: Tensor, shape: Sequence[int | str]) -> bool:
    if value.dim() != len(shape):
        return False
    bound: dict[str, int] = {}
    for want, have in zip(shape, value.shape, strict=True):
        if isinstance(want, str):
            want = bound.setdefault(want, have)
        if want != have:
            return False
    return True


def check_images(name: str, value: Any, channels: int = 3) -> Tensor:
    """Return ``value`` if it is a float image batch (B, channels, H, W) with B, H and W at least 1."""
    tensor = check_tensor(name, value, ("B", channels, "H", "W"))
    if not torch.compiler.is_compiling() and tensor.numel() == 0:
        raise ValueError(f"{name}: expected at least one image of at least one pixel, got {describe(value)}")
    return tensor


def check_not_empty(name: str, value: Tensor) -> None:
    """Raise where a batch has no samples, or samples no values: their mean would be NaN."""
    if not torch.compiler.is_compiling() and value.numel() == 0:
        raise ValueError(f"{name}: expected at least one sample of at least one value, got {describe(value)}")


def check_generator(rng: Any) -> None:
    """Raise unless ``rng`` is a torch.Generator or None, torch's global one."""
    if rng is not None and not isinstance(rng, torch.Generator):
        raise TypeError(f"rng: expected a torch.Generator or None, got {describe(rng)}")


def check_same_shape(first_name: str, first: Tensor, second_name: str, second: Any) -> None:
    """Raise unless both are tensors of one shape: nothing is ever broadcast silently."""
    if not isinstance(second, Tensor):
        raise TypeError(
            f"{second_name}: expected a tensor of {first_name}'s shape {tuple(first.shape)}, got {describe(second)}"
        )
    if first.shape != second.shape:
        raise ValueError(
            f"{second_name}: expected the shape of {first_name}, {tuple(first.shape)}, got {describe(second)}"
        )


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of a closed set of strings.

    >>> check_choice("reduction", "avg", ("none", "mean", "sum"))
    Traceback (most recent call last):
    ValueError: reduction: expected one of 'none', 'mean', 'sum', got 'avg'
    """
    if value not in choices:
        hint = nearest(value, choices) if isinstance(value, str) else ""
        raise ValueError(
            f"{name}: expected one of {', '.join(map(repr, choices))}, got {describe(value)}{hint}"
        )
    return str(value)


def check_number(
    name: str, value: Any, *, low: float | None = None, high: float | None = None, integer: bool = False
) -> None:
    """Raise unless ``value`` is a real number (an int, with ``integer``) inside ``[low, high]``.

    >>> check_number("num_layers", 0, low=1, integer=True)
    Traceback (most recent call last):
    ValueError: num_layers: expected an integer at least 1, got 0
    """
    wanted = "an integer" if integer else "a finite number"
    if low is not None and high is not None:
        wanted += f" in [{low}, {high}]"
    elif low is not None:
        wanted += f" at least {low}"
    elif high is not None:
        wanted += f" at most {high}"
    message = f"{name}: expected {wanted}, got {describe(value)}"
    kinds = (int,) if integer else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TypeError(message)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(message)
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(message)


def check_finite(name: str, value: Tensor) -> None:
    """Raise when a CPU tensor holds a NaN or an infinity; a tensor on another device is let through unread."""
    if value.device.type == "cpu" and not torch.compiler.is_compiling() and not bool(value.isfinite().all()):
        raise ValueError(f"{name}: expected finite values, got NaN or infinity in {describe(value)}")
