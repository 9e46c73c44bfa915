"""The published training, written anew from its description: the baseline that every figure is a ratio to.

Eager, float32, contiguous memory; the condition as concatenated planes; two heads; the generator's graph kept in the
critic step; real, fake and penalty in passes of their own; a separate optimiser step for the penalty; the penalty by
autograd's double backward; Adam as it comes; a critic whose weights get gradients in the generator's step, unused.
The names of the layers are those of the published checkpoints, so that ``from_published_state_dict`` reads them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """A residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return torch.add(features, self.main(features))


class Generator(nn.Module):
    """Image and condition planes in; colour image and keep-mask out."""

    def __init__(self, conditions: int, channels: int = 64, blocks: int = 6) -> None:
        super().__init__()
        layers = _layer(nn.Conv2d(3 + conditions, channels, 7, padding=3, bias=False), channels)
        for wide in (2 * channels, 4 * channels):
            layers += _layer(nn.Conv2d(wide // 2, wide, 4, stride=2, padding=1, bias=False), wide)
        layers += [Block(4 * channels) for _ in range(blocks)]
        for narrow in (2 * channels, channels):
            layers += _layer(
                nn.ConvTranspose2d(2 * narrow, narrow, 4, stride=2, padding=1, bias=False), narrow
            )
        self.main = nn.Sequential(*layers)
        self.img_reg = nn.Sequential(nn.Conv2d(channels, 3, 7, padding=3, bias=False), nn.Tanh())
        self.attetion_reg = nn.Sequential(nn.Conv2d(channels, 1, 7, padding=3, bias=False), nn.Sigmoid())

    def forward(self, image: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """The edited image (B, 3, H, W) and the keep-mask (B, 1, H, W)."""
        planes = condition[:, :, None, None].expand(-1, -1, *image.shape[2:])
        features = self.main(torch.cat([image, planes], dim=1))
        color, keep = self.img_reg(features), self.attetion_reg(features)
        return keep * image + (1 - keep) * color, keep


class Critic(nn.Module):
    """Patch scores (B, 1, h, w) and the condition (B, N)."""

    def __init__(self, size: int, conditions: int, channels: int = 64, layers: int = 6) -> None:
        super().__init__()
        widths = [3, *(channels * 2**i for i in range(layers))]
        made: list[nn.Module] = []
        for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
            made += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1), nn.LeakyReLU(0.01, inplace=True)]
        self.main = nn.Sequential(*made)
        self.conv1 = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(widths[-1], conditions, size // 2**layers, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Score images (B, 3, H, W)."""
        features = self.main(image)
        return self.conv1(features), self.conv2(features).flatten(1)


def _layer(conv: nn.Module, channels: int) -> list[nn.Module]:
    return [conv, nn.InstanceNorm2d(channels, affine=True), nn.ReLU(inplace=True)]


class PublishedTraining:
    """Both networks, their optimisers and the steps."""

    def __init__(self, generator: Generator, critic: Critic) -> None:
        self.generator, self.critic = generator, critic
        self.generator_optimizer = torch.optim.Adam(generator.parameters(), 1e-4, (0.5, 0.999))
        self.critic_optimizer = torch.optim.Adam(critic.parameters(), 1e-4, (0.5, 0.999))

    def targets(self, condition: Tensor) -> Tensor:
        """Another sample's condition and noise."""
        shuffled = condition[torch.randperm(len(condition), device=condition.device)]
        return shuffled + (torch.rand_like(shuffled) * 2 - 1) * 0.1

    def critic_step(self, image: Tensor, condition: Tensor) -> None:
        """Scores and condition in one step of the optimiser, the penalty in another."""
        fake, _ = self.generator(image, self.targets(condition))
        real_score, read = self.critic(image)
        fake_score, _ = self.critic(fake.detach())
        condition_loss = F.mse_loss(read, condition) / len(image) * 4000
        self._step(self.critic_optimizer, fake_score.mean() - real_score.mean() + condition_loss)
        alpha = torch.rand(len(image), 1, 1, 1, device=image.device)
        points = (alpha * image + (1 - alpha) * fake.detach()).requires_grad_()
        score, _ = self.critic(points)
        (gradient,) = torch.autograd.grad(
            score, points, torch.ones_like(score), retain_graph=True, create_graph=True
        )
        norm = gradient.flatten(1).square().sum(1).sqrt()
        self._step(self.critic_optimizer, 10 * (norm - 1).square().mean())

    def generator_step(self, image: Tensor, condition: Tensor) -> None:
        """There and back."""
        target = self.targets(condition)
        fake, keep = self.generator(image, target)
        score, read = self.critic(fake)
        restored, keep_again = self.generator(fake, condition)
        condition_loss = F.mse_loss(read, target) / len(image) * 4000
        loss = -score.mean() + condition_loss + 10 * (restored - image).abs().mean()
        for mask in (keep, keep_again):
            variation = (mask[:, :, 1:] - mask[:, :, :-1]).abs().sum() + (
                mask[..., 1:] - mask[..., :-1]
            ).abs().sum()
            loss = loss + 0.1 * mask.mean() + 1e-5 * variation
        self._step(self.generator_optimizer, loss)

    @staticmethod
    def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
