from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy_training import CONDITIONS, ToyObjective, noisy_loader, preview, toy_config, toy_trainer

from aucond.train import (
    DamagedCheckpointError,
    Monitor,
    Trainer,
    TrainerConfig,
    TrainingDivergedError,
    read_checkpoint,
    read_log,
)
from aucond.types import Batch, LossTerms

FIXED: list[Batch] = [
    {"image": torch.rand(4, 3, 8, 8) * 2 - 1, "condition": torch.rand(4, CONDITIONS)} for _ in range(3)
]


class Plain:
    """An objective without any randomness: linear networks and smooth losses."""

    def __init__(self) -> None:
        self.generator: nn.Module = nn.Linear(CONDITIONS, 5)
        self.critic: nn.Module = nn.Linear(5, 1)
        for network, value in ((self.generator, 0.1), (self.critic, 0.3)):
            for parameter in network.parameters():
                nn.init.constant_(parameter, value)

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        score = self.critic(self.generator(batch["condition"]).detach())
        return LossTerms({"adversarial": score.mean(), "size": self.critic(torch.ones(1, 5)).square().mean()})

    def generator_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        return LossTerms({"adversarial": -self.critic(self.generator(batch["condition"])).mean()})


class Changed(ToyObjective):
    """The toy whose losses pass through a function of (network, how often it was called, terms)."""

    def __init__(self, change: Callable[[str, int, LossTerms], LossTerms]) -> None:
        super().__init__()
        self.change, self.calls = change, {"critic": 0, "generator": 0}

    def critic_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        self.calls["critic"] += 1
        return self.change("critic", self.calls["critic"], super().critic_loss(batch, rng))

    def generator_loss(self, batch: Batch, rng: torch.Generator | None = None) -> LossTerms:
        self.calls["generator"] += 1
        return self.change("generator", self.calls["generator"], super().generator_loss(batch, rng))


def weights(network: nn.Module) -> list[Tensor]:
    return [t.clone() for t in network.state_dict().values()]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(map(torch.equal, first, second))


def test_the_steps_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    config = TrainerConfig(
        steps=12, critic_steps_per_generator_step=3, learning_rate=0.01, critic_learning_rate=0.02
    )
    trained, plain = Plain(), Plain()
    result = Trainer(trained, config, folder=tmp_path, progress=False, tensorboard=False, cpu=True).fit(FIXED)
    critic = torch.optim.Adam(plain.critic.parameters(), betas=(0.5, 0.999), fused=True)
    generator = torch.optim.Adam(plain.generator.parameters(), betas=(0.5, 0.999), fused=True)
    for step in range(1, 13):
        batch, factor = FIXED[(step - 1) % 3], 1.0 if step <= 8 else (13 - step) / 4
        for optimizer, rate, loss, trains in (
            (critic, 0.02, plain.critic_loss, True),
            (generator, 0.01, plain.generator_loss, step % 3 == 0),
        ):
            if trains:
                optimizer.param_groups[0]["lr"] = rate * factor
                optimizer.zero_grad()
                loss(batch).total.backward()
                optimizer.step()
    assert same(weights(trained.critic), weights(plain.critic))
    assert same(weights(trained.generator), weights(plain.generator))
    assert result.steps == 12 and result.checkpoint == tmp_path / "checkpoints" / "step_00000012"
    assert set(result.terms) == {
        *("critic/adversarial", "critic/size", "critic/total", "generator/adversarial", "generator/total")
    }


def test_the_warmup_trains_the_critic_alone(tmp_path: Path) -> None:
    objective = ToyObjective()
    before = weights(objective.generator), weights(objective.critic)
    trainer = toy_trainer(tmp_path, objective, steps=5, critic_warmup_steps=5)
    trainer.fit(noisy_loader())
    # Running statistics of the norm do move when the critic's fakes are made; the parameters must not.
    after = list(objective.generator.parameters())
    assert same(after, list(ToyObjective().generator.parameters()))
    assert not same(before[1], weights(objective.critic))
    assert same(list(trainer.ema.parameters()), after)


def test_each_network_learns_with_the_other_frozen(tmp_path: Path) -> None:
    flags: list[tuple[str, bool, bool]] = []

    def look(name: str, call: int, terms: LossTerms) -> LossTerms:
        flags.append(
            (name, *(any(p.requires_grad for p in n.parameters()) for n in (toy.generator, toy.critic)))
        )
        return terms

    toy = Changed(look)
    kept = toy.critic.get_submodule("first").bias
    kept.requires_grad_(False)
    value = kept.detach().clone()
    toy_trainer(tmp_path, toy, steps=4).fit(noisy_loader())
    assert set(flags) == {("critic", False, True), ("generator", True, False)}
    assert not kept.requires_grad and torch.equal(kept, value)
    assert sum(p.requires_grad for n in (toy.generator, toy.critic) for p in n.parameters()) == 9


def test_the_gradient_is_clipped(tmp_path: Path) -> None:
    norms: list[Tensor] = []
    toy = ToyObjective()
    trainer = toy_trainer(tmp_path, toy, steps=6, gradient_clip=1e-3)
    step = torch.optim.Adam.step

    def look(optimizer: Any, *arguments: Any) -> Any:
        gradients = [p.grad.flatten() for p in optimizer.param_groups[0]["params"]]
        norms.append(torch.cat(gradients).norm())
        return step(optimizer, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", look)
        trainer.fit(noisy_loader())
    assert len(norms) == 9 and all(0.5e-3 < n < 1.001e-3 for n in norms)


def test_bfloat16_computes_in_bfloat16_and_keeps_float32(tmp_path: Path) -> None:
    seen: set[torch.dtype] = set()
    toy = ToyObjective()
    toy.critic.get_submodule("last").register_forward_hook(lambda m, i, o: seen.add(o.dtype))
    toy_trainer(tmp_path, toy, steps=4, precision="bfloat16").fit(noisy_loader())
    assert seen == {torch.bfloat16}
    assert {p.dtype for n in (toy.generator, toy.critic) for p in n.parameters()} == {torch.float32}
    saved = read_checkpoint(tmp_path / "checkpoints" / "step_00000004").tensors
    assert saved["critic_optimizer"]["first.weight.exp_avg_sq"].dtype == torch.float32


def test_the_log_has_every_value_and_the_previews_are_pictures(tmp_path: Path) -> None:
    result = toy_trainer(tmp_path, steps=11).fit(noisy_loader())
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["step"] for line in lines] == [3, 6, 9, 11]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 2]
    assert set(lines[0]) == {
        *("step", "epoch", "learning_rate", "seconds", "monitor/attention_mean", "monitor/edit_size"),
        *(f"critic/{n}" for n in ("adversarial", "gradient_penalty", "condition", "total")),
        *(f"generator/{n}" for n in ("adversarial", "condition", "cycle", "attention", "total")),
    }
    terms = [v for k, v in lines[-1].items() if k.startswith("generator/") and k != "generator/total"]
    assert sum(terms) == pytest.approx(lines[-1]["generator/total"], rel=1e-5)
    assert {k: v for k, v in lines[-1].items() if "/" in k} == pytest.approx(result.terms)
    assert sorted(p.name for p in (tmp_path / "previews").iterdir()) == ["step_000010.png", "step_000011.png"]


def test_the_average_is_saved_under_the_generators_names(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, steps=8)
    trainer.fit(noisy_loader())
    saved = read_checkpoint(tmp_path / "checkpoints" / "step_00000008")
    fresh = ToyObjective().generator
    fresh.load_state_dict(saved.tensors["ema"])
    assert same(weights(fresh), weights(trainer.ema)) and saved.state["ema_updates"] == 4
    assert not same(weights(fresh), weights(trainer.objective.generator))


def test_training_leaves_the_global_generators_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    toy_trainer(tmp_path, steps=5).fit(noisy_loader())
    assert torch.equal(torch.rand(3), expected)


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    ends = []
    for seed in (0, 1):
        toy = ToyObjective()
        toy_trainer(tmp_path / str(seed), toy, steps=4, seed=seed).fit(noisy_loader())
        ends.append(weights(toy.critic))
    assert not same(*ends)


def test_a_collapsed_mask_is_told_with_the_recipes_advice_and_the_good_checkpoint_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def collapse(name: str, call: int, terms: LossTerms) -> LossTerms:
        mean = torch.tensor(0.2 if call <= 13 else 0.0)
        return LossTerms(dict(terms), {"attention_mean": mean} if name == "generator" else {})

    trainer = Trainer(
        Changed(collapse),
        toy_config(steps=25, critic_steps_per_generator_step=1, checkpoint_every=4, keep_checkpoints=1),
        folder=tmp_path,
        monitor=Monitor({"collapsed_to_0": "lower ToyWeights.attention"}, window=5),
        progress=False,
        tensorboard=False,
    )
    with caplog.at_level(logging.WARNING, logger="aucond.train"):
        result = trainer.fit(noisy_loader())
    [verdict] = result.verdicts
    assert (verdict.kind, verdict.step) == ("collapsed_to_0", 18)
    assert verdict.message.endswith("lower ToyWeights.attention") and verdict.message in caplog.messages
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl") if "verdicts" in line] == [18]
    kept = sorted((tmp_path / "checkpoints").iterdir())
    # At step 16 there is no alarm yet, but the mask is empty already.
    assert [p.name for p in kept] == ["step_00000012", "step_00000025"]
    assert [read_checkpoint(p).state["good"] for p in kept] == [True, False]


def test_the_monitor_gets_the_objectives_advice(tmp_path: Path) -> None:
    toy = ToyObjective()
    toy.advice = {"collapsed_to_0": "lower ToyWeights.attention"}  # type: ignore[attr-defined]
    trainer = toy_trainer(tmp_path, toy)
    for step in range(50):
        verdicts = trainer.monitor.update(step, {}, {"attention_mean": 0.0})
    assert verdicts[0].message.endswith("lower ToyWeights.attention")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_at_the_last_good_checkpoint(
    tmp_path: Path, value: float
) -> None:
    def break_down(name: str, call: int, terms: LossTerms) -> LossTerms:
        return (
            LossTerms({**terms, "cycle": terms["cycle"] * value})
            if (name, call) == ("generator", 9)
            else terms
        )

    toy = Changed(break_down)
    trainer = toy_trainer(tmp_path, toy)
    with pytest.raises(
        TrainingDivergedError, match=f"step 18: the loss term generator/cycle is {value}: "
    ) as caught:
        trainer.fit(noisy_loader())
    assert caught.value.checkpoint == tmp_path / "checkpoints" / "step_00000014"
    assert trainer.step == 14
    saved = read_checkpoint(caught.value.checkpoint).tensors
    assert all(
        torch.equal(tensor, saved["generator"][name]) for name, tensor in toy.generator.state_dict().items()
    )
    assert [p.name for p in sorted((tmp_path / "checkpoints").iterdir())] == [
        "step_00000007",
        "step_00000014",
    ]
    last = read_log(tmp_path / "log.jsonl")[-1]
    assert last["step"] == 18 and last["generator/cycle"] is None and "verdicts" in last
    # The breakdown was one of this call only; the same Trainer can go on from the good checkpoint.
    assert trainer.fit(noisy_loader()).steps == 30


def breaks_at(critic_call: int) -> Changed:
    def break_down(name: str, call: int, terms: LossTerms) -> LossTerms:
        factor = float("nan") if (name, call) == ("critic", critic_call) else 1.0
        return LossTerms({**terms, "condition": terms["condition"] * factor})

    return Changed(break_down)


def test_a_run_with_changed_settings_goes_back_to_weights_of_the_old_ones(tmp_path: Path) -> None:
    toy_trainer(tmp_path, steps=14).fit(noisy_loader())
    trainer = toy_trainer(tmp_path, breaks_at(3), steps=30, learning_rate=0.01)
    with pytest.warns(RuntimeWarning, match="going on with other settings"):
        trainer.resume(allow_changed_config=True)
    with pytest.raises(TrainingDivergedError, match="step_00000014, has been loaded") as caught:
        trainer.fit(noisy_loader())
    assert caught.value.checkpoint == tmp_path / "checkpoints" / "step_00000014" and trainer.step == 14
    saved = read_checkpoint(caught.value.checkpoint).tensors["generator"]
    state = trainer.objective.generator.state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in state.items())


def test_a_run_that_diverges_says_so_even_if_its_checkpoint_is_damaged(tmp_path: Path) -> None:
    toy_trainer(tmp_path, steps=14).fit(noisy_loader())
    with pytest.warns(RuntimeWarning, match="steps was 14, is 30"):
        trainer = toy_trainer(tmp_path, breaks_at(3)).resume(allow_changed_config=True)
    (tmp_path / "checkpoints" / "step_00000014" / "ema.safetensors").unlink()
    message = "step 17: the loss term critic/condition is nan.*step_00000014, could not be loaded: .*ema"
    with pytest.raises(TrainingDivergedError, match=message) as caught:
        trainer.fit(noisy_loader())
    assert caught.value.checkpoint is None and isinstance(caught.value.__cause__, DamagedCheckpointError)


def test_a_run_that_was_never_good_goes_back_to_its_last_checkpoint(tmp_path: Path) -> None:
    def break_down(name: str, call: int, terms: LossTerms) -> LossTerms:
        empty = {"attention_mean": torch.zeros(())} if name == "generator" else {}
        return LossTerms(
            {**terms, "condition": terms["condition"] * (float("nan") if call == 16 else 1.0)}, empty
        )

    with pytest.raises(TrainingDivergedError, match="The last checkpoint, .*step_00000014, has been loaded"):
        toy_trainer(tmp_path, Changed(break_down)).fit(noisy_loader())


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    def poison(name: str, call: int, terms: LossTerms) -> LossTerms:
        if (name, call) != ("critic", 7):
            return terms
        weight = toy.critic.get_submodule("first").weight
        return LossTerms({**terms, "root": (0 * weight.sum()).sqrt()})  # 0, with a gradient that is NaN

    toy = Changed(poison)
    with pytest.raises(
        TrainingDivergedError, match="step 7: the weights of the critic are not finite"
    ) as caught:
        toy_trainer(tmp_path, toy).fit(noisy_loader())
    assert caught.value.checkpoint is None and "no checkpoint to go back to" in str(caught.value)
    assert not (tmp_path / "checkpoints").exists()


def test_a_run_has_started_once_there_is_something_to_go_on_from(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "first", steps=7)
    assert not trainer.started
    (tmp_path / "first" / "checkpoints" / ".writing_step_00000007").mkdir(parents=True)
    assert not trainer.started and not toy_trainer(tmp_path / "first").started
    trainer.fit(noisy_loader())
    assert trainer.started and toy_trainer(tmp_path / "first").started
    # What was learnt elsewhere is not to be learnt again.
    assert toy_trainer(tmp_path / "second", steps=7).resume(tmp_path / "first").started
    assert not toy_trainer(tmp_path / "second").started


def test_objectives_with_more_than_two_networks_move_themselves(tmp_path: Path) -> None:
    moved: list[torch.device] = []
    toy = ToyObjective()
    toy.to = moved.append  # type: ignore[attr-defined]
    toy_trainer(tmp_path, toy)
    assert moved == [torch.device("cpu")]


def test_missing_accelerate_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ImportError, match=r'needs accelerate: pip install "aucond\[train\]"'):
        toy_trainer(tmp_path)


def with_(**attributes: Any) -> Any:
    toy = ToyObjective()
    for name, value in attributes.items():
        setattr(toy, name, value)
    return toy


class NoLosses:
    generator = critic = nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("objective", "error", "message"),
    [
        (NoLosses(), TypeError, "got a NoLosses without critic_loss"),
        ("toy", TypeError, "objective: expected generator, critic, .*got 'toy' without generator"),
        (with_(critic=3), TypeError, r"objective\.critic: expected a torch\.nn\.Module, got 3"),
        (
            with_(critic=nn.ReLU()),
            ValueError,
            r"objective\.critic: expected parameters that require gradients",
        ),
        (
            with_(generator=nn.Linear(2, 2).requires_grad_(False)),
            ValueError,
            r"objective\.generator: expected param",
        ),
        (with_(advice={"hm": "x"}), ValueError, "advice: expected keys among .*got 'hm'"),
        (
            with_(critic_loss=lambda b, r: {"a": torch.ones(())}),
            TypeError,
            "critic_loss: expected LossTerms, got a dict",
        ),
        (
            with_(critic_loss=lambda b, r: LossTerms({"a": torch.ones(())})),
            ValueError,
            "critic_loss: expected terms that depend on the critic's parameters, got a without any gradient",
        ),
    ],
)
def test_bad_objectives(tmp_path: Path, objective: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        toy_trainer(tmp_path, objective).fit(noisy_loader())


def test_shared_parameters_are_refused(tmp_path: Path) -> None:
    toy = ToyObjective()
    toy.critic = nn.ModuleList([toy.critic, toy.generator])
    with pytest.raises(ValueError, match="networks with parameters of their own, got shared ones"):
        toy_trainer(tmp_path, toy)


def test_a_watched_value_must_be_a_scalar(tmp_path: Path) -> None:
    toy = Changed(lambda name, call, terms: LossTerms(dict(terms), {"attention_mean": torch.zeros(2)}))
    with pytest.raises(
        ValueError, match=r"monitor\['attention_mean'\]: expected a scalar tensor, got .*\(2,\)"
    ):
        toy_trainer(tmp_path, toy).fit(noisy_loader())


def test_a_preview_of_a_wrong_shape_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(
        ToyObjective(),
        toy_config(steps=2),
        folder=tmp_path,
        preview=lambda g: preview(g)[None],
        progress=False,
        tensorboard=False,
    )
    with pytest.raises(ValueError, match="preview's result: expected a floating tensor"):
        trainer.fit(noisy_loader())
