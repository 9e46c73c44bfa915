from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from aucond.conditions import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.faces import SyntheticFaces, render_face, synthetic
from aucond.faces import cache as face_cache
from aucond.faces.looks import Looks
from aucond.faces.renderer import _rotation


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces(3, samples=7, size=48, seed=5, cache=False)


def to_bytes(images: Tensor) -> Tensor:
    return ((images + 1) * 127.5).round().to(torch.uint8)


def region_change(unit: str, identity: int, rows: slice, columns: slice = slice(None), **scene: Any) -> float:
    """Mean absolute change that a unit at full intensity makes in part of a 96x96 picture, in grey levels of 255."""
    neutral = render_face(identity, OPENFACE_AUS.neutral_vector(), size=96, **scene)
    moved = render_face(identity, OPENFACE_AUS.vector({unit: 1.0}), size=96, **scene)
    return 127.5 * float((moved - neutral)[:, rows, columns].abs().mean())


BROWS, EYES, MOUTH = slice(16, 33), slice(33, 48), slice(58, 80)
MIDDLE = slice(24, 72)


def test_items(faces: SyntheticFaces) -> None:
    assert len(faces) == 7
    item = faces[4]
    assert set(item) == {"image", "condition", "identity", "pose", "index"}
    assert item["image"].shape == (3, 48, 48) and item["image"].dtype == torch.float32
    assert -1 <= item["image"].min() < item["image"].max() <= 1
    assert item["condition"].shape == (17,) and item["pose"].shape == (3,)
    assert (int(item["identity"]), int(item["index"])) == (1, 4)
    assert torch.equal(faces[-1]["image"], faces[6]["image"])
    with pytest.raises(IndexError, match=r"index: expected a sample in \[0, 6\], got 7"):
        faces[7]


def test_arrays(faces: SyntheticFaces) -> None:
    assert faces.images.shape == (7, 3, 48, 48) and faces.images.dtype == torch.uint8
    assert faces.conditions.shape == (7, 17) and faces.poses.shape == (7, 3)
    assert faces.identities.tolist() == [0, 1, 2, 0, 1, 2, 0]
    batch = faces.batch([6, -7])
    assert torch.equal(batch["image"][0], faces[6]["image"]) and torch.equal(
        batch["image"][1], faces[0]["image"]
    )
    loader = torch.utils.data.DataLoader(faces, batch_size=4)
    assert next(iter(loader))["image"].shape == (4, 3, 48, 48)


def test_same_arguments_same_bytes(faces: SyntheticFaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic.os, "cpu_count", lambda: 1)
    again = SyntheticFaces([0, 1, 2], samples=7, size=48, seed=5, cache=False)
    assert torch.equal(faces.images, again.images) and torch.equal(faces.poses, again.poses)
    other = SyntheticFaces([0, 1, 2], samples=7, size=48, seed=6, cache=False)
    assert not torch.equal(faces.images, other.images)


def test_truth_under_the_own_condition_is_the_image(faces: SyntheticFaces) -> None:
    for i in range(len(faces)):
        assert torch.equal(faces.render(i, faces.conditions[i]), faces[i]["image"])
    assert torch.equal(faces.render([5, 2], faces.conditions[[5, 2]]), faces.batch([5, 2])["image"])
    assert torch.equal(faces.render(torch.tensor(3), faces.conditions[3]), faces[3]["image"])


def test_truth_under_another_condition_changes_the_face_only(faces: SyntheticFaces) -> None:
    smiling = faces.render(0, OPENFACE_AUS.vector(AU12=1.0, AU25=0.8))
    neutral = faces.render(0, OPENFACE_AUS.neutral_vector())
    change = (smiling - neutral).abs().amax(0)
    assert change.max() > 0.3
    assert change[:6].max() < 0.02, "hair and background at the upper border stay"
    assert change[:, :3].max() == 0 and change[:, -3:].max() == 0


def test_landmarks_follow_the_face(faces: SyntheticFaces) -> None:
    own = faces.landmarks(range(7))
    assert own.shape == (7, 68, 2) and 0 < own.min() < own.max() < 48
    middle = own[:, 27:36].mean(1)
    assert (middle - 24).abs().max() < 6, "the nose stays near the middle of the crop, whatever the pose"
    neutral = faces.landmarks([0], torch.zeros(1, 17))
    smile = faces.landmarks([0], OPENFACE_AUS.vector(AU12=1.0)[None]) - neutral
    assert smile[0, [48, 54], 1].max() < -1, "lip corners go up"
    assert smile[0, 17:27].abs().max() < 0.2, "brows stay"
    with pytest.raises(ValueError, match=r"conditions: expected a floating tensor of shape \(1, 17\)"):
        faces.landmarks([0], torch.zeros(2, 17))


def test_people_do_not_depend_on_the_dataset() -> None:
    assert Looks.of_identity(1003) == Looks.of_identity(1003) != Looks.of_identity(1004)
    alone = SyntheticFaces([1003], samples=1, size=32, pose=0.0, cache=False)
    among = SyntheticFaces([1003, 7], samples=2, size=32, pose=0.0, cache=False)
    condition = OPENFACE_AUS.neutral_vector()
    assert torch.equal(alone.render(0, condition), among.render(0, condition))


def test_conditions_of_the_callers(faces: SyntheticFaces, tmp_path: Path) -> None:
    wanted = faces.conditions.flip(0)
    shown = SyntheticFaces(3, samples=7, size=48, seed=5, conditions=wanted, cache=tmp_path)
    assert torch.equal(shown.conditions, wanted) and torch.equal(shown.poses, faces.poses)
    assert torch.equal(shown.images, to_bytes(faces.render(range(7), wanted)))
    wanted[:] = 0  # The set keeps its own copy.
    assert shown.conditions.abs().sum() > 0
    neutral = SyntheticFaces(3, samples=7, size=48, seed=5, conditions=wanted, cache=tmp_path)
    assert not torch.equal(neutral.images, shown.images), "the cache tells sets of other conditions apart"
    again = SyntheticFaces(3, samples=7, size=48, seed=5, conditions=faces.conditions.flip(0), cache=tmp_path)
    assert torch.equal(again.images, shown.images) and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (torch.zeros(3, 17), r"conditions: expected a floating tensor of shape \(2, 17\)"),
        (torch.full((2, 17), torch.nan), "conditions: "),
        (torch.full((2, 17), 1.5), "conditions: "),
        (torch.zeros(2, 17, dtype=torch.int64), "conditions: expected a floating tensor"),
    ],
    ids=["count", "nan", "range", "integers"],
)
def test_bad_conditions_of_the_callers(conditions: Tensor, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        SyntheticFaces(1, samples=2, size=32, conditions=conditions, cache=False)


def test_pose_scale() -> None:
    frontal = SyntheticFaces(1, samples=4, size=16, pose=0.0, cache=False)
    assert frontal.poses.abs().max() == 0
    assert SyntheticFaces(1, samples=4, size=16, cache=False).poses.abs().max() > 0.05


def test_signs_of_the_pose() -> None:
    nose, crown = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    assert (_rotation(np.array([0.3, 0.0, 0.0])) @ nose)[0] > 0, (
        "yaw turns to the subject's left, the image's right"
    )
    assert (_rotation(np.array([0.0, 0.3, 0.0])) @ nose)[1] < 0, "pitch nods down"
    assert (_rotation(np.array([0.0, 0.0, 0.3])) @ crown)[0] > 0, "roll leans to the image's right"
    turned = render_face(2, OPENFACE_AUS.neutral_vector(), size=64, seed=1, pose=(0.3, 0.0, 0.0))
    assert not torch.equal(turned, render_face(2, OPENFACE_AUS.neutral_vector(), size=64, seed=1))


@pytest.mark.parametrize("identity", [3, 12])
def test_units_change_their_own_part_of_the_picture(identity: int) -> None:
    for unit, moving, still in (("AU12", MOUTH, BROWS), ("AU26", MOUTH, EYES), ("AU04", BROWS, MOUTH)):
        inside = region_change(unit, identity, moving, MIDDLE)
        assert inside > 3.0
        assert region_change(unit, identity, still, MIDDLE) < 0.25 * inside
    blink = region_change("AU45", identity, EYES, MIDDLE)
    assert blink > 3.0 and region_change("AU45", identity, MOUTH, MIDDLE) == 0


def test_every_openface_unit_can_be_seen() -> None:
    for unit in OPENFACE_AUS.names:
        assert region_change(unit, 9, slice(None)) > 0.25, unit


def test_arkit_space_and_left_right() -> None:
    faces = SyntheticFaces(2, samples=2, size=32, space=ARKIT_BLENDSHAPES, cache=False)
    assert faces.conditions.shape == (2, 52)
    frontal = SyntheticFaces([4], samples=1, size=64, space=ARKIT_BLENDSHAPES, pose=0.0, cache=False)
    neutral = frontal.render(0, ARKIT_BLENDSHAPES.neutral_vector())
    wink = frontal.render(0, ARKIT_BLENDSHAPES.vector(eyeBlinkLeft=1.0))
    columns = (wink - neutral).abs().sum((0, 1))
    assert columns[32:].sum() > 50 * columns[:32].sum(), "the subject's left is on the right of the picture"


def test_own_space_with_own_matrix() -> None:
    space = ConditionSpace(["joy", "gloom"], low=-1.0)
    matrix = torch.zeros(2, 52)
    matrix[0, ARKIT_BLENDSHAPES.index("mouthSmileLeft")] = 1.0
    faces = SyntheticFaces(1, samples=2, size=32, space=space, expression=matrix, cache=False)
    still = faces.render(0, torch.tensor([0.0, 1.0]))
    assert torch.equal(still, faces.render(0, torch.tensor([0.0, -1.0])))
    assert not torch.equal(still, faces.render(0, torch.tensor([-1.0, 0.0])))
    assert torch.equal(faces.render(1, faces.conditions[1]), faces[1]["image"])


def test_a_dataset_survives_pickling(faces: SyntheticFaces) -> None:
    copy = pickle.loads(pickle.dumps(faces))
    assert torch.equal(copy.render(1, copy.conditions[1]), faces[1]["image"])


class TestCache:
    arguments: ClassVar[dict[str, Any]] = {"identities": [2], "samples": 2, "size": 24, "seed": 1}

    @pytest.fixture
    def rendered(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Counts the images rendered from here on."""
        counted: list[int] = []
        render = synthetic.render
        monkeypatch.setattr(synthetic, "render", lambda *a: (counted.append(1), render(*a))[1])
        return counted

    def make(self, folder: Path, **changes: Any) -> SyntheticFaces:
        return SyntheticFaces(**{**self.arguments, "cache": folder, **changes})

    def test_second_time_nothing_is_rendered(self, tmp_path: Path, rendered: list[int]) -> None:
        first = self.make(tmp_path / "new" / "folder")
        assert len(rendered) == 2
        second = self.make(tmp_path / "new" / "folder")
        assert len(rendered) == 2
        assert torch.equal(first.images, second.images) and torch.equal(first.poses, second.poses)
        assert len(list((tmp_path / "new" / "folder").iterdir())) == 1, "no temporary file is left"

    @pytest.mark.parametrize(
        "changes",
        [{"identities": [3]}, {"seed": 2}, {"size": 25}, {"pose": 0.0}, {"space": ARKIT_BLENDSHAPES}],
        ids=lambda c: next(iter(c)),
    )
    def test_other_arguments_have_their_own_file(
        self, tmp_path: Path, rendered: list[int], changes: dict[str, Any]
    ) -> None:
        self.make(tmp_path)
        self.make(tmp_path, **changes)
        assert len(rendered) == 4 and len(list(tmp_path.iterdir())) == 2

    @pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "garbage"])
    def test_damage_is_rebuilt(
        self, tmp_path: Path, rendered: list[int], damage: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        whole = self.make(tmp_path)
        (path,) = tmp_path.iterdir()
        content = bytearray(path.read_bytes())
        content[-500] ^= 1
        damaged = {"cut": content[:-100], "flipped": content, "empty": b"", "garbage": b"x" * 999}[damage]
        path.write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            again = self.make(tmp_path)
        assert len(rendered) == 4 and torch.equal(whole.images, again.images)
        assert "rendering it again" in caplog.text
        self.make(tmp_path)
        assert len(rendered) == 4

    def test_another_version_is_stale(
        self, tmp_path: Path, rendered: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.make(tmp_path)
        monkeypatch.setattr(face_cache, "content_version", lambda: "another")
        self.make(tmp_path)
        assert len(rendered) == 4

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "file").write_text("in the way")
        with caplog.at_level(logging.WARNING):
            faces = self.make(tmp_path / "file")
        assert len(faces) == 2 and "going on without the cache" in caplog.text

    def test_default_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        SyntheticFaces(**self.arguments)
        assert len(list((tmp_path / "aucond" / "faces").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"identities": 0}, ValueError, "identities: expected an integer at least 1, got 0"),
        ({"identities": []}, ValueError, "identities: expected at least one person"),
        ({"identities": [1, 1]}, ValueError, "identities: expected different numbers"),
        ({"identities": [-1]}, ValueError, "identities: expected an integer in"),
        ({"identities": ["anna"]}, TypeError, "identities: expected an integer"),
        ({"identities": "3"}, TypeError, "identities: expected a number of people or a non-empty sequence"),
        ({"identities": 2.5}, TypeError, "identities: expected a number of people"),
        ({"samples": -5}, ValueError, "samples: expected an integer at least 1, got -5"),
        ({"samples": True}, TypeError, "samples: expected an integer at least 1, got True"),
        ({"size": 8}, ValueError, r"size: expected an integer in \[16, 4096\], got 8"),
        ({"size": 64.0}, TypeError, "size: expected an integer"),
        ({"seed": -1}, ValueError, "seed: expected an integer at least 0"),
        ({"pose": float("nan")}, ValueError, r"pose: expected a finite number in \[0.0, 2.0\]"),
        ({"pose": 9.0}, ValueError, "pose: expected a finite number"),
        ({"space": ConditionSpace(["AU99"])}, ValueError, "got 'AU99'; did you mean"),
        ({"space": "openface"}, TypeError, "space: expected a ConditionSpace, got 'openface'"),
        ({"expression": torch.zeros(17, 51)}, ValueError, r"expression: expected .* \(17, 52\)"),
        ({"expression": torch.full((17, 52), torch.nan)}, ValueError, "expression: expected finite values"),
        ({"expression": np.zeros((17, 52))}, TypeError, "expression: expected a floating tensor"),
    ],
)
def test_wrong_datasets(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SyntheticFaces(**{"identities": 1, "samples": 1, "size": 16, "cache": False, **arguments})


@pytest.mark.parametrize(
    ("index", "condition", "error", "message"),
    [
        (0, torch.zeros(16), ValueError, r"condition: expected a floating tensor of shape \(17,\)"),
        (0, torch.zeros(1, 17), ValueError, r"condition: expected a floating tensor of shape \(17,\)"),
        ([0, 1], torch.zeros(17), ValueError, r"condition: expected a floating tensor of shape \(2, 17\)"),
        (0, torch.full((17,), 1.5), ValueError, r"condition: component 'AU01' must lie in \[0, 1\]"),
        (0, torch.full((17,), torch.nan), ValueError, "condition: expected finite values"),
        (0, torch.zeros(17, dtype=torch.int64), TypeError, "condition: expected a floating tensor"),
        (7, torch.zeros(17), IndexError, "index: expected a sample"),
    ],
)
def test_wrong_edits(
    faces: SyntheticFaces, index: Any, condition: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        faces.render(index, condition)


def test_wrong_pictures() -> None:
    neutral = OPENFACE_AUS.neutral_vector()
    with pytest.raises(ValueError, match="identity: expected an integer at least 0, got -1"):
        render_face(-1, neutral)
    with pytest.raises(ValueError, match="pose: expected yaw, pitch and roll, got 2 values"):
        render_face(0, neutral, pose=(0.0, 0.0))
    with pytest.raises(ValueError, match="pose: expected a finite number"):
        render_face(0, neutral, pose=(float("inf"), 0.0, 0.0))
    with pytest.raises(ValueError, match=r"batch|indices: expected one dimension"):
        SyntheticFaces(1, 1, 16, cache=False).batch(torch.zeros(1, 1, dtype=torch.int64))


def test_a_real_detector_finds_the_faces() -> None:
    dlib = pytest.importorskip("dlib", reason='needs dlib: pip install "aucond[detect]"')
    detector = dlib.get_frontal_face_detector()
    found = 0
    for identity in range(7000, 7020):
        image = render_face(identity, OPENFACE_AUS.neutral_vector(), size=128, seed=identity)
        pixels = ((image.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
        found += len(detector(np.ascontiguousarray(pixels), 0)) == 1
    assert found >= 19
