"""Conditions over time from CSV files."""

import logging

import pytest
import torch

from aucond import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.data import DatasetError
from aucond.edit.condition_sequence import read_condition_sequence

TWO = OPENFACE_AUS.subset(["AU01", "AU12"])
HEADER = "frame, face_id, timestamp, confidence, success, AU01_r, AU12_r"


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_openface_clip(tmp_path, caplog):
    rows = [
        "1, 0, 0.00, 0.98, 1, 0.0, 5.0",
        "2, 0, 0.04, 0.10, 1, 3.0, 3.0",  # unsure
        "3, 0, 0.08, 0.00, 0, 0.0, 0.0",  # no face
        "4, 0, 0.12, 0.98, 1, 3.0, 2.0",
        "6, 0, 0.20, 0.98, 1, 1.0, 0.0",  # 5 is not in the file at all
        "7, 0, 0.24, 0.98, 0, 1.0, 0.0",  # no face at the end
    ]
    path = write(tmp_path / "clip.csv", HEADER, *rows)
    with caplog.at_level(logging.WARNING, logger="aucond.edit"):
        sequence = read_condition_sequence(path, TWO)
    expected = [[0, 1], [0.2, 0.8], [0.4, 0.6], [0.6, 0.4], [0.4, 0.2], [0.2, 0], [0.2, 0]]
    assert torch.allclose(sequence.conditions, torch.tensor(expected))
    assert sequence.frames_per_second == pytest.approx(25.0) and sequence.filled == 4
    assert "the conditions of 4 of 7 frames are interpolated" in caplog.text


def test_live_link_names_and_plain_tables(tmp_path):
    space = ARKIT_BLENDSHAPES.subset(["jawOpen", "eyeBlinkLeft"], keep_mirror=False)
    path = write(
        tmp_path / "a.csv",
        "Timecode,BlendshapeCount,EyeBlinkLeft,JawOpen",
        "00:01,61,0.5,1.0",
        "00:02,61,0.25,0.0",
    )
    sequence = read_condition_sequence(path, space)
    assert sequence.conditions.tolist() == [[1.0, 0.5], [0.0, 0.25]]
    assert sequence.frames_per_second is None and sequence.filled == 0
    path = write(tmp_path / "b.csv", "time,smile", "0.0,0.1", "0.5,0.2", "1.0,0.3")
    assert read_condition_sequence(path, ConditionSpace(["smile"])).frames_per_second == pytest.approx(2.0)
    path = write(tmp_path / "raw.csv", "AU01,AU12", "5,2.5")
    assert read_condition_sequence(path, TWO).conditions.tolist() == [[1.0, 0.5]]


@pytest.mark.parametrize(
    "lines, message",
    [
        ([HEADER, "1, 0, 0.0, 0.9, 0, 1, 1"], "no row is usable: .*1 rows with success 0"),
        ([HEADER, "1, 0, 0.0, 0.9, 1, 9, 1"], r"line 2: 'AU01_r' is 9, expected a value in \[0, 5\]"),
        (["face, confidence, AU01_r, AU12_r", "0, 0.9, 1, 1"], "no column 'frame': this is no clip"),
        ([HEADER.replace("AU12", "AU10"), "1, 0, 0.0, 0.9, 1, 1, 1"], "no column 'AU12_r'"),
        (["AU01,AU12"], "no row below the header"),
        (["AU01,AU11", "1,1"], "no column 'AU12'; did you mean 'AU11'"),
        (
            ["AU01,AU12", "1,x", "1,7", "1"],
            r"(?s)3 problems.*line 2.*'x'.*line 3.*is 7.*line 4: expected 2 cells",
        ),
        (["time,AU01,AU12", "later,1,1", "1,1,1"], "line 2: 'time' is 'later'"),
        ([""], "empty"),
    ],
)
def test_broken_files(tmp_path, lines, message):
    with pytest.raises(DatasetError, match=message):
        read_condition_sequence(write(tmp_path / "x.csv", *lines), TWO)


def test_wrong_calls(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        read_condition_sequence(tmp_path / "none.csv")
    with pytest.raises(TypeError, match="space: expected a ConditionSpace"):
        read_condition_sequence(tmp_path / "none.csv", 17)
    with pytest.raises(ValueError, match="min_confidence: .* got 2"):
        read_condition_sequence(tmp_path / "none.csv", TWO, min_confidence=2)
