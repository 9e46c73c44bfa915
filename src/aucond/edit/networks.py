"""The two networks of an editor: checked once, run in batches, wherever they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aucond._check import check_number, describe
from aucond.conditions import ConditionSpace
from aucond.edit.loading import trained_size
from aucond.nn import AttentionGenerator, PatchCritic
from aucond.types import GeneratorOutput

__all__ = ["Networks"]


class Networks:
    """Generator and critic that belong together; the arguments are those of ``FaceEditor``."""

    def __init__(self, generator: Any, critic: Any, *, size: int | None, head: str, batch_size: int) -> None:
        self.space: ConditionSpace = _checked_space(generator, critic, head)
        check_number("batch_size", batch_size, low=1, integer=True)
        self.size = _checked_size(trained_size(critic, head) if size is None else size, generator)
        self.generator: AttentionGenerator = generator.eval()
        self.critic: PatchCritic | None = None if critic is None else critic.eval()
        self.head = head
        self.batch_size = batch_size

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.generator.parameters()).device

    def read(self, images: Tensor) -> Tensor | None:
        """The conditions (B, N) that the critic reads, moved into the space's range; None without a critic."""
        if self.critic is None:
            return None
        with torch.inference_mode():
            parts = [
                self.critic(part.to(self.device)).predictions[self.head].float().cpu()
                for part in torch.split(images, self.batch_size)
            ]
        # Joined outside: ordinary tensors again, which may go on into a loss.
        return self.space.clamp(torch.cat(parts))

    def edit(self, images: Tensor, target: Tensor, current: Tensor) -> GeneratorOutput:
        """The generator's output for images (B, 3, S, S) and their conditions (B, N), on the CPU."""
        chunks = zip(
            *(torch.split(value, self.batch_size) for value in (images, target, current)), strict=True
        )
        with torch.inference_mode():
            outputs = [self.generator.edit(*(value.to(self.device) for value in chunk)) for chunk in chunks]
        image, color, attention = (torch.cat(values).float().cpu() for values in zip(*outputs, strict=True))
        return GeneratorOutput(image, color, attention)


def _checked_space(generator: Any, critic: Any, head: str) -> ConditionSpace:
    if not isinstance(generator, AttentionGenerator):
        raise TypeError(f"generator: expected an AttentionGenerator, got {describe(generator)}")
    if critic is not None and not isinstance(critic, PatchCritic):
        raise TypeError(f"critic: expected a PatchCritic or None, got {describe(critic)}")
    if generator.space is None:
        raise ValueError(
            "generator: expected one that was built with a ConditionSpace, got one with a bare length, "
            "so nothing says what its components are called"
        )
    if critic is not None and head not in critic.heads:
        raise ValueError(f"head: expected one of the critic's heads {sorted(critic.heads)}, got {head!r}")
    if critic is not None and critic.spaces.get(head, generator.space) != generator.space:
        raise ValueError(
            f"critic: expected a head that reads the generator's space {generator.space}, "
            f"got one that reads {critic.spaces[head]}"
        )
    return generator.space


def _checked_size(size: int | None, generator: AttentionGenerator) -> int:
    if size is None:
        raise ValueError(
            "size: expected the side of the crops that the networks were trained on, such as size=64; "
            "a critic whose head takes any size, or none, does not tell it"
        )
    step = 2**generator.num_downsamples
    check_number("size", size, low=step, integer=True)
    if size % step:
        raise ValueError(
            f"size: expected a multiple of the generator's 2**num_downsamples = {step}, got {size}"
        )
    return size
