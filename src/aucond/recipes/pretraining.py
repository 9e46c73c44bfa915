"""Teaching the critic to read conditions before the adversarial game begins."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from aucond._check import check_number
from aucond.losses import condition_regression_loss
from aucond.nn import PatchCritic
from aucond.types import Batch

__all__ = ["pretrain_condition_head"]


def pretrain_condition_head(
    critic: PatchCritic,
    loader: Iterable[Batch],
    *,
    steps: int,
    learning_rate: float = 5e-4,
    instance_noise: float = 0.0,
    seed: int = 0,
) -> list[float]:
    """Train a critic's features and its head ``"condition"`` on real images alone, in place.

    The first half of GANimation's Eq. 3 without the other terms. A generator can only follow a head that already
    reads something; on real images alone that costs a fraction of a whole critic step. The papers start cold. It may be
    called under ``torch.autocast``.

    Args:
        critic: A critic with a head named ``"condition"``.
        loader: Batches with ``image`` (B, 3, H, W) in [-1, 1] and ``condition`` (B, N); iterated as often as needed,
            ``set_epoch`` is called where it exists.
        steps: How many batches to train on.
        learning_rate: Adam's.
        instance_noise: Standard deviation of Gaussian noise added to the images, as in :class:`~aucond.GANimation`.
        seed: Of the noise.

    Returns:
        The mean squared error of each step.

    Raises:
        ValueError: The critic has no head ``"condition"``, the loader is empty, or a number is out of range.

    >>> critic = PatchCritic({"condition": 2}, base_channels=4, num_layers=2)
    >>> batch: Batch = {"image": torch.zeros(4, 3, 8, 8), "condition": torch.ones(4, 2)}
    >>> errors = pretrain_condition_head(critic, [batch], steps=20, learning_rate=0.01)
    >>> errors[-1] < errors[0]
    True
    """
    check_number("steps", steps, low=1, integer=True)
    check_number("learning_rate", learning_rate, low=0.0)
    check_number("instance_noise", instance_noise, low=0.0)
    if "condition" not in critic.heads:
        raise ValueError(f"critic: expected a head named 'condition', got heads {sorted(critic.heads)}")
    optimizer = torch.optim.Adam(critic.parameters(), learning_rate, betas=(0.5, 0.999), fused=True)
    rng = torch.Generator().manual_seed(seed)
    device = next(critic.parameters()).device
    errors: list[float] = []
    epoch = 0
    while len(errors) < steps:
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)
        before = len(errors)
        for batch in loader:
            image, condition = batch["image"].to(device), batch["condition"].to(device)
            if instance_noise > 0:
                image = image + instance_noise * torch.randn(image.shape, generator=rng).to(image)
            optimizer.zero_grad(set_to_none=True)
            loss = condition_regression_loss(critic(image).predictions["condition"], condition, norm="mse")
            torch.autograd.backward(loss)
            optimizer.step()
            # Under an autocast around this call the weights of the first batch would be used for ever.
            torch.clear_autocast_cache()
            errors.append(float(loss.detach()))
            if len(errors) == steps:
                break
        if len(errors) == before:
            raise ValueError("loader: expected at least one batch, got none")
        epoch += 1
    return errors
