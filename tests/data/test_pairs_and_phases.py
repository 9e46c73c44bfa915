"""Exact pairs and the loader of two phases: pure functions of seed and epoch, and exactly resumable."""

from types import SimpleNamespace

import pytest
import torch

from aucond import ConditionSpace, Trainer, TrainerConfig
from aucond.data import ExactPairs, PairedPhases, TensorLoader, make_loader
from aucond.train.checkpoint import checkpoint_path
from aucond.train.loading import EpochLoader
from aucond.types import LossTerms

SPACE = ConditionSpace(["jaw"], low=-1.0)
GROUPS = torch.tensor([7, 3, 7, 7, 3, 9, 9])


def numbered(count, start=0):
    """Images that carry their number as their colour, and conditions that do too."""
    numbers = torch.arange(start, start + count, dtype=torch.uint8)
    return numbers.reshape(-1, 1, 1, 1).repeat(1, 3, 4, 4), numbers.float()[:, None] / 255


def make_pairs(groups=GROUPS, **options):
    images, conditions = numbered(len(groups))
    return ExactPairs(images, conditions, groups, space=SPACE, **options)


def test_a_pair_is_of_one_group_and_never_an_image_with_itself():
    pairs = make_pairs(identities=torch.arange(7) + 50)
    seen = set()
    for epoch in range(40):
        pairs.set_epoch(epoch)
        for i, item in enumerate(pairs[i] for i in range(len(pairs))):
            assert round((item["image"][0, 0, 0].item() + 1) * 127.5) == i
            partner = round((item["target_image"][0, 0, 0].item() + 1) * 127.5)
            assert partner != i and GROUPS[partner] == GROUPS[i]
            assert item["condition"].item() == pytest.approx(i / 255)
            assert item["target_condition"].item() == pytest.approx(partner / 255)
            assert item["identity"].item() == 50 + i
            seen.add((i, partner))
    every = {(i, j) for i in range(7) for j in range(7) if i != j and GROUPS[i] == GROUPS[j]}
    assert seen == every


def test_partners_follow_from_seed_and_epoch_alone():
    big = torch.arange(50).repeat(6)
    first, second, other = make_pairs(big, seed=3), make_pairs(big, seed=3), make_pairs(big, seed=4)
    first.set_epoch(5)
    assert not torch.equal(first.partners, second.partners)
    second.set_epoch(5)
    other.set_epoch(5)
    assert torch.equal(first.partners, second.partners) and not torch.equal(first.partners, other.partners)


def test_a_loader_tells_the_pairs_its_epoch():
    loader = make_loader(make_pairs(torch.arange(30).repeat(4)), 8, shuffle=False)
    loader.set_epoch(1)
    one = torch.cat([batch["target_condition"] for batch in loader])
    loader.set_epoch(2)
    two = torch.cat([batch["target_condition"] for batch in loader])
    loader.set_epoch(1)
    assert not torch.equal(one, two)
    assert torch.equal(one, torch.cat([batch["target_condition"] for batch in loader]))


@pytest.mark.parametrize(
    "changes, error, message",
    [
        (
            {"groups": torch.tensor([1, 1, 2])},
            ValueError,
            "groups: .* at least two images in every group.*: 2",
        ),
        ({"groups": torch.zeros(3)}, TypeError, "groups: expected a int64 tensor of shape"),
        (
            {"groups": torch.zeros(4, dtype=torch.int64)},
            ValueError,
            "groups: expected a int64 tensor of shape",
        ),
        ({"images": torch.zeros(3, 3, 4, 4)}, TypeError, "images: expected a uint8 tensor"),
        ({"conditions": torch.full((3, 1), 2.0)}, ValueError, "conditions"),
        ({"conditions": torch.full((3, 1), float("nan"))}, ValueError, "conditions: expected finite values"),
        (
            {"conditions": torch.zeros(3, 2)},
            ValueError,
            r"conditions: expected a floating tensor of shape \(3, 1\)",
        ),
        (
            {"identities": torch.zeros(2, dtype=torch.int64)},
            ValueError,
            "identities: expected a int64 tensor",
        ),
        ({"seed": -1}, ValueError, "seed: expected an integer at least 0"),
    ],
)
def test_wrong_pairs_say_what_is_wrong(changes, error, message):
    images, conditions = numbered(3)
    arguments = {"images": images, "conditions": conditions, "groups": torch.zeros(3, dtype=torch.int64)}
    with pytest.raises(error, match=message):
        ExactPairs(**(arguments | {"space": SPACE} | changes))


def test_an_item_out_of_range_and_an_empty_set():
    with pytest.raises(IndexError, match=r"index: expected an item in \[0, 6\], got 7"):
        make_pairs()[7]
    with pytest.raises(
        ValueError, match="groups: expected at least two images in every group, got no groups"
    ):
        make_pairs(torch.empty(0, dtype=torch.int64))


def phases(steps=6, share=0.5, seed=0, size=2):
    images, conditions = numbered(40, start=60)
    singles = SimpleNamespace(images=images, conditions=conditions)
    pairs = make_pairs(torch.arange(10).repeat(3), seed=seed)
    return PairedPhases(
        make_loader(pairs, size, seed=seed),
        TensorLoader(singles, size, seed=seed),
        paired_steps=steps,
        paired_share=share,
        seed=seed,
    )


def epochs(loader, count):
    batches = []
    for epoch in range(count):
        loader.set_epoch(epoch)
        batches += list(loader)
    return batches


def test_pairs_alone_for_the_first_steps_then_both():
    loader = phases(steps=20)
    assert len(loader) == 15  # the shorter of 15 batches of pairs and 20 of single images
    kinds = ["target_image" in batch for batch in epochs(loader, 20)]
    assert all(kinds[:20]), "the boundary lies inside the second epoch"
    later = kinds[20:]
    assert 0.35 < sum(later) / len(later) < 0.65
    assert {(a, b) for a, b in zip(later[::5], later[1::5], strict=False)} == {
        (a, b) for a in (True, False) for b in (True, False)
    }


@pytest.mark.parametrize("share, expected", [(0.0, False), (1.0, True)])
def test_a_share_of_nothing_or_all(share, expected):
    kinds = ["target_image" in batch for batch in epochs(phases(steps=4, share=share), 3)]
    assert kinds == [True] * 4 + [expected] * 41


def test_batches_follow_from_seed_and_epoch_alone():
    def flat(loader, epoch):
        loader.set_epoch(epoch)
        return [sorted((key, value.sum().item()) for key, value in batch.items()) for batch in loader]

    assert flat(phases(), 3) == flat(phases(), 3)
    assert flat(phases(), 3) != flat(phases(), 4)
    assert flat(phases(), 3) != flat(phases(seed=1), 3)
    assert epochs(phases(), 1)[0].keys() == next(iter(phases())).keys()


@pytest.mark.parametrize("skip", [0, 1, 4, 14, 15])
def test_the_trainer_goes_on_in_the_middle_of_an_epoch(skip):
    whole = list(EpochLoader(phases(steps=20), seed=0).epoch(1))
    rest = list(EpochLoader(phases(steps=20), seed=0).epoch(1, skip=skip))
    assert len(rest) == 15 - skip
    for a, b in zip(whole[skip:], rest, strict=True):
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Toy:
    """An objective that adds up what it is shown: any difference of the data shows in its weights."""

    def __init__(self):
        self.generator, self.critic = (torch.nn.Linear(48, 1) for _ in range(2))
        for network in (self.generator, self.critic):
            for parameter in network.parameters():
                torch.nn.init.constant_(parameter, 0.1)

    def loss(self, network, batch):
        shown = batch.get("target_image", batch["image"])
        return LossTerms({"value": network(shown.flatten(1)).square().mean()})

    def critic_loss(self, batch, rng=None):
        return self.loss(self.critic, batch)

    def generator_loss(self, batch, rng=None):
        return self.loss(self.generator, batch)


def test_an_interrupted_run_ends_with_the_very_weights_of_a_whole_one(tmp_path):
    def trainer(folder):
        config = TrainerConfig(steps=37, critic_steps_per_generator_step=2, checkpoint_every=11)
        return Trainer(Toy(), config, folder=tmp_path / folder, progress=False, tensorboard=False, cpu=True)

    whole = trainer("whole")
    whole.fit(phases(steps=12))
    resumed = trainer("resumed").resume(checkpoint_path(tmp_path / "whole" / "checkpoints", 22))
    resumed.fit(phases(steps=12))
    assert resumed.step == 37
    for name in ("generator", "critic"):
        ours, theirs = (getattr(t.objective, name).state_dict() for t in (resumed, whole))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"pairs": [1, 2]}, TypeError, "pairs: expected a loader with set_epoch and a length.*got a list"),
        ({"unpaired": iter(())}, TypeError, "unpaired: expected a loader with set_epoch and a length"),
        ({"paired_steps": -1}, ValueError, "paired_steps: expected an integer at least 0, got -1"),
        ({"paired_steps": 1.5}, TypeError, "paired_steps: expected an integer at least 0, got 1.5"),
        (
            {"paired_share": 1.5},
            ValueError,
            r"paired_share: expected a finite number in \[0.0, 1.0\], got 1.5",
        ),
        ({"seed": -2}, ValueError, "seed: expected an integer at least 0, got -2"),
    ],
)
def test_wrong_phases_say_what_is_wrong(changes, error, message):
    good = phases()
    arguments = {"pairs": good.pairs, "unpaired": good.unpaired, "paired_steps": 1} | changes
    with pytest.raises(error, match=message):
        PairedPhases(**arguments)


def test_a_loader_without_batches():
    class Empty(list):
        def set_epoch(self, epoch): ...

    with pytest.raises(ValueError, match="unpaired: expected at least one batch an epoch, got none"):
        PairedPhases(phases().pairs, Empty(), paired_steps=1)
