import numpy as np
import pytest
from PIL import Image

from aucond.edit.photo_io import Pixels, open_pixels


def test_the_same_photo_comes_back_without_a_change():
    rng = np.random.default_rng(0)
    for mode, channels in (("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("CMYK", 4)):
        data = rng.integers(0, 256, (5, 7, channels), dtype=np.uint8)
        image = Image.frombytes(mode, (7, 5), data.tobytes())
        image.info["dpi"] = (300, 300)
        pixels = open_pixels(image)
        assert (pixels.mode, pixels.height, pixels.width) == (mode, 5, 7)
        back = pixels.like_the_original(pixels.values)
        assert back.mode == mode and back.tobytes() == image.tobytes() and back.info["dpi"] == (300, 300)


def test_sixteen_bits_stay_sixteen_bits():
    deep = np.array([[0, 1, 257], [32768, 65534, 65535]], np.uint16)
    pixels = open_pixels(Image.fromarray(deep))
    back = pixels.like_the_original(pixels.values)
    assert back.mode == "I;16" and np.array_equal(np.asarray(back), deep)
    assert pixels.rgb()[..., 0].tolist() == [[0, 0, 1], [128, 255, 255]]


@pytest.mark.parametrize(
    "source, mode",
    [("1", "L"), ("P", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("RGBX", "RGB"), ("RGBa", "RGBA")],
)
def test_other_kinds_become_the_nearest_that_is_kept(source, mode):
    image = Image.new("RGBA" if source == "RGBa" else "RGB", (3, 2), "red").convert(source)
    assert open_pixels(image).mode == mode


def test_transparency_of_a_palette_is_kept():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = 1
    pixels = open_pixels(image)
    assert pixels.mode == "RGBA" and pixels.values[0, :, 3].tolist() == [255, 0]


def test_what_a_network_sees():
    rgba = np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    assert open_pixels(rgba).rgb().tolist() == [[[255, 0, 0], [255, 255, 255], [127, 127, 127]]]
    inks = Image.frombytes("CMYK", (2, 1), bytes([0, 255, 255, 0, 10, 20, 30, 255]))
    assert open_pixels(inks).rgb().tolist() == [[[255, 0, 0], [0, 0, 0]]]
    assert open_pixels(np.array([[7]], np.uint8)).rgb().tolist() == [[[7, 7, 7]]]


def changed(pixels, change, touched=True):
    height, width = pixels.values.shape[:2]
    change = np.broadcast_to(np.asarray(change, np.float32), (height, width, 3))
    return pixels.changed(pixels.values, change, np.full((height, width), touched)).tolist()


def test_changes_by_hand():
    assert changed(Pixels(np.array([[[10, 100, 250]]], np.uint8), "RGB"), [-1.0, 0.5, 0.5]) == [
        [[0, 164, 255]]
    ]
    assert changed(Pixels(np.array([[[10, 100, 250]]], np.uint8), "RGB"), [-1.0, 0.5, 0.5], False) == [
        [[10, 100, 250]]
    ]
    assert changed(Pixels(np.array([[[1000]]], np.uint16), "L"), [1.0, 1.0, 1.0]) == [[[33768]]]
    seen_and_unseen = np.array([[[10, 10, 10, 5], [10, 10, 10, 0]]], np.uint8)
    assert changed(Pixels(seen_and_unseen, "RGBA"), [0.2, 0.0, 0.0]) == [[[36, 10, 10, 5], [10, 10, 10, 0]]]
    inks = np.array([[[100, 100, 100, 0], [100, 100, 100, 255]]], np.uint8)
    lighter = changed(Pixels(inks, "CMYK"), [0.2, 0.2, 0.2])
    assert lighter == [[[74, 74, 74, 0], [100, 100, 100, 255]]]


def test_no_change_of_ink_is_no_change_of_a_bit():
    inks = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    assert changed(Pixels(inks, "CMYK"), [0.0, 0.0, 0.0]) == inks.tolist()


def test_bad_files(tmp_path):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    Image.new("F", (4, 4)).save(tmp_path / "float.tiff")
    for name, error, message in [
        ("none.png", FileNotFoundError, r"none\.png: there is no such file"),
        ("half.jpg", ValueError, r"half\.jpg: cannot be read as an image"),
        ("text.png", ValueError, r"text\.png: cannot be read as an image"),
        ("float.tiff", ValueError, r"float\.tiff: pixels of kind 'F' \(32 bits\) have no known range"),
        ("", FileNotFoundError, r": there is no such file"),
    ]:
        with pytest.raises(error, match=message):
            open_pixels(tmp_path / name if name else tmp_path)


def test_too_many_pixels(tmp_path, monkeypatch):
    Image.new("L", (50, 50)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"bomb\.png: too large to be a photo"):
        open_pixels(tmp_path / "bomb.png")


def test_lab_is_refused():
    with pytest.raises(ValueError, match="photo: pixels of kind 'LAB' cannot be edited"):
        open_pixels(Image.new("LAB", (2, 2)))
