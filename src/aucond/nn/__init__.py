"""Networks: generator, critic, heads and the blocks they are built from."""

from aucond.nn.critic import PatchCritic
from aucond.nn.generator import AttentionGenerator
from aucond.nn.heads import (
    BoundedRegressionHead,
    ClassificationHead,
    ConvRegressionHead,
    MLPRegressionHead,
    PooledRegressionHead,
)
from aucond.nn.published import from_published_state_dict

__all__ = [
    "AttentionGenerator",
    "BoundedRegressionHead",
    "ClassificationHead",
    "ConvRegressionHead",
    "MLPRegressionHead",
    "PatchCritic",
    "PooledRegressionHead",
    "from_published_state_dict",
]
