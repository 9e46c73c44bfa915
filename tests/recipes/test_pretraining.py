import pytest
import torch

from aucond import PatchCritic, pretrain_condition_head


def batches(count=4):
    rng = torch.Generator().manual_seed(0)
    result = []
    for _ in range(count):
        condition = torch.rand(8, 1, generator=rng)
        image = (2 * condition - 1)[:, :, None, None].expand(-1, 3, 16, 16).clone()
        result.append({"image": image, "condition": condition})
    return result


def critic():
    torch.manual_seed(0)
    return PatchCritic({"condition": 1}, base_channels=8, num_layers=2)


def test_the_head_learns_to_read_brightness():
    errors = pretrain_condition_head(critic(), batches(), steps=120, learning_rate=3e-3)
    assert len(errors) == 120
    assert sum(errors[-4:]) < 0.05 * sum(errors[:4])


def test_same_seed_same_weights_and_noise_counts():
    trained = [critic() for _ in range(3)]
    for network, seed in zip(trained, (1, 1, 2), strict=True):
        pretrain_condition_head(network, batches(), steps=3, instance_noise=0.3, seed=seed)
    first, same, other = (network.features[0].weight for network in trained)
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_wrong_calls_say_what_is_wrong():
    with pytest.raises(ValueError, match="critic: expected a head named 'condition', got heads"):
        pretrain_condition_head(PatchCritic(base_channels=4, num_layers=2), batches(), steps=1)
    with pytest.raises(ValueError, match="steps: expected an integer at least 1, got 0"):
        pretrain_condition_head(critic(), batches(), steps=0)
    with pytest.raises(ValueError, match="loader: expected at least one batch, got none"):
        pretrain_condition_head(critic(), [], steps=1)
    with pytest.raises(ValueError, match="instance_noise: expected a finite number at least 0.0"):
        pretrain_condition_head(critic(), batches(), steps=1, instance_noise=-1.0)


def test_under_an_autocast_every_batch_sees_the_newest_weights():
    together, apart = critic(), critic()
    with torch.autocast("cpu", torch.bfloat16):
        pretrain_condition_head(together, batches(), steps=4, seed=1)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        pretrain_condition_head(apart, batches(), steps=4, seed=1)
    for mine, other in zip(together.parameters(), apart.parameters(), strict=True):
        assert torch.equal(mine, other)
