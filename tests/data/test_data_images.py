from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from aucond.data import decode_image, images_to_float
from aucond.data.images import check_size, decode_images


@given(st.lists(st.integers(0, 255), min_size=1))
def test_float_images_lie_on_the_grid_and_come_back(values: list[int]) -> None:
    images = torch.tensor(values, dtype=torch.uint8)
    floats = images_to_float(images)
    assert float(floats.min()) >= -1 and float(floats.max()) <= 1
    assert torch.equal(((floats + 1) * 127.5).round().to(torch.uint8), images)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((6, 8), 0x80FF, dtype=np.uint16))
    else:
        image = Image.new("RGB", (8, 6), (128, 128, 128)).convert(mode, palette=Image.Palette.ADAPTIVE)
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    image.save(path)
    pixels = decode_image(path)
    assert pixels.shape == (3, 6, 8) and pixels.dtype == np.uint8
    if mode != "1":
        assert np.abs(pixels.astype(int) - 128).max() <= 2


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (10, 20, 30, 0)).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png").min() == 255


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 4))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was held turned: show the picture rotated clockwise.
    image.save(tmp_path / "a.png", exif=exif)
    pixels = decode_image(tmp_path / "a.png")
    assert pixels.shape == (3, 8, 4)
    assert pixels[:, 0, 3].tolist() == [255, 255, 255]


def test_resize_cuts_around_the_centre(tmp_path: Path) -> None:
    # Left third black, middle white, right black: the central square is white.
    pixels = np.zeros((30, 90, 3), dtype=np.uint8)
    pixels[:, 30:60] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png", 16).shape == (3, 16, 16)
    assert decode_image(tmp_path / "a.png", 16)[:, :, 1:-1].min() > 200
    assert decode_image(tmp_path / "a.png", (10, 30)).shape == (3, 10, 30)
    assert np.array_equal(decode_image(tmp_path / "a.png", (30, 90)), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_truncated_jpeg_is_refused_even_where_pillow_was_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ValueError, match=r"a\.jpg: cannot be read as an image \(.*[tT]runcated"):
        decode_image(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot identify image file"),
        (b"this is a text", "cannot identify image file"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "cannot be read as an image"),
        (b"\xff\xd8\xff\xe0" + b"junk" * 20, "cannot be read as an image"),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        decode_image(path)


def test_pixels_of_unknown_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="32 bits"):
        decode_image(tmp_path / "a.tif")


@pytest.mark.parametrize("cached", [False, True])
def test_decoding_many_keeps_order_and_reports_each_broken_file(
    tmp_path: Path, write_image: Any, cached: bool
) -> None:
    paths = [write_image(tmp_path / f"{i:03}.png", i) for i in range(300)]
    paths[7].write_bytes(b"no image")
    write_image(paths[290], 0, height=13)
    images, kept, problems, file = decode_images(paths, None, tmp_path / "cache" if cached else None)
    assert (file is not None) == cached
    assert kept == [i for i in range(300) if i not in (7, 290)]
    assert [problem.path for problem in problems] == [paths[7], paths[290]]
    assert "is 13x10 (height x width), while 000.png is 12x10; pass size=" in problems[1].reason
    for i, position in enumerate(kept[:20]):
        assert np.array_equal(images[i].numpy(), decode_image(paths[position]))


def test_cache_is_used_again_and_notices_changes(tmp_path: Path, write_image: Any) -> None:
    paths = [write_image(tmp_path / f"{i}.png", i) for i in range(4)]
    paths[3].write_bytes(b"no image")
    first, *rest = decode_images(paths, (8, 8), tmp_path / "cache")
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 2
    times = [file.stat().st_mtime_ns for file in files]
    again = decode_images(paths, (8, 8), tmp_path / "cache")
    assert torch.equal(again[0], first) and [*again[1:]] == rest
    assert [file.stat().st_mtime_ns for file in files] == times
    # A write into the tensor stays in this process.
    first.zero_()
    assert not torch.equal(decode_images(paths, (8, 8), tmp_path / "cache")[0], first)
    write_image(paths[0], 99)
    os.utime(paths[0], ns=(1, 1))
    changed = decode_images(paths, (8, 8), tmp_path / "cache")[0]
    assert np.array_equal(changed[0].numpy(), decode_image(paths[0], 8))


@pytest.mark.parametrize("failing", [[2], [0, 1, 2, 3]])
def test_a_failure_that_passes_is_not_cached(
    tmp_path: Path, write_image: Any, monkeypatch: pytest.MonkeyPatch, failing: list[int]
) -> None:
    paths = [write_image(tmp_path / f"{i}.png", i) for i in range(4)]
    write_image(paths[3], height=13)
    real_open = Image.open

    def full(path: Path) -> Any:
        if path in [paths[i] for i in failing]:
            raise OSError(24, "Too many open files")
        return real_open(path)

    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", full)
        _, kept, problems, _ = decode_images(paths, None, tmp_path / "cache")
        assert kept == [i for i in range(3) if i not in failing] and "Too many open" in problems[0].reason
    images, kept, problems, _ = decode_images(paths, None, tmp_path / "cache")
    assert kept == [0, 1, 2] and [problem.path for problem in problems] == [paths[3]]
    assert np.array_equal(images[2].numpy(), decode_image(paths[2]))


def test_only_what_could_not_be_read_is_tried_again(
    tmp_path: Path, write_image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_image(tmp_path / f"{i}.png", i) for i in range(4)]
    paths[1].write_bytes(b"no image")
    write_image(paths[2], height=13)
    first = decode_images(paths, None, tmp_path / "cache")
    times = [file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()]
    opened = []
    real_open = Image.open

    def recorded(path: Path) -> Any:
        opened.append(path)
        return real_open(path)

    monkeypatch.setattr(Image, "open", recorded)
    again = decode_images(paths, None, tmp_path / "cache")
    assert opened == [paths[1]]
    assert torch.equal(again[0], first[0]) and again[1:] == first[1:]
    assert [file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()] == times


def test_a_half_written_cache_is_made_again(tmp_path: Path, write_image: Any) -> None:
    paths = [write_image(tmp_path / f"{i}.png", i) for i in range(3)]
    first, *_ = decode_images(paths, None, tmp_path / "cache")
    expected = first.clone()
    for damage in (".bin", ".json"):
        (file,) = (tmp_path / "cache").glob(f"*{damage}")
        file.write_bytes(file.read_bytes()[:-5])
        assert torch.equal(decode_images(paths, None, tmp_path / "cache")[0], expected)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: check_size(0), ValueError, "size: expected an integer at least 1, got 0"),
        (lambda: check_size(12.5), TypeError, "size: expected an integer"),
        (lambda: check_size((1, 2, 3)), ValueError, r"size: expected an int or \(height, width\)"),
        (lambda: check_size((4, -1)), ValueError, "size: expected an integer at least 1, got -1"),
        (
            lambda: images_to_float(torch.zeros(3)),
            TypeError,
            "images: expected a uint8 tensor, got a float32",
        ),
        (lambda: decode_image("nowhere.png"), ValueError, "nowhere.png: cannot be read"),
    ],
)
def test_wrong_arguments_are_named(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
