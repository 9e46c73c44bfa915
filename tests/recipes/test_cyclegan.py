"""CycleGAN's terms by hand, its batches, and four networks in one Trainer."""

import pytest
import torch
from torch import nn

from aucond import CriticOutput, GeneratorOutput, Hinge, PatchCritic, Trainer, TrainerConfig
from aucond.recipes import CycleGAN, CycleGANWeights, MasklessGenerator, UnpairedDomains
from aucond.train.loading import EpochLoader

BATCH = {
    "image": torch.stack([torch.zeros(3, 2, 2), torch.full((3, 2, 2), 0.5)]),
    "condition": torch.eye(2),
}


class Adds(nn.Module):
    """A generator that adds a constant, whatever the condition, which has to be zeros."""

    condition_dim = 3

    def __init__(self, amount):
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(amount))

    def forward(self, image, condition):
        assert condition.shape == (len(image), 3) and not condition.any()
        color = image + self.amount
        return GeneratorOutput(color, color, torch.ones_like(color[:, :1]))


class Scores(nn.Module):
    """A critic whose score is a multiple of the first pixel."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, image):
        return CriticOutput(self.factor * image[:, :1, :1, :1], {})


def written(**options):
    generators = {"calm": Adds(-0.3), "smile": Adds(0.4)}
    return CycleGAN(generators, {"calm": Scores(1.0), "smile": Scores(2.0)}, **options)


def test_critic_terms_by_hand():
    terms = written().critic_loss(BATCH)
    # calm: real 0, fake 0.5 - 0.3; smile: real 0.5, fake 0 + 0.4, both scored twice as high.
    assert terms["calm"].item() == pytest.approx(0.5 * (0 - 1) ** 2 + 0.5 * 0.2**2)
    assert terms["smile"].item() == pytest.approx(0.5 * (1 - 1) ** 2 + 0.5 * 0.8**2)
    assert list(terms) == ["calm", "smile"]


def test_generator_terms_by_hand():
    weights = CycleGANWeights(adversarial=2.0, cycle=10.0, identity=5.0)
    terms = written(weights=weights).generator_loss(BATCH)
    assert terms["adversarial_calm"].item() == pytest.approx((0.2 - 1) ** 2)
    assert terms["adversarial_smile"].item() == pytest.approx((0.8 - 1) ** 2)
    # Each way there and back is off by 0.1; left to its own domain a generator moves it by 0.3 or 0.4.
    assert terms["cycle_calm"].item() == pytest.approx(10 * 0.1)
    assert terms["cycle_smile"].item() == pytest.approx(10 * 0.1)
    assert terms["identity_calm"].item() == pytest.approx(5 * 0.3)
    assert terms["identity_smile"].item() == pytest.approx(5 * 0.4)
    assert terms.monitor["edit_size"].item() == pytest.approx(0.35)


def test_without_a_weight_there_is_no_identity_term():
    assert list(written().generator_loss(BATCH)) == [
        "adversarial_calm",
        "adversarial_smile",
        "cycle_calm",
        "cycle_smile",
    ]


def test_the_order_within_a_batch_changes_nothing():
    mixed = {"image": BATCH["image"].flip(0), "condition": BATCH["condition"].flip(0)}
    for one, two in zip(
        written().critic_loss(BATCH).values(), written().critic_loss(mixed).values(), strict=True
    ):
        assert torch.equal(one, two)


def test_another_adversarial_loss():
    terms = written(adversarial=Hinge()).critic_loss(BATCH)
    assert terms["smile"].item() == pytest.approx((1 - 1) + (1 + 0.8))


class Loader(list):
    """Batches that know their epoch."""

    epoch = -1

    def set_epoch(self, epoch):
        self.epoch = epoch


def heap(value, size=2, count=3):
    return Loader([{"image": torch.full((size, 3, 16, 16), value)} for _ in range(count)])


def test_domains_alternate():
    first, second = heap(-0.5), heap(0.5, count=2)
    loader = UnpairedDomains(first, second)
    loader.set_epoch(7)
    batches = list(loader)
    assert (first.epoch, second.epoch) == (7, 7) and len(batches) == len(loader) == 2
    for batch in batches:
        assert batch["image"][:, 0, 0, 0].tolist() == [-0.5, 0.5, -0.5, 0.5]
        assert batch["condition"].tolist() == [[1, 0], [0, 1]] * 2


def drawn(seed, size=2, count=3):
    rng = torch.Generator().manual_seed(seed)
    return Loader([{"image": torch.rand(size, 3, 16, 16, generator=rng) * 2 - 1} for _ in range(count)])


@pytest.mark.parametrize("size, processes", [(3, 2), (8, 3), (5, 5)])
def test_the_parts_of_several_processes_make_the_step_of_one(size, processes):
    loader = UnpairedDomains(drawn(1, size), drawn(2, size))
    objective = CycleGAN(*networks(), weights=CycleGANWeights(identity=5.0))
    parts = [next(EpochLoader(loader, 0, process=r, processes=processes).epoch(0)) for r in range(processes)]
    [whole, *_] = loader
    assert torch.equal(torch.cat([part["image"] for part in parts]), whole["image"])
    for loss in (objective.critic_loss, objective.generator_loss):
        joined = sum(loss(part).total * len(part["image"]) for part in parts) / len(whole["image"])
        assert joined.item() == pytest.approx(loss(whole).total.item(), rel=1e-5)


def test_a_process_without_a_pair_is_told_what_a_batch_needs():
    loader = UnpairedDomains(drawn(1), drawn(2))
    message = "a batch of 4 cannot be shared among 3 processes.*at least 2 samples per process"
    with pytest.raises(ValueError, match=message):
        next(EpochLoader(loader, 0, processes=3).epoch(0))


def networks(seed=0):
    torch.manual_seed(seed)
    generators = {n: MasklessGenerator(1, base_channels=4, num_residual_blocks=1) for n in ("calm", "smile")}
    return generators, {n: PatchCritic(base_channels=4, num_layers=2) for n in generators}


def train(folder, steps, resume=False, networks=networks):
    objective = CycleGAN(*networks(), instance_noise=0.05)
    config = TrainerConfig(
        steps=4, critic_steps_per_generator_step=1, learning_rate=1e-3, checkpoint_every=2, log_every=1
    )
    trainer = Trainer(objective, config, folder=folder, progress=False, tensorboard=False)
    if steps < 4:
        loader = UnpairedDomains(drawn(1), drawn(2))
        stop = RuntimeError("killed")

        def killed(batch, rng=None, seen=[]):  # noqa: B006
            seen.append(1)
            if len(seen) > steps:
                raise stop
            return CycleGAN.critic_loss(objective, batch, rng)

        objective.critic_loss = killed
        with pytest.raises(RuntimeError, match="killed"):
            trainer.fit(loader)
    else:
        trainer.fit(UnpairedDomains(drawn(1), drawn(2)), resume=resume)
    return trainer


def test_four_networks_train_as_two_and_resume_exactly(tmp_path):
    whole = train(tmp_path / "whole", 4)
    train(tmp_path / "cut", 3)
    again = train(tmp_path / "cut", 4, resume=True)
    before = CycleGAN(*networks()).generator.state_dict()
    for name, value in whole.ema.state_dict().items():
        assert torch.equal(value, again.ema.state_dict()[name]), name
    moved = {n.split(".")[0] for n, v in whole.ema.state_dict().items() if not torch.equal(v, before[n])}
    assert moved == {"calm", "smile"}


def built(**changes):
    generators, critics = networks()
    return CycleGAN(
        changes.get("generators", generators), changes.get("critics", critics), **changes.get("o", {})
    )


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: built(generators={}), ValueError, "generators: expected a dict of two domains"),
        (lambda: built(critics=[1, 2]), ValueError, "critics: expected a dict of two domains, got a list"),
        (lambda: built(critics={"a": 1, "b": 2}), ValueError, r"expected the domains \['calm', 'smile'\]"),
        (lambda: built(o={"weights": 1}), TypeError, "weights: expected a CycleGANWeights, got 1"),
        (lambda: built(o={"adversarial": Hinge}), TypeError, "adversarial: expected"),
        (lambda: CycleGANWeights(cycle=-1.0), ValueError, "CycleGANWeights.cycle: expected"),
        (
            lambda: written().critic_loss({**BATCH, "condition": torch.tensor([[1.0, 0], [1, 0]])}),
            ValueError,
            "batch: expected as many images of 'calm' as of 'smile', got 2 and 0; UnpairedDomains",
        ),
        (
            lambda: written().critic_loss({**BATCH, "condition": torch.eye(3)[:2]}),
            ValueError,
            r"batch\['condition'\]: expected a floating tensor of shape \(2, 2\)",
        ),
        (lambda: UnpairedDomains([], heap(0.0)), TypeError, "first: expected a loader with set_epoch"),
        (lambda: list(UnpairedDomains(heap(0.0), heap(0.0, size=3))), ValueError, "second: expected batches"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
