"""Photos of every kind: what is not attended stays as it was, bit for bit."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from aucond.edit.photo_io import open_pixels
from aucond.edit.wild import cut_out
from aucond.faces.detection import DlibDetector, Face
from aucond.faces.framing import FaceCrop

from painter import painting_editor  # isort: skip

SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "ganimation_sample" / "imgs"
CHANGES = {"AU12": 1.0, "AU26": 1.0}


@pytest.fixture(scope="module")
def editor():
    pytest.importorskip("dlib", reason='finding faces needs pip install "aucond[detect]"')
    return painting_editor(detector=DlibDetector())


@pytest.fixture(scope="module")
def astronaut():
    data = pytest.importorskip("skimage.data", reason="the real photo comes with scikit-image")
    return Image.fromarray(data.astronaut()[40:240, 120:320])


@pytest.fixture(scope="module")
def rendered():
    """Frontal rendered faces of 128 x 128, as bytes (4, 128, 128, 3)."""
    pytest.importorskip("numba", reason='rendering needs pip install "aucond[faces]"')
    from aucond.faces import SyntheticFaces

    faces = SyntheticFaces(range(7000, 7004), 4, 128, seed=1, pose=0.0, cache=False)
    return faces.images.permute(0, 2, 3, 1).contiguous().numpy()


def stored(image, kind, **options):
    """The image as a reader of the file gets it."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Image.open(file)


def rotated(image, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return stored(image.transpose(turn), "JPEG", quality=95, exif=exif)


def with_alpha(image):
    alpha = Image.linear_gradient("L").resize(image.size)
    image = image.copy()
    image.putalpha(alpha)
    return image


def in_print(image):
    """CMYK as printers have it, with black ink."""
    cmy = 255 - np.asarray(image).astype(np.int32)
    black = cmy.min(-1, keepdims=True) * 2 // 3
    inks = np.concatenate([(cmy - black) * 255 // (255 - black), black], axis=-1)
    return Image.frombytes("CMYK", image.size, inks.astype(np.uint8).tobytes())


def deep(image):
    """16 bits of which the lower eight are in use."""
    values = np.asarray(image).astype(np.uint16) * 257
    noise = np.random.default_rng(0).integers(0, 200, values.shape, dtype=np.uint16)
    return np.minimum(values, 65000) + noise


TURN = Image.Transpose
REAL = {
    "png": lambda a: stored(a, "PNG"),
    "jpeg": lambda a: stored(a, "JPEG", quality=90),
    "webp": lambda a: stored(a, "WEBP", quality=80),
    "tiff": lambda a: stored(a, "TIFF"),
    "exif 3": lambda a: rotated(a, 3, TURN.ROTATE_180),
    "exif 6": lambda a: rotated(a.crop((0, 0, 180, 200)), 6, TURN.ROTATE_90),
    "exif 8": lambda a: rotated(a, 8, TURN.ROTATE_270),
    "exif 5": lambda a: rotated(a, 5, TURN.TRANSPOSE),
    "grey": lambda a: stored(a.convert("L"), "PNG"),
    "grey with alpha": lambda a: stored(with_alpha(a.convert("L")), "PNG"),
    "alpha": lambda a: stored(with_alpha(a), "PNG"),
    "cmyk": lambda a: stored(a.convert("CMYK"), "JPEG", quality=95),
    "cmyk tiff": lambda a: stored(in_print(a), "TIFF"),
    "palette": lambda a: stored(a.quantize(64), "PNG"),
    "gif": lambda a: stored(a.quantize(128), "GIF"),
    "16-bit grey": lambda a: stored(Image.fromarray(deep(a.convert("L"))), "PNG"),
    "16-bit array": lambda a: deep(a),
    "16-bit grey array": lambda a: deep(a.convert("L"))[..., None],
    "array with alpha": lambda a: np.asarray(with_alpha(a)),
    "tiny": lambda a: stored(a.crop((60, 20, 150, 120)).resize((63, 70)), "PNG"),
    "large": lambda a: stored(a.resize((1100, 1100), Image.Resampling.BICUBIC), "JPEG", quality=90),
    "cut off": lambda a: stored(a.crop((55, 30, 160, 135)), "PNG"),
}


def expected_values(photo):
    if isinstance(photo, np.ndarray):
        return photo
    upright = ImageOps.exif_transpose(photo)
    return np.asarray(upright.convert("RGB") if upright.mode == "P" else upright)


def assert_only_attended_pixels_changed(editor, photo):
    before = expected_values(photo)
    prepared = editor.prepare(photo)
    edit = editor.edit_details(prepared, CHANGES)
    after, weights = np.asarray(edit.image), edit.weights()
    assert after.shape == before.shape and after.dtype == before.dtype
    assert type(edit.image) is np.ndarray or isinstance(edit.image, Image.Image)
    height, width = before.shape[:2]
    changed = (after != before).reshape(height, width, -1).any(-1)
    assert weights.shape == (height, width)
    assert not changed[weights == 0].any()
    assert changed[weights > 0.5].mean() > 0.7
    rows, columns = np.mgrid[:height, :width] + 0.5
    outside = np.ones((height, width), bool)
    for crop in prepared.crops:
        inside = crop.to_crop(torch.from_numpy(np.stack([columns, rows], -1))).numpy()
        outside &= ((inside < 0) | (inside > 1)).any(-1)
    assert not changed[outside].any()
    return before, after, weights


@pytest.mark.parametrize("kind", REAL)
def test_real_photos(editor, astronaut, kind):
    before, after, _ = assert_only_attended_pixels_changed(editor, REAL[kind](astronaut))
    if "alpha" in kind:
        assert np.array_equal(after[..., -1], before[..., -1])
    if kind == "16-bit array":
        assert len(np.unique(after % 257)) > 100


@pytest.mark.parametrize("number", range(4))
def test_rendered_faces_in_larger_pictures(editor, rendered, number):
    rng = np.random.default_rng(number)
    height, width = rng.integers(200, 500, 2)
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8) // 4 + 90
    top, left = rng.integers(0, height - 128), rng.integers(0, width - 128)
    picture[top : top + 128, left : left + 128] = rendered[number]
    assert_only_attended_pixels_changed(editor, picture)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the sample photos are missing: {SAMPLE}")
def test_sample_photos(editor):
    files = sorted(SAMPLE.iterdir())
    assert files
    for file in files:
        with Image.open(file) as photo:
            assert_only_attended_pixels_changed(editor, photo)


def test_several_faces_and_who_is_meant(editor, astronaut, rendered):
    picture = np.full((220, 420, 3), 120, np.uint8)
    picture[:200, :200] = np.asarray(astronaut)
    picture[60:188, 260:388] = rendered[1]
    edit = editor.edit_details(editor.prepare(picture), CHANGES)
    assert len(edit.photo.faces) == 2 and edit.photo.faces[0].area >= edit.photo.faces[1].area
    assert_only_attended_pixels_changed(editor, picture)
    changed = {}
    for who in ("largest", [0], [1]):
        after = editor.edit(editor.prepare(picture, who=who), CHANGES)
        moved = (after != picture).any(-1)
        changed[str(who)] = moved[:, :210].any(), moved[:, 210:].any()
    largest_left = edit.photo.crops[0].x < 210
    assert changed["largest"] == changed["[0]"] == (largest_left, not largest_left)
    assert changed["[1]"] == (not largest_left, largest_left)
    for who, error, message in [
        ("everyone", ValueError, "who: expected 'all', 'largest' or"),
        ([2], ValueError, "who: expected numbers of the 2 faces"),
        ([-1], ValueError, "who: expected an integer at least 0"),
        ([], TypeError, "who: expected"),
    ]:
        with pytest.raises(error, match=message):
            editor.prepare(picture, who=who)


def test_profiles(editor):
    pytest.importorskip("numba", reason='rendering needs pip install "aucond[faces]"')
    from aucond import OPENFACE_AUS
    from aucond.edit import NoFaceError
    from aucond.faces import render_face

    def turned(yaw):
        face = render_face(7000, OPENFACE_AUS.neutral_vector(), size=160, pose=(yaw, 0.0, 0.0))
        return ((face + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy()

    assert_only_attended_pixels_changed(editor, turned(0.5))
    with pytest.raises(NoFaceError, match="no face was found .* 45 degrees"):
        editor.prepare(turned(1.5))


def test_detail_above_the_networks_resolution_stays():
    editor = painting_editor()
    noise = np.random.default_rng(0).integers(60, 180, (320, 320), dtype=np.uint8)
    after = editor.edit(editor.prepare(noise, framing="crop"), CHANGES | {"AU26": 0.5, "AU12": 0.5})
    change = after.astype(int) - noise
    middle = (slice(205, 243), slice(140, 180))
    assert noise[middle].std() > 30 and after[middle].std() > 25
    assert np.abs(np.diff(change, axis=0)).max() <= 4 and np.abs(np.diff(change, axis=1)).max() <= 4


def test_what_is_replaced_leaves_no_ghost():
    editor = painting_editor()
    line = np.full((320, 320), 60, np.uint8)
    line[::2] = 80  # far finer than the crop of 32 pixels can hold
    after = editor.edit(editor.prepare(line, framing="crop"), CHANGES).astype(int)
    middle = after[205:243, 140:180]
    assert middle.mean() > 240 and np.abs(np.diff(middle, axis=0)).max() <= 5


def test_the_edit_fades_in_from_zero():
    editor = painting_editor(attention_floor=0.3)
    flat = np.full((256, 256), 40, np.uint8)
    after = editor.edit(editor.prepare(flat, framing="crop"), CHANGES)
    assert after[180, 128] > 230
    assert np.abs(np.diff(after.astype(int), axis=0)).max() < 30  # 215 grey levels over a ramp, no edge
    assert (after[:100] == 40).all()


def test_a_crop_that_reaches_over_the_edge():
    editor = painting_editor()
    photo = np.full((60, 90, 3), 100, np.uint8)
    prepared = editor.prepare(photo, crops=[FaceCrop(5.0, 40.0, 80.0, 0.2), FaceCrop(88.0, 10.0, 30.0)])
    edit = editor.edit_details(prepared, CHANGES)
    changed = (edit.image != photo).any(-1)
    assert changed.any() and not changed[edit.weights() == 0].any()
    assert torch.allclose(prepared.images, torch.tensor(100 / 127.5 - 1), atol=1e-5)


def test_cutting_is_exact_where_it_can_be():
    values = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    same = cut_out(open_pixels(values), FaceCrop(16.0, 16.0, 32.0), 32)
    expected = torch.from_numpy(values).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(same, expected, atol=1e-4, rtol=0)
    blocks = np.kron(values, np.ones((8, 8, 1), np.uint8))
    smaller = cut_out(open_pixels(blocks), FaceCrop(128.0, 128.0, 256.0), 32)
    torch.testing.assert_close(smaller, expected, atol=0.35, rtol=0)
    assert (smaller - expected).abs().mean() < 0.06
    turned = cut_out(open_pixels(values), FaceCrop(16.0, 16.0, 32.0, np.pi / 2), 32)
    torch.testing.assert_close(turned, torch.rot90(expected, 1, (1, 2)), atol=1e-3, rtol=0)


def test_fine_stripes_do_not_alias():
    stripes = np.zeros((510, 510), np.uint8)
    stripes[:, ::2] = 255
    small = cut_out(open_pixels(stripes), FaceCrop(255.0, 255.0, 510.0), 32)
    assert small.abs().max() < 0.1


def _memory(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise AssertionError(field)


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peak memory is read from /proc")
def test_fifty_megapixels_need_little_more_than_the_result():
    tile = np.random.default_rng(0).integers(60, 200, (70, 71, 3), dtype=np.uint8)
    photo = np.tile(tile, (100, 100, 1))  # 7000 x 7100: 149 MB
    editor = painting_editor()
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    prepared = editor.prepare(photo, crops=[FaceCrop(3500.0, 3500.0, 3000.0, 0.1)])
    edit = editor.edit_details(prepared, CHANGES)
    after = edit.image
    peak = _memory("VmHWM") - before
    assert peak < 149 + 200, f"{peak:.0f} MB"
    assert np.array_equal(after[:1900], photo[:1900])
    assert (after[4100:4200, 3400:3500] != photo[4100:4200, 3400:3500]).any(-1).mean() > 0.9


def test_any_callable_is_a_detector():
    seen = []

    def detector(picture):
        seen.append(picture.shape)
        marks = torch.tensor([[50.0, 40.0]]).repeat(68, 1)
        marks[36:42], marks[42:48] = torch.tensor([40.0, 30.0]), torch.tensor([60.0, 30.0])
        marks[33], marks[48:68] = torch.tensor([50.0, 46.0]), torch.tensor([50.0, 52.0])
        return [Face(marks, (30.0, 20.0, 70.0, 60.0))]

    editor = painting_editor(detector=detector)
    assert_only_attended_pixels_changed(editor, np.full((90, 100), 128, np.uint8))
    assert seen == [(90, 100, 3)]
