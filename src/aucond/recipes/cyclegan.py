"""CycleGAN (Zhu et al., ICCV 2017): two generators and two critics trained as one objective, Eq. 1 to 3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from aucond._check import check_number, check_tensor, describe
from aucond.conditions import labels
from aucond.losses import AdversarialLoss, LeastSquares, cycle_identity_loss
from aucond.nn import AttentionGenerator, PatchCritic
from aucond.recipes._pieces import check_behaviours, with_noise
from aucond.recipes._weights import check_weights
from aucond.types import Batch, LossTerms

if TYPE_CHECKING:
    from aucond.data.phases import EpochBatches

__all__ = ["CycleGAN", "CycleGANWeights", "UnpairedDomains"]


@dataclass(frozen=True)
class CycleGANWeights:
    """The weights of CycleGAN's terms; the defaults are the paper's (Section 4 and 5.2).

    Args:
        adversarial: Of each of the two adversarial terms (1). The paper's least-squares loss of the generator has no
            factor 1/2, :class:`~aucond.LeastSquares` has one; :meth:`paper` makes up for it with a weight of 2.
        cycle: lambda of Eq. 3 (10, before a mean absolute difference).
        identity: Of ``||G(y) - y||_1`` (Section 5.2: 0.5 lambda for paintings, 0 elsewhere).
    """

    adversarial: float = 2.0
    cycle: float = 10.0
    identity: float = 0.0

    def __post_init__(self) -> None:
        check_weights(self)

    @classmethod
    def paper(cls) -> CycleGANWeights:
        """Section 4 as printed.

        >>> CycleGANWeights.paper().cycle
        10.0
        """
        return cls()


class CycleGAN:
    """The objective of CycleGAN: translate images of one domain into the other, from unpaired examples of both.

    The two generators are one ``nn.ModuleDict``, keyed by the domain they translate TO, and so are the critics, keyed
    by the domain they know: for the Trainer they are one generator and one critic.

    The published history of 50 earlier fakes (Section 4) is left out: a loss that remembers could not be resumed
    exactly.

    Args:
        generators: Domain -> the generator that translates to it; two domains. CycleGAN has no condition: the
            generators are asked with a condition of zeros, under which FiLM changes nothing. For the paper's, take
            :class:`~aucond.recipes.MasklessGenerator`.
        critics: Domain -> its critic; needs no head.
        weights: See :class:`CycleGANWeights`.
        adversarial: Any of the adversarial losses that work without a penalty; the paper trains with least squares.
        instance_noise: Standard deviation of Gaussian noise on every image the critics see, as in
            :class:`~aucond.GANimation`; the paper has none.

    Raises:
        ValueError: Not two domains, or different ones for generators and critics.
        TypeError: A piece of the wrong kind.

    >>> from aucond.recipes import MasklessGenerator
    >>> def generator(): return MasklessGenerator(1, base_channels=4, num_residual_blocks=1)
    >>> def critic(): return PatchCritic(base_channels=4, num_layers=3)
    >>> objective = CycleGAN({"calm": generator(), "smile": generator()}, {"calm": critic(), "smile": critic()})
    >>> rng = torch.Generator().manual_seed(0)
    >>> batch = {"image": torch.rand(2, 3, 16, 16, generator=rng), "condition": torch.eye(2)}
    >>> list(objective.critic_loss(batch, rng))
    ['calm', 'smile']
    >>> list(objective.generator_loss(batch, rng))
    ['adversarial_calm', 'adversarial_smile', 'cycle_calm', 'cycle_smile']
    """

    advice: ClassVar[dict[str, str]] = {
        "edit_too_small": "lower CycleGANWeights.cycle and .identity",
        "edit_too_large": "raise CycleGANWeights.cycle",
        "not_finite": "lower the learning rate",
    }
    """What the Trainer's monitor tells the user to move, by what it saw."""

    def __init__(
        self,
        generators: dict[str, AttentionGenerator],
        critics: dict[str, PatchCritic],
        *,
        weights: CycleGANWeights | None = None,
        adversarial: AdversarialLoss | None = None,
        instance_noise: float = 0.0,
    ) -> None:
        for name, networks in (("generators", generators), ("critics", critics)):
            if not isinstance(networks, dict) or len(networks) != 2:
                raise ValueError(f"{name}: expected a dict of two domains, got {describe(networks)}")
        if list(generators) != list(critics):
            raise ValueError(f"critics: expected the domains {list(generators)}, got {list(critics)}")
        check_number("instance_noise", instance_noise, low=0.0)
        check_behaviours(None, adversarial)
        if weights is not None and not isinstance(weights, CycleGANWeights):
            raise TypeError(f"weights: expected a CycleGANWeights, got {describe(weights)}")
        self.generators, self.critics = dict(generators), dict(critics)
        self.generator = nn.ModuleDict(generators)
        self.critic = nn.ModuleDict(critics)
        self.space = labels(generators)
        self.weights = weights if weights is not None else CycleGANWeights.paper()
        self.adversarial = adversarial if adversarial is not None else LeastSquares()
        self.instance_noise = instance_noise

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """Eq. 1 for both domains: each critic's adversarial loss.

        Args:
            batch: ``image`` (B, 3, H, W) in [-1, 1] and ``condition``, which domain each is of, one-hot (B, 2) in the
                order of the domains; as many images of one as of the other.
            rng: Source of the noise.
        """
        terms = {}
        for (domain, real), source in self.both_ways(batch):
            with torch.no_grad():
                fake = self.translate(source, domain)
            scores = self.critics[domain](with_noise(torch.cat([real, fake]), self.instance_noise, rng)).score
            terms[domain] = self.adversarial.critic(*scores.chunk(2))
        return LossTerms(terms)

    def generator_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        """Eq. 3: ``L_GAN(F) + L_GAN(G) + lambda L_cyc(G, F)``, with the identity term where it has a weight.

        Args:
            batch: As of :meth:`critic_loss`.
            rng: Source of the noise.
        """
        terms: dict[str, dict[str, Tensor]] = {"adversarial": {}, "cycle": {}, "identity": {}}
        sizes = []
        for (domain, real), source in self.both_ways(batch):
            home = self.other(domain)
            fake = self.translate(source, domain)
            terms["adversarial"][domain] = self.adversarial_term(fake, real, domain, rng)
            terms["cycle"][home] = self.weights.cycle * cycle_identity_loss(
                self.translate(fake, home), source
            )
            if self.weights.identity > 0:
                same = self.translate(real, domain)
                terms["identity"][domain] = self.weights.identity * cycle_identity_loss(same, real)
            sizes.append((fake - source).abs().mean())
        named = {
            f"{term}_{d}": terms[term][d] for term in terms for d in self.space.names if d in terms[term]
        }
        return LossTerms(named, monitor={"edit_size": torch.stack(sizes).mean()})

    def translate(self, image: Tensor, domain: str) -> Tensor:
        """Images (B, 3, H, W) of the other domain as images of this one, or of this one as they are."""
        generator = self.generators[domain]
        output: Tensor = generator(image, image.new_zeros(len(image), generator.condition_dim)).image
        return output

    def adversarial_term(
        self, fake: Tensor, real: Tensor, domain: str, rng: torch.Generator | None = None
    ) -> Tensor:
        """Eq. 1 from the generator's side: what the critic of the domain thinks of the translation."""
        critic = self.critics[domain]
        fake_score = critic(with_noise(fake, self.instance_noise, rng)).score
        real_score = None
        if self.adversarial.needs_real:
            real_score = critic(with_noise(real, self.instance_noise, rng)).score
        return self.weights.adversarial * self.adversarial.generator(fake_score, real_score)

    def both_ways(self, batch: Batch) -> list[tuple[tuple[str, Tensor], Tensor]]:
        """For each domain its name, its own images, and those of the other domain, which are to be translated."""
        image = batch["image"]
        where = check_tensor("batch['condition']", batch["condition"], (len(image), 2)).argmax(1)
        first, second = image[where == 0], image[where == 1]
        if len(first) != len(second):
            raise ValueError(
                f"batch: expected as many images of {self.space.names[0]!r} as of {self.space.names[1]!r}, "
                f"got {len(first)} and {len(second)}; UnpairedDomains makes such batches"
            )
        a, b = self.space.names
        return [((a, first), second), ((b, second), first)]

    def other(self, domain: str) -> str:
        """The domain that is not this one."""
        a, b = self.space.names
        return b if domain == a else a


class UnpairedDomains:
    """Batches with as many images of one domain as of another, drawn independently of each other.

    Convention:
        Images of the two domains alternate, and the Trainer does not part the two of a pair: every process's part of
        a batch has as many of one as of the other. ``condition`` is one-hot (B, 2): which domain an image is of. An
        epoch has as many batches as the shorter loader.

    Args:
        first: Batches of the first domain, such as a :class:`~aucond.data.TensorLoader`.
        second: Batches of the second domain, of the same size.

    Raises:
        TypeError: A loader without ``set_epoch`` or without a length: it could not be resumed exactly.

    >>> class Loader(list):
    ...     def set_epoch(self, epoch): pass
    >>> black, white = ({"image": torch.full((2, 3, 8, 8), value)} for value in (-1.0, 1.0))
    >>> batch = next(iter(UnpairedDomains(Loader([black]), Loader([white]))))
    >>> batch["image"][:, 0, 0, 0], batch["condition"][0]
    (tensor([-1.,  1., -1.,  1.]), tensor([1., 0.]))
    """

    samples_kept_together: ClassVar[int] = 2
    """How many neighbours in a batch stay in one process."""

    def __init__(self, first: EpochBatches, second: EpochBatches) -> None:
        for name, loader in (("first", first), ("second", second)):
            if not (callable(getattr(loader, "set_epoch", None)) and hasattr(loader, "__len__")):
                raise TypeError(
                    f"{name}: expected a loader with set_epoch and a length, got {describe(loader)}"
                )
        self.first, self.second = first, second

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, of both loaders."""
        self.first.set_epoch(epoch)
        self.second.set_epoch(epoch)

    def __len__(self) -> int:
        return min(len(self.first), len(self.second))

    def __iter__(self) -> Iterator[Batch]:
        for one, two in zip(self.first, self.second, strict=False):
            if one["image"].shape != two["image"].shape:
                raise ValueError(
                    f"second: expected batches of the shape of the first's, {tuple(one['image'].shape)}, "
                    f"got {tuple(two['image'].shape)}"
                )
            image = torch.stack([one["image"], two["image"]], 1).flatten(0, 1)
            yield {"image": image, "condition": torch.eye(2).to(image).repeat(len(image) // 2, 1)}
