"""Distances between the features of real and edited images, through torchmetrics: Frechet and kernel distance."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aucond._check import check_images, check_number, describe
from aucond.metrics._judge import judge
from aucond.metrics._processes import exchange_device, gather_rows, sum_over_processes
from aucond.metrics._reduce import precise

__all__ = ["DistributionDistance", "FrechetDistance", "KernelDistance"]


class DistributionDistance(NamedTuple):
    """A distance between two sets of images, with what it was measured by."""

    value: float
    """The distance; lower is better."""
    spread: float
    """Standard deviation over the subsets (:class:`KernelDistance`); 0 where there is only one estimate."""
    features: str
    """Name of the features; figures of different features cannot be compared."""
    real_count: int
    """How many real images."""
    edited_count: int
    """How many edited images."""


class _FeatureSets:
    """Checks what both distances take, and asks the feature module."""

    def __init__(self, features: Callable[[Tensor], Tensor], name: str) -> None:
        if not callable(features):
            raise TypeError(
                f"features: expected a module or a callable images -> (B, D), got {describe(features)}"
            )
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"name: expected the name of the features, got {describe(name)}")
        self.features = features
        self.name = name
        self.width = 0

    def __call__(self, images: Tensor, real: bool) -> Tensor:
        check_images("images", images)
        if not isinstance(real, bool):
            raise TypeError(f"real: expected True or False, got {describe(real)}")
        rows = judge("features", self.features, images)
        if self.width not in (0, rows.shape[1]):
            raise ValueError(
                f"features(images): expected {self.width} features as before, got {rows.shape[1]}"
            )
        self.width = rows.shape[1]
        return precise(rows)

    def agreed_width(self) -> int:
        """Return D, also to a process that has not seen an image."""
        return int(gather_rows(torch.tensor([self.width])).max())


class FrechetDistance:
    r"""Frechet distance between Gaussians fitted to the features of real and of edited images (Heusel et al. 2017).

    .. math::
        |\mu_1 - \mu_2|^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})

    through ``torchmetrics.image.fid`` (``pip install "aucond[metrics]"``), in float64, with any features.

    Convention:
        It is *the* FID only with the features of the published Inception network; the name of yours goes into
        every result. Images go into the features as they come, in [-1, 1]; resizing and normalising is the
        feature module's affair. It is biased upwards for few images: take well over D of each kind, compare
        only figures of equal counts, or use :class:`KernelDistance`. With ``torch.distributed`` initialised
        :meth:`compute` covers all processes, and every process must call it.

    Args:
        features: A module or callable, images (B, 3, H, W) to features (B, D). Run in evaluation mode,
            without gradients, and left in the mode it was in.
        name: What to call these features in every figure.

    Raises:
        ImportError: torchmetrics is not installed.
        TypeError: ``features`` cannot be called.
        ValueError: An empty name.

    >>> distance = FrechetDistance(torch.nn.Flatten(), name="pixels")
    >>> images = torch.rand(16, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    >>> distance.update(images, real=True)
    >>> distance.update(images + 1, real=False)
    >>> result = distance.compute()
    >>> round(result.value, 6), result.features, result.edited_count
    (3.0, 'pixels', 16)
    """

    def __init__(self, features: Callable[[Tensor], Tensor], *, name: str) -> None:
        _torchmetrics_image()
        self._sets = _FeatureSets(features, name)
        self._metric: Any = None

    def reset(self) -> None:
        """Forget everything."""
        self._sets.width = 0
        self._metric = None

    def update(self, images: Tensor, *, real: bool) -> None:
        """Add images (B, 3, H, W) in [-1, 1], real ones or edited ones.

        Raises:
            TypeError: No floating tensor, or features that are none.
            ValueError: Another shape, features that are not (B, D) or not finite (on the CPU).
        """
        rows = self._sets(images, real)
        if self._metric is None:
            self._metric = self._new_metric(rows.shape[1])
        self._metric.to(rows.device).update(rows, real=real)

    def compute(self) -> DistributionDistance:
        """Return the distance over everything seen so far, by all processes.

        Raises:
            ValueError: Fewer than two real or two edited images.
        """
        width = self._sets.agreed_width()
        if self._metric is None:
            self._metric = self._new_metric(max(width, 1))
        metric = self._metric
        counts = torch.stack([metric.real_features_num_samples, metric.fake_features_num_samples])
        real, edited = (int(count) for count in sum_over_processes(counts))
        if min(real, edited) < 2:
            raise ValueError(
                f"images: expected at least two real and two edited ones, got {real} and {edited}"
            )
        # torchmetrics' compute adds the sums of all processes by itself.
        value = float(metric.to(exchange_device(metric.device)).compute())
        return DistributionDistance(value, 0.0, self._sets.name, real, edited)

    def _new_metric(self, width: int) -> Any:
        metric = _torchmetrics_image().fid.FrechetInceptionDistance(_Unchanged(width))
        # No rows, but it tells torchmetrics the dtype, which a process without images would not know.
        metric.update(torch.zeros(0, width, dtype=torch.float64), real=True)
        return metric


class KernelDistance:
    r"""Kernel distance of the features of real and edited images (KID; Binkowski et al. 2018).

    The squared maximum mean discrepancy with the kernel :math:`(x \cdot y / D + 1)^3`, unbiased, averaged
    over random subsets, through ``torchmetrics.image.kid`` (``pip install "aucond[metrics]"``), in float64.

    Convention:
        As :class:`FrechetDistance`, but it keeps all features in memory, has no bias for few images and comes
        with a spread. It may be slightly negative where the two sets do not differ.

    Args:
        features: A module or callable, images (B, 3, H, W) to features (B, D). Run in evaluation mode,
            without gradients, and left in the mode it was in.
        name: What to call these features in every figure.
        subsets: How many random subsets, at least 1.
        subset_size: Images of each kind in a subset, at least 2, at most as many as there are.
        seed: Which subsets are drawn.

    Raises:
        ImportError: torchmetrics is not installed.
        TypeError: ``features`` cannot be called.
        ValueError: An empty name, numbers out of range.

    >>> distance = KernelDistance(torch.nn.Flatten(), name="pixels", subsets=4, subset_size=8)
    >>> images = torch.rand(16, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    >>> distance.update(images, real=True)
    >>> distance.update(images + 1, real=False)
    >>> distance.compute().value > 1
    True
    """

    def __init__(
        self,
        features: Callable[[Tensor], Tensor],
        *,
        name: str,
        subsets: int = 100,
        subset_size: int = 1000,
        seed: int = 0,
    ) -> None:
        _torchmetrics_image()
        check_number("subsets", subsets, low=1, integer=True)
        check_number("subset_size", subset_size, low=2, integer=True)
        check_number("seed", seed, low=0, integer=True)
        self.subsets = subsets
        self.subset_size = subset_size
        self.seed = seed
        self._sets = _FeatureSets(features, name)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._sets.width = 0
        self._rows: dict[bool, list[Tensor]] = {True: [], False: []}

    def update(self, images: Tensor, *, real: bool) -> None:
        """Add images (B, 3, H, W) in [-1, 1], real ones or edited ones.

        Raises:
            TypeError: No floating tensor, or features that are none.
            ValueError: Another shape, features that are not (B, D) or not finite (on the CPU).
        """
        self._rows[real].append(self._sets(images, real))

    def compute(self) -> DistributionDistance:
        """Return mean and spread over the subsets of everything seen so far, by all processes.

        Raises:
            ValueError: Fewer real or edited images than ``subset_size``.
        """
        nothing = torch.zeros(0, self._sets.agreed_width(), dtype=torch.float64)
        real, edited = (gather_rows(torch.cat(self._rows[kind] or [nothing])) for kind in (True, False))
        if min(len(real), len(edited)) < self.subset_size:
            raise ValueError(
                f"subset_size: expected at most the number of images, {len(real)} real and {len(edited)} edited, "
                f"got {self.subset_size}"
            )
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            # It warns of the memory for the features, which this docstring does; and draws from the global
            # generator.
            warnings.simplefilter("ignore", UserWarning)
            torch.manual_seed(self.seed)
            metric = _torchmetrics_image().kid.KernelInceptionDistance(
                _Unchanged(real.shape[1]), self.subsets, self.subset_size, sync_on_compute=False
            )
            metric.update(real, real=True)
            metric.update(edited, real=False)
            mean, spread = metric.compute()
        return DistributionDistance(float(mean), float(spread), self._sets.name, len(real), len(edited))


class _Unchanged(nn.Identity):
    """Lets features that were computed and checked here into torchmetrics."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def _torchmetrics_image() -> Any:
    try:
        import torchmetrics.image.fid
        import torchmetrics.image.kid
    except ImportError as error:
        raise ImportError('this distance needs torchmetrics: pip install "aucond[metrics]"') from error
    return torchmetrics.image
