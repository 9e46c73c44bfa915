"""Weights in the layout of the published GANimation code."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aucond.nn.critic import PatchCritic
from aucond.nn.generator import AttentionGenerator

__all__ = ["from_published_state_dict"]


def from_published_state_dict(
    state: Mapping[str, Tensor], network: AttentionGenerator | PatchCritic
) -> dict[str, Tensor]:
    """Convert a published state dict to the layout of a network of ours, so that ``load_state_dict`` takes it.

    The published generator keeps ``main`` (a flat sequence), ``img_reg`` and ``attetion_reg`` (spelled so); its
    sigmoid is the keep-mask of ``I_f = A' I + (1 - A') C``. Ours is the edit mask of GANimation Eq. 1. Since
    ``1 - sigmoid(x) = sigmoid(-x)`` and the head has no bias, negating the mask head's weights converts exactly.
    The published critic keeps ``main``, ``conv1`` (score) and ``conv2`` (condition).

    Args:
        state: The published state dict; a ``module.`` prefix (DataParallel) is allowed.
        network: Where the weights are to go: an :class:`AttentionGenerator` with ``conditioning="planes"`` and
            ``decoder="transposed"``, or a :class:`PatchCritic` whose only head, ``"condition"``, is a
            :class:`~aucond.ConvRegressionHead`. Its sizes are checked against the weights; it is not changed.

    Returns:
        A state dict for ``network.load_state_dict(..., strict=True)``.

    Raises:
        ValueError: The network is not of the published form, a weight is missing, unexpected, or of another shape.
        TypeError: ``network`` is neither of the two.

    >>> network = AttentionGenerator(17, conditioning="planes", decoder="transposed")
    >>> from_published_state_dict({}, network)
    Traceback (most recent call last):
    ValueError: state: missing 'main.0.weight' and 52 more of the published layout
    """
    if isinstance(network, AttentionGenerator):
        names = _generator_names(network)
    elif isinstance(network, PatchCritic):
        names = _critic_names(network)
    else:
        raise TypeError(
            f"network: expected an AttentionGenerator or a PatchCritic, got {type(network).__name__}"
        )
    weights = {name.removeprefix("module."): weight for name, weight in state.items()}
    _check_names(weights, [name for names_of_one in names.values() for name in names_of_one])

    converted = {}
    for ours, expected in network.state_dict().items():
        parts = [weights[name] for name in names[ours]]
        if ours == "heads.weight":
            color, keep_mask = parts
            weight = torch.cat([color, -keep_mask])
        else:
            (weight,) = parts
        if weight.shape != expected.shape:
            raise ValueError(
                f"state[{names[ours][0]!r}]: expected shape {tuple(expected.shape)} for this network, "
                f"got {tuple(weight.shape)}"
            )
        converted[ours] = weight
    return converted


def _generator_names(network: AttentionGenerator) -> dict[str, list[str]]:
    if (
        network.conditioning != "planes"
        or network.decoder != "transposed"
        or network.attention_bias is not None
    ):
        raise ValueError(
            "network: expected the published form, AttentionGenerator(..., conditioning='planes', "
            "decoder='transposed', initial_attention=None)"
        )
    names = {"stem.weight": ["main.0.weight"]}
    _add_norm(names, "stem_norm", "main.1")
    position = 3
    for level in range(network.num_downsamples):
        names[f"down.{level}.weight"] = [f"main.{position}.weight"]
        _add_norm(names, f"down_norms.{level}", f"main.{position + 1}")
        position += 3
    for block in range(network.num_residual_blocks):
        for ours, theirs in (("first", 0), ("second", 3)):
            names[f"residual.{block}.{ours}.weight"] = [f"main.{position}.main.{theirs}.weight"]
            _add_norm(names, f"residual.{block}.{ours}_norm", f"main.{position}.main.{theirs + 1}")
        position += 1
    for level in range(network.num_downsamples):
        names[f"up.{level}.weight"] = [f"main.{position}.weight"]
        _add_norm(names, f"up_norms.{level}", f"main.{position + 1}")
        position += 3
    names["heads.weight"] = ["img_reg.0.weight", "attetion_reg.0.weight"]
    return names


def _add_norm(names: dict[str, list[str]], ours: str, theirs: str) -> None:
    for part in ("weight", "bias"):
        names[f"{ours}.{part}"] = [f"{theirs}.{part}"]


def _critic_names(network: PatchCritic) -> dict[str, list[str]]:
    if list(network.state_dict())[-2:] != ["score.weight", "heads.condition.conv.weight"]:
        raise ValueError(
            "network: expected the published form, PatchCritic with one head 'condition', a ConvRegressionHead"
        )
    names = {
        f"features.{2 * layer}.{part}": [f"main.{2 * layer}.{part}"]
        for layer in range(network.num_layers)
        for part in ("weight", "bias")
    }
    return names | {"score.weight": ["conv1.weight"], "heads.condition.conv.weight": ["conv2.weight"]}


def _check_names(weights: Mapping[str, Tensor], expected: list[str]) -> None:
    missing = [name for name in expected if name not in weights]
    # Files saved by very old versions carry running statistics, which no forward pass reads.
    extra = [
        name
        for name in weights
        if name not in expected and not name.endswith(("running_mean", "running_var"))
    ]
    for found, what in ((missing, "missing"), (extra, "unexpected")):
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise ValueError(f"state: {what} {found[0]!r}{more} of the published layout")
