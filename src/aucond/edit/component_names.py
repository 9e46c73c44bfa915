"""What the components of a space are called in words, and where on the face they act."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from aucond._check import describe
from aucond.conditions import ConditionSpace

__all__ = ["Region", "component_label", "group_components"]

Region: TypeAlias = Literal["brows", "eyes", "nose", "mouth", "other"]
"""A part of the face."""

_ACTION_UNITS: Mapping[str, tuple[Region, str]] = MappingProxyType(
    {
        "AU01": ("brows", "raise the inner brows"),
        "AU02": ("brows", "raise the outer brows"),
        "AU04": ("brows", "lower and draw together the brows"),
        "AU05": ("eyes", "open the eyes wide"),
        "AU06": ("eyes", "raise the cheeks"),
        "AU07": ("eyes", "tighten the lids"),
        "AU09": ("nose", "wrinkle the nose"),
        "AU10": ("mouth", "raise the upper lip"),
        "AU12": ("mouth", "smile, lip corners up"),
        "AU14": ("mouth", "dimple the cheeks"),
        "AU15": ("mouth", "frown, lip corners down"),
        "AU17": ("mouth", "push the chin up"),
        "AU20": ("mouth", "stretch the lips sideways"),
        "AU23": ("mouth", "tighten the lips"),
        "AU25": ("mouth", "part the lips"),
        "AU26": ("mouth", "drop the jaw"),
        "AU45": ("eyes", "blink, close the eyes"),
    }
)
_PREFIXES: Mapping[str, Region] = MappingProxyType(
    {
        "brow": "brows",
        "eye": "eyes",
        "cheekSquint": "eyes",
        "nose": "nose",
        "cheekPuff": "mouth",
        "jaw": "mouth",
        "mouth": "mouth",
        "tongue": "mouth",
    }
)


def component_label(name: str) -> str:
    """Say in words what a component does; a name that is not known is its own label.

    >>> component_label("AU12"), component_label("mouthSmileLeft"), component_label("pca_00")
    ('AU12: smile, lip corners up', 'mouth smile, left', 'pca_00')
    """
    if not isinstance(name, str):
        raise TypeError(f"name: expected a component's name, got {describe(name)}")
    if name in _ACTION_UNITS:
        return f"{name}: {_ACTION_UNITS[name][1]}"
    if _region(name) == "other":
        return name
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|\d+", name)]
    if len(words) > 2 and words[-1] in ("left", "right"):
        return f"{' '.join(words[:-1])}, {words[-1]}"
    return " ".join(words)


def group_components(space: ConditionSpace) -> dict[Region, tuple[str, ...]]:
    """Group the components of a space by where they act, from the brows down; groups without a component are left out.

    OpenFace's action units and ARKit's blendshapes are known; other names come under ``"other"``. Within a group
    the order is the space's.

    >>> group_components(ConditionSpace(["AU12", "AU01", "pca_00", "jawOpen"]))
    {'brows': ('AU01',), 'mouth': ('AU12', 'jawOpen'), 'other': ('pca_00',)}
    """
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    order: tuple[Region, ...] = ("brows", "eyes", "nose", "mouth", "other")
    groups = {region: tuple(n for n in space.names if _region(n) == region) for region in order}
    return {region: names for region, names in groups.items() if names}


def _region(name: str) -> Region:
    if name in _ACTION_UNITS:
        return _ACTION_UNITS[name][0]
    for prefix, region in _PREFIXES.items():
        if re.match(rf"{prefix}(?![a-z])", name):
            return region
    return "other"
