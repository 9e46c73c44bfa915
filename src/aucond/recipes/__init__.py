"""Recipes: published systems as objectives made of the library's pieces."""

from aucond.recipes.ganimation import GANimation, GANimationWeights
from aucond.recipes.pretraining import pretrain_condition_head

__all__ = ["GANimation", "GANimationWeights", "pretrain_condition_head"]
