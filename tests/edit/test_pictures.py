import numpy as np
import pytest
import torch
from PIL import Image

from aucond.edit import label_rows, save_gif, save_png, tile


def test_tile_puts_every_image_and_mask_in_its_place():
    images = torch.stack([torch.full((3, 2, 3), value) for value in (-1.0, 1.0)])
    masks = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 2, 3)
    picture = tile([images, masks.flip(0)], scale=2)
    assert picture.shape == (3, 8, 12)
    assert (picture[:, :4, :6] == -1).all() and (picture[:, :4, 6:] == 1).all()
    assert (picture[:, 4:, :6] == 1).all() and (picture[:, 4:, 6:] == -1).all()


def test_labels_stand_beside_an_untouched_picture():
    picture = torch.rand(3, 40, 10) * 2 - 1
    labelled = label_rows(picture, ["source", "edit"], width=60)
    assert torch.equal(labelled[:, :, 60:], picture)
    for row in (labelled[:, :20, :60], labelled[:, 20:, :60]):
        assert row.max() == 1 and row.min() < 0  # white, with dark letters


def test_png_holds_the_pixels(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    save_png(torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1, tmp_path / "new" / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), pixels)


def test_gif_moves_and_repeats(tmp_path):
    save_gif([torch.full((3, 4, 4), v) for v in (-1.0, 0.0, 1.0)], tmp_path / "a.gif", frames_per_second=10)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0 and gif.info["duration"] == 100


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    save_png(torch.zeros(3, 2, 2), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_png(torch.ones(3, 2, 2), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


WRONG = [
    (lambda: tile([]), ValueError, "rows: expected at least one batch of images, got none"),
    (
        lambda: tile([torch.zeros(2, 2, 4, 4)]),
        ValueError,
        r"rows\[0\]: expected images \(3 channels\) or masks",
    ),
    (
        lambda: tile([torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 4, 4)]),
        ValueError,
        r"rows\[1\]: .*first row's count",
    ),
    (lambda: tile([torch.zeros(2, 3, 4, 4)], scale=0), ValueError, "scale: expected an integer at least 1"),
    (
        lambda: label_rows(torch.zeros(3, 5, 4), ["a", "b"]),
        ValueError,
        "labels: .*divides the height 5, got 2",
    ),
    (lambda: label_rows(torch.zeros(3, 5, 4), []), ValueError, "labels: expected a number of labels"),
    (lambda: save_png(torch.zeros(1, 4, 4), "x.png"), ValueError, r"picture: expected .*\(3, H, W\)"),
    (lambda: save_gif([], "x.gif"), ValueError, "frames: expected at least one picture"),
    (
        lambda: save_gif([torch.zeros(3, 4, 4), torch.zeros(3, 4, 5)], "x.gif"),
        ValueError,
        r"frames\[1\]: .*\(3, 4, 4\)",
    ),
    (
        lambda: save_gif([torch.zeros(3, 4, 4)], "x.gif", frames_per_second=0),
        ValueError,
        "frames_per_second: .*0.1",
    ),
]


@pytest.mark.parametrize("call, error, message", WRONG)
def test_wrong_calls_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
