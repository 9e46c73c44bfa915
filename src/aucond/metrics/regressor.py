"""A small network that reads conditions from images, as a judge of edits that is independent of the critic."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aucond._check import check_finite, check_images, check_number, check_tensor, describe
from aucond.conditions import ConditionSpace

__all__ = ["ConditionRegressor", "train_regressor"]


class ConditionRegressor(nn.Module):
    """Convolutional regressor, image to condition, to be trained on ground truth and then only asked.

    A critic's own head is no fair judge of a generator that was trained to please it; this network never
    takes part in the training. One convolution with stride 2, then three stages of a stride-2 and a stride-1
    convolution, all 3 x 3 with BatchNorm and ReLU, doubling the channels; the result is averaged onto a grid
    of 4 x 4 places, which keeps left, right, brow and mouth apart, and read by one linear layer.

    Convention:
        Input images in [-1, 1]; output normalised conditions, not clamped to the space's range, so that an
        error beyond it shows. The statistics of the training conditions are buffers (``mean``, ``scale``),
        the layer itself learns standardised values. Any size from 16 x 16; it judges best at the size it was
        trained at.

    Args:
        space: The conditions' space.
        base_channels: Channels of the first convolution.

    Raises:
        TypeError: ``space`` is no ConditionSpace.
        ValueError: ``base_channels`` below 1.

    >>> from aucond.conditions import OPENFACE_AUS
    >>> regressor = ConditionRegressor(OPENFACE_AUS).eval()
    >>> regressor(torch.zeros(1, 3, 48, 64)).shape
    torch.Size([1, 17])
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, space: ConditionSpace, *, base_channels: int = 24) -> None:
        super().__init__()
        if not isinstance(space, ConditionSpace):
            raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
        check_number("base_channels", base_channels, low=1, integer=True)
        self.space = space
        layers = _convolution(3, base_channels, stride=2)
        channels = base_channels
        for _ in range(3):
            layers += [
                *_convolution(channels, 2 * channels, stride=2),
                *_convolution(2 * channels, 2 * channels),
            ]
            channels *= 2
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(16 * channels, space.dim))
        self.register_buffer("mean", torch.zeros(space.dim))
        self.register_buffer("scale", torch.ones(space.dim))

    def forward(self, image: Tensor) -> Tensor:
        """Return the conditions (B, N) read from images (B, 3, H, W) in [-1, 1]; differentiable."""
        check_images("image", image)
        if min(image.shape[-2:]) < 16:
            raise ValueError(f"image: expected at least 16 x 16 pixels, got {describe(image)}")
        places = F.adaptive_avg_pool2d(self.features(image), 4)
        standardised: Tensor = self.head(places)
        return standardised * self.scale + self.mean


def train_regressor(
    images: Tensor,
    conditions: Tensor,
    *,
    space: ConditionSpace,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    base_channels: int = 24,
    flip: bool = False,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_epoch: Callable[[int, float], None] | None = None,
) -> ConditionRegressor:
    """Train a :class:`ConditionRegressor` on images with known conditions; same arguments, same weights.

    Mean squared error of the standardised conditions, so that rare and weak components count as much as
    strong ones; AdamW with a one-cycle learning rate. Each image is varied in gain and offset per channel,
    moved by up to a sixteenth of its size and, if asked, mirrored.

    Args:
        images: Images (M, 3, H, W), uint8, at least 16 x 16.
        conditions: Their normalised conditions (M, N) in ``space``.
        space: The conditions' space.
        epochs: How often each image is seen.
        batch_size: Images a step, 2 to M.
        learning_rate: The highest rate of the cycle.
        base_channels: Width of the network.
        flip: Mirror half of the images and their conditions (:meth:`ConditionSpace.flip`). Not for spaces
            whose components have no mirror image, such as :func:`aucond.conditions.pca_blendshapes`.
        seed: Of the initial weights, the order and the variations. On one CPU with one number of threads a
            seed gives the same weights bit for bit.
        device: Where to train; the regressor is returned there.
        on_epoch: Called after each epoch with its number from 1 and its mean training loss.

    Returns:
        The regressor in evaluation mode, its parameters frozen.

    Raises:
        TypeError: Images that are not uint8, conditions that are not floating.
        ValueError: Wrong shapes, different counts, conditions outside the space, numbers out of range, a loss
            that is not finite.

    >>> space = ConditionSpace(["bright"])
    >>> images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)
    >>> regressor = train_regressor(images, torch.rand(8, 1), space=space, epochs=1, batch_size=4)
    >>> regressor.training
    False
    """
    _check_set(images, conditions, space)
    check_number("epochs", epochs, low=1, integer=True)
    check_number("batch_size", batch_size, low=2, high=images.shape[0], integer=True)
    check_number("learning_rate", learning_rate, low=1e-12)
    check_number("seed", seed, low=0, integer=True)
    # torch's own initialisation draws from the global generator; it is given back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        regressor = ConditionRegressor(space, base_channels=base_channels)
    _standardise(regressor, conditions)
    regressor.to(device).train()
    rng = torch.Generator().manual_seed(seed)
    steps = images.shape[0] // batch_size
    optimizer = torch.optim.AdamW(regressor.parameters(), lr=learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * steps)
    for epoch in range(epochs):
        # The few images left over by whole batches are other ones in every epoch.
        order = torch.randperm(images.shape[0], generator=rng)[: steps * batch_size]
        loss = torch.zeros((), device=device)
        for chosen in order.view(steps, batch_size):
            image, condition = _vary(images[chosen], conditions[chosen].float(), space, flip, rng)
            loss += _step(regressor, image.to(device), condition.to(device), optimizer)
            schedule.step()
        mean_loss = float(loss) / steps
        if not mean_loss < float("inf"):
            raise ValueError(
                f"learning_rate: the loss is {mean_loss} after epoch {epoch + 1}; expected a lower rate"
            )
        if on_epoch is not None:
            on_epoch(epoch + 1, mean_loss)
    return regressor.eval().requires_grad_(False)


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def _check_set(images: Tensor, conditions: Tensor, space: ConditionSpace) -> None:
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    check_tensor("images", images, ("M", 3, "H", "W"), dtype=torch.uint8)
    check_tensor("conditions", conditions, (images.shape[0], space.dim))
    if images.shape[0] < 2 or min(images.shape[-2:]) < 16:
        raise ValueError(
            f"images: expected at least 2 images of at least 16 x 16 pixels, got {describe(images)}"
        )
    check_finite("conditions", conditions)
    space.validate(conditions, name="conditions")


def _standardise(regressor: ConditionRegressor, conditions: Tensor) -> None:
    spread, mean = torch.std_mean(conditions.double(), dim=0, correction=0)
    # A component that never varies has nothing to teach; its scale stays 1.
    spread = torch.where(spread < 1e-6, torch.ones_like(spread), spread)
    regressor.mean.copy_(mean)
    regressor.scale.copy_(spread)


def _step(
    regressor: ConditionRegressor, image: Tensor, condition: Tensor, optimizer: torch.optim.Optimizer
) -> Tensor:
    error = (regressor(image) - condition) / regressor.scale
    loss: Tensor = error.square().mean()
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.detach()


def _vary(
    images: Tensor, conditions: Tensor, space: ConditionSpace, flip: bool, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return float images in [-1, 1], shifted, brightened and perhaps mirrored, with their conditions."""
    count, _, height, width = images.shape
    rows, columns = (_shifted(count, size, rng) for size in (height, width))
    if flip:
        mirrored = torch.rand(count, generator=rng) < 0.5
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        conditions = torch.where(mirrored[:, None], space.flip(conditions), conditions)
    at = torch.arange(count)[:, None, None]
    pixels = images.permute(0, 2, 3, 1)[at, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    gain = 1 + 0.2 * (2 * torch.rand(count, 3, 1, 1, generator=rng) - 1)
    offset = 0.2 * (2 * torch.rand(count, 3, 1, 1, generator=rng) - 1)
    return (pixels.float() / 127.5 - 1).mul_(gain).add_(offset).clamp_(-1, 1), conditions


def _shifted(count: int, size: int, rng: torch.Generator) -> Tensor:
    """Return for each image the coordinates (count, size) that it is read at; the border pixel repeats."""
    reach = size // 16
    shift = torch.randint(-reach, reach + 1, (count, 1), generator=rng)
    return (torch.arange(size) + shift).clamp(0, size - 1)
