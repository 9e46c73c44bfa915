from __future__ import annotations

import csv
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aucond.conditions import OPENFACE_AUS
from aucond.data import ConditionFolder, DatasetError, convert_to_folder, open_dataset, recognise_layout
from aucond.data.convert import main


def test_the_real_sample_survives_the_conversion(sample: Path, tmp_path: Path) -> None:
    table = convert_to_folder(sample, tmp_path / "new")
    assert table == tmp_path / "new" / "metadata.csv"
    before, after = open_dataset(sample, OPENFACE_AUS), open_dataset(tmp_path / "new", OPENFACE_AUS)
    assert isinstance(after, type(before)) and recognise_layout(tmp_path / "new") == "folder"
    assert torch.equal(before.images, after.images)
    assert torch.equal(before.conditions, after.conditions)
    for split, count in (("train", 2), ("test", 2)):
        assert len(ConditionFolder(tmp_path / "new", OPENFACE_AUS, split=split)) == count
    original, copy = (root / "imgs" / before.paths[0].name for root in (sample, tmp_path / "new"))
    assert copy.read_bytes() == original.read_bytes()
    with table.open(newline="") as stream:
        assert next(csv.reader(stream)) == ["file_name", "split", *OPENFACE_AUS.names]


def test_openface_files_with_a_new_size(tmp_path: Path, write_openface: Any, write_image: Any) -> None:
    source = tmp_path / "source"
    for i, suffix in enumerate((".png", ".bmp")):
        write_image(source / f"clip{i}" / f"frame_1{suffix}", i, height=40, width=30)
        write_openface(source / f"clip{i}.csv", [{"AU12_r": i + 1}])
    write_image(source / "clip0" / "frame_1.bmp", 7, height=40, width=30)
    write_openface(source / "clip0.csv", [{"AU12_r": 1}, {"AU12_r": 3}])
    convert_to_folder(source, tmp_path / "new", OPENFACE_AUS.subset(["AU12"]), size=(16, 12))
    dataset = ConditionFolder(tmp_path / "new", OPENFACE_AUS.subset(["AU12"]))
    assert dataset.images.shape == (3, 3, 16, 12)
    names = [path.relative_to(tmp_path / "new").as_posix() for path in dataset.paths]
    assert names == ["clip0/frame_1.png", "clip0/frame_1.png.png", "clip1/frame_1.png"]
    assert dataset.conditions[:, 0].tolist() == pytest.approx([0.2, 0.6, 0.4])
    direct = open_dataset(source, OPENFACE_AUS.subset(["AU12"]), size=(16, 12))
    assert torch.equal(direct.images, dataset.images)


@pytest.fixture
def half_broken(tmp_path: Path, write_openface: Any, write_image: Any) -> Path:
    source = tmp_path / "source"
    for name in "abc":
        write_image(source / f"{name}.png")
        write_openface(source / f"{name}.csv", [{"AU12_r": 9 if name == "b" else 1}], sequence=False)
    (source / "c.png").write_bytes((source / "a.png").read_bytes()[:-30])
    return source


def test_broken_entries_stop_it_before_the_table_is_written(half_broken: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        convert_to_folder(half_broken, tmp_path / "new")
    assert "2 problems" in str(caught.value)
    assert "b.csv, line 2: 'AU12_r' is 9" in str(caught.value)
    assert "c.png: cannot be read as an image" in str(caught.value)
    assert not (tmp_path / "new" / "metadata.csv").exists()


def test_skipping_logs_them_and_finishes_an_interrupted_conversion(
    half_broken: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DatasetError):
        convert_to_folder(half_broken, tmp_path / "new")
    with caplog.at_level(logging.WARNING):
        convert_to_folder(half_broken, tmp_path / "new", on_error="skip")
    assert "skipped entries, 2 problems" in caplog.text
    assert [path.name for path in ConditionFolder(tmp_path / "new", OPENFACE_AUS).paths] == ["a.png"]
    assert not list((tmp_path / "new").glob(".*"))


@pytest.mark.parametrize("size", [None, 8])
@pytest.mark.parametrize(
    ("stem", "shown", "reason"),
    [
        (b"Andr\xe9", "Andr\\udce9", "is not UTF-8; rename it"),
        (b" d", " d", "begins or ends with a blank, which tables take away; rename it"),
    ],
)
def test_names_that_a_table_cannot_hold_are_problems(
    half_broken: Path, tmp_path: Path, size: int | None, stem: bytes, shown: str, reason: str
) -> None:
    for suffix in (b".png", b".csv"):
        path = os.fsencode(half_broken) + b"/" + stem + suffix
        try:
            Path(os.fsdecode(path)).write_bytes((half_broken / f"a{suffix.decode()}").read_bytes())
        except OSError:
            pytest.skip("the file system takes no such names")
    with pytest.raises(DatasetError) as caught:
        convert_to_folder(half_broken, tmp_path / "new", size=size)
    assert f"{shown}.png: the file name {reason}" in str(caught.value)
    convert_to_folder(half_broken, tmp_path / "new", size=size, on_error="skip")
    assert [path.name for path in ConditionFolder(tmp_path / "new", OPENFACE_AUS).paths] == ["a.png"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "metadata.csv"]


def test_a_failing_write_leaves_no_half_file(
    half_broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        convert_to_folder(half_broken, tmp_path / "new", on_error="skip")
    assert list((tmp_path / "new").iterdir()) == []


def test_wrong_sources_and_destinations(sample: Path, tmp_path: Path, write_folder: Any) -> None:
    convert_to_folder(sample, tmp_path / "new")
    with pytest.raises(FileExistsError, match=r"destination: .*metadata\.csv is there already"):
        convert_to_folder(sample, tmp_path / "new")
    with pytest.raises(DatasetError, match=r"is already an image folder with a metadata\.csv"):
        convert_to_folder(tmp_path / "new", tmp_path / "newer")
    with pytest.raises(ValueError, match="destination: expected another folder than the source"):
        convert_to_folder(sample, sample / "imgs" / "..")
    with pytest.raises(DatasetError, match="there is no such folder"):
        convert_to_folder(tmp_path / "none", tmp_path / "newer")
    with pytest.raises(ValueError, match="size: expected an integer at least 1"):
        convert_to_folder(sample, tmp_path / "newer", size=0)
    assert not (tmp_path / "newer").exists()


def test_command_line(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(sample), str(tmp_path / "new"), "--size", "32", "--components", "AU12", "AU26"])
    dataset = ConditionFolder(tmp_path / "new", OPENFACE_AUS.subset(["AU12", "AU26"]))
    assert dataset.images.shape == (4, 3, 32, 32)
    with pytest.raises(SystemExit) as caught:
        main([str(sample), str(tmp_path / "other"), "--components", "AU13"])
    assert caught.value.code == 1
    assert "'AU13' is not one of the 17 components" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main([str(sample), str(tmp_path / "new")])
    assert caught.value.code == 1
    assert "is there already" in capsys.readouterr().err


def test_module_runs_without_a_warning(sample: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "aucond.data.convert", str(sample), str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 images" in done.stderr


def test_recognising_layouts(tmp_path: Path, sample: Path, write_openface: Any, write_folder: Any) -> None:
    assert recognise_layout(sample) == "published"
    write_openface(tmp_path / "openface" / "a.csv", [{}])
    assert recognise_layout(tmp_path / "openface") == "openface"
    folder = write_folder("file_name,jaw\n")
    assert recognise_layout(folder) == "folder"
    write_openface(folder / "a.csv", [{}])
    with pytest.raises(
        DatasetError,
        match=r"files of several layouts \(folder, openface\); keep one of: folder: .*; openface",
    ):
        recognise_layout(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DatasetError, match=r"no known layout; expected one of: folder: metadata\.csv .*published: .*openface"
    ):
        open_dataset(tmp_path / "empty", OPENFACE_AUS)
    with pytest.raises(DatasetError, match="there is no such folder"):
        open_dataset(tmp_path / "nowhere", OPENFACE_AUS)


def test_small_values_are_written_exactly(tmp_path: Path, write_openface: Any, write_image: Any) -> None:
    source = tmp_path / "source"
    values = np.float32(np.random.default_rng(0).random(8) * 5)
    for i, value in enumerate(values):
        write_image(source / f"{i}.png", i)
        write_openface(source / f"{i}.csv", [{"AU12_r": repr(float(value))}], sequence=False)
    space = OPENFACE_AUS.subset(["AU12"])
    convert_to_folder(source, tmp_path / "new", space)
    assert torch.equal(
        open_dataset(source, space).conditions, ConditionFolder(tmp_path / "new", space).conditions
    )
