"""The condition space: what the numbers of a condition vector are called and which values they may take.

Everything that depends on the condition (networks, data, samplers, plots) reads one :class:`ConditionSpace`,
so going from 17 action units to 52 blendshapes or to six names of one's own changes that one object.
"""

from aucond.conditions.presets import (
    ARKIT_BLENDSHAPES,
    OPENFACE_AUS,
    labels,
    pca_blendshapes,
    speech_blendshapes,
)
from aucond.conditions.space import ConditionSpace

__all__ = [
    "ARKIT_BLENDSHAPES",
    "OPENFACE_AUS",
    "ConditionSpace",
    "labels",
    "pca_blendshapes",
    "speech_blendshapes",
]
