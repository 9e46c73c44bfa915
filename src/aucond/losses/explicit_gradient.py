"""The input gradient of a piecewise-linear critic as a plain forward computation.

A critic of convolutions and (leaky) ReLUs is linear wherever no unit changes sign, so the gradient of its
score is the transposed network: transposed convolutions with the same weights, and the units' slopes, 1
or the negative slope, as constant factors between them. Written so, a gradient penalty needs only a
first-order backward pass. It is exact: autograd's double backward computes these very products, and
besides pushes a zero gradient through the whole forward pass (about 6 forward-equivalents against 4). It
can also be compiled and captured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aucond._check import check_tensor, describe
from aucond.ops.convolution import WideConv2d, convolve, input_gradient, pays, weight_gradient

__all__ = ["HasScoreLayers", "autograd_only", "explicit_gradient", "why_not_explicit"]


class HasScoreLayers(Protocol):
    """A critic whose score is a plain chain of layers and that can name them.

    Whoever changes how the score is computed (in a subclass, say) must change ``score_layers`` with it, or drop it.
    """

    def score_layers(self) -> Sequence[nn.Module]:
        """The layers from image to score, in order; the critic's score is exactly their composition."""
        ...


_MARK = "_differentiated_by_autograd_only"


@contextmanager
def autograd_only(critic: nn.Module) -> Iterator[None]:
    """Have everything that chooses by itself differentiate this critic by autograd meanwhile.

    That is how the plain computation is had from a whole objective, to be compared with.

    >>> critic = nn.Sequential(nn.Conv2d(3, 1, 3))
    >>> with autograd_only(critic):
    ...     why_not_explicit(critic)
    'Sequential is to be differentiated by autograd for now (autograd_only)'
    >>> why_not_explicit(critic) is None
    True
    """
    inner = _unwrap(critic)
    before = getattr(inner, _MARK, False)
    setattr(inner, _MARK, True)
    try:
        yield
    finally:
        setattr(inner, _MARK, before)


def _unwrap(critic: Any) -> Any:
    """Take off the wrappers that add nothing to the function: data parallelism and torch.compile."""
    while True:
        if isinstance(critic, nn.parallel.DistributedDataParallel):
            critic = critic.module
        elif isinstance(getattr(critic, "_orig_mod", None), nn.Module):
            critic = critic._orig_mod
        else:
            return critic


def _flatten(layers: Sequence[nn.Module], prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Name every layer by its position, looking into nested Sequentials."""
    flat: list[tuple[str, nn.Module]] = []
    for index, layer in enumerate(layers):
        name = f"{prefix}{index}"
        if _is_plainly(layer, nn.Sequential):
            flat += _flatten(list(layer.children()), f"{name}.")
        elif not _is_plainly(layer, nn.Identity):
            flat.append((name, layer))
    return flat


def _is_plainly(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer computes what its kind computes, and nothing else sees or changes it."""
    return isinstance(layer, kind) and not _overrides(layer, kind) and not _has_hooks(layer)


def _overrides(layer: nn.Module, kind: type[nn.Module]) -> bool:
    return type(layer).forward is not kind.forward or "forward" in vars(layer)


def _has_hooks(layer: nn.Module) -> bool:
    return any(
        (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    )


def _why_not_layer(layer: nn.Module) -> str | None:
    """Say why a layer has no explicit gradient here, or None if it has one."""
    if _has_hooks(layer):
        return "it has hooks, whose effect cannot be known"
    if isinstance(layer, nn.Conv2d):
        if _overrides(layer, nn.Conv2d) or type(layer)._conv_forward not in (
            nn.Conv2d._conv_forward,
            WideConv2d._conv_forward,
        ):
            return "it overrides the forward of Conv2d"
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            return "only zero padding given in numbers is understood"
        return None
    kinds: tuple[type[nn.Module], ...] = (nn.LeakyReLU, nn.ReLU, nn.Identity, nn.Sequential)
    for kind in kinds:
        if isinstance(layer, kind):
            return f"it overrides the forward of {kind.__name__}" if _overrides(layer, kind) else None
    return "only Conv2d, LeakyReLU, ReLU, Identity and Sequential are understood"


def _layers_of(critic: Any) -> tuple[list[tuple[str, nn.Module]], str | None]:
    """The critic's flat layers, and why they cannot be used (None if they can)."""
    critic = _unwrap(critic)
    if getattr(critic, _MARK, False):
        return [], f"{type(critic).__name__} is to be differentiated by autograd for now (autograd_only)"
    if isinstance(critic, nn.Module) and _has_hooks(critic):
        return [], f"{type(critic).__name__} has hooks, whose effect cannot be known"
    if callable(getattr(critic, "score_layers", None)):
        layers = _flatten(critic.score_layers())
    elif isinstance(critic, nn.Sequential) and type(critic).forward is nn.Sequential.forward:
        # An instance's own forward is let through here: that is how accelerate has a whole network autocast.
        layers = _flatten(list(critic))
    elif isinstance(critic, nn.Sequential):
        return [], f"{type(critic).__name__} overrides the forward of Sequential"
    else:
        return [], f"{describe(critic)} is neither a torch.nn.Sequential nor has it score_layers()"
    for name, layer in layers:
        why = _why_not_layer(layer)
        if why is not None:
            return [], f"layer {name} is a {type(layer).__name__}: {why}"
    if not any(isinstance(layer, nn.Conv2d) for _, layer in layers):
        return [], "it has no Conv2d"
    return layers, None


def why_not_explicit(critic: Any) -> str | None:
    """Say why a critic's gradient cannot be written explicitly, naming the layer; None if it can.

    >>> why_not_explicit(nn.Sequential(nn.Conv2d(3, 1, 3), nn.LeakyReLU(0.01)))
    >>> why_not_explicit(nn.Sequential(nn.Conv2d(3, 1, 3), nn.Tanh()))
    'layer 1 is a Tanh: only Conv2d, LeakyReLU, ReLU, Identity and Sequential are understood'
    """
    return _layers_of(critic)[1]


class _TransposedConvolution(torch.autograd.Function):
    """The transpose of a convolution, on the convolution's own kernels.

    ``conv_transpose2d`` computes the same, but its backward on a CPU copies the weight's layout to and fro.
    The backward is made of differentiable operations, so there are derivatives of any order.
    """

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, size: torch.Size, layer: nn.Conv2d) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.settings = (layer.stride, layer.padding, layer.dilation, layer.groups)
        ctx.wide = isinstance(layer, WideConv2d) and pays(size, weight, ctx.settings)
        if ctx.wide:
            return input_gradient(gradient, weight, size, ctx.settings)
        return _convolution_backward(gradient, gradient.new_empty(1).expand(size), weight, ctx.settings, 0)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        gradient, weight = ctx.saved_tensors
        (grad,) = upstream
        for_gradient = for_weight = None
        if ctx.needs_input_grad[0]:
            conv = convolve if ctx.wide else _convolution
            for_gradient = conv(grad, weight, None, ctx.settings)
        if ctx.needs_input_grad[1]:
            if ctx.wide:
                for_weight = weight_gradient(gradient, grad, weight, ctx.settings)
            else:
                for_weight = _convolution_backward(gradient, grad, weight, ctx.settings, 1)
        return for_gradient, for_weight, None, None


def _convolution(value: Tensor, weight: Tensor, bias: Tensor | None, settings: Sequence[Any]) -> Tensor:
    return F.conv2d(value, weight, bias, *settings)


def _convolution_backward(
    grad_output: Tensor, value: Tensor, weight: Tensor, settings: Sequence[Any], which: int
) -> Tensor:
    """Gradient of a convolution's input (0) or weight (1), given that of its output."""
    stride, padding, dilation, groups = settings
    mask = [which == 0, which == 1, False]
    result: Tensor = torch.ops.aten.convolution_backward(
        grad_output, value, weight, None, stride, padding, dilation, False, [0, 0], groups, mask
    )[which]
    return result


def _in_autocast(weight: Tensor) -> Tensor:
    """The weight as an autocast convolution would take it; the kernels used here are not known to autocast."""
    kind = weight.device.type
    if weight.dtype == torch.float32 and torch.is_autocast_enabled(kind):
        return weight.to(torch.get_autocast_dtype(kind))
    return weight


def _slopes(
    layers: Sequence[tuple[str, nn.Module]], weights: dict[str, Tensor], points: Tensor
) -> tuple[dict[str, Tensor], dict[str, torch.Size], Tensor]:
    """Run the critic up to its last unit: every unit's slope, every convolution's input size, ones for the score."""
    slopes: dict[str, Tensor] = {}
    sizes: dict[str, torch.Size] = {}
    units = len(layers) - len(weights)
    with torch.no_grad():
        value = points
        for name, layer in layers:
            if isinstance(layer, nn.Conv2d):
                sizes[name] = value.shape
                size = _size_after(layer, value.shape)
                if min(size) < 1:
                    raise ValueError(
                        f"points: expected images large enough for layer {name}, got {describe(points)}"
                    )
                if len(slopes) < units:
                    value = layer._conv_forward(value, weights[name], layer.bias)
                else:  # Nothing above looks at the value any more, only at its size.
                    value = weights[name].new_empty(()).expand(size)
            else:
                negative = float(layer.negative_slope) if isinstance(layer, nn.LeakyReLU) else 0.0
                # At exactly 0 autograd takes the negative side.
                slopes[name] = torch.where(value > 0, value.new_ones(()), value.new_full((), negative))
                value = value * slopes[name]
    return slopes, sizes, value.new_ones(value.shape)


def _size_after(layer: nn.Conv2d, size: torch.Size) -> tuple[int, int, int, int]:
    sides = []
    for axis in (0, 1):
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
        sides.append((size[2 + axis] + 2 * int(layer.padding[axis]) - reach) // layer.stride[axis] + 1)
    return size[0], layer.out_channels, sides[0], sides[1]


def explicit_gradient(critic: Callable[[Tensor], Any], points: Tensor) -> Tensor:
    """Gradient of the score, summed over patches, with respect to the image, as a forward computation.

    ``g = W_1^T m_1 W_2^T m_2 ... W_L^T 1`` with the slopes ``m_l`` of the units at ``points`` as constants.

    Convention:
        The result can be differentiated with respect to the critic's weights, to any order that the products
        above have. Biases move only the slopes, which are piecewise constant, so their gradient is zero.
        It does not depend on ``points`` for autograd (the true dependence is zero almost everywhere):
        points that require a gradient are refused, never given a silent zero. A DistributedDataParallel
        wrapper is taken off; its gradients are exchanged as long as scores of the same backward pass went
        through the wrapper, as in any whole critic loss.

    Args:
        critic: A ``torch.nn.Sequential`` or a module with ``score_layers()`` of Conv2d (zero padding, any
            stride, dilation, groups), LeakyReLU, ReLU, Identity and nested Sequential.
        points: Images ``(B, C, H, W)`` that do not require a gradient.

    Returns:
        The gradient, of the shape of ``points``.

    Raises:
        ValueError: The critic is not understood (the message names the layer) or ``points`` require a
            gradient.

    >>> conv = nn.Conv2d(3, 1, 1)
    >>> gradient = explicit_gradient(nn.Sequential(conv), torch.zeros(2, 3, 4, 4))
    >>> bool((gradient == conv.weight.expand(2, 3, 4, 4)).all())
    True
    """
    check_tensor("points", points, ("B", "C", "H", "W"))
    if points.requires_grad:
        raise ValueError(
            "points: expected images that do not require a gradient (the explicit gradient is constant in them); "
            'pass points.detach() or use method="autograd"'
        )
    layers, why = _layers_of(critic)
    if why is not None:
        raise ValueError(f"critic: its gradient cannot be written explicitly: {why}")
    weights = {name: _in_autocast(layer.weight) for name, layer in layers if isinstance(layer, nn.Conv2d)}
    first = next(layer for _, layer in layers if isinstance(layer, nn.Conv2d))
    dtype = None if torch.is_autocast_enabled(points.device.type) else next(iter(weights.values())).dtype
    check_tensor("points", points, ("B", first.in_channels, "H", "W"), dtype=dtype)
    slopes, sizes, gradient = _slopes(layers, weights, points)
    zero: Tensor | None = None
    below_a_unit = False
    for name, layer in reversed(layers):
        if not isinstance(layer, nn.Conv2d):
            gradient = gradient * slopes[name]
            below_a_unit = True
            continue
        gradient = _TransposedConvolution.apply(gradient, weights[name], sizes[name], layer)  # type: ignore[no-untyped-call]
        if below_a_unit and layer.bias is not None:
            # Autograd gives such a bias a gradient of zeros, not None; an optimiser can tell the two apart.
            nothing = layer.bias.sum() * 0
            zero = nothing if zero is None else zero + nothing
    return gradient if zero is None else gradient + zero
