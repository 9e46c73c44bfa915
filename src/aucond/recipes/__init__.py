"""Recipes: published systems as objectives made of the library's pieces."""

from aucond.recipes.ganimation import GANimation, GANimationWeights

__all__ = ["GANimation", "GANimationWeights"]
