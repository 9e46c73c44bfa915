"""The gradients of an operation as differentiable expressions, for its second and higher derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["differentiable_gradients"]


def differentiable_gradients(
    operation: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Sequence[Tensor],
    upstream: Sequence[Tensor | None],
    needs: Sequence[bool],
) -> list[Tensor | None]:
    """Partial derivatives of an operation in each of its inputs, with a graph of their own.

    Args:
        operation: The operation in torch's own differentiable pieces.
        inputs: What it is applied to.
        upstream: The gradient of every output; None where there is none.
        needs: Which inputs need a gradient.

    Returns:
        A gradient for every input, None where it needs none or none arrives.

    >>> a = torch.tensor(3.0, requires_grad=True)
    >>> b = a * 2  # the derivative in a is partial: it does not follow b back to a
    >>> differentiable_gradients(torch.mul, [a, b], [torch.tensor(1.0)], [True, True])
    [tensor(6., grad_fn=<MulBackward0>), tensor(3., grad_fn=<MulBackward0>)]
    """
    # Differentiated in views of their own, or an input that depends on another would be followed back to it here,
    # and once more by the engine that asks.
    parts = [value.view_as(value) if need else value for value, need in zip(inputs, needs, strict=True)]
    found = operation(*parts)
    outputs = [found] if isinstance(found, Tensor) else found
    pairs = [(o, g) for o, g in zip(outputs, upstream, strict=True) if g is not None and o.requires_grad]
    wanted = [part for part, need in zip(parts, needs, strict=True) if need]
    gradients: list[Tensor | None] = [None] * len(wanted)
    if pairs and wanted:
        ends, grads = [o for o, _ in pairs], [g for _, g in pairs]
        gradients = list(torch.autograd.grad(ends, wanted, grads, create_graph=True, allow_unused=True))
    return [gradients.pop(0) if need else None for need in needs]
