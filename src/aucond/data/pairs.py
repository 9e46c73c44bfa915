"""Exact pairs: images of one face that differ in nothing but the condition."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from aucond._check import check_finite, check_number, check_same_shape, check_tensor
from aucond.conditions import ConditionSpace
from aucond.data.images import images_to_float
from aucond.types import Batch

__all__ = ["ExactPairs"]

_PARTNERS = 2
"""Purpose of the draws, beside those of order and flips: no two share a stream."""


class ExactPairs(Dataset[Batch]):
    """Images in groups; within a group only the condition differs, so any two of a group are an exact pair.

    Group members are renders of one scene, or a photo and its warps (SliderGAN Sec. 4.1: 20 expressions a photo). K
    images of a group make K (K - 1) pairs for the price of K. An item is a dict: ``image`` float32 (3, H, W),
    ``condition`` (N,), ``target_image`` (3, H, W), ``target_condition`` (N,) and, if known, ``identity`` ().

    Convention:
        Images RGB in [-1, 1]; conditions normalised. Item i edits image i to another member of its group; which one is
        a pure function of (seed, epoch), and without ``set_epoch`` every epoch is epoch 0.

    Args:
        images: uint8 (M, 3, H, W).
        conditions: (M, N).
        groups: Which images belong together, int64 (M,): equal numbers, at least two of each.
        space: The space of the conditions; checks their range.
        identities: Who is in the images, int64 (M,).
        seed: Of the choice of partners.

    Raises:
        TypeError: Tensors of other kinds.
        ValueError: Shapes that do not go together, conditions out of range, or a group of one image.

    >>> images = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, 3, 8, 8)
    >>> pairs = ExactPairs(images, torch.arange(4.0)[:, None], torch.tensor([0, 0, 1, 1]))
    >>> pairs[2]["condition"], pairs[2]["target_condition"]
    (tensor([2.]), tensor([3.]))
    """

    def __init__(
        self,
        images: Tensor,
        conditions: Tensor,
        groups: Tensor,
        *,
        space: ConditionSpace | None = None,
        identities: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        check_tensor("images", images, ("M", 3, "H", "W"), dtype=torch.uint8)
        check_tensor("conditions", conditions, (len(images), "N" if space is None else space.dim))
        check_tensor("groups", groups, (len(images),), dtype=torch.int64)
        check_number("seed", seed, low=0, integer=True)
        check_finite("conditions", conditions)
        if space is not None:
            space.validate(conditions, name="conditions")
        if identities is not None:
            check_tensor("identities", identities, (len(images),), dtype=torch.int64)
            check_same_shape("groups", groups, "identities", identities)
        self.images, self.conditions, self.groups = images, conditions.float(), groups
        self.space, self.identities, self.seed = space, identities, seed
        self._members = groups.argsort(stable=True)
        names, self._group, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
        if len(images) == 0 or int(sizes.min()) < 2:
            alone = names[sizes < 2].tolist()
            raise ValueError(
                f"groups: expected at least two images in every group, got {len(alone) or 'no'} groups of one"
                f"{': ' + ', '.join(map(str, alone[:5])) if alone else ' image'}"
            )
        self._sizes, self._starts = sizes, sizes.cumsum(0) - sizes
        self._places = torch.empty_like(groups)
        self._places[self._members] = torch.arange(len(groups)) - self._starts[self._group[self._members]]
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, whose partners the items have."""
        check_number("epoch", epoch, low=0, integer=True)
        seed = int(np.random.SeedSequence([self.seed, epoch, _PARTNERS]).generate_state(1, np.uint64)[0])
        unit = torch.rand(len(self), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        sizes = self._sizes[self._group]
        # A step of 1 to K - 1 places round the group never ends where it began.
        steps = 1 + (unit * (sizes - 1)).long()
        self.partners = self._members[self._starts[self._group] + (self._places + steps) % sizes]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Batch:
        """One exact pair (see the class)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index: expected an item in [0, {len(self) - 1}], got {index}")
        partner = self.partners[index]
        item: Batch = {
            "image": images_to_float(self.images[index]),
            "condition": self.conditions[index],
            "target_image": images_to_float(self.images[partner]),
            "target_condition": self.conditions[partner],
        }
        if self.identities is not None:
            item["identity"] = self.identities[index]
        return item
