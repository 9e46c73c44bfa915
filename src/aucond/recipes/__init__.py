"""Recipes: published systems as objectives made of the library's pieces."""

from aucond.recipes.cyclegan import CycleGAN, CycleGANWeights, UnpairedDomains
from aucond.recipes.ganimation import GANimation, GANimationWeights
from aucond.recipes.maskless import MasklessGenerator
from aucond.recipes.pretraining import pretrain_condition_head
from aucond.recipes.slidergan import SliderGAN, SliderGANWeights
from aucond.recipes.stargan import StarGAN, StarGANWeights

__all__ = [
    "CycleGAN",
    "CycleGANWeights",
    "GANimation",
    "GANimationWeights",
    "MasklessGenerator",
    "SliderGAN",
    "SliderGANWeights",
    "StarGAN",
    "StarGANWeights",
    "UnpairedDomains",
    "pretrain_condition_head",
]
