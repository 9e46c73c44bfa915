from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aucond.conditions import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.data import DatasetError, open_dataset, read_published_layout


@pytest.fixture
def write_published(tmp_path: Path, write_image: Any) -> Any:
    """Write a data set in the published layout from its intensities and lists."""

    def write(intensities: Any, train: str = "a\n", test: str = "b\n", images: Iterable[str] = "ab") -> Path:
        root = tmp_path / "published"
        for seed, name in enumerate(images):
            write_image(root / "imgs" / f"{name}.png", seed)
        content = intensities if isinstance(intensities, bytes) else pickle.dumps(intensities, 2)
        (root / "aus_openface.pkl").write_bytes(content)
        (root / "train_ids.csv").write_text(train, encoding="utf-8")
        (root / "test_ids.csv").write_text(test, encoding="utf-8")
        return root

    return write


RAW = {"a": np.linspace(0, 5, 17), "b": np.linspace(5, 0, 17)}


def test_the_real_sample(sample: Path) -> None:
    annotations = read_published_layout(sample)
    assert [(r.split, r.path.name) for r in annotations.records] == [
        ("train", "N_0000000437_00540.jpg"),
        ("train", "N_0000000356_00190.jpg"),
        ("test", "N_0000001507_00202.jpg"),
        ("test", "N_0000001939_00054.jpg"),
    ]
    # The first three intensities of N_0000000356_00190 as any pickle tool shows them: 2.86, 2.27, 1.45.
    assert annotations.records[1].condition[:3] == pytest.approx((0.572, 0.454, 0.29))
    assert annotations.problems == annotations.notes == ()


def test_the_real_sample_as_a_data_set(sample: Path) -> None:
    dataset = open_dataset(sample, OPENFACE_AUS, split="train", flip=True)
    assert dataset.images.shape == (2, 3, 128, 128)
    assert 40 < float(dataset.images.float().mean()) < 220
    OPENFACE_AUS.validate(dataset.conditions)


def test_some_action_units_in_another_order(sample: Path) -> None:
    full = read_published_layout(sample).records
    some = read_published_layout(sample, OPENFACE_AUS.subset(["AU12", "AU01"])).records
    at = OPENFACE_AUS.index("AU12")
    assert [r.condition for r in some] == [(r.condition[at], r.condition[0]) for r in full]


@pytest.mark.parametrize("listed", ["a", "a.png", '"a.png"', "  a  ", "\ufeffa"])
@pytest.mark.parametrize("key", ["a", "a.png", "a.jpg", b"a"])
def test_names_with_and_without_ending(write_published: Any, listed: str, key: Any) -> None:
    root = write_published({key: RAW["a"]}, train=listed + "\n", test="", images="a")
    (record,) = read_published_layout(root).records
    assert record.path.name == "a.png"
    assert record.condition == pytest.approx(tuple(RAW["a"] / 5))


@pytest.mark.parametrize("listed", ["clip.0001\nclip.0002\n", "clip.0001.png\nclip.0002.PNG\n"])
@pytest.mark.parametrize("ending", ["", ".png", ".jpg"])
def test_names_with_dots_keep_all_their_parts(
    write_published: Any, write_image: Any, listed: str, ending: str
) -> None:
    others = {"clip": np.full(17, 2.5), "clip.png": np.full(17, 2.5)}
    content = {f"clip.0001{ending}": RAW["a"], f"clip.0002{ending}": RAW["b"], **others}
    root = write_published(content, train=listed, test="", images=["clip.0001"])
    write_image(root / "imgs" / ("clip.0002.PNG" if ".PNG" in listed else "clip.0002.png"))
    first, second = read_published_layout(root).records
    assert first.condition == pytest.approx(tuple(RAW["a"] / 5))
    assert second.condition == pytest.approx(tuple(RAW["b"] / 5))


def test_another_entry_never_stands_in_for_a_name_with_dots(write_published: Any) -> None:
    root = write_published({"clip": RAW["a"]}, train="clip.0001\n", test="", images=["clip.0001"])
    with pytest.raises(DatasetError, match=r"aus_openface\.pkl has no entry 'clip\.0001'"):
        read_published_layout(root)


@pytest.mark.parametrize(
    "value", [list(RAW["a"]), tuple(RAW["a"]), RAW["a"][None], RAW["a"].astype(np.float32)]
)
def test_intensities_as_list_row_or_float32(write_published: Any, value: Any) -> None:
    root = write_published({"a": value}, test="", images="a")
    assert read_published_layout(root).records[0].condition == pytest.approx(tuple(RAW["a"] / 5))


def test_what_no_list_names_is_counted(write_published: Any) -> None:
    root = write_published({**RAW, "c": RAW["a"]}, images="abde")
    assert read_published_layout(root).notes == (
        "2 images in imgs are in neither list and are not used",
        "1 entries of aus_openface.pkl belong to no listed image and are not used",
    )


def test_all_broken_entries_are_in_one_error(write_published: Any, write_image: Any, tmp_path: Path) -> None:
    bad = {
        "a": RAW["a"],
        "short": RAW["a"][:16],
        "nan": np.where(np.arange(17) == 4, np.nan, 0.0),
        "big": np.full(17, 5.5),
        "text": "smile",
        "twice": RAW["a"],
    }
    train = "a\nshort\nnan\nbig\ntext\nmissing\nnoaus\n../a\n/etc/passwd\nlink\ntwice\na\n"
    root = write_published(bad, train=train, test="a.png\n", images="a")
    for name in ("short", "nan", "big", "text", "noaus", "twice"):
        write_image(root / "imgs" / f"{name}.png")
    write_image(root / "imgs" / "twice.jpg")
    write_image(tmp_path / "outside.png")
    os.symlink(tmp_path / "outside.png", root / "imgs" / "link.png")  # noqa: PTH211
    with pytest.raises(DatasetError) as caught:
        read_published_layout(root)
    found = {(p.path.name, p.line): p.reason for p in caught.value.problems}
    expected = {
        2: "has an array of shape (16,) for 'short', expected 17 intensities",
        3: "has nan for 'nan', 'AU06'; expected a finite number",
        4: "'AU01' is 5.5, expected a value in [0, 5]",
        5: "has 'smile' for 'text', expected 17 intensities",
        6: "there is no file 'missing'",
        7: "aus_openface.pkl has no entry 'noaus'",
        8: "'../a' goes up with '..'",
        9: "'/etc/passwd' is absolute",
        10: "'link.png' is a link that leads out",
        11: "'twice' means several images: twice.jpg, twice.png",
        12: "'a' is already on line 1 of train_ids.csv",
    }
    for line, reason in expected.items():
        assert reason in found["train_ids.csv", line]
    assert "'a.png' is already on line 1 of train_ids.csv" in found["test_ids.csv", 1]
    assert len(found) == 12
    kept = read_published_layout(root, on_error="skip")
    assert [record.path.name for record in kept.records] == ["a.png"] and len(kept.problems) == 12


def test_a_truncated_photo_is_refused(write_published: Any) -> None:
    root = write_published(RAW)
    path = root / "imgs" / "b.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DatasetError, match=r"1 problem\n.*b\.png: cannot be read as an image"):
        open_dataset(root, OPENFACE_AUS)
    assert len(open_dataset(root, OPENFACE_AUS, on_error="skip")) == 1


def test_missing_parts_are_listed_together(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        read_published_layout(tmp_path)
    reasons = [problem.reason for problem in caught.value.problems]
    assert reasons == [
        "there is no folder imgs",
        "there is no aus_openface.pkl",
        "there is no train_ids.csv",
        "there is no test_ids.csv",
    ]


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"a": _Evil()}), r"aus_openface\.pkl: names the forbidden global '(posix|nt)\.system'"),
        (pickle.dumps([1, 2]), r"aus_openface\.pkl: holds a list, expected a dict"),
        (b"no pickle", r"aus_openface\.pkl: (is damaged or no pickle|holds an operation)"),
    ],
)
def test_pickles_that_are_no_intensities(write_published: Any, content: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_published_layout(write_published(content))


def test_lists_without_a_name_and_in_another_encoding(write_published: Any) -> None:
    with pytest.raises(DatasetError, match=r"train_ids\.csv and test_ids\.csv name no image"):
        read_published_layout(write_published(RAW, train="\n", test=""))
    root = write_published(RAW)
    (root / "test_ids.csv").write_bytes(b"\xff\xfeb\0")
    with pytest.raises(DatasetError, match=r"test_ids\.csv: not UTF-8 text \(byte 0xff\)"):
        read_published_layout(root)


def test_other_spaces_are_refused(sample: Path) -> None:
    with pytest.raises(ValueError, match="'browDownLeft' is not one of the 17 components"):
        read_published_layout(sample, ARKIT_BLENDSHAPES)
    with pytest.raises(TypeError, match="space: expected a ConditionSpace, got None"):
        read_published_layout(sample, None)  # type: ignore[arg-type]


def test_a_space_without_raw_range_is_told(sample: Path) -> None:
    with pytest.raises(DatasetError, match=r"'AU01' is 1.08, expected a value in \[0, 1\]"):
        read_published_layout(sample, ConditionSpace(["AU01"]))


def test_conditions_are_exact(write_published: Any) -> None:
    dataset = open_dataset(write_published(RAW), OPENFACE_AUS)
    assert torch.equal(dataset.conditions[0], torch.from_numpy(RAW["a"] / 5).float())
