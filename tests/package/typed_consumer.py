"""Code of somebody who uses the installed package and type-checks strictly; mypy reads it, nobody runs it."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from typing_extensions import assert_type

import aucond
from aucond import (
    OPENFACE_AUS,
    AttentionGenerator,
    Batch,
    ConditionSpace,
    ConvRegressionHead,
    CriticOutput,
    GANimation,
    GANimationWeights,
    GeneratorOutput,
    Hinge,
    LossTerms,
    Objective,
    PatchCritic,
    Trainer,
    TrainerConfig,
    wgan_gp_loss,
)
from aucond.train import TrainResult


def spaces() -> None:
    space = ConditionSpace(["smile", "blink"], mirror={"smile": "smile"})
    assert_type(space.dim, int)
    assert_type(space.vector(smile=0.5), Tensor)
    assert_type(space + OPENFACE_AUS, ConditionSpace)
    space.vector(smile="much")  # type: ignore[arg-type]


def networks(image: Tensor) -> None:
    generator = AttentionGenerator(OPENFACE_AUS, conditioning="film")
    assert_type(generator.edit(image, image, image), GeneratorOutput)
    AttentionGenerator(OPENFACE_AUS, conditioning="flim")  # type: ignore[arg-type]
    heads = {"condition": partial(ConvRegressionHead, out_features=17, kernel_size=2)}
    output = PatchCritic(heads).forward(image)
    assert_type(output, CriticOutput)
    assert_type(output.predictions["condition"], Tensor)


def losses(critic: PatchCritic, image: Tensor) -> None:
    assert_type(wgan_gp_loss(critic, image, image, reduction="none"), Tensor)
    wgan_gp_loss(critic, image, image, reduction="avg")  # type: ignore[arg-type]
    wgan_gp_loss(lambda x: x.mean((1, 2, 3)), image, image)
    assert_type(aucond.attention_tv_loss(image, norm="l1"), Tensor)


def recipe(generator: AttentionGenerator, critic: PatchCritic, batch: Batch) -> None:
    objective: Objective = GANimation(
        generator, critic, adversarial=Hinge(), weights=GANimationWeights.paper()
    )
    terms = objective.critic_loss(batch, torch.Generator())
    assert_type(terms, LossTerms)
    assert_type(terms.total, Tensor)
    trainer = Trainer(objective, TrainerConfig(steps=1), folder="runs/x")
    assert_type(trainer.fit([batch]), TrainResult)
    GANimation(generator, batch)  # type: ignore[arg-type]
