"""The systems of the papers' tables: sizes and lengths of the runs, and how each system is put together."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from paper_scores import Trials

from aucond import (
    AttentionGenerator,
    ConditionSpace,
    ConvRegressionHead,
    GANimation,
    GANimationWeights,
    IdentityLoss,
    PatchCritic,
    RelativisticAverage,
    ShuffleTargets,
    TrainerConfig,
    Wasserstein,
)
from aucond.data import ExactPairs, PairedPhases, TensorLoader, make_loader
from aucond.faces import synthetic_identity_encoder
from aucond.recipes import SliderGAN, SliderGANWeights

SYSTEMS = (
    "ganimation",
    "ganimation_detector",
    "slidergan_wgp",
    "slidergan_rad",
    "slidergan_rad_without_pairs",
    "slidergan_rad_without_identity",
)


@dataclass(frozen=True)
class Preset:
    """Sizes and lengths: ``quick`` takes an hour of one CPU core, ``medium`` several, ``full`` a GPU."""

    size: int
    batch_size: int
    base_channels: int
    residual_blocks: int
    critic_channels: int
    critic_layers: int
    identities: int
    scenes: int
    test_scenes: int
    speech_sequences: int
    speech_frames: int
    seeds: int
    reading: tuple[tuple[int, float], ...]
    """What the critic learns before the game: so many batches with a learning rate, then so many with the next."""
    instance_noise: float
    """On what GANimation's critic sees: without pairs its generator needs it. SliderGAN's has none, as published."""
    conditioning: Literal["film", "planes"]
    relative: bool
    initial_attention: float | None
    color: Literal["painted", "warped"]
    ganimation: GANimationWeights
    slidergan: SliderGANWeights
    config: TrainerConfig


PRESETS = {
    "quick": Preset(
        size=32,
        batch_size=16,
        base_channels=12,
        residual_blocks=2,
        critic_channels=24,
        critic_layers=4,
        identities=1500,
        scenes=5000,
        test_scenes=120,
        speech_sequences=10,
        speech_frames=24,
        seeds=3,
        reading=((2500, 5e-4),),
        instance_noise=0.2,
        conditioning="planes",
        relative=True,
        initial_attention=0.1,
        color="painted",
        ganimation=GANimationWeights.small_faces(),
        slidergan=dataclasses.replace(SliderGANWeights.small_faces(), expression=50.0),
        config=TrainerConfig(
            steps=1400,
            critic_steps_per_generator_step=1,
            learning_rate=1e-3,
            critic_learning_rate=4e-4,
            ema_decay=0.99,
            checkpoint_every=400,
            log_every=50,
        ),
    ),
    "medium": Preset(
        size=64,
        batch_size=16,
        base_channels=24,
        residual_blocks=3,
        critic_channels=32,
        critic_layers=5,
        identities=10_000,
        scenes=20_000,
        test_scenes=200,
        speech_sequences=16,
        speech_frames=24,
        seeds=1,
        reading=((8_000, 6e-4), (3_000, 2e-4), (1_000, 6e-5)),
        instance_noise=0.2,
        conditioning="film",
        relative=True,
        initial_attention=0.8,
        color="warped",
        ganimation=GANimationWeights.small_faces(),
        slidergan=dataclasses.replace(SliderGANWeights.small_faces(), expression=50.0),
        config=TrainerConfig(
            steps=1000,
            critic_steps_per_generator_step=1,
            learning_rate=1e-3,
            critic_learning_rate=2e-4,
            ema_decay=0.99,
            precision="bfloat16",
            checkpoint_every=500,
            log_every=50,
        ),
    ),
    "full": Preset(
        size=128,
        batch_size=16,
        base_channels=64,
        residual_blocks=6,
        critic_channels=64,
        critic_layers=6,
        identities=10_000,
        scenes=40_000,
        test_scenes=500,
        speech_sequences=40,
        speech_frames=60,
        seeds=3,
        reading=((60_000, 1e-3), (20_000, 3e-4), (10_000, 1e-4)),
        instance_noise=0.2,
        conditioning="film",
        relative=True,
        initial_attention=0.8,
        color="warped",
        ganimation=GANimationWeights.small_faces(),
        slidergan=dataclasses.replace(SliderGANWeights.small_faces(), expression=50.0),
        config=TrainerConfig(
            steps=40_000,
            critic_steps_per_generator_step=1,
            learning_rate=4e-4,
            critic_learning_rate=2e-4,
            precision="bfloat16",
            checkpoint_every=5000,
            log_every=200,
        ),
    ),
}


@dataclass(frozen=True, eq=False)
class Study:
    """Everything the runs share: training faces, annotations, trials."""

    known: Mapping[str, torch.Tensor]
    """Of the training pictures: ``images``, ``groups``, ``identities``, ``true_units``; the action units, ``exact`` and
    ``detected``, and the blendshape ``parameters``."""
    action_units: ConditionSpace
    blendshapes: ConditionSpace
    trials_of_units: Trials
    trials_of_blendshapes: Trials
    eyes: float
    """The mean inter-ocular distance in pixels."""
    unsettled: Mapping[str, float]
    """The relative error of blendshape parameters by the error of the landmarks, in shares of that distance."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """Faces as one system knows them: what a TensorLoader takes."""

    images: torch.Tensor
    conditions: torch.Tensor
    identities: torch.Tensor
    space: ConditionSpace


def is_slider(system: str) -> bool:
    """Whether a system is SliderGAN, and annotated with blendshape parameters."""
    return system.startswith("slidergan")


def build(system: str, preset: Preset, study: Study, seed: int) -> tuple[Any, Any]:
    """The objective of a system, and its batches."""
    space = study.blendshapes if is_slider(system) else study.action_units
    images, groups, identities = (study.known[name] for name in ("images", "groups", "identities"))
    annotation = {"ganimation": "exact", "ganimation_detector": "detected"}.get(system, "parameters")
    conditions = study.known[annotation]
    torch.manual_seed(seed)
    generator = AttentionGenerator(
        space,
        base_channels=preset.base_channels,
        num_residual_blocks=preset.residual_blocks,
        conditioning=preset.conditioning,
        relative=preset.relative,
        initial_attention=preset.initial_attention,
        color=preset.color,
    )
    head = functools.partial(
        ConvRegressionHead,
        out_features=space.dim,
        kernel_size=preset.size // 2**preset.critic_layers,
    )
    critic = PatchCritic(
        {"condition": head},
        base_channels=preset.critic_channels,
        num_layers=preset.critic_layers,
        negative_slope=0.2,
    )
    unpaired = TensorLoader(Annotated(images, conditions, identities, space), preset.batch_size, seed=seed)
    if not is_slider(system):
        targets = ShuffleTargets(jitter=0.0)
        objective: Any = GANimation(
            generator,
            critic,
            weights=preset.ganimation,
            targets=targets,
            instance_noise=preset.instance_noise,
        )
        return objective, unpaired
    objective = SliderGAN(
        generator,
        critic,
        weights=preset.slidergan,
        adversarial=Wasserstein() if system == "slidergan_wgp" else RelativisticAverage(),
        identity=None if system.endswith("without_identity") else IdentityLoss(synthetic_identity_encoder()),
    )
    if system.endswith("without_pairs"):
        return objective, unpaired
    pairs = ExactPairs(images, conditions, groups, space=space, identities=identities, seed=seed)
    loader = make_loader(pairs, preset.batch_size, seed=seed)
    return objective, PairedPhases(loader, unpaired, paired_steps=preset.config.steps // 3, seed=seed)
