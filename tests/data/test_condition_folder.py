from __future__ import annotations

import logging
import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aucond.conditions import ARKIT_BLENDSHAPES, ConditionSpace
from aucond.data import AnnotatedImages, Annotations, ConditionFolder, DatasetError, Record, decode_image

GOOD = """file_name,identity,split,note,smileRight,jaw,smileLeft
a.png,zoe,train,x,0.3,0.1,0.2
b.png,adam,test,,0.6,0.4,0.5
c.png,zoe,train,"with, comma",0.9,0.7,0.8
"""


def test_items_follow_the_table(write_folder: Any, space: ConditionSpace) -> None:
    root = write_folder(GOOD, "abc")
    dataset = ConditionFolder(root, space)
    assert len(dataset) == 3
    assert dataset.images.shape == (3, 3, 12, 10) and dataset.images.dtype == torch.uint8
    assert torch.equal(dataset.conditions, torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]))
    assert dataset.identity_names == ("adam", "zoe")
    item = dataset[1]
    assert item["identity"].item() == 0 and item["identity"].dtype == torch.int64
    assert item["image"].dtype == torch.float32
    expected = decode_image(root / "b.png").astype(np.float32) / 127.5 - 1
    assert np.allclose(item["image"].numpy(), expected, atol=1e-6)
    assert torch.equal(dataset[-1]["image"], dataset[2]["image"])
    with pytest.raises(IndexError):
        dataset[3]


def test_splits_share_the_numbers_of_identities(write_folder: Any, space: ConditionSpace) -> None:
    root = write_folder(GOOD, "abc")
    train, test = (ConditionFolder(root, space, split=split) for split in ("train", "test"))
    assert [path.name for path in train.paths] == ["a.png", "c.png"]
    assert train.identities is not None and train.identities.tolist() == [1, 1]
    assert test.identities is not None and test.identities.tolist() == [0]


def test_byte_order_mark_blanks_crlf_and_subfolders(
    write_folder: Any, write_image: Any, space: ConditionSpace
) -> None:
    text = (
        "\ufefffile_name, jaw ,smileLeft,smileRight\r\n sub/ü 1.png , 0.5 ,1,0\r\n\r\n./a.png,0,0,1.00005\r\n"
    )
    root = write_folder(text, "a")
    write_image(root / "sub" / "ü 1.png", 3)
    dataset = ConditionFolder(root, space)
    assert dataset.conditions.tolist() == [[0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert dataset.identities is None and "identity" not in dataset[0]


def test_size_brings_different_images_together(
    write_folder: Any, write_image: Any, space: ConditionSpace
) -> None:
    root = write_folder("file_name,jaw,smileLeft,smileRight\na.png,0,0,0\nb.png,0,0,0\n", "ab")
    write_image(root / "b.png", 1, height=40, width=30)
    with pytest.raises(DatasetError, match=r"b\.png: is 40x30 .*while a\.png is 12x10"):
        ConditionFolder(root, space)
    assert ConditionFolder(root, space, size=16).images.shape == (2, 3, 16, 16)


def test_flips_are_a_pure_function_of_seed_and_epoch(write_folder: Any, space: ConditionSpace) -> None:
    rows = "".join(f"{c}.png,0.5,0.2,0.9\n" for c in "abcde")
    root = write_folder("file_name,jaw,smileLeft,smileRight\n" + rows)
    plain = ConditionFolder(root, space)
    flipped = ConditionFolder(root, space, flip=True, seed=3)
    seen = set()
    for epoch in range(20):
        flipped.set_epoch(epoch)
        for i in range(5):
            one, other = plain[i], flipped[i]
            swapped = bool(other["condition"][1] > 0.5)
            assert torch.equal(other["image"], one["image"].flip(-1) if swapped else one["image"])
            assert torch.equal(
                other["condition"], space.flip(one["condition"]) if swapped else one["condition"]
            )
            seen.add((i, swapped))
    assert len(seen) == 10
    again = ConditionFolder(root, space, flip=True, seed=3)
    again.set_epoch(19)
    assert all(torch.equal(again[i]["image"], flipped[i]["image"]) for i in range(5))


def test_memory_map_gives_the_same_data(write_folder: Any, space: ConditionSpace, tmp_path: Path) -> None:
    root = write_folder(GOOD, "abc")
    assert torch.equal(
        ConditionFolder(root, space, cache=tmp_path / "cache").images, ConditionFolder(root, space).images
    )


def test_pickled_data_set_maps_its_images_again(
    write_folder: Any, space: ConditionSpace, tmp_path: Path
) -> None:
    root = write_folder(GOOD, "abc")
    cached = ConditionFolder(root, space, size=64, cache=tmp_path / "cache", flip=True)
    cached.set_epoch(3)
    pickled = pickle.dumps(cached)
    assert len(pickled) < cached.images.numel()
    again = pickle.loads(pickled)
    assert torch.equal(again.images, cached.images)
    assert all(torch.equal(again[i]["image"], cached[i]["image"]) for i in range(3))
    assert torch.equal(pickle.loads(pickle.dumps(again)).images, cached.images)
    # Images of the caller's are no longer those of the file.
    cached.images = 255 - cached.images
    assert torch.equal(pickle.loads(pickle.dumps(cached)).images, cached.images)
    in_memory = ConditionFolder(root, space)
    assert torch.equal(pickle.loads(pickle.dumps(in_memory)).images, in_memory.images)


def test_pickled_data_set_refuses_a_cache_made_anew(
    write_folder: Any, space: ConditionSpace, tmp_path: Path
) -> None:
    pickled = pickle.dumps(ConditionFolder(write_folder(GOOD, "abc"), space, cache=tmp_path / "cache"))
    (pixels,) = (tmp_path / "cache").glob("*.bin")
    content, written = pixels.read_bytes(), pixels.stat().st_mtime_ns
    for other, time in ((content, 1), (content + content, written)):
        pixels.write_bytes(other)
        os.utime(pixels, ns=(time, time))
        with pytest.raises(ValueError, match=r"\.bin: the file was written anew .*; open the data set again"):
            pickle.loads(pickled)
    pixels.unlink()
    with pytest.raises(FileNotFoundError, match=r"\.bin"):
        pickle.loads(pickled)


def test_another_space_is_one_change(write_folder: Any) -> None:
    header = ",".join(["file_name", *ARKIT_BLENDSHAPES.names])
    root = write_folder(header + "\na.png" + ",0.25" * 52 + "\n", "a")
    assert ConditionFolder(root, ARKIT_BLENDSHAPES).conditions.shape == (1, 52)


def test_identities_are_those_of_the_split(tmp_path: Path, write_image: Any, space: ConditionSpace) -> None:
    known = [
        Record(write_image(tmp_path / f"{i}.png", i), (0.0, 0.0, 0.0), who, "train")
        for i, who in enumerate("ab")
    ]
    unknown = Record(write_image(tmp_path / "2.png"), (0.0, 0.0, 0.0), None, "test")
    annotations = Annotations(tmp_path, (*known, unknown))
    train, test = (AnnotatedImages(annotations, space, split=split) for split in ("train", "test"))
    assert train.identities is not None and train.identities.tolist() == [0, 1]
    assert test.identities is None and test.identity_names == () and "identity" not in test[0]
    with pytest.raises(
        ValueError, match=r"an identity of every image or of none, got 2 of 3, none of .*2\.png"
    ):
        AnnotatedImages(annotations, space)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            (0.0, 0.0),
            r"annotations: expected conditions of 3 values as in ConditionSpace\(3: .*, got 2 for .*b\.png",
        ),
        ((0.0,) * 4, "annotations: expected conditions of 3 values .*, got 4 for"),
        (
            (0.0, math.nan, 0.0),
            r"annotations: .*b\.png: component 'smileLeft' must lie in \[0, 1\], got nan at index \(1,\)",
        ),
        ((math.inf, 0.0, 0.0), "component 'jaw' must lie in .* got inf"),
        ((0.0, 0.0, 1.1), "component 'smileRight' must lie in .* got 1.1"),
    ],
)
def test_wrong_conditions_are_named(
    tmp_path: Path, write_image: Any, space: ConditionSpace, condition: tuple[float, ...], message: str
) -> None:
    good, bad = (write_image(tmp_path / name) for name in ("a.png", "b.png"))
    with pytest.raises(ValueError, match=message):
        AnnotatedImages(Annotations(tmp_path, (Record(good, (0.0, 1.0, 0.5)), Record(bad, condition))), space)


def test_annotations_of_another_kind_are_refused(space: ConditionSpace) -> None:
    with pytest.raises(TypeError, match="annotations: expected Annotations, as the readers give, got a list"):
        AnnotatedImages([], space)  # type: ignore[arg-type]


BROKEN = """file_name,identity,split,jaw,smileLeft,smileRight
a.png,1,train,0,0,0
missing.png,1,train,0,0,0
b.png,1,train,nan,0,0
c.png,1,train,0,1.5,x
a.png,1,train,0,0,0
../secret.png,1,train,0,0,0
/etc/passwd,1,train,0,0,0
C:\\x.png,1,train,0,0,0
..\\x.png,1,train,0,0,0
,1,train,0,0,0
d.png,,train,0,0,0
e.png,1,,0,,0
f.png,1,train,0,0
g.png,1,train,inf,0,0
h.png,1,train,1_0,0,0
i.png,1,train,0,0,0
j.png,1,train,0,0,0
sub,1,train,0,0,0
"""

REASONS = {
    3: "there is no file 'missing.png'",
    4: "'jaw' is 'nan', expected a finite number",
    5: "'smileRight' is 'x', expected a number",
    6: "the file name 'a.png' is already on line 2",
    7: "'../secret.png' goes up with '..'",
    8: "'/etc/passwd' is absolute",
    9: "'C:\\\\x.png' is absolute",
    10: "'..\\\\x.png' goes up with '..'",
    11: "the file name is empty",
    12: "'identity' is empty",
    13: "'split' is empty; 'smileLeft' is empty",
    14: "expected 6 cells as in the header, got 5",
    15: "'jaw' is 'inf', expected a finite number",
    16: "'jaw' is '1_0', expected a number",
    17: "'i.png' is a link that leads out of",
    19: "'sub' is not a file",
}


@pytest.fixture
def broken(write_folder: Any, tmp_path: Path) -> Path:
    root: Path = write_folder(BROKEN, "abcdefgh")
    outside = tmp_path / "outside.png"
    Image.new("RGB", (10, 12)).save(outside)
    (root / "i.png").symlink_to(outside)
    (root / "j.png").write_bytes((root / "a.png").read_bytes()[:60])
    (root / "sub").mkdir()
    return root


def test_all_broken_entries_are_in_one_error(broken: Path, space: ConditionSpace) -> None:
    with pytest.raises(DatasetError) as caught:
        ConditionFolder(broken, space)
    reported = {problem.line: problem.reason for problem in caught.value.problems if problem.line}
    assert set(reported) == set(REASONS)
    for line, reason in REASONS.items():
        assert reason in reported[line]
        assert f"metadata.csv, line {line}: " in str(caught.value)
    (image,) = [problem for problem in caught.value.problems if problem.line is None]
    assert image.path.name == "j.png" and "cannot be read as an image" in image.reason
    assert f"{broken}: 17 problems" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_skipped_entries_are_counted_in_the_log(
    broken: Path, space: ConditionSpace, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="aucond.data"):
        dataset = ConditionFolder(broken, space, on_error="skip")
    assert [path.name for path in dataset.paths] == ["a.png"]
    assert len(dataset.skipped) == 17
    assert "skipped entries, 17 problems" in caplog.text
    for reason in REASONS.values():
        assert reason in caplog.text


def test_images_that_the_table_does_not_name_are_counted(
    write_folder: Any, space: ConditionSpace, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_folder(GOOD, "abcde")
    ConditionFolder(root, space)
    assert "2 image files are not in metadata.csv" in caplog.text


def test_out_of_range_names_the_column(write_folder: Any, space: ConditionSpace) -> None:
    root = write_folder("file_name,jaw,smileLeft,smileRight\na.png,0,1.5,0\n", "a")
    with pytest.raises(DatasetError, match=r"'smileLeft' is 1.5, expected a normalised value in \[0, 1\]"):
        ConditionFolder(root, space)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "metadata.csv: the file is empty"),
        (b"\n\n", "metadata.csv: the file is empty"),
        (b"file_name,jaw,smileLeft,smileRight\n", "there is no row below the header"),
        (b"file_name,jaw,smile_left\n", "no column 'smileLeft'; did you mean 'smile_left'"),
        (b"image,jaw,smileLeft,smileRight\n", "no column 'file_name'"),
        (b"file_name,jaw,jaw,smileLeft,smileRight\n", "the column 'jaw' appears twice"),
        (b"file_name;jaw;smileLeft;smileRight\n", "columns must be separated by commas"),
        ("file_name,jaw\nä.png,0\n".encode("latin1"), "not UTF-8 text .byte 0xe4."),
        ("file_name,jaw\na.png,0\n".encode("utf-16"), "not UTF-8 text .byte 0xff."),
        (b'file_name,jaw,smileLeft,smileRight\n"a.png"x,0,0,0\n', "line 2: not a CSV file"),
        (
            b"file_name,jaw,smileLeft,smileRight\n" + b"x" * 200_000 + b",0,0,0\n",
            "line 2: not a CSV file .field larger",
        ),
        (b"file_name,jaw,smileLeft,smileRight\na\0.png,0,0,0\n", "zero byte|NUL"),
        (
            b"file_name,jaw,smileLeft,smileRight\na.png,0,0\n",
            "line 2: expected 4 cells as in the header, got 3",
        ),
    ],
)
def test_tables_that_cannot_be_read(
    write_folder: Any, space: ConditionSpace, text: bytes, message: str
) -> None:
    root = write_folder(text, "a")
    with pytest.raises(DatasetError, match=message):
        ConditionFolder(root, space)


def test_nothing_usable_is_an_error_even_when_skipping(write_folder: Any, space: ConditionSpace) -> None:
    root = write_folder("file_name,jaw,smileLeft,smileRight\nnone.png,0,0,0\n", "")
    with pytest.raises(DatasetError, match="1 problem\n.*there is no file 'none.png'"):
        ConditionFolder(root, space, on_error="skip")


def test_an_empty_folder_and_one_too_high(tmp_path: Path, space: ConditionSpace, write_folder: Any) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"there is no metadata\.csv$"):
        ConditionFolder(tmp_path / "empty", space)
    write_folder(GOOD, "abc")
    with pytest.raises(DatasetError, match="open the folder 'faces' inside it"):
        ConditionFolder(tmp_path, space)


def test_an_unreadable_link_loop_is_a_missing_file(write_folder: Any, space: ConditionSpace) -> None:
    root = write_folder("file_name,jaw,smileLeft,smileRight\na.png,0,0,0\nloop.png,0,0,0\n", "a")
    (root / "loop.png").symlink_to("loop.png")
    with pytest.raises(DatasetError, match=r"line 3: .*'loop.png'"):
        ConditionFolder(root, space)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"split": "trian"},
            ValueError,
            "split: expected one of 'test', 'train' .* got 'trian'; did you mean 'train'",
        ),
        ({"on_error": "ignore"}, ValueError, "on_error: expected one of 'raise', 'skip', got 'ignore'"),
        ({"size": 0}, ValueError, "size: expected an integer at least 1"),
        ({"seed": -1}, ValueError, "seed: expected an integer at least 0"),
        ({"space": ["jaw"]}, TypeError, "space: expected a ConditionSpace, got a list"),
        (
            {"space": ConditionSpace(["split"])},
            ValueError,
            "space: the component name 'split' is a column of its own",
        ),
    ],
)
def test_wrong_arguments_are_named(
    write_folder: Any, space: ConditionSpace, arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    root = write_folder(GOOD, "abc")
    with pytest.raises(kind, match=message):
        ConditionFolder(root, **{"space": space, **arguments})


def test_a_split_of_data_without_splits(write_folder: Any, space: ConditionSpace) -> None:
    root = write_folder("file_name,jaw,smileLeft,smileRight\na.png,0,0,0\n", "a")
    with pytest.raises(ValueError, match="has no splits, got 'train'; pass split=None"):
        ConditionFolder(root, space, split="train")


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_broken_rows_are_told_before_their_split_is_missed(
    write_folder: Any, space: ConditionSpace, on_error: Any
) -> None:
    root = write_folder("file_name,split,jaw,smileLeft,smileRight\na.png,train,80,0,0\n", "a")
    with pytest.raises(DatasetError, match="line 2: 'jaw' is 80, expected a normalised value") as caught:
        ConditionFolder(root, space, split="train", on_error=on_error)
    assert len(caught.value.problems) == 1


def test_broken_rows_are_told_where_only_one_split_is_broken(
    write_folder: Any, space: ConditionSpace, caplog: pytest.LogCaptureFixture
) -> None:
    header = "file_name,split,jaw,smileLeft,smileRight\n"
    root = write_folder(header + "a.png,train,80,0,0\nb.png,test,0,0,0\n", "ab")
    with pytest.raises(DatasetError, match="line 2: 'jaw' is 80, expected a normalised value"):
        ConditionFolder(root, space, split="train")
    with (
        caplog.at_level(logging.WARNING, "aucond.data"),
        pytest.raises(ValueError, match="split: expected one of 'test' .*got 'train'"),
    ):
        ConditionFolder(root, space, split="train", on_error="skip")
    assert "line 2: 'jaw' is 80, expected a normalised value" in caplog.text


def test_a_name_too_long_for_the_system_is_a_broken_row(write_folder: Any, space: ConditionSpace) -> None:
    name = "x" * 300 + ".png"
    root = write_folder(f"file_name,jaw,smileLeft,smileRight\na.png,0,0,0\n{name},0,0,0\n", "a")
    with pytest.raises(DatasetError, match=r"line 3: 'x+\.png' cannot be looked up \(File name too long\)"):
        ConditionFolder(root, space)
    assert len(ConditionFolder(root, space, on_error="skip")) == 1
