"""The few shapes of data that pass between the pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypedDict

import torch
from torch import Tensor, nn

__all__ = ["Batch", "CriticOutput", "GeneratorOutput", "HeadFactory", "LossTerms", "Objective", "Reduction"]

Reduction: TypeAlias = Literal["none", "mean", "sum"]
"""How per-sample values ``(B,)`` become a loss: kept, averaged or summed over the batch."""

HeadFactory: TypeAlias = Callable[[int], nn.Module]
"""A callable ``in_channels -> head``; a head is any module ``(B, C, h, w) -> (B, N)``."""


class GeneratorOutput(NamedTuple):
    """What a generator returns.

    Convention: ``attention`` is the edit mask ``A`` of GANimation Eq. 1, ``image = A * color + (1 - A) * input``;
    0 keeps the input, 1 replaces it.
    """

    image: Tensor
    """The edited image (B, 3, H, W) in [-1, 1]."""
    color: Tensor
    """The colour regression C (B, 3, H, W) in [-1, 1]."""
    attention: Tensor
    """The edit mask A (B, 1, H, W) in [0, 1]."""


class CriticOutput(NamedTuple):
    """What a critic returns."""

    score: Tensor
    """One unbounded score per patch (B, 1, h, w); higher means more real."""
    predictions: dict[str, Tensor]
    """One prediction (B, N) per head, by the head's name."""


class Batch(TypedDict, total=False):
    """A training batch: a plain dict of tensors, so that every collate function and every device mover knows it."""

    image: Tensor
    """Images (B, 3, H, W) in [-1, 1], RGB."""
    condition: Tensor
    """Normalised conditions (B, N) of these images."""
    identity: Tensor
    """Who is in the image (B,), integers; only where the data knows."""
    target_condition: Tensor
    """Target conditions (B, N); only where the data gives exact pairs."""
    target_image: Tensor
    """The true image of the same identity under ``target_condition`` (B, 3, H, W); only with exact pairs."""


class LossTerms(Mapping[str, Tensor]):
    """An ordered mapping from a term's name to its weighted scalar, with their sum as ``total``.

    ``monitor`` holds detached scalars that are watched and logged but never summed
    (``attention_mean``, ``attention_saturated``, ``edit_size``, ...).

    >>> terms = LossTerms({"adversarial": torch.tensor(1.0), "cycle": torch.tensor(2.0)})
    >>> terms.total
    tensor(3.)
    >>> list(terms)
    ['adversarial', 'cycle']
    """

    def __init__(self, terms: Mapping[str, Tensor], monitor: Mapping[str, Tensor] | None = None) -> None:
        if not terms:
            raise ValueError("terms: expected at least one named loss term, got an empty mapping")
        for name, term in terms.items():
            if not isinstance(term, Tensor) or term.dim() != 0:
                got = f"shape {tuple(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
                raise ValueError(f"terms[{name!r}]: expected a scalar tensor, got {got}")
        self._terms = dict(terms)
        self.monitor: dict[str, Tensor] = {k: v.detach() for k, v in (monitor or {}).items()}

    @property
    def total(self) -> Tensor:
        """The sum of all terms, a scalar that can be differentiated."""
        return torch.stack([term.float() for term in self._terms.values()]).sum()

    def __getitem__(self, name: str) -> Tensor:
        return self._terms[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._terms)

    def __len__(self) -> int:
        return len(self._terms)

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v.item():.4g}" for k, v in self._terms.items())
        return f"LossTerms({inside})"


class Objective(Protocol):
    """What the Trainer trains: two networks and their two losses. A recipe is an Objective.

    ``rng`` is the only source of randomness of a loss. The Trainer hands in a fresh generator, seeded by
    (seed, step, process), so that a resumed run draws what an uninterrupted one would have drawn.
    """

    @property
    def generator(self) -> nn.Module:
        """The network whose moving average is kept."""
        ...

    @property
    def critic(self) -> nn.Module:
        """The network that is trained against it."""
        ...

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """The critic's terms on one batch."""
        ...

    def generator_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """The generator's terms on one batch."""
        ...
