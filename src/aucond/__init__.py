"""aucond: editing images under a continuous condition vector with attention-masked conditional GANs.

The pieces are imported with the package; what needs an extra (``aucond.Trainer``) is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aucond._version import __version__
from aucond.conditions import (
    ARKIT_BLENDSHAPES,
    OPENFACE_AUS,
    ConditionSpace,
    labels,
    pca_blendshapes,
    speech_blendshapes,
)
from aucond.losses import (
    Hinge,
    IdentityLoss,
    LeastSquares,
    NonSaturating,
    RelativisticAverage,
    RelativisticPairing,
    Wasserstein,
    attention_l1_loss,
    attention_l2_loss,
    attention_tv_loss,
    condition_regression_loss,
    cycle_identity_loss,
    explicit_gradient,
    gradient_penalty,
    hinge_critic_loss,
    hinge_generator_loss,
    identity_loss,
    interpolate,
    least_squares_critic_loss,
    least_squares_generator_loss,
    non_saturating_critic_loss,
    non_saturating_generator_loss,
    paired_reconstruction_loss,
    r1_penalty,
    r2_penalty,
    relativistic_average_critic_loss,
    relativistic_average_generator_loss,
    relativistic_average_loss,
    relativistic_pairing_critic_loss,
    relativistic_pairing_generator_loss,
    wgan_critic_loss,
    wgan_generator_loss,
    wgan_gp_loss,
)
from aucond.nn import (
    AttentionGenerator,
    BoundedRegressionHead,
    ClassificationHead,
    ConvRegressionHead,
    MLPRegressionHead,
    PatchCritic,
    PooledRegressionHead,
    from_published_state_dict,
)
from aucond.ops import (
    BlendTerms,
    mask_blend,
    mask_blend_from_logits,
    mask_blend_with_tv,
)
from aucond.recipes import (
    CycleGAN,
    CycleGANWeights,
    GANimation,
    GANimationWeights,
    MasklessGenerator,
    SliderGAN,
    SliderGANWeights,
    StarGAN,
    StarGANWeights,
    UnpairedDomains,
    pretrain_condition_head,
)
from aucond.targets import (
    BankTargets,
    ShuffleTargets,
    TargetSampler,
    UniformTargets,
)
from aucond.types import (
    Batch,
    CriticOutput,
    GeneratorOutput,
    HeadFactory,
    LossTerms,
    Objective,
    Reduction,
)

if TYPE_CHECKING:
    from aucond.edit import FaceEditor
    from aucond.train import Trainer, TrainerConfig

__all__ = [
    "ARKIT_BLENDSHAPES",
    "OPENFACE_AUS",
    "AttentionGenerator",
    "BankTargets",
    "Batch",
    "BlendTerms",
    "BoundedRegressionHead",
    "ClassificationHead",
    "ConditionSpace",
    "ConvRegressionHead",
    "CriticOutput",
    "CycleGAN",
    "CycleGANWeights",
    "FaceEditor",
    "GANimation",
    "GANimationWeights",
    "GeneratorOutput",
    "HeadFactory",
    "Hinge",
    "IdentityLoss",
    "LeastSquares",
    "LossTerms",
    "MLPRegressionHead",
    "MasklessGenerator",
    "NonSaturating",
    "Objective",
    "PatchCritic",
    "PooledRegressionHead",
    "Reduction",
    "RelativisticAverage",
    "RelativisticPairing",
    "ShuffleTargets",
    "SliderGAN",
    "SliderGANWeights",
    "StarGAN",
    "StarGANWeights",
    "TargetSampler",
    "Trainer",
    "TrainerConfig",
    "UniformTargets",
    "UnpairedDomains",
    "Wasserstein",
    "__version__",
    "attention_l1_loss",
    "attention_l2_loss",
    "attention_tv_loss",
    "condition_regression_loss",
    "cycle_identity_loss",
    "explicit_gradient",
    "from_published_state_dict",
    "gradient_penalty",
    "hinge_critic_loss",
    "hinge_generator_loss",
    "identity_loss",
    "interpolate",
    "labels",
    "least_squares_critic_loss",
    "least_squares_generator_loss",
    "mask_blend",
    "mask_blend_from_logits",
    "mask_blend_with_tv",
    "non_saturating_critic_loss",
    "non_saturating_generator_loss",
    "paired_reconstruction_loss",
    "pca_blendshapes",
    "pretrain_condition_head",
    "r1_penalty",
    "r2_penalty",
    "relativistic_average_critic_loss",
    "relativistic_average_generator_loss",
    "relativistic_average_loss",
    "relativistic_pairing_critic_loss",
    "relativistic_pairing_generator_loss",
    "speech_blendshapes",
    "wgan_critic_loss",
    "wgan_generator_loss",
    "wgan_gp_loss",
]

_LOADED_ON_USE = {"FaceEditor": "aucond.edit", "Trainer": "aucond.train", "TrainerConfig": "aucond.train"}


def __getattr__(name: str) -> object:
    if name in _LOADED_ON_USE:
        from importlib import import_module

        return getattr(import_module(_LOADED_ON_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
