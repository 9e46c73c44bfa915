"""Random conditions as faces show them: few units at a time, known mixtures, no contradictions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .._check import check_number, describe
from ..conditions import OPENFACE_AUS, ConditionSpace
from .action_units import ACTION_UNITS, expression_matrix

__all__ = ["PROTOTYPES", "sample_conditions"]

PROTOTYPES: Mapping[str, Mapping[str, float]] = {
    "smile": {"AU06": 0.7, "AU12": 0.8},
    "laugh": {"AU06": 0.9, "AU12": 1.0, "AU25": 0.8, "AU26": 0.4},
    "surprise": {"AU01": 0.9, "AU02": 0.9, "AU05": 0.8, "AU25": 0.5, "AU26": 0.9},
    "sadness": {"AU01": 0.9, "AU04": 0.5, "AU15": 0.9, "AU17": 0.4},
    "anger": {"AU04": 1.0, "AU05": 0.4, "AU07": 0.7, "AU23": 0.8},
    "disgust": {"AU04": 0.4, "AU09": 1.0, "AU10": 0.8, "AU17": 0.3},
    "fear": {"AU01": 0.9, "AU02": 0.6, "AU04": 0.5, "AU05": 0.8, "AU20": 0.7, "AU25": 0.5},
    "talking": {"AU25": 0.7, "AU26": 0.5},
    "doubt": {"AU14": 0.8, "AU17": 0.5},
    "tired": {"AU45": 0.6, "AU15": 0.3},
}
"""Mixtures of action units that people recognise (after EMFACS), at full strength."""

_CONTRADICTIONS = (
    ("AU12", "AU15"), ("AU05", "AU45"), ("AU05", "AU07"), ("AU23", "AU25"), ("AU23", "AU26"), ("AU17", "AU26"),
    ("AU12", "AU23"), ("AU02", "AU04"),
    ("mouthSmile", "mouthFrown"), ("mouthSmile", "mouthPucker"), ("mouthSmile", "mouthFunnel"),
    ("mouthStretch", "mouthPucker"), ("mouthStretch", "mouthFunnel"), ("mouthDimple", "mouthPucker"),
    ("eyeWide", "eyeBlink"), ("eyeWide", "eyeSquint"), ("browDown", "browOuterUp"),
    ("jawOpen", "mouthPress"), ("jawOpen", "mouthRollLower"), ("jawOpen", "mouthRollUpper"),
    ("jawOpen", "mouthShrugLower"), ("jawOpen", "cheekPuff"), ("jawOpen", "mouthPucker"),
    ("mouthLowerDown", "mouthPress"), ("mouthUpperUp", "mouthPress"), ("mouthUpperUp", "mouthRollUpper"),
    ("mouthLowerDown", "mouthRollLower"), ("mouthLowerDown", "mouthShrugLower"), ("mouthFunnel", "mouthPress"),
    ("cheekPuff", "mouthSmile"), ("cheekPuff", "mouthFunnel"), ("tongueOut", "mouthPress"), ("tongueOut", "cheekPuff"),
    ("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"), ("jawForward", "jawOpen"),
)  # fmt: skip
"""Pairs that no face shows together; of a sample that has both, the weaker is dropped. Sides are meant side by side."""

_GAZE = ("eyeLookOutLeft", "eyeLookInRight", "eyeLookInLeft", "eyeLookOutRight",
         "eyeLookUpLeft", "eyeLookUpRight", "eyeLookDownLeft", "eyeLookDownRight")  # fmt: skip
_COUNT_CHANCES = (0.12, 0.28, 0.28, 0.2, 0.12)
_PROTOTYPE_CHANCE = 0.35


def sample_conditions(space: ConditionSpace, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw conditions as faces show them.

    0 to 4 units (both sides of a unit together, mostly) at uniform intensity, in a third of the samples on top of
    one of :data:`PROTOTYPES` where the space knows its units; gaze moves both eyes; contradictions are dropped.

    Args:
        space: What to draw; names that are neither OpenFace nor ARKit units are drawn sparsely and independently.
        count: Number of conditions, at least 0.
        generator: Source of randomness; a fresh one seeded with 0 if None.

    Returns:
        Conditions (count, N), float32, inside the space.

    >>> from aucond.conditions import OPENFACE_AUS
    >>> sample_conditions(OPENFACE_AUS, 4, torch.Generator().manual_seed(0)).shape
    torch.Size([4, 17])
    """
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    check_number("count", count, low=0, integer=True)
    rng = generator if generator is not None else torch.Generator().manual_seed(0)
    low, high, neutral = (torch.tensor(v) for v in (space.low, space.high, space.neutral))
    share = torch.rand(count, space.dim, generator=rng)
    active = _active(space, count, rng)
    conditions = torch.where(active, low + (high - low) * _paired(space, share, rng), neutral)
    conditions = _with_prototypes(space, conditions, rng)
    _set_gaze(space, conditions, rng)
    _drop_contradictions(space, conditions)
    if {"mouthClose", "jawOpen"} <= set(space.names):
        close, jaw = space.index("mouthClose"), space.index("jawOpen")
        conditions[:, close] = torch.minimum(conditions[:, close], conditions[:, jaw])
    return conditions


def _groups(space: ConditionSpace) -> list[list[int]]:
    """Components that move together: the two sides of a unit."""
    mirror = space.mirror or tuple(range(space.dim))
    pairs = [sorted({i, mirror[i]}) for i in range(space.dim) if i <= mirror[i]]
    return [pair for pair in pairs if space.names[pair[0]] not in _GAZE]


def _active(space: ConditionSpace, count: int, rng: torch.Generator) -> Tensor:
    """Which components move (count, N): a few random groups a sample, at times one side only (jaw, mouth: always)."""
    groups = _groups(space)
    wanted = torch.multinomial(torch.tensor(_COUNT_CHANCES), max(count, 1), replacement=True, generator=rng)[
        :count
    ]
    order = torch.rand(count, len(groups), generator=rng).argsort(1).argsort(1)
    chosen = order < wanted[:, None]
    one_sided = torch.rand(count, len(groups), generator=rng)
    active = torch.zeros(count, space.dim, dtype=torch.bool)
    for g, members in enumerate(groups):
        for position, member in enumerate(members):
            kept = chosen[:, g]
            if len(members) == 2:
                names = (space.names[members[0]], space.names[members[1]])
                both = 0.0 if {names, names[::-1]} & set(_CONTRADICTIONS) else 0.7
                kept = kept & ~(
                    (one_sided[:, g] > both) & ((one_sided[:, g] > (1 + both) / 2) == bool(position))
                )
            active[:, member] = kept
    return active


def _paired(space: ConditionSpace, share: Tensor, rng: torch.Generator) -> Tensor:
    """Intensities where the second side of a pair nearly follows the first."""
    result = share.clone()
    jitter = 0.85 + 0.15 * torch.rand(share.shape, generator=rng)
    for members in _groups(space):
        for member in members[1:]:
            result[:, member] = share[:, members[0]] * jitter[:, member]
    return result


def _with_prototypes(space: ConditionSpace, conditions: Tensor, rng: torch.Generator) -> Tensor:
    known = [i for i, name in enumerate(space.names) if name in ACTION_UNITS]
    units = expression_matrix(OPENFACE_AUS)
    rows = []
    for mixture in PROTOTYPES.values():
        intensities = torch.tensor([mixture.get(name, 0.0) for name in OPENFACE_AUS.names])
        by_unit = dict(zip(_arkit_names(), (intensities @ units).clamp(0, 1).tolist(), strict=True))
        rows.append(
            [mixture.get(n, 0.0) if i in known else by_unit.get(n, 0.0) for i, n in enumerate(space.names)]
        )
    table = torch.tensor(rows)
    count = len(conditions)
    pick = torch.randint(len(rows), (count,), generator=rng)
    strength = 0.3 + 0.7 * torch.rand(count, 1, generator=rng)
    jitter = 0.75 + 0.25 * torch.rand(conditions.shape, generator=rng)
    use = torch.rand(count, 1, generator=rng) < _PROTOTYPE_CHANCE
    neutral, high = torch.tensor(space.neutral), torch.tensor(space.high)
    mixed = neutral + (high - neutral) * table[pick] * strength * jitter
    return torch.where(use & (table[pick] > 0), torch.maximum(conditions, mixed), conditions)


def _arkit_names() -> tuple[str, ...]:
    from ..conditions import ARKIT_BLENDSHAPES

    return ARKIT_BLENDSHAPES.names


def _set_gaze(space: ConditionSpace, conditions: Tensor, rng: torch.Generator) -> None:
    """Both eyes look the same way, in half of the samples straight ahead."""
    count = len(conditions)
    moved = (torch.rand(count, generator=rng) < 0.5).float()
    across = 0.4 * torch.randn(count, generator=rng) * moved
    up = 0.4 * torch.randn(count, generator=rng) * moved
    amounts = (across, across, -across, -across, up, up, -up, -up)
    for name, amount in zip(_GAZE, amounts, strict=True):
        if name in space.names:
            i = space.index(name)
            low, high = space.neutral[i], space.high[i]
            conditions[:, i] = low + (high - low) * amount.clamp(0, 1)


def _drop_contradictions(space: ConditionSpace, conditions: Tensor) -> None:
    neutral = torch.tensor(space.neutral)
    positions = {name: i for i, name in enumerate(space.names)}
    sides = ("", "Left", "Right")
    for first, second in _CONTRADICTIONS:
        for side_1 in sides:
            for side_2 in sides:
                a, b = positions.get(first + side_1), positions.get(second + side_2)
                if a is None or b is None or (side_1 and side_2 and side_1 != side_2):
                    continue
                first_wins = conditions[:, a] - neutral[a] >= conditions[:, b] - neutral[b]
                both = (conditions[:, a] > neutral[a]) & (conditions[:, b] > neutral[b])
                conditions[both & first_wins, b] = neutral[b]
                conditions[both & ~first_wins, a] = neutral[a]
