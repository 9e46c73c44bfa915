"""What the editor does with conditions, tensors and folders; photos are in test_wild.py."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from aucond import OPENFACE_AUS, AttentionGenerator, ConditionSpace, ConvRegressionHead, PatchCritic
from aucond.edit import FaceEditor, NoFaceError
from aucond.edit.loading import SHIPPED
from aucond.faces.framing import FaceCrop, FaceFraming

from painter import Painter, painting_editor  # isort: skip

AU12, AU26 = OPENFACE_AUS.index("AU12"), OPENFACE_AUS.index("AU26")
GREY = torch.zeros(2, 3, 32, 32)


@pytest.fixture
def editor():
    return painting_editor()


def test_names_set_components_and_the_others_stay(editor):
    edit = editor.edit_details(GREY, {"AU12": 0.9})
    assert edit.target[:, AU12].tolist() == pytest.approx([0.9, 0.9])
    assert (edit.target.index_select(1, torch.tensor([0, 3, AU26])) == 0.25).all()
    assert editor.read(GREY)["AU12"] == 0.5 and editor.read(GREY)["AU01"] == 0.25


def test_relative_edits_start_from_the_reading_and_stay_in_range(editor):
    edit = editor.edit_details(GREY, {"AU12": 0.2, "AU26": 0.9, "AU01": -0.5}, relative=True)
    assert edit.target[0, [AU12, AU26, 0]].tolist() == pytest.approx([0.7, 1.0, 0.0])
    whole = editor.edit_details(GREY, torch.full((17,), 0.1), relative=True)
    assert whole.target[0, [AU12, 0]].tolist() == pytest.approx([0.6, 0.35])


def test_a_relative_generator_gets_the_difference():
    edit = painting_editor(relative=True).edit_details(GREY, {"AU12": 0.9})
    assert edit.attention.max().item() == pytest.approx(0.01 + 0.98 * 0.4, abs=1e-3)
    assert (edit.color == -1).all()  # AU26 is not asked to change: a difference of 0


def test_tensors_get_the_networks_output_as_it_is(editor):
    edited = editor.edit(GREY, {"AU12": 1.0, "AU26": 1.0})
    target = torch.full((2, 17), 0.25)
    target[:, [AU12, AU26]] = 1.0
    assert torch.equal(edited, editor.generator(GREY, target).image)
    single = editor.edit(GREY[0], {"AU12": 1.0, "AU26": 1.0})
    assert torch.equal(single, edited[0])
    assert not edited.is_inference() and edited.dtype == torch.float32


def test_tensors_of_another_size_get_the_change(editor):
    rng = torch.Generator().manual_seed(0)
    fine = torch.rand(1, 3, 96, 96, generator=rng) * 2 - 1
    edited = editor.edit(fine, {"AU12": 1.0, "AU26": 1.0})
    assert torch.equal(edited[..., :40, :], fine[..., :40, :])
    assert edited[0, :, 60:72, 44:52].mean() > fine[0, :, 60:72, 44:52].mean() + 0.5


def test_batches_do_not_depend_on_the_batch_size():
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    small, large = painting_editor(batch_size=2), painting_editor(batch_size=16)
    assert torch.equal(small.edit(images, {"AU12": 0.7}), large.edit(images, {"AU12": 0.7}))
    assert torch.equal(small.read_tensor(images), large.read_tensor(images))


def test_sweep_interpolate_animate_and_neutralise(editor):
    frames = editor.sweep(GREY, "AU12", [0.0, 1.0])
    assert torch.equal(frames[1], editor.edit(GREY, {"AU12": 1.0}))
    line = editor.interpolate(GREY, {"AU26": 0.0}, {"AU26": 1.0}, 3)
    assert len(line) == 3
    assert torch.equal(line[1], editor.edit(GREY, {"AU26": 0.5}))
    neutral = editor.neutralise(GREY)
    assert torch.equal(neutral, editor.edit(GREY, torch.zeros(17)))


def test_animate_reads_its_sequence_as_frames_are_taken(editor):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield {"AU12": 0.1 * (len(taken) % 10)}

    frames = editor.animate(GREY, endless())
    assert taken == []
    first = next(frames)
    assert taken == [0] and torch.equal(first, editor.edit(GREY, {"AU12": 0.1}))
    assert len(list(editor.animate(GREY, torch.zeros(4, 17)))) == 4


def test_transfer_takes_the_reading_of_the_target(editor):
    bright = torch.full((3, 32, 32), 0.6)
    moved = editor.transfer(GREY, bright)
    target = torch.full((17,), 0.25)
    target[AU12] = 0.8
    assert torch.allclose(moved, editor.edit(GREY, target))
    pairs = editor.transfer(GREY, torch.stack([bright, -bright]))
    assert torch.allclose(pairs[0], moved[0]) and not torch.allclose(pairs[1], moved[1])


def test_grid_shows_every_pair(editor):
    picture = editor.grid(GREY[0], "AU12", "AU26", [0.0, 1.0], cell=64)
    pixels = np.asarray(picture)[24:, 90:]
    assert pixels.shape == (128, 128, 3)
    mouth = {(r, c): pixels[64 * r + 45, 64 * c + 32, 0] for r in (0, 1) for c in (0, 1)}
    assert mouth[0, 0] == mouth[0, 1]  # no attention: no change
    assert mouth[1, 0] < 20 and mouth[1, 1] > 235


def test_the_current_condition_can_be_given():
    editor = FaceEditor(Painter(relative=True), size=32)
    prepared = editor.prepare(GREY[0], current={"AU12": 0.5})
    assert editor.read(prepared)["AU12"] == 0.5 and editor.read(prepared)["AU26"] == 0
    assert editor.edit_details(prepared, {"AU12": 0.9}).attention.max() == pytest.approx(0.402, abs=1e-3)
    with pytest.raises(ValueError, match="current: this needs .* no critic to read it"):
        editor.edit(GREY, {"AU12": 0.9})
    with pytest.raises(ValueError, match="current: this needs"):
        editor.read(GREY)


def test_an_absolute_generator_needs_no_reading_for_a_whole_target():
    editor = FaceEditor(Painter(), size=32)
    assert editor.edit(GREY, OPENFACE_AUS.vector(AU12=1.0)).shape == GREY.shape
    with pytest.raises(ValueError, match="current: this needs"):
        editor.edit(GREY, {"AU12": 1.0})


def test_results_are_of_the_photos_kind(editor, tmp_path):
    array = np.full((40, 50, 3), 128, np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    for photo in (str(tmp_path / "a.png"), tmp_path / "a.png", Image.fromarray(array)):
        prepared = editor.prepare(photo, framing="crop")
        result = editor.edit(prepared, {"AU12": 1.0, "AU26": 1.0})
        assert isinstance(result, Image.Image) and result.size == (50, 40) and result.mode == "RGB"
        assert np.asarray(result)[28, 25].tolist() == pytest.approx([254] * 3, abs=3)
    result = editor.edit(editor.prepare(array, framing="crop"), {"AU12": 1.0})
    assert isinstance(result, np.ndarray) and result.dtype == np.uint8


def test_a_list_of_photos_goes_in_one_batch(editor):
    array = np.full((40, 50), 128, np.uint8)
    photos = [editor.prepare(array, framing="crop"), GREY[0]]
    results = editor.edit(photos, {"AU12": 1.0})
    assert results[0].shape == (40, 50) and torch.equal(results[1], editor.edit(GREY[0], {"AU12": 1.0}))


def small_pair(size=32):
    torch.manual_seed(0)
    generator = AttentionGenerator(OPENFACE_AUS, 4, 2, 1, relative=True)
    head = partial(ConvRegressionHead, out_features=17, kernel_size=size // 8)
    return generator, PatchCritic({"condition": head}, base_channels=2, num_layers=3)


def test_round_trip_through_a_folder(tmp_path):
    editor = FaceEditor(
        *small_pair(), framing=FaceFraming(mouth=(0.5, 0.75)), attention_floor=0.1, batch_size=3
    )
    assert editor.size == 32  # told by the critic's size-bound head
    editor.save_pretrained(tmp_path / "saved")
    loaded = FaceEditor.from_pretrained(tmp_path / "saved", batch_size=5)
    assert (loaded.size, loaded.framing, loaded.attention_floor) == (32, editor.framing, 0.1)
    assert loaded.networks.batch_size == 5
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded.edit(images, {"AU12": 0.9}), editor.edit(images, {"AU12": 0.9}))
    assert FaceEditor.from_pretrained(tmp_path / "saved", attention_floor=0.0).attention_floor == 0


def test_a_folder_without_critic_or_settings(tmp_path):
    small_pair()[0].save_pretrained(tmp_path / "generator")
    with pytest.raises(ValueError, match="size: expected the side of the crops"):
        FaceEditor.from_pretrained(tmp_path)
    assert FaceEditor.from_pretrained(tmp_path, size=32).critic is None


def test_a_critic_is_loaded_exactly_if_the_saved_editor_had_one(tmp_path):
    generator, critic = small_pair()
    folder = tmp_path / "saved"
    FaceEditor(generator, critic).save_pretrained(folder)
    other = AttentionGenerator(OPENFACE_AUS, 4, 2, 1)
    FaceEditor(other, size=32).save_pretrained(folder)
    loaded = FaceEditor.from_pretrained(folder)
    assert loaded.critic is None and not loaded.generator.relative
    FaceEditor(generator, critic).save_pretrained(folder)
    assert FaceEditor.from_pretrained(folder).critic is not None
    assert sorted(path.name for path in folder.iterdir()) == ["critic", "editor.json", "generator"]


def test_folders_that_say_nothing_of_a_critic_have_one_if_its_folder_is_there(tmp_path):
    FaceEditor(*small_pair()).save_pretrained(tmp_path)
    settings = tmp_path / "editor.json"
    stored = json.loads(settings.read_text())
    assert stored.pop("critic") is True
    settings.write_text(json.dumps(stored))
    assert FaceEditor.from_pretrained(tmp_path).critic is not None
    settings.write_text(json.dumps({**stored, "critic": True}))
    (tmp_path / "critic").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"critic: expected the folder of a saved PatchCritic"):
        FaceEditor.from_pretrained(tmp_path)
    settings.write_text(json.dumps(stored))
    assert FaceEditor.from_pretrained(tmp_path).critic is None


def test_a_failure_while_saving_leaves_the_older_editor_as_it_was(tmp_path, monkeypatch):
    FaceEditor(*small_pair(), attention_floor=0.1).save_pretrained(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def fails(self, folder):
        raise OSError("no space left on device")

    monkeypatch.setattr(PatchCritic, "save_pretrained", fails)
    other = AttentionGenerator(OPENFACE_AUS, 4, 2, 1)
    with pytest.raises(OSError, match="no space left"):
        FaceEditor(other, small_pair()[1]).save_pretrained(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_damaged_folders_say_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match=r"nowhere: there is no such folder"):
        FaceEditor.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"somebody/none: there is no such folder, and it could not"):
        FaceEditor.from_pretrained("somebody/none")
    with pytest.raises(FileNotFoundError, match=r"generator: expected the folder of a saved"):
        FaceEditor.from_pretrained(tmp_path)
    FaceEditor(*small_pair()).save_pretrained(tmp_path)
    settings = tmp_path / "editor.json"
    for text, message in [
        ("{", "not the settings of an editor"),
        ("[]", "expected a JSON object"),
        (json.dumps({"sise": 32}), "unknown setting 'sise'; did you mean 'size'"),
        (json.dumps({"framing": {"nose": [1]}}), r"nose: expected \(x, y\)"),
        (json.dumps({"critic": "no"}), "critic: expected true or false, got 'no'"),
    ]:
        settings.write_text(text)
        with pytest.raises(ValueError, match=rf"editor\.json: .*{message}"):
            FaceEditor.from_pretrained(tmp_path)
    settings.unlink()
    weights = tmp_path / "critic" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"critic|heads\['condition'\]"):
        FaceEditor.from_pretrained(tmp_path)


OTHER = ConditionSpace(["smile"])
WRONG_EDITORS = [
    (
        lambda: FaceEditor(torch.nn.Identity(), size=32),
        TypeError,
        "generator: expected an AttentionGenerator",
    ),
    (lambda: FaceEditor(AttentionGenerator(17, 4, 2, 0), size=32), ValueError, "built with a ConditionSpace"),
    (
        lambda: FaceEditor(Painter(), torch.nn.Identity(), size=32),
        TypeError,
        "critic: expected a PatchCritic",
    ),
    (lambda: FaceEditor(Painter()), ValueError, "size: expected the side of the crops"),
    (lambda: FaceEditor(Painter(), size=30), ValueError, r"size: .*2\*\*num_downsamples = 4, got 30"),
    (
        lambda: FaceEditor(*small_pair(), head="aus"),
        ValueError,
        r"head: expected one of .*\['condition'\], got 'aus'",
    ),
    (
        lambda: FaceEditor(
            Painter(), PatchCritic({"condition": OTHER}, base_channels=2, num_layers=2), size=32
        ),
        ValueError,
        "critic: expected a head that reads the generator's space",
    ),
    (lambda: painting_editor(attention_floor=1.0), ValueError, "attention_floor: .*got 1.0"),
    (lambda: painting_editor(batch_size=0), ValueError, "batch_size: expected an integer at least 1"),
    (lambda: painting_editor(detector=3), TypeError, "detector: expected a callable"),
    (lambda: painting_editor(framing="wide"), TypeError, "framing: expected a FaceFraming"),
]


@pytest.mark.parametrize("call, error, message", WRONG_EDITORS)
def test_wrong_editors(call, error, message):
    with pytest.raises(error, match=message):
        call()


ARRAY = np.zeros((40, 50, 3), np.uint8)
WRONG_CALLS = [
    (lambda e: e.edit(GREY, {"AU13": 0.5}), ValueError, "'AU13' is not one of the 17 .* did you mean 'AU"),
    (
        lambda e: e.edit(GREY, {"AU12": 1.5}),
        ValueError,
        r"AU12: expected a finite number in \[0.0, 1.0\], got 1.5",
    ),
    (lambda e: e.edit(GREY, {"AU12": float("nan")}), ValueError, "AU12: expected a finite number"),
    (lambda e: e.edit(GREY, {"AU12": "big"}), TypeError, "AU12: .*got 'big'"),
    (lambda e: e.edit(GREY, {"AU12": -1.5}, relative=True), ValueError, r"AU12: .*in \[-1.0, 1.0\]"),
    (lambda e: e.edit(GREY, [0.0] * 17), TypeError, "changes: expected a mapping"),
    (lambda e: e.edit(GREY, torch.zeros(16)), ValueError, r"changes: expected shape \(17,\)"),
    (lambda e: e.edit(GREY, torch.zeros(3, 17)), ValueError, r"one row for each of the 2 faces"),
    (lambda e: e.edit(GREY, torch.full((17,), 2.0)), ValueError, r"changes: component 'AU01' must lie in"),
    (lambda e: e.edit(GREY, torch.full((17,), float("inf")), relative=True), ValueError, "changes: .*finite"),
    (lambda e: e.edit(torch.zeros(3, 32, 40), {}), ValueError, "photo: expected square crops"),
    (lambda e: e.edit(torch.zeros(1, 32, 32), {}), ValueError, r"photo: expected .*\(B, 3, H, W\)"),
    (
        lambda e: e.edit(torch.zeros(3, 32, 32, dtype=torch.uint8), {}),
        TypeError,
        "photo: expected a floating",
    ),
    (lambda e: e.edit(torch.full((3, 32, 32), float("nan")), {}), ValueError, "photo: expected finite"),
    (lambda e: e.edit([], {}), ValueError, "photo: expected at least one photo"),
    (lambda e: e.edit(3, {}), TypeError, "photo: expected a path, a PIL image, an array"),
    (lambda e: e.edit("missing.png", {}), FileNotFoundError, "missing.png: there is no such file"),
    (lambda e: e.edit(np.zeros((4, 4)), {}), TypeError, "photo: .*uint8 or uint16, got one of float64"),
    (lambda e: e.edit(np.zeros((4, 4, 5), np.uint8), {}), ValueError, r"photo: .*got shape \(4, 4, 5\)"),
    (
        lambda e: e.edit(ARRAY, {}),
        NoFaceError,
        "photo: no face was found in the picture of 50x40 .*framing='crop'",
    ),
    (lambda e: e.prepare(ARRAY, framing="whole"), ValueError, "framing: expected one of"),
    (lambda e: e.prepare(GREY, who=[0]), ValueError, "who: expected 'all' where no faces are looked for"),
    (lambda e: e.prepare(e.prepare(GREY), current={"AU12": 1}), ValueError, "photo: is prepared already"),
    (lambda e: e.prepare(GREY, framing="detect"), TypeError, "photo: .*got a tensor"),
    (lambda e: e.prepare(ARRAY, crops=[]), TypeError, "crops: expected at least one FaceCrop"),
    (
        lambda e: e.prepare(ARRAY, crops=[FaceCrop(500, 20, 10)]),
        ValueError,
        "crop: expected one that overlaps",
    ),
    (lambda e: e.prepare(GREY, current={"AU99": 1}), ValueError, "'AU99' is not one of"),
    (lambda e: e.interpolate(GREY, {}, {}, 1), ValueError, "steps: expected an integer at least 2"),
    (lambda e: e.sweep(GREY, "smile"), ValueError, "'smile' is not one of the 17"),
    (lambda e: e.grid(GREY, "AU12", "AU12"), ValueError, "columns: expected another component"),
    (lambda e: e.grid(GREY, "AU12", "AU26", cell=4), ValueError, "cell: expected an integer at least 16"),
    (lambda e: e.edit_details(GREY, {}).weights(), TypeError, "edit.attention"),
]


@pytest.mark.parametrize("call, error, message", WRONG_CALLS)
def test_wrong_calls_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(painting_editor(detector=lambda picture: []))


@pytest.mark.skipif(not SHIPPED.is_dir(), reason=f"the networks of the package are missing: {SHIPPED}")
def test_the_shipped_networks_move_the_mouth_of_a_rendered_face():
    pytest.importorskip("numba", reason='rendering needs pip install "aucond[faces]"')
    from aucond.faces import render_face

    editor = FaceEditor.from_pretrained()
    assert editor.critic is not None
    face = render_face(1_000_007, OPENFACE_AUS.neutral_vector(), size=editor.size)
    change = (editor.edit(face, {"AU12": 1.0, "AU25": 0.5}) - face).abs().mean(0)
    middle = slice(editor.size // 4, 3 * editor.size // 4)
    mouth = change[int(0.6 * editor.size) : int(0.85 * editor.size), middle].mean()
    assert mouth > 0.03 and mouth > 5 * change[: editor.size // 8].mean()


@pytest.mark.gpu
def test_on_a_gpu_as_on_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    editor, images = FaceEditor(*small_pair()), torch.rand(3, 3, 32, 32)
    expected = editor.edit(images, {"AU12": 0.9})
    moved = editor.to("cuda")
    assert moved.device.type == "cuda"
    result = moved.edit(images.cuda(), {"AU12": 0.9})
    assert result.device.type == "cuda"
    torch.testing.assert_close(result.cpu(), expected, atol=2e-3, rtol=0)
