import json
from functools import partial

import pytest
import torch

from aucond import ARKIT_BLENDSHAPES, OPENFACE_AUS, AttentionGenerator, ConvRegressionHead, PatchCritic


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def generator():
    return AttentionGenerator(
        ARKIT_BLENDSHAPES, base_channels=4, num_residual_blocks=1, relative=True, initial_attention=0.1
    )


def test_generator_round_trip_keeps_weights_arguments_and_space(tmp_path):
    saved = generator()
    saved.save_pretrained(tmp_path / "model")
    loaded = AttentionGenerator.from_pretrained(tmp_path / "model")
    assert loaded.config() == saved.config()
    assert loaded.space == ARKIT_BLENDSHAPES and loaded.relative
    image, condition = torch.rand(1, 3, 16, 16), torch.rand(1, 52)
    assert torch.equal(loaded(image, condition).image, saved.eval()(image, condition).image)
    assert {f.name for f in (tmp_path / "model").iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }


def test_saving_again_replaces_the_files_and_leaves_nothing_behind(tmp_path):
    generator().save_pretrained(tmp_path)
    before = sorted(f.name for f in tmp_path.iterdir())
    second = generator()
    second.save_pretrained(tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir()) == before
    loaded = AttentionGenerator.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.heads.weight, second.heads.weight)


def test_a_failed_save_keeps_what_was_there(tmp_path, monkeypatch):
    first = generator()
    first.save_pretrained(tmp_path)
    monkeypatch.setattr(
        "aucond.nn.pretrained.save_file", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        generator().save_pretrained(tmp_path)
    loaded = AttentionGenerator.from_pretrained(tmp_path)
    assert torch.equal(loaded.heads.weight, first.heads.weight)


def test_critic_round_trip(tmp_path):
    saved = PatchCritic({"condition": OPENFACE_AUS, "age": 1}, base_channels=4, num_layers=3)
    saved.save_pretrained(tmp_path)
    loaded = PatchCritic.from_pretrained(tmp_path)
    assert loaded.spaces == {"condition": OPENFACE_AUS}
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(loaded(image).predictions["age"], saved.eval()(image).predictions["age"])


def test_critic_with_a_callable_head_asks_for_it_back(tmp_path):
    heads = {"condition": partial(ConvRegressionHead, out_features=3, kernel_size=2)}
    saved = PatchCritic(heads, base_channels=4, num_layers=3)
    saved.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"heads\['condition'\]: was saved from a callable.*pass heads="):
        PatchCritic.from_pretrained(tmp_path)
    loaded = PatchCritic.from_pretrained(tmp_path, heads=heads)
    assert torch.equal(loaded.heads["condition"].conv.weight, saved.heads["condition"].conv.weight)


def test_damaged_folders_say_what_is_wrong(tmp_path):
    generator().save_pretrained(tmp_path)
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    whole, good = weights.read_bytes(), config.read_text()

    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors: not a whole safetensors file"):
        AttentionGenerator.from_pretrained(tmp_path)
    weights.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"model\.safetensors: expected the weights of a saved AttentionGenerator"
    ):
        AttentionGenerator.from_pretrained(tmp_path)
    weights.write_bytes(whole)

    config.write_text(json.dumps(json.loads(good) | {"base_channels": 8}))
    with pytest.raises(ValueError, match="not the weights of the AttentionGenerator asked for"):
        AttentionGenerator.from_pretrained(tmp_path)
    config.write_text(json.dumps({"base_channels": 4}))
    with pytest.raises(ValueError, match=r"config\.json: does not describe a AttentionGenerator"):
        AttentionGenerator.from_pretrained(tmp_path)
    config.write_text(good)

    with pytest.raises(ValueError, match="not the weights of the AttentionGenerator asked for"):
        AttentionGenerator.from_pretrained(tmp_path, condition=OPENFACE_AUS)
