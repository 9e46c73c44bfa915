"""The attention-masked conditional generator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aucond._check import check_choice, check_images, check_number, check_same_shape, check_tensor
from aucond.conditions import ConditionSpace
from aucond.nn._space import space_and_dim
from aucond.nn.blocks import FiLM, InstanceNorm, PlanesConv2d, ResidualBlock, ResizeConv2d
from aucond.nn.pretrained import Pretrained
from aucond.nn.warping import warped_color
from aucond.ops import NarrowConv2d, mask_blend
from aucond.types import GeneratorOutput

__all__ = ["AttentionGenerator"]


class AttentionGenerator(nn.Module, Pretrained):
    r"""An encoder-decoder that regresses a colour image and an edit mask under a condition vector.

    .. math:: I_f = A \odot C + (1 - A) \odot I_o \qquad\text{(GANimation Eq. 1; SliderGAN Eq. 4)}

    conv7x7, ``num_downsamples`` strided convolutions, ``num_residual_blocks`` residual blocks, as many upsamplings,
    and one 7x7 convolution for both heads (colour: tanh, or a warp of the input; mask: sigmoid).
    ``conditioning="planes"`` with ``decoder="transposed"`` is the published network, weight for weight
    (:func:`~aucond.from_published_state_dict`).

    Args:
        condition: The space of the conditions, or just their length N.
        base_channels: Channels of the first layer; every downsampling doubles them.
        num_downsamples: Halvings of the resolution; H and W must be divisible by ``2**num_downsamples``.
        num_residual_blocks: Residual blocks at the lowest resolution.
        conditioning: ``"film"`` modulates the features after each normalisation of the residual blocks and the
            decoder. ``"planes"`` appends N constant planes to the image, as published; the instance normalisation
            that follows subtracts them again everywhere but along the border.
        decoder: ``"resize"`` doubles by nearest neighbour before a 3x3 convolution; ``"transposed"`` uses 4x4
            transposed convolutions, as published.
        relative: What the network expects as condition: False, the target itself, as published; True, the
            difference target - current (a range twice as wide, 0 asks for no change).
            :meth:`edit` takes both conditions and does the subtraction where needed.
        initial_attention: Mean of the mask at initialisation, in (0, 1), through a bias on the mask head; None, as
            published, has no bias and starts around 0.5.
        color: ``"painted"`` regresses every colour, as published. ``"warped"`` takes each pixel from a nearby
            place in the input and adds a small correction: ``C = clip(warp(I_o) + retouch)``, displaced smoothly by
            at most a twentieth of the image, corrected by at most 0.12. Brows, lids and lips then move instead of
            being painted over, and an edit cannot contain colours far from the input's.

    Raises:
        ValueError: An argument out of its range, with its name.

    Convention:
        * ``attention`` is the EDIT mask: 0 gives the input back bit for bit, 1 gives ``color``. The published code
          keeps the complement.
        * Images are RGB in [-1, 1]; conditions are in the normalised unit of their space.

    >>> generator = AttentionGenerator(17, base_channels=8, num_residual_blocks=1)
    >>> output = generator(torch.zeros(2, 3, 32, 48), torch.zeros(2, 17))
    >>> output.image.shape, output.attention.shape
    (torch.Size([2, 3, 32, 48]), torch.Size([2, 1, 32, 48]))
    """

    def __init__(
        self,
        condition: ConditionSpace | int | Mapping[str, Any],
        base_channels: int = 64,
        num_downsamples: int = 2,
        num_residual_blocks: int = 6,
        *,
        conditioning: Literal["film", "planes"] = "film",
        decoder: Literal["resize", "transposed"] = "resize",
        relative: bool = False,
        initial_attention: float | None = None,
        color: Literal["painted", "warped"] = "painted",
    ) -> None:
        super().__init__()
        self.space, self.condition_dim = space_and_dim("condition", condition)
        check_number("base_channels", base_channels, low=1, integer=True)
        check_number("num_downsamples", num_downsamples, low=0, integer=True)
        check_number("num_residual_blocks", num_residual_blocks, low=0, integer=True)
        check_choice("conditioning", conditioning, ("film", "planes"))
        check_choice("decoder", decoder, ("resize", "transposed"))
        check_choice("color", color, ("painted", "warped"))
        if not isinstance(relative, bool):
            raise TypeError(f"relative: expected True or False, got {relative!r}")
        if initial_attention is not None:
            check_number("initial_attention", initial_attention)
            if not 0 < initial_attention < 1:
                raise ValueError(
                    f"initial_attention: expected a number in (0, 1) or None, got {initial_attention}"
                )
        self.base_channels = base_channels
        self.num_downsamples = num_downsamples
        self.num_residual_blocks = num_residual_blocks
        self.conditioning = conditioning
        self.decoder = decoder
        self.relative = relative
        self.initial_attention = initial_attention
        self.color = color

        film = conditioning == "film"
        widths = [base_channels * 2**level for level in range(num_downsamples + 1)]
        self.stem: nn.Module = (
            nn.Conv2d(3, base_channels, 7, padding=3, bias=False)
            if film
            else PlanesConv2d(3, self.condition_dim, base_channels)
        )
        self.stem_norm = InstanceNorm(base_channels)
        self.down = nn.ModuleList(
            nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False)
            for narrow, wide in zip(widths[:-1], widths[1:], strict=True)
        )
        self.down_norms = nn.ModuleList(InstanceNorm(wide) for wide in widths[1:])
        self.residual = nn.ModuleList(
            ResidualBlock(widths[-1], self.condition_dim if film else None)
            for _ in range(num_residual_blocks)
        )
        self.up = nn.ModuleList(
            ResizeConv2d(wide, narrow)
            if decoder == "resize"
            else nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)
            for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.up_norms = nn.ModuleList(InstanceNorm(narrow) for narrow in widths[-2::-1])
        self.up_films = nn.ModuleList(FiLM(self.condition_dim, narrow) for narrow in widths[-2::-1] if film)
        self.heads = NarrowConv2d(base_channels, 4 if color == "painted" else 6, 7)
        if color == "warped":
            # Close to the input: an edit grows out of it, where a wild warp would first have to be unlearnt.
            with torch.no_grad():
                self.heads.weight[:5] *= 0.2
        self.attention_bias = (
            None
            if initial_attention is None
            else nn.Parameter(torch.tensor(math.log(initial_attention / (1 - initial_attention))))
        )

    def forward(self, image: Tensor, condition: Tensor) -> GeneratorOutput:
        """Edit images under a condition.

        Args:
            image: (B, 3, H, W) in [-1, 1], H and W divisible by ``2**num_downsamples``.
            condition: (B, N) in the space's normalised unit; with ``relative``, target - current.

        Returns:
            The edited image, the colour image and the edit mask.

        Raises:
            ValueError: A wrong shape, with what was expected.
            TypeError: A wrong type or dtype.
        """
        self._check(image, condition)
        features = self.stem(image) if self.conditioning == "film" else self.stem(image, condition)
        features = F.relu(self.stem_norm(features))
        for conv, norm in zip(self.down, self.down_norms, strict=True):
            features = F.relu(norm(conv(features)))
        for block in self.residual:
            features = block(features, condition)
        for level, (conv, norm) in enumerate(zip(self.up, self.up_norms, strict=True)):
            features = norm(conv(features))
            if self.conditioning == "film":
                features = self.up_films[level](features, condition)
            features = F.relu(features)
        *picture, attention = self.heads(features).split(
            [3, 1] if self.color == "painted" else [2, 3, 1], dim=1
        )
        if self.attention_bias is not None:
            attention = attention + self.attention_bias
        attention = attention.sigmoid()
        if self.color == "painted":
            color = picture[0].tanh()
        else:
            color = warped_color(image, picture[0], picture[1], cell=2 if self.num_downsamples else 1)
        return GeneratorOutput(mask_blend(image, color, attention), color, attention)

    def edit(self, image: Tensor, target: Tensor, current: Tensor) -> GeneratorOutput:
        """Edit images from their current condition to a target, whatever the network expects.

        Args:
            image: (B, 3, H, W) in [-1, 1].
            target: Target condition y_f, (B, N).
            current: Current condition y_o, (B, N); read only when the network is relative.

        Returns:
            ``forward(image, target - current)`` for a relative network, else ``forward(image, target)``.
        """
        check_tensor("target", target, ("B", self.condition_dim))
        if self.relative:
            check_same_shape("target", target, "current", current)
        output: GeneratorOutput = self(image, target - current if self.relative else target)
        return output

    def config(self) -> dict[str, Any]:
        """The arguments that rebuild this generator, JSON-able."""
        return {
            "condition": self.condition_dim if self.space is None else self.space.to_dict(),
            "base_channels": self.base_channels,
            "num_downsamples": self.num_downsamples,
            "num_residual_blocks": self.num_residual_blocks,
            "conditioning": self.conditioning,
            "decoder": self.decoder,
            "relative": self.relative,
            "initial_attention": self.initial_attention,
            "color": self.color,
        }

    def _check(self, image: Tensor, condition: Tensor) -> None:
        check_images("image", image)
        check_tensor("condition", condition, ("B", self.condition_dim))
        if torch.compiler.is_compiling():
            return
        if not torch.is_autocast_enabled(image.device.type):
            check_tensor("image", image, ("B", 3, "H", "W"), dtype=self.heads.weight.dtype)
            check_tensor("condition", condition, ("B", self.condition_dim), dtype=self.heads.weight.dtype)
        if image.shape[0] != condition.shape[0]:
            raise ValueError(
                f"condition: expected one per image, shape ({image.shape[0]}, {self.condition_dim}), "
                f"got {tuple(condition.shape)}"
            )
        factor = 2**self.num_downsamples
        if image.shape[2] % factor or image.shape[3] % factor:
            raise ValueError(
                f"image: expected height and width divisible by 2**num_downsamples = {factor}, "
                f"got {image.shape[2]}x{image.shape[3]}"
            )
