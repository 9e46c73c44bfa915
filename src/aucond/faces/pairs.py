"""Exact pairs from the renderer: every scene under several conditions."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from .._check import check_number, describe
from ..data.pairs import ExactPairs
from .cache import default_cache_folder, read_cached, write_cached
from .synthetic import SyntheticFaces

__all__ = ["render_pairs"]


def render_pairs(
    faces: SyntheticFaces, expressions: int = 2, *, seed: int = 0, cache: Path | str | bool | None = None
) -> ExactPairs:
    """Show every sample of a rendered set under further conditions, those of other samples.

    Convention:
        A group is one sample: the same person, pose, light and background throughout. The first ``len(faces)`` images
        are the set's own.

    Args:
        faces: The scenes.
        expressions: Conditions of each scene K, at least 2; gives ``len(faces) * K`` images and K - 1 times as many
            pairs.
        seed: Of the choice of conditions and partners.
        cache: As of :class:`SyntheticFaces`.

    Returns:
        The pairs.

    >>> pairs = render_pairs(SyntheticFaces(2, samples=3, size=16, cache=False), 2, cache=False)
    >>> len(pairs), pairs.groups.tolist()
    (6, [0, 1, 2, 0, 1, 2])
    """
    if not isinstance(faces, SyntheticFaces):
        raise TypeError(f"faces: expected SyntheticFaces, got {describe(faces)}")
    check_number("expressions", expressions, low=2, integer=True)
    check_number("seed", seed, low=0, integer=True)
    rng = torch.Generator().manual_seed(seed)
    count = len(faces)
    others = [faces.conditions[torch.randperm(count, generator=rng)] for _ in range(expressions - 1)]
    conditions = torch.cat([faces.conditions, *others])
    poses = faces.poses.repeat(expressions, 1)

    digest = hashlib.sha256(faces.images.numpy().tobytes())
    digest.update(conditions.numpy().tobytes())
    recipe = {"pairs_of": digest.hexdigest(), "samples": len(conditions), "size": faces.size}
    folder = default_cache_folder() if cache is None or isinstance(cache, bool) else Path(cache)
    stored = None if cache is False else read_cached(folder, recipe)
    if stored is not None:
        images = torch.from_numpy(stored[0])
    else:
        rendered = [
            faces.render(range(count), condition).add_(1).mul_(127.5).round_() for condition in others
        ]
        images = torch.cat([faces.images, *(images.to(torch.uint8) for images in rendered)])
        if cache is not False:
            write_cached(folder, recipe, images.numpy(), poses.numpy())
    return ExactPairs(
        images,
        conditions,
        torch.arange(count).repeat(expressions),
        space=faces.space,
        identities=faces.identities.repeat(expressions),
        seed=seed,
    )
