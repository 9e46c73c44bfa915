from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from aucond.conditions import OPENFACE_AUS, ConditionSpace
from aucond.data import DatasetError, open_dataset, read_openface_csv, read_openface_folder


def test_a_video_with_stray_blanks_and_hundreds_of_columns(tmp_path: Path, write_openface: Any) -> None:
    rows = [{"AU12_r": 2.5, "AU12_c": 1, "AU45_r": 5}, {"AU01_r": 1.25}]
    path = write_openface(tmp_path / "clip.csv", rows)
    assert ", AU12_r" in path.read_text() and path.read_text().count(",") > 700
    table = read_openface_csv(path)
    assert [row.frame for row in table.rows] == [1, 2]
    assert table.rows[0].condition[OPENFACE_AUS.index("AU12")] == 0.5
    assert table.rows[0].condition[-1] == 1.0
    assert torch.equal(table.conditions[1], OPENFACE_AUS.vector(AU01=0.25))
    assert table.notes() == ()


def test_an_image_without_frame_or_success(tmp_path: Path, write_openface: Any) -> None:
    path = write_openface(tmp_path / "photo.csv", [{"AU26_r": 1}], sequence=False, separator=",")
    table = read_openface_csv(path, OPENFACE_AUS.subset(["AU26"]))
    assert table.rows[0].frame is None and table.rows[0].condition == pytest.approx((0.2,))
    assert table.frames_in_file == ()


def test_dropped_rows_are_counted_by_reason(tmp_path: Path, write_openface: Any) -> None:
    rows = [
        {"AU12_r": 1},
        {"success": 0, "confidence": 0, "AU12_r": "-nan"},
        {"confidence": 0.79},
        {"confidence": 0.8},
        {"success": 0},
    ]
    table = read_openface_csv(write_openface(tmp_path / "clip.csv", rows))
    assert [row.frame for row in table.rows] == [1, 4]
    assert (table.failed, table.unsure, table.other_faces) == (2, 1, 0)
    assert table.frames_in_file == (1, 2, 3, 4, 5)
    assert table.notes() == (
        "clip.csv: 2 rows with success 0 were dropped",
        "clip.csv: 1 rows with low confidence were dropped",
    )
    assert len(read_openface_csv(tmp_path / "clip.csv", min_confidence=0.0).rows) == 3


def test_of_several_faces_the_surest_then_the_largest_is_kept(tmp_path: Path, write_openface: Any) -> None:
    def box(side: float) -> dict[str, Any]:
        return {f"{axis}_{i}": side * i / 67 for axis in "xy" for i in range(68)}

    rows = [
        {"frame": 1, "face_id": 0, "confidence": 0.90, **box(500)},
        {"frame": 1, "face_id": 1, "confidence": 0.95, **box(10)},
        {"frame": 2, "face_id": 0, "confidence": 0.95, **box(10)},
        {"frame": 2, "face_id": 1, "confidence": 0.95, **box(20)},
        {"frame": 2, "face_id": 2, "confidence": 0.95, **box(15)},
    ]
    table = read_openface_csv(write_openface(tmp_path / "clip.csv", rows))
    assert [(row.frame, row.face) for row in table.rows] == [(1, 1), (2, 1)]
    assert table.rows[1].area == pytest.approx(400)
    assert table.notes() == ("clip.csv: 3 rows of other faces in the same frame were dropped",)


def test_broken_rows_are_in_one_error(tmp_path: Path, write_openface: Any) -> None:
    rows = [
        {"AU12_r": "nan"},
        {"AU12_r": 5.5},
        {"AU12_r": "smile"},
        {"frame": 1.5},
        {"confidence": ""},
        {"AU12_r": 5.0},
    ]
    path = write_openface(tmp_path / "clip.csv", rows)
    with path.open("a") as stream:
        stream.write("7, 0, 0.2\n")
    with pytest.raises(DatasetError) as caught:
        read_openface_csv(path)
    assert {p.line: p.reason for p in caught.value.problems} == {
        2: "'AU12_r' is 'nan', expected a finite number",
        3: "'AU12_r' is 5.5, expected a value in [0, 5]",
        4: "'AU12_r' is 'smile', expected a number",
        5: "'frame' is '1.5', expected a whole number",
        6: "'confidence' is empty",
        8: "expected 714 cells as in the header, got 3",
    }
    kept = read_openface_csv(path, on_error="skip")
    assert [row.line for row in kept.rows] == [7] and len(kept.problems) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("frame, confidence, success, AU01_r\n", "there is no column 'AU12_r'"),
        (
            "frame, confidence, success, AU1_r, AU12_c\n1,1,1,0,0\n",
            "no column 'AU01_r'; did you mean 'AU1_r'",
        ),
        ("frame, AU01_r, AU12_r, AU12_r\n1,1,1,1\n", "the column 'AU12_r' appears twice"),
        ("frame, AU01_r, AU12_r\n", "there is no row below the header"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "clip.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_openface_csv(path, OPENFACE_AUS.subset(["AU01", "AU12"]))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"min_confidence": 1.5},
            ValueError,
            r"min_confidence: expected a finite number in \[0.0, 1.0\], got 1.5",
        ),
        ({"space": ConditionSpace(["AU99"])}, DatasetError, "there is no column 'AU99_r'"),
        ({"space": None}, TypeError, "space: expected a ConditionSpace, got None"),
        ({"on_error": "drop"}, ValueError, "on_error: expected one of 'raise', 'skip', got 'drop'"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, write_openface: Any, arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_openface_csv(write_openface(tmp_path / "clip.csv", [{}]), **arguments)


def folder_units(root: Path) -> dict[str, float]:
    """Image to its AU12 in raw units."""
    at = OPENFACE_AUS.index("AU12")
    records = read_openface_folder(root).records
    return {r.path.relative_to(root).as_posix(): round(r.condition[at] * 5, 4) for r in records}


@pytest.mark.parametrize("csv_place", [".", "processed", "openface/run1"])
@pytest.mark.parametrize("image_place", [".", "imgs", "images"])
def test_one_file_per_image(
    tmp_path: Path, write_openface: Any, write_image: Any, csv_place: str, image_place: str
) -> None:
    for i, name in enumerate("ab"):
        write_image(tmp_path / image_place / f"{name}.png", i)
        write_openface(tmp_path / csv_place / f"{name}.csv", [{"AU12_r": i + 1}], sequence=False)
    found = folder_units(tmp_path)
    assert {Path(name).name: value for name, value in found.items()} == {"a.png": 1, "b.png": 2}


def test_the_photo_goes_before_the_drawing_beside_the_file(
    tmp_path: Path, write_openface: Any, write_image: Any
) -> None:
    """FaceLandmarkImg writes a picture with landmarks drawn on it beside its CSV."""
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "processed" / "a.jpg")
    write_openface(tmp_path / "processed" / "a.csv", [{"AU12_r": 1}], sequence=False)
    assert folder_units(tmp_path) == {"a.png": 1}


def test_a_sequence_file_of_one_image(tmp_path: Path, write_openface: Any, write_image: Any) -> None:
    write_image(tmp_path / "a.png")
    write_openface(tmp_path / "a.csv", [{"AU12_r": 1}])
    assert folder_units(tmp_path) == {"a.png": 1}


def test_own_crops_tell_frame_and_face(tmp_path: Path, write_openface: Any, write_image: Any) -> None:
    rows = [
        {"frame": 1, "face_id": 0, "confidence": 0.9, "AU12_r": 1},
        {"frame": 1, "face_id": 1, "confidence": 0.95, "AU12_r": 2},
        {"frame": 2, "success": 0, "confidence": 0},
        {"frame": 3, "face_id": 0, "AU12_r": 3},
    ]
    write_openface(tmp_path / "clip.csv", rows)
    for face, frame in ((0, 1), (1, 1), (0, 2), (0, 3)):
        write_image(tmp_path / "clip_aligned" / f"frame_det_{face:02}_{frame:06}.bmp")
    assert folder_units(tmp_path) == {
        "clip_aligned/frame_det_01_000001.bmp": 2,
        "clip_aligned/frame_det_00_000003.bmp": 3,
    }
    assert "2 images of clip_aligned have no usable row in clip.csv" in read_openface_folder(tmp_path).notes


def test_own_crops_of_an_image(tmp_path: Path, write_openface: Any, write_image: Any) -> None:
    rows = [{"face": 0, "confidence": 0.85, "AU12_r": 1}, {"face": 1, "confidence": 0.95, "AU12_r": 2}]
    write_openface(tmp_path / "group.csv", rows, sequence=False)
    for face in (0, 1):
        write_image(tmp_path / "group_aligned" / f"face_det_{face:06}.bmp")
    assert folder_units(tmp_path) == {"group_aligned/face_det_000001.bmp": 2}


@pytest.mark.parametrize("names", [["x.png", "y.png", "z.png"], ["f0.png", "f1.png", "f2.png"]])
def test_as_many_images_as_frames_go_together_in_order(
    tmp_path: Path, write_openface: Any, write_image: Any, names: list[str]
) -> None:
    write_openface(tmp_path / "imgs.csv", [{"AU12_r": 1}, {"success": 0}, {"AU12_r": 3}])
    for name in names:
        write_image(tmp_path / "imgs" / name)
    assert folder_units(tmp_path) == {f"imgs/{names[0]}": 1, f"imgs/{names[2]}": 3}


@pytest.mark.parametrize(
    "pattern", ["frame_{}.png", "frame_{:04}.png", "take2_{}_left.png", "{}.png", "frame_{:02}.png"]
)
@pytest.mark.parametrize("first", [0, 1, 95])
def test_numbers_in_names_are_compared_as_numbers(
    tmp_path: Path, write_openface: Any, write_image: Any, pattern: str, first: int
) -> None:
    names = [pattern.format(first + i) for i in range(12)]
    write_openface(tmp_path / "clip.csv", [{"AU12_r": i / 4} for i in range(12)])
    for name in names:
        write_image(tmp_path / "clip" / name)
    assert folder_units(tmp_path) == {f"clip/{name}": i / 4 for i, name in enumerate(names)}


def test_otherwise_the_number_in_the_name_is_the_frame(
    tmp_path: Path, write_openface: Any, write_image: Any
) -> None:
    write_openface(tmp_path / "clip.csv", [{"AU12_r": i / 2} for i in range(1, 6)])
    for frame in (2, 4, 5):
        write_image(tmp_path / "clip" / f"frame_{frame:04}.png")
    with pytest.raises(DatasetError) as caught:
        read_openface_folder(tmp_path)
    assert [p.line for p in caught.value.problems] == [2, 4]
    assert "there is no image of frame 1, face 0 in" in caught.value.problems[0].reason
    kept = read_openface_folder(tmp_path, on_error="skip").records
    assert [record.path.name for record in kept] == ["frame_0002.png", "frame_0004.png", "frame_0005.png"]


@pytest.mark.parametrize("names", [["f0.png", "f1.png"], ["x.png", "y.png"], ["a1.png", "b1.png"]])
def test_frames_that_cannot_be_told_apart_are_refused(
    tmp_path: Path, write_openface: Any, write_image: Any, names: list[str]
) -> None:
    write_openface(tmp_path / "clip.csv", [{}, {}, {}])
    for name in names:
        write_image(tmp_path / "clip" / name)
    with pytest.raises(
        DatasetError, match="cannot tell which of the 2 images in .* is which of the 3 frames"
    ):
        read_openface_folder(tmp_path)


def test_all_problems_of_a_folder_are_in_one_error(
    tmp_path: Path, write_openface: Any, write_image: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write_image(tmp_path / "good.png")
    write_openface(tmp_path / "good.csv", [{}], sequence=False)
    write_openface(tmp_path / "alone.csv", [{}], sequence=False)
    write_image(tmp_path / "bad.png")
    write_openface(tmp_path / "bad.csv", [{"AU12_r": -1}], sequence=False)
    (tmp_path / "other.csv").write_text("frame, AU01_r\n1, 1\n")
    write_openface(tmp_path / "again" / "good.csv", [{}], sequence=False)
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path, OPENFACE_AUS)
    text = str(caught.value)
    assert "good.csv, line 2: 'good.png' is already annotated in" in text
    assert "alone.csv: expected an image alone.* or a folder alone or alone_aligned" in text
    assert "bad.csv, line 2: 'AU12_r' is -1" in text
    assert "other.csv, line 1: there is no column 'AU02_r'" in text
    with caplog.at_level(logging.WARNING):
        assert len(open_dataset(tmp_path, OPENFACE_AUS, on_error="skip")) == 1
    assert f"skipped entries, {len(caught.value.problems)} problems" in caplog.text


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, write_openface: Any, write_image: Any) -> None:
    outside = write_image(tmp_path / "outside.png")
    write_openface(tmp_path / "data" / "a.csv", [{}], sequence=False)
    (tmp_path / "data" / "a.png").symlink_to(outside)
    with pytest.raises(DatasetError, match="'a.png' is a link that leads out of"):
        read_openface_folder(tmp_path / "data")


def test_a_folder_without_openface_files(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match=r"there is no OpenFace CSV file \(with columns like 'AU12_r'\)"):
        read_openface_folder(tmp_path)
