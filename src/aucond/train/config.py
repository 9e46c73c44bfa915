"""The settings of a training run, each with its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aucond._check import check_choice, check_number, describe, nearest

__all__ = ["TrainerConfig"]

_REPORTING = ("checkpoint_every", "keep_checkpoints", "log_every", "preview_every")


@dataclass(frozen=True)
class TrainerConfig:
    """How long, how fast and how reproducibly the Trainer trains.

    The defaults are GANimation's (Pumarola et al. 2018, section 6) where it says something.
    A step is one batch, and every batch trains the critic once.

    Raises:
        TypeError: If a field has the wrong type.
        ValueError: If a field is outside its range; the message names the field.

    >>> config = TrainerConfig(steps=300)
    >>> [config.learning_rate_factor(step) for step in (1, 200, 201, 251, 300)]
    [1.0, 1.0, 1.0, 0.5, 0.01]
    >>> [step for step in range(1, 12) if config.trains_generator(step)]
    [5, 10]
    >>> TrainerConfig.from_dict(config.to_dict()) == config
    True
    """

    steps: int
    """How many critic steps, one batch each, at least 1. GANimation: 240,000 (30 epochs of 8,000 batches of 25)."""
    critic_steps_per_generator_step: int = 5
    """Every how many critic steps the generator is trained too, on the same batch. GANimation and WGAN-GP: 5."""
    learning_rate: float = 1e-4
    """Adam's learning rate of both networks before any decay. GANimation and SliderGAN: 1e-4."""
    critic_learning_rate: float | None = None
    """The critic's own learning rate (two time-scale rule, Heusel et al. 2017); None: the same as the generator's."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay rates of the first and second moment. GANimation and SliderGAN: (0.5, 0.999)."""
    decay_start: int | None = None
    """How many steps the learning rate stays constant; then it falls linearly to 0 at ``steps``.
    None: two thirds of ``steps`` (GANimation: 20 of 30 epochs). ``decay_start=steps`` never decays."""
    critic_warmup_steps: int = 0
    """How many steps at the start train the critic alone. Papers: 0."""
    ema_decay: float = 0.999
    """Decay of the moving average of the generator's weights, per generator step, in [0, 1). Not in the papers; usual
    for GANs since Karras et al. 2018. After n generator steps the decay in use is min(ema_decay, (1 + n) / (10 + n)),
    so that short runs are not dominated by their first weights."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What the losses are computed in. bfloat16 is autocast; weights, gradients and Adam's state stay float32."""
    seed: int = 0
    """The seed of everything random: order of the data and every draw of every loss."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; there is always one at the end."""
    keep_checkpoints: int = 3
    """How many of the newest checkpoints are kept, and beside them always the newest good one (see Monitor)."""
    log_every: int = 10
    """Steps between two looks at the loss values. On a GPU each look waits for the device."""
    preview_every: int = 1000
    """Steps between two preview pictures, where the Trainer is given a preview function."""
    gradient_clip: float | None = None
    """Largest allowed norm of a network's gradient; longer ones are scaled down. Papers: None (no clipping)."""
    speed: Literal["reference", "fast"] = "fast"
    """How the same step is computed; the numbers differ by rounding only. ``"reference"`` is plain PyTorch: contiguous
    memory, Adam parameter by parameter, the gradient penalty by autograd's double backward. ``"fast"`` is channels_last
    memory (but not for bfloat16 on a CPU, where it is slower), fused Adam, the penalty's gradient written out where the
    critic allows it, on a CPU freed memory that is kept for the next step and, on a CUDA device, an objective that says
    it is ``capturable`` as CUDA graphs."""

    def __post_init__(self) -> None:
        for name in ("steps", "critic_steps_per_generator_step", *_REPORTING):
            check_number(name, getattr(self, name), low=1, integer=True)
        check_number("seed", self.seed, low=0, integer=True)
        check_number("critic_warmup_steps", self.critic_warmup_steps, low=0, high=self.steps, integer=True)
        if self.decay_start is not None:
            check_number("decay_start", self.decay_start, low=0, high=self.steps, integer=True)
        check_choice("precision", self.precision, ("float32", "bfloat16"))
        check_choice("speed", self.speed, ("reference", "fast"))
        _check_positive("learning_rate", self.learning_rate)
        for name in ("critic_learning_rate", "gradient_clip"):
            if getattr(self, name) is not None:
                _check_positive(name, getattr(self, name))
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise TypeError(f"betas: expected a tuple of two numbers in [0, 1), got {describe(self.betas)}")
        for name, value in (
            ("ema_decay", self.ema_decay),
            ("betas[0]", self.betas[0]),
            ("betas[1]", self.betas[1]),
        ):
            check_number(name, value, low=0, high=1)
            if value >= 1:
                raise ValueError(f"{name}: expected a finite number in [0, 1), got {value!r}")

    def trains_generator(self, step: int) -> bool:
        """Whether step number ``step`` (from 1) also trains the generator."""
        return step > self.critic_warmup_steps and step % self.critic_steps_per_generator_step == 0

    def learning_rate_factor(self, step: int) -> float:
        """What step number ``step`` (from 1) multiplies the learning rates with, in (0, 1].

        1 for the first ``decay_start`` steps and the one after, then in equal parts down to 0 one step past the end.
        """
        constant = self.steps * 2 // 3 if self.decay_start is None else self.decay_start
        if step <= constant:
            return 1.0
        return (self.steps - step + 1) / (self.steps - constant)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON knows them."""
        return {**dataclasses.asdict(self), "betas": list(self.betas)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainerConfig:
        """The config whose :meth:`to_dict` this is.

        Raises:
            TypeError: If it is no mapping, or ``steps`` is missing.
            ValueError: If a field is not known, as in a file written by a newer version.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"values: expected a mapping of TrainerConfig's fields, got {describe(values)}")
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(
                    f"values: {name!r} is no field of this version's TrainerConfig{nearest(str(name), known)}"
                )
        if "steps" not in values:
            raise TypeError("values: expected the field 'steps', which has no default")
        fields = dict(values)
        if isinstance(fields.get("betas"), list):
            fields["betas"] = tuple(fields["betas"])
        return cls(**fields)

    def changes(self, other: TrainerConfig) -> dict[str, tuple[Any, Any]]:
        """The fields that change what is computed and differ: name -> (own value, the other's).

        How often something is reported or saved is left out: a resumed run may change that freely.
        """
        mine, theirs = self.to_dict(), other.to_dict()
        return {k: (mine[k], theirs[k]) for k in mine if k not in _REPORTING and mine[k] != theirs[k]}


def _check_positive(name: str, value: Any) -> None:
    check_number(name, value, low=0)
    if value == 0:
        raise ValueError(f"{name}: expected a finite number above 0, got {value!r}")
