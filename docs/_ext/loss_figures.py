"""The curves of the loss pages, drawn by the losses themselves when the documentation is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from generated import BLUE, GREEN, INK, ORANGE, style, svg, write
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sphinx.application import Sphinx

import aucond


def adversarial(loss: aucond.losses.AdversarialLoss) -> Figure:
    """What one score costs the critic and the generator, the other score held at 0."""
    scores = torch.linspace(-4, 4, 161)
    zero = torch.zeros(1)
    critic_real = [loss.critic(s[None], zero) - loss.critic(zero, zero) for s in scores]
    critic_fake = [loss.critic(zero, s[None]) - loss.critic(zero, zero) for s in scores]
    generator = [loss.generator(s[None], zero) - loss.generator(zero, zero) for s in scores]
    figure, axes = _new("score, the other one held at 0", "change of the loss from score 0")
    axes.axhline(0, color=INK, linewidth=0.8, alpha=0.5)
    axes.plot(scores, critic_real, color=BLUE, label="critic, score of a real image")
    axes.plot(scores, critic_fake, color=ORANGE, label="critic, score of a fake")
    axes.plot(scores, generator, color=GREEN, linestyle="--", label="generator, score of a fake")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=1)
    return figure


def penalties() -> Figure:
    """The gradient penalty and R1 against the gradient's norm, measured on a linear critic of that slope."""
    slopes = torch.linspace(0, 2.5, 101)
    points = torch.zeros(1, 1, 1, 1)
    figure, axes = _new("norm of the critic's gradient", "penalty")
    critic = torch.nn.Conv2d(1, 1, 1, bias=False)
    curves: dict[str, list[float]] = {"gradient_penalty, center 1": [], "r1_penalty, r2_penalty": []}
    for slope in slopes:
        torch.nn.init.constant_(critic.weight, float(slope))
        wrapped = torch.nn.Sequential(critic)
        curves["gradient_penalty, center 1"].append(aucond.gradient_penalty(wrapped, points).item())
        curves["r1_penalty, r2_penalty"].append(aucond.r1_penalty(wrapped, points).item())
    for (label, values), color in zip(curves.items(), (BLUE, ORANGE), strict=True):
        axes.plot(slopes, values, color=color, label=label)
    axes.legend(loc="upper left")
    return figure


def masks() -> Figure:
    """Four masks of one mean, and what each regulariser says of them."""
    rng = torch.Generator().manual_seed(0)
    side = 32
    columns = torch.arange(side).expand(side, side)
    half = (columns >= side // 2).float()
    examples = {
        "constant": torch.full((side, side), 0.5),
        "ramp": columns / (side - 1),
        "step": half,
        "noise": half.flatten()[torch.randperm(side * side, generator=rng)].reshape(side, side),
    }
    figure = Figure(figsize=(7.2, 2.9))
    for index, (name, mask) in enumerate(examples.items(), start=1):
        axes = figure.add_subplot(1, 4, index)
        axes.imshow(mask, cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
        axes.set_title(name, fontsize=11)
        batch = mask[None, None]
        values = {
            "tv l2": aucond.attention_tv_loss(batch),
            "tv l1": aucond.attention_tv_loss(batch, norm="l1"),
            "norm l2": aucond.attention_l2_loss(batch),
            "mean l1": aucond.attention_l1_loss(batch),
        }
        text = "\n".join(f"{label} = {value.item():.4g}" for label, value in values.items())
        axes.text(0.5, -0.08, text, transform=axes.transAxes, ha="center", va="top", color=INK)
    figure.subplots_adjust(left=0.02, right=0.98, top=0.9, bottom=0.36)
    return figure


def _new(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 3.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)
    return figure, axes


FIGURES: dict[str, Callable[[], Figure]] = {
    "wasserstein": lambda: adversarial(aucond.Wasserstein()),
    "relativistic_average": lambda: adversarial(aucond.RelativisticAverage()),
    "relativistic_average_log": lambda: adversarial(aucond.RelativisticAverage("log")),
    "relativistic_pairing": lambda: adversarial(aucond.RelativisticPairing()),
    "least_squares": lambda: adversarial(aucond.LeastSquares()),
    "hinge": lambda: adversarial(aucond.Hinge()),
    "non_saturating": lambda: adversarial(aucond.NonSaturating()),
    "penalties": penalties,
    "masks": masks,
}


def draw(app: Sphinx) -> None:
    """Write every figure as SVG; a file that would not change is left alone, so that nothing is rebuilt for it."""
    with style():
        for name, make in FIGURES.items():
            write(Path(app.srcdir) / "_generated" / f"{name}.svg", svg(make()))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
