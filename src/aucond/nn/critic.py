"""The patch critic with pluggable heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aucond._check import check_images, check_number, check_tensor
from aucond.conditions import ConditionSpace
from aucond.nn._space import space_and_dim
from aucond.nn.heads import PooledRegressionHead
from aucond.nn.pretrained import Pretrained
from aucond.ops import WideConv2d
from aucond.types import CriticOutput, HeadFactory

__all__ = ["PatchCritic"]


class PatchCritic(nn.Module, Pretrained):
    """Strided convolutions with LeakyReLU, a score for every patch, and any number of heads on the same features.

    ``num_layers`` times conv4x4 stride 2 (with bias) and LeakyReLU, channels doubling from ``base_channels``; no
    normalisation, so each image is scored on its own, as a gradient penalty needs. The published critic is
    ``PatchCritic({"condition": partial(ConvRegressionHead, out_features=17, kernel_size=2)})`` for 128 x 128 images.

    Args:
        heads: Name -> head. A head is given as a :class:`ConditionSpace` or an int (a
            :class:`~aucond.PooledRegressionHead` of that length) or as a callable ``in_channels -> head`` where a
            head is any module ``(B, C, h, w) -> (B, N)``.
        base_channels: Channels of the first layer.
        num_layers: Strided layers; the map of scores is H / 2**num_layers by W / 2**num_layers.
        negative_slope: Slope of the LeakyReLU below 0.

    Raises:
        ValueError: An argument out of its range, with its name.
        TypeError: A head that is none of the above.

    Convention: a higher score means more real; scores are unbounded; batch size 1 keeps its axis.

    >>> critic = PatchCritic({"condition": 17}, base_channels=8, num_layers=3)
    >>> output = critic(torch.zeros(1, 3, 32, 40))
    >>> output.score.shape, output.predictions["condition"].shape
    (torch.Size([1, 1, 4, 5]), torch.Size([1, 17]))
    """

    def __init__(
        self,
        heads: Mapping[str, HeadFactory | ConditionSpace | int | Mapping[str, Any]] | None = None,
        *,
        base_channels: int = 64,
        num_layers: int = 6,
        negative_slope: float = 0.01,
    ) -> None:
        super().__init__()
        check_number("base_channels", base_channels, low=1, integer=True)
        check_number("num_layers", num_layers, low=1, integer=True)
        check_number("negative_slope", negative_slope, low=0.0, high=1.0)
        if heads is not None and not isinstance(heads, Mapping):
            raise TypeError(f"heads: expected a mapping from a name to a head, got {type(heads).__name__}")
        self.base_channels = base_channels
        self.num_layers = num_layers
        self.negative_slope = negative_slope
        self.spaces: dict[str, ConditionSpace] = {}
        self._head_config: dict[str, Any] = {}

        widths = [3, *(base_channels * 2**level for level in range(num_layers))]
        layers: list[nn.Module] = []
        for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
            conv = WideConv2d(narrow, wide, 4, stride=2, padding=1)
            # torch's default shrinks the signal by about 1/sqrt(3) a layer, and the heads then start blind.
            nn.init.kaiming_normal_(conv.weight, a=negative_slope)
            nn.init.zeros_(conv.get_parameter("bias"))
            layers += [conv, nn.LeakyReLU(negative_slope)]
        self.features = nn.Sequential(*layers)
        self.score = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.heads = nn.ModuleDict(
            {name: self._build_head(name, head, widths[-1]) for name, head in (heads or {}).items()}
        )

    def forward(self, image: Tensor) -> CriticOutput:
        """Score images.

        Args:
            image: (B, 3, H, W) in [-1, 1], H and W at least ``2**num_layers``.

        Returns:
            Patch scores (B, 1, h, w) and each head's prediction (B, N).

        Raises:
            ValueError: A wrong shape, an image smaller than one patch, or a head that returns no (B, N).
        """
        check_images("image", image)
        if not torch.compiler.is_compiling() and min(image.shape[-2:]) < 2**self.num_layers:
            raise ValueError(
                f"image: expected height and width of at least 2**num_layers = {2**self.num_layers}, "
                f"got {image.shape[2]}x{image.shape[3]}"
            )
        features = self.features(image)
        predictions = {name: head(features) for name, head in self.heads.items()}
        for name, prediction in predictions.items():
            check_tensor(f"heads[{name!r}]", prediction, ("B", "N"))
        return CriticOutput(self.score(features), predictions)

    def score_layers(self) -> list[nn.Module]:
        """The layers from image to score, in order: what the explicit gradient penalty walks through."""
        return [self.features, self.score]

    def config(self) -> dict[str, Any]:
        """The arguments that rebuild this critic, JSON-able; heads given as callables are named, not described."""
        return {
            "heads": self._head_config or None,
            "base_channels": self.base_channels,
            "num_layers": self.num_layers,
            "negative_slope": self.negative_slope,
        }

    def _build_head(self, name: str, head: Any, in_channels: int) -> nn.Module:
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"heads: expected names that are non-empty and hold no dot, got {name!r}")
        if hasattr(nn.ModuleDict, name):
            raise ValueError(
                f"heads: {name!r} cannot name a head, torch.nn.ModuleDict has something of that name"
            )
        if head is None:
            raise ValueError(
                f"heads[{name!r}]: was saved from a callable, which a config cannot hold; "
                "pass heads={...} to from_pretrained with the same callable"
            )
        if isinstance(head, ConditionSpace | Mapping | int):
            space, dim = space_and_dim(f"heads[{name!r}]", head)
            if space is not None:
                self.spaces[name] = space
            self._head_config[name] = dim if space is None else space.to_dict()
            return PooledRegressionHead(in_channels, dim)
        if isinstance(head, nn.Module) or not callable(head):
            raise TypeError(
                f"heads[{name!r}]: expected a ConditionSpace, an int or a callable in_channels -> head, "
                f"got {type(head).__name__}"
            )
        self._head_config[name] = None
        built = head(in_channels)
        if not isinstance(built, nn.Module):
            raise TypeError(
                f"heads[{name!r}]: expected the callable to return a torch.nn.Module, got {type(built).__name__}"
            )
        return built
