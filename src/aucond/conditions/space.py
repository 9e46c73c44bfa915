"""The condition space itself; the presets are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aucond._check import check_number, describe, nearest
from aucond.conditions._fields import check_names, check_ranges, per_component, position, resolve_mirror

__all__ = ["ConditionSpace"]

_RANGES = ("low", "high", "neutral", "raw_low", "raw_high")
_FIELDS = ("names", "mirror", *_RANGES)


@dataclass(frozen=True, init=False, repr=False)
class ConditionSpace:
    """The names, ranges, neutral values and mirror pairs of a condition vector of ``N`` components.

    Convention:
        A condition is a float tensor (..., N) in *normalised* units, component ``i`` in
        ``[low[i], high[i]]``. *Raw* units are what an annotation tool writes (OpenFace: 0..5); they map
        linearly: ``y = low + (raw - raw_low) * (high - low) / (raw_high - raw_low)``.
        ``mirror[i]`` is the component whose value component ``i`` takes on the horizontally flipped image.

    Args:
        names: The components' names, distinct and not empty.
        low: Smallest normalised value, one for all components or one per component.
        high: Largest normalised value, above ``low``.
        neutral: The value of the unexpressive face, inside ``[low, high]``.
        mirror: Which components swap on a horizontally flipped image: a mapping from name to name (one
            direction of a pair is enough) or a permutation of ``range(N)`` that is its own inverse.
            None or no swap at all: a flip changes nothing.
        raw_low: The raw value that becomes ``low``; ``low`` itself by default.
        raw_high: The raw value that becomes ``high``; ``high`` itself by default.

    Raises:
        ValueError: Empty, duplicate or odd names, ranges that are empty, not finite or of the wrong count,
            a neutral value out of range, a mirror that is no exchange of equally ranged components.

    >>> space = ConditionSpace(["smile", "blinkLeft", "blinkRight"], mirror={"blinkLeft": "blinkRight"})
    >>> space.vector(smile=0.5, blinkLeft=1.0)
    tensor([0.5000, 1.0000, 0.0000])
    >>> space.flip(space.vector(smile=0.5, blinkLeft=1.0))
    tensor([0.5000, 0.0000, 1.0000])
    >>> space.vector(smlie=0.5)
    Traceback (most recent call last):
    ValueError: names: 'smlie' is not one of the 3 components of this space; did you mean 'smile'?
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    neutral: tuple[float, ...]
    mirror: tuple[int, ...] | None
    raw_low: tuple[float, ...]
    raw_high: tuple[float, ...]

    def __init__(
        self,
        names: Iterable[str],
        low: float | Sequence[float] = 0.0,
        high: float | Sequence[float] = 1.0,
        neutral: float | Sequence[float] = 0.0,
        mirror: Mapping[str, str] | Sequence[int] | None = None,
        *,
        raw_low: float | Sequence[float] | None = None,
        raw_high: float | Sequence[float] | None = None,
    ) -> None:
        checked = check_names(names)
        count = len(checked)
        ranges = {
            "low": per_component("low", low, count),
            "high": per_component("high", high, count),
            "neutral": per_component("neutral", neutral, count),
        }
        ranges["raw_low"] = ranges["low"] if raw_low is None else per_component("raw_low", raw_low, count)
        ranges["raw_high"] = (
            ranges["high"] if raw_high is None else per_component("raw_high", raw_high, count)
        )
        check_ranges(checked, ranges)
        object.__setattr__(self, "names", checked)
        object.__setattr__(self, "mirror", resolve_mirror(checked, mirror, ranges))
        for key, values in ranges.items():
            object.__setattr__(self, key, values)

    @property
    def dim(self) -> int:
        """The number of components N."""
        return len(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        shown = self.names if self.dim <= 6 else (*self.names[:3], "...", *self.names[-2:])
        return f"ConditionSpace({self.dim}: {', '.join(shown)})"

    def index(self, name: str) -> int:
        """Return the position of a component; an unknown name raises ValueError with the nearest one."""
        return position(self.names, name)

    def neutral_vector(self) -> Tensor:
        """Return the neutral condition, a float32 tensor (N,)."""
        return torch.tensor(self.neutral)

    def vector(self, values: Mapping[str, float] | None = None, /, **named: float) -> Tensor:
        """Return a condition (N,), float32: neutral but for the named components (normalised units).

        Args:
            values: Name to value, for names that are no Python identifiers or come as data.
            **named: The same as keywords.

        Raises:
            ValueError: An unknown name, a name given both ways, or a value outside the component's range.

        >>> ConditionSpace(["AU01", "AU12"]).vector(AU12=0.8)
        tensor([0.0000, 0.8000])
        """
        if values is not None and not isinstance(values, Mapping):
            raise TypeError(f"values: expected a mapping from names to numbers, got {describe(values)}")
        both = set(values or ()) & set(named)
        if both:
            raise ValueError(f"values: {sorted(both)[0]!r} is given both in the mapping and as a keyword")
        result = list(self.neutral)
        for name, value in {**(values or {}), **named}.items():
            at = self.index(name)
            check_number(name, value, low=self.low[at], high=self.high[at])
            result[at] = float(value)
        return torch.tensor(result)

    def validate(self, y: Tensor, *, name: str = "condition", tolerance: float = 1e-4) -> Tensor:
        """Return ``y`` if it is a condition of this space: floating, (..., N), finite, in range.

        Shape and dtype are always checked. Values are read only on the CPU: on an accelerator that would
        make the host wait.

        Args:
            y: Conditions (..., N) in normalised units.
            name: What the error calls the argument.
            tolerance: How far outside its range a value may lie (rounding).

        Raises:
            TypeError: Not a floating tensor.
            ValueError: A wrong last dimension, or a value that is not finite or out of range.

        >>> ConditionSpace(["AU01", "AU12"]).validate(torch.tensor([[0.0, 1.5]]))
        Traceback (most recent call last):
        ValueError: condition: component 'AU12' must lie in [0, 1], got 1.5 at index (0, 1)
        """
        self._check_shape(name, y)
        if y.device.type != "cpu" or torch.compiler.is_compiling() or y.numel() == 0:
            return y
        values = y.detach().double()
        low, high = (torch.tensor(v, dtype=torch.float64) for v in (self.low, self.high))
        # Written so that NaN, which fails every comparison, counts as wrong.
        wrong = ~((values >= low - tolerance) & (values <= high + tolerance))
        if bool(wrong.any()):
            where = tuple(int(i) for i in wrong.nonzero()[0])
            at = where[-1]
            raise ValueError(
                f"{name}: component {self.names[at]!r} must lie in [{self.low[at]:g}, {self.high[at]:g}], "
                f"got {values[where].item():g} at index {where}"
            )
        return y

    def normalize(self, raw: Tensor) -> Tensor:
        """Map raw annotation units (..., N) onto normalised ones. Linear, never clamped; see :meth:`clamp`.

        >>> ConditionSpace(["AU12"], raw_low=0.0, raw_high=5.0).normalize(torch.tensor([2.5]))
        tensor([0.5000])
        """
        self._check_shape("raw", raw)
        return self._affine(raw, self.raw_low, self.raw_high, self.low, self.high)

    def denormalize(self, y: Tensor) -> Tensor:
        """Map normalised conditions (..., N) onto raw units, the inverse of :meth:`normalize`."""
        self._check_shape("y", y)
        return self._affine(y, self.low, self.high, self.raw_low, self.raw_high)

    def clamp(self, y: Tensor) -> Tensor:
        """Return ``y`` (..., N) with every component moved into its range."""
        self._check_shape("y", y)
        return torch.clamp(y, _constant(self.low, y), _constant(self.high, y))

    def flip(self, y: Tensor) -> Tensor:
        """Return the conditions (..., N) of the horizontally flipped images: left and right names swap.

        Twice is the identity, bit for bit.
        """
        self._check_shape("y", y)
        if self.mirror is None:
            return y
        return y.index_select(-1, torch.tensor(self.mirror, device=y.device))

    def subset(self, names: Iterable[str], *, keep_mirror: bool = True) -> ConditionSpace:
        """Return the space of some components, in the order given.

        Args:
            names: Names of this space.
            keep_mirror: Keep the mirror pairs; False for a space whose images will not be flipped.

        Raises:
            ValueError: An unknown name, or a component without its mirror partner while mirrors are kept.
        """
        wanted = check_names(names)
        at = [self.index(name) for name in wanted]
        mirror: dict[str, str] = {}
        partners = self._mirror_names() if keep_mirror else {}
        for name in wanted:
            partner = partners.get(name, name)
            if partner not in wanted:
                raise ValueError(
                    f"names: {name!r} becomes {partner!r} on a flipped image, which is not in the "
                    "subset; add it, or pass keep_mirror=False and never flip"
                )
            mirror[name] = partner
        ranges = {f: tuple(getattr(self, f)[i] for i in at) for f in _RANGES}
        return ConditionSpace(wanted, mirror=mirror, **ranges)

    def __add__(self, other: ConditionSpace) -> ConditionSpace:
        """Return the space of this one's components then the other's; shared names raise ValueError."""
        if not isinstance(other, ConditionSpace):
            return NotImplemented
        shared = [name for name in other.names if name in self.names]
        if shared:
            raise ValueError(f"names: {shared[0]!r} is in both spaces; a concatenation needs distinct names")
        ranges = {f: getattr(self, f) + getattr(other, f) for f in _RANGES}
        mirror = {**self._mirror_names(), **other._mirror_names()}
        return ConditionSpace(self.names + other.names, mirror=mirror, **ranges)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict that :meth:`from_dict` turns into an equal space."""
        plain: dict[str, Any] = {f: list(getattr(self, f)) for f in _FIELDS if f != "mirror"}
        plain["mirror"] = self._mirror_names() or None
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ConditionSpace:
        """Build a space from what :meth:`to_dict` gave; every wrong or missing key raises by its name.

        >>> space = ConditionSpace(["smile", "blink"], high=2.0)
        >>> ConditionSpace.from_dict(space.to_dict()) == space
        True
        """
        if not isinstance(plain, Mapping):
            raise TypeError(f"plain: expected the mapping that to_dict gives, got {describe(plain)}")
        for key in plain:
            if key not in _FIELDS:
                raise ValueError(f"plain: unknown key {key!r}{nearest(str(key), _FIELDS)}")
        missing = [key for key in ("names", "low", "high", "neutral") if key not in plain]
        if missing:
            raise ValueError(f"plain: the key {missing[0]!r} is missing")
        return cls(**plain)

    def _mirror_names(self) -> dict[str, str]:
        if self.mirror is None:
            return {}
        return {self.names[i]: self.names[j] for i, j in enumerate(self.mirror) if i != j}

    def _check_shape(self, name: str, y: Any) -> None:
        message = f"{name}: expected a floating tensor of shape (..., {self.dim}), got {describe(y)}"
        if not isinstance(y, Tensor) or not y.is_floating_point():
            raise TypeError(message)
        if y.dim() == 0 or y.shape[-1] != self.dim:
            raise ValueError(message)

    @staticmethod
    def _affine(
        x: Tensor,
        from_low: tuple[float, ...],
        from_high: tuple[float, ...],
        to_low: tuple[float, ...],
        to_high: tuple[float, ...],
    ) -> Tensor:
        if from_low == to_low and from_high == to_high:
            return x
        scale = tuple(
            (d - c) / (b - a) for a, b, c, d in zip(from_low, from_high, to_low, to_high, strict=True)
        )
        return (x - _constant(from_low, x)) * _constant(scale, x) + _constant(to_low, x)


def _constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    # One value for all components is filled in on the device: no copy from the host for the usual spaces.
    if len(set(values)) == 1:
        return like.new_full((1,), values[0])
    return torch.tensor(values, dtype=like.dtype, device=like.device)
