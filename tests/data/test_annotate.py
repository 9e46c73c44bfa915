from __future__ import annotations

import csv
import importlib.util
import json
import logging
import os
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aucond.conditions import ARKIT_BLENDSHAPES, OPENFACE_AUS
from aucond.data import ConditionFolder, DatasetError, annotate, annotation
from aucond.faces import SyntheticFaces
from aucond.faces.detection import Face

COUNT, SIZE = 6, 48


class Known:
    """A detector that knows the landmarks of the pictures, by their top left pixels."""

    def __init__(self, faces: SyntheticFaces, stop_at: int | None = None) -> None:
        marks = faces.landmarks(range(len(faces)))
        self.faces = {
            self.key(image.permute(1, 2, 0).numpy()): m for image, m in zip(faces.images, marks, strict=True)
        }
        self.calls = 0
        self.stop_at = stop_at

    @staticmethod
    def key(picture: Any) -> bytes:
        return picture[:6, :6].tobytes()

    def __call__(self, picture: Any) -> list[Face]:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        marks = self.faces.get(self.key(picture))
        return [] if marks is None else [Face(marks, (0.0, 0.0, float(SIZE), float(SIZE)))]


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces(range(900_000, 900_000 + COUNT), COUNT, SIZE, seed=1, cache=False)


@pytest.fixture
def photos(faces: SyntheticFaces, tmp_path: Path) -> Path:
    """Six faces, one of them in a folder below, a landscape, a broken file, and things that are no photos."""
    root = tmp_path / "photos"
    (root / "below").mkdir(parents=True)
    for number, image in enumerate(faces.images):
        name = f"below/{number}.png" if number == 5 else f"{number}.png"
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / name)
    Image.new("RGB", (SIZE, SIZE), "green").save(root / "landscape.png")
    (root / "broken.png").write_bytes((root / "0.png").read_bytes()[:500])
    (root / "notes.txt").write_text("no photo")
    (root / ".hidden.png").write_bytes(b"")
    return root


def run(root: Path, detector: Any, **options: Any) -> annotation.AnnotationReport:
    return annotate(root, OPENFACE_AUS, detector=detector, progress=False, **options)


def test_a_folder_of_photos_becomes_a_dataset(faces: SyntheticFaces, photos: Path, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, "aucond.data"):
        report = run(photos, Known(faces))
    assert (report.annotated, report.new, report.several) == (6, 8, ())
    assert [problem.path.name for problem in report.problems] == ["broken.png", "landscape.png"]
    assert "cannot be read as an image" in report.problems[0].reason
    assert report.problems[1].reason == "no face was found"
    assert "2 problems" in caplog.text and "landscape.png" in caplog.text
    listed = (photos / "unusable_photos.csv").read_text().splitlines()
    assert listed[0] == "file_name,reason" and len(listed) == 3
    data = ConditionFolder(photos, OPENFACE_AUS)
    assert len(data) == 6
    names = (photos / "metadata.csv").read_text().splitlines()
    assert names[0].split(",") == ["file_name", *OPENFACE_AUS.names]
    assert [line.split(",")[0] for line in names[1:]] == [*(f"{i}.png" for i in range(5)), "below/5.png"]
    blink = OPENFACE_AUS.index("AU45")
    assert (data.conditions[:, blink] - faces.conditions[:, blink]).abs().max() < 0.3
    assert not (photos / ".annotation.jsonl").exists()


def test_it_goes_on_where_it_was_stopped(faces: SyntheticFaces, photos: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(annotation, "_BATCH", 2)
    whole = photos.parent / "whole"
    shutil.copytree(photos, whole)
    run(whole, Known(faces))
    with pytest.raises(KeyboardInterrupt):
        run(photos, Known(faces, stop_at=5))
    assert not (photos / "metadata.csv").exists()
    journal = photos / ".annotation.jsonl"
    assert len(journal.read_text().splitlines()) == 1 + 4
    with journal.open("a") as stream:
        stream.write('{"file_name": "4.png", "val')  # What a crash in the middle of a line leaves.
    second = Known(faces)
    report = run(photos, second)
    # The broken file never reaches the detector.
    assert report.new == 4 and second.calls in (3, 4)
    assert (photos / "unusable_photos.csv").read_bytes() == (whole / "unusable_photos.csv").read_bytes()
    # Photos are fitted in other company after a stop, so that sums may round otherwise.
    ours, theirs = (list(csv.reader((at / "metadata.csv").open())) for at in (photos, whole))
    assert [row[0] for row in ours] == [row[0] for row in theirs] and ours[0] == theirs[0]
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert [float(v) for v in mine[1:]] == pytest.approx([float(v) for v in other[1:]], abs=2e-3)


def test_photos_may_be_added_later(faces: SyntheticFaces, photos: Path) -> None:
    (photos / "3.png").rename(photos.parent / "later.png")
    assert run(photos, Known(faces)).annotated == 5
    again = Known(faces)
    assert run(photos, again).new == 0 and again.calls == 0
    (photos.parent / "later.png").rename(photos / "3.png")
    report = run(photos, again)
    assert (report.new, report.annotated, again.calls, len(report.problems)) == (1, 6, 1, 2)


def test_no_photo_ends_the_run(faces: SyntheticFaces, photos: Path) -> None:
    known = Known(faces)

    def moody(picture: Any) -> list[Face]:
        found = known(picture)
        if known.calls == 1:
            raise RuntimeError("out of sorts")
        if known.calls == 2:
            return [Face(torch.full((68, 2), torch.nan), (0.0, 0.0, 1.0, 1.0))]
        if known.calls == 3:
            return [
                Face(
                    torch.rand(68, 2, generator=torch.Generator().manual_seed(0)) * SIZE, (0.0, 0.0, 9.0, 9.0)
                )
            ]
        if known.calls == 4:
            return [*found, Face(found[0].landmarks + 90, (0.0, 0.0, 5.0, 5.0))]
        return found

    report = run(photos, moody)
    reasons = {problem.path.name: problem.reason for problem in report.problems}
    assert reasons["0.png"] == "the detector failed: RuntimeError: out of sorts"
    assert reasons["1.png"] == "the detector gave landmarks that are not finite"
    assert "the face model does not fit the face" in reasons["2.png"]
    assert report.several == ("3.png",) and report.annotated == 3


@pytest.mark.parametrize("axis", [0, 1])
def test_landmarks_on_one_line_leave_the_other_photos_alone(
    faces: SyntheticFaces, photos: Path, axis: int
) -> None:
    known = Known(faces)

    def flat(picture: Any) -> list[Face]:
        found = known(picture)
        if known.calls == 1:
            marks = found[0].landmarks.clone()
            marks[:, axis] = 20.0
            return [Face(marks, found[0].box)]
        return found

    report = run(photos, flat)
    reasons = {problem.path.name: problem.reason for problem in report.problems}
    assert reasons["0.png"] == "the detector went wrong: its landmarks lie all on one line"
    assert report.annotated == 5 and len(ConditionFolder(photos, OPENFACE_AUS)) == 5


def copy_as(photos: Path, name: bytes) -> bytes:
    """Copy the first photo to another name, if the file system takes it."""
    path = os.fsencode(photos) + b"/" + name
    try:
        shutil.copy(photos / "0.png", path)
    except OSError:
        pytest.skip("the file system takes no such names")
    return path


def test_a_name_that_is_not_utf8_does_not_end_the_run(
    faces: SyntheticFaces, photos: Path, caplog: Any
) -> None:
    path = copy_as(photos, b"Andr\xe9.png")
    listed = "Andr\\udce9.png,the file name is not UTF-8; rename it"
    for new in (8, 0):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "aucond.data"):
            report = run(photos, Known(faces))
        assert (report.new, report.annotated) == (new, 6)
        assert str(report.problems[0].path) == f"{photos}/Andr\\udce9.png"
        assert listed in (photos / "unusable_photos.csv").read_text().splitlines()
        assert "dropped" not in caplog.text
        assert len(ConditionFolder(photos, OPENFACE_AUS)) == 6
    assert "2 photos listed in unusable_photos.csv are not looked at again" in caplog.text
    os.rename(path, photos / "7.png")  # noqa: PTH104
    report = run(photos, Known(faces))
    assert (report.new, report.annotated, len(report.problems)) == (1, 7, 2)


def test_a_journal_with_a_name_that_is_not_utf8_goes_on(
    faces: SyntheticFaces, photos: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(annotation, "_BATCH", 2)
    with pytest.raises(KeyboardInterrupt):
        run(photos, Known(faces, stop_at=5))
    with (photos / ".annotation.jsonl").open("a") as stream:
        stream.write(json.dumps({"file_name": "Andr\udce9.png", "faces": 1, "values": [0.0] * 17}) + "\n")
    report = run(photos, Known(faces))
    assert (report.new, report.annotated) == (4, 6)
    assert "Andr" not in (photos / "metadata.csv").read_text()
    copy_as(photos, b"Andr\xe9.png")
    assert run(photos, Known(faces)).annotated == 6


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (" 0.png", "begins or ends with a blank, which tables take away; rename it"),
        ("\N{NO-BREAK SPACE}x.png", "begins or ends with a blank, which tables take away; rename it"),
        ("x\ry.png", "has a carriage return in it, which ends a row of a table; rename it"),
    ],
)
def test_a_name_that_a_table_would_change_is_listed(
    faces: SyntheticFaces, photos: Path, name: str, reason: str
) -> None:
    copy_as(photos, name.encode())
    for new in (8, 0):
        report = run(photos, Known(faces))
        assert (report.new, report.annotated) == (new, 6)
        assert [problem.reason for problem in report.problems].count(f"the file name {reason}") == 1
        # Its neighbour of the same name without the blank is no worse for it.
        assert len(ConditionFolder(photos, OPENFACE_AUS)) == 6
    assert len(report.problems) == 3


def test_photos_that_are_gone_leave_the_table(faces: SyntheticFaces, photos: Path, caplog: Any) -> None:
    run(photos, Known(faces))
    with (photos / "metadata.csv").open("a") as stream:
        stream.write("x" * 300 + ".png" + ",0" * OPENFACE_AUS.dim + "\n")
    (photos / "4.png").rename(photos / "4.raw")
    table = (photos / "metadata.csv").read_text()
    (photos / "metadata.csv").write_text(table.replace("4.png", "4.raw"))
    for name in ("0.png", "below/5.png", "landscape.png"):
        (photos / name).unlink()
    with caplog.at_level(logging.WARNING, "aucond.data"):
        report = run(photos, Known(faces))
    assert (report.new, report.annotated, len(report.problems)) == (0, 4, 1)
    assert "dropped 4 entries of earlier runs, whose photos are no longer there" in caplog.text
    # A row of the user's about a photo of another ending stays.
    assert [path.name for path in ConditionFolder(photos, OPENFACE_AUS).paths] == [
        "1.png",
        "2.png",
        "3.png",
        "4.raw",
    ]
    caplog.clear()
    run(photos, Known(faces))
    assert "dropped" not in caplog.text


def test_photos_that_are_gone_leave_the_journal(
    faces: SyntheticFaces, photos: Path, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setattr(annotation, "_BATCH", 2)
    with pytest.raises(KeyboardInterrupt):
        run(photos, Known(faces, stop_at=5))
    (photos / "0.png").unlink()
    with caplog.at_level(logging.WARNING, "aucond.data"):
        report = run(photos, Known(faces))
    assert report.annotated == 5 and len(ConditionFolder(photos, OPENFACE_AUS)) == 5
    assert "dropped 1 entry of earlier runs, whose photo is no longer there" in caplog.text


def test_a_missing_part_is_no_matter_of_one_photo(photos: Path) -> None:
    def absent(picture: Any) -> list[Face]:
        raise ImportError('finding faces needs dlib: pip install "aucond[detect]"')

    with pytest.raises(ImportError, match="finding faces needs dlib"):
        run(photos, absent)
    assert not (photos / "metadata.csv").exists()


def test_a_detector_of_another_kind_ends_the_run_before_photos_are_listed(
    faces: SyntheticFaces, photos: Path
) -> None:
    with pytest.raises(TypeError, match=r"detector: expected it to return a list of Face\(landmarks, box\)"):
        run(photos, lambda picture: picture[:2])
    assert not (photos / "unusable_photos.csv").exists()
    assert run(photos, Known(faces)).annotated == 6


def test_wrong_coordinates_are_found_and_unusable_photos_can_be_tried_again(
    faces: SyntheticFaces, photos: Path, caplog: Any
) -> None:
    known = Known(faces)
    spoiled = run(photos, lambda picture: [Face(f.landmarks.flip(1), f.box) for f in known(picture)])
    assert (
        spoiled.annotated == 0 and "went wrong: its landmarks show a mirrored" in spoiled.problems[0].reason
    )
    with caplog.at_level(logging.WARNING, "aucond.data"):
        assert run(photos, known).new == 0
    assert "8 photos listed in unusable_photos.csv are not looked at again; remove it" in caplog.text
    (photos / "unusable_photos.csv").unlink()
    assert run(photos, known).annotated == 6


def test_what_is_refused(faces: SyntheticFaces, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such folder"):
        annotate(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="there is no image in it"):
        annotate(tmp_path / "empty")
    with pytest.raises(TypeError, match="detector: expected a callable"):
        run(photos, "dlib")
    with pytest.raises(ValueError, match="max_error: expected a finite number at least 0"):
        run(photos, Known(faces), max_error=-1.0)
    with pytest.raises(TypeError, match="space: expected a ConditionSpace"):
        annotate(photos, "arkit")  # type: ignore[arg-type]
    (photos / "metadata.csv").write_text("file_name,smile\n0.png,0.5\n")
    with pytest.raises(DatasetError, match=r"metadata.csv, line 1: is there already, with other columns"):
        run(photos, Known(faces))
    assert (photos / "metadata.csv").read_text() == "file_name,smile\n0.png,0.5\n"


def test_journals_of_another_run(faces: SyntheticFaces, photos: Path) -> None:
    journal = photos / ".annotation.jsonl"
    journal.write_text(json.dumps({"space": ARKIT_BLENDSHAPES.to_dict()}) + "\n")
    with pytest.raises(DatasetError, match="was begun with other settings"):
        run(photos, Known(faces))
    journal.write_text("no journal\n")
    with pytest.raises(DatasetError, match="not a journal of an annotation"):
        run(photos, Known(faces))


def test_command_line(faces: SyntheticFaces, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    for package in ("dlib", "face_recognition_models"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    big = SyntheticFaces([900_000], 1, 160, space=OPENFACE_AUS, pose=0.0, cache=False)
    photo = big.render(0, OPENFACE_AUS.neutral_vector())
    Image.fromarray(((photo + 1) * 127.5).byte().permute(1, 2, 0).numpy()).save(tmp_path / "face.png")
    Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(tmp_path / "black.png")
    monkeypatch.setattr(sys, "argv", ["annotate", str(tmp_path), "--condition", "openface", "--quiet"])
    runpy.run_module("aucond.data.annotate", run_name="__main__")
    assert len((tmp_path / "metadata.csv").read_text().splitlines()) == 2
    assert "black.png,no face was found" in (tmp_path / "unusable_photos.csv").read_text()
    monkeypatch.setattr(sys, "argv", ["annotate", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("aucond.data.annotate", run_name="__main__")
    assert stopped.value.code == 1 and "there is no such folder" in capsys.readouterr().err
