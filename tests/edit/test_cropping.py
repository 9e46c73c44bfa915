import numpy as np
import pytest
import torch
from PIL import Image

from aucond.data import DatasetError
from aucond.edit import crop_faces
from aucond.faces.detection import Face
from aucond.faces.framing import FaceFraming


def detector(picture):
    """Sees a small face and one of 32 x 32 pixels at (4, 4), unless the picture is black."""
    if picture.max() == 0:
        return []
    framing = FaceFraming()
    marks = torch.zeros(68, 2)
    marks[36:42], marks[42:48] = torch.tensor(framing.right_eye), torch.tensor(framing.left_eye)
    marks[33], marks[48:68] = torch.tensor(framing.nose), torch.tensor(framing.mouth)
    small = Face(marks * 4, (0.0, 0.0, 4.0, 4.0))
    return [small, Face(marks * 32 + 4, (4.0, 4.0, 36.0, 36.0))]


def test_every_photo_with_a_face_gives_a_crop_of_the_largest(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    values = np.random.default_rng(0).integers(1, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(values).save(photos / "a.png")
    Image.new("L", (40, 40)).save(photos / "empty.jpg")
    (photos / "broken.jpg").write_bytes(b"no picture")
    report = crop_faces(photos, tmp_path / "crops", size=32, detector=detector)
    assert [path.name for path in report.crops] == ["a.png"]
    assert np.array_equal(np.asarray(Image.open(report.crops[0])), values[4:36, 4:36])
    assert [(p.path.name, p.reason[:14]) for p in report.problems] == [
        ("broken.jpg", "cannot be read"),
        ("empty.jpg", "no face was fo"),
    ]
    assert [path.name for path in (tmp_path / "crops").iterdir()] == ["a.png"]


def photo_folder(folder, *names):
    folder.mkdir()
    for name in names:
        Image.new("L", (40, 40), 200).save(folder / name)
    return folder


def mirrored(face):
    marks = face.landmarks.clone()
    marks[36:42], marks[42:48] = face.landmarks[42:48], face.landmarks[36:42]
    return Face(marks, face.box)


def test_a_photo_on_which_the_detector_goes_wrong_does_not_end_the_run(tmp_path):
    photos = photo_folder(tmp_path / "photos", *(f"{letter}.png" for letter in "abcdefgh"))
    small, large = detector(np.full((40, 40, 3), 200, np.uint8))
    flat = large.landmarks.clone()  # The jaw goes on around eyes, nose and mouth that are one point.
    flat[17:], flat[0] = 9.0, 40.0
    nowhere = Face(torch.full((68, 2), float("nan")), (0.0, 0.0, 9.0, 9.0))
    answers = iter(
        [
            RuntimeError("out of memory"),
            [mirrored(large)],
            [nowhere],
            [Face(large.landmarks + 500, large.box)],
            [Face(flat, large.box)],
            [mirrored(large), small],
            [nowhere, large],
            [large],
        ]
    )

    def sometimes(picture):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    report = crop_faces(photos, tmp_path / "crops", size=32, detector=sometimes)
    assert [path.name for path in report.crops] == ["f.png", "g.png", "h.png"]
    beginnings = {
        "a.png": "the detector failed: RuntimeError: out of memory",
        "b.png": "the detector went wrong: its landmarks show a mirrored face",
        "c.png": "the detector gave landmarks that are not finite",
        "d.png": "the face cannot be cut out (crop: expected one that overlaps the picture",
        "e.png": "the face cannot be cut out (landmarks: expected finite points that lie apart",
    }
    assert [problem.path.name for problem in report.problems] == list(beginnings)
    for problem in report.problems:
        assert problem.reason.startswith(beginnings[problem.path.name])


def test_what_is_no_fault_of_a_photo_ends_the_run(tmp_path):
    photos = photo_folder(tmp_path / "photos", "a.png")

    def missing(picture):
        raise ImportError("finding faces needs dlib")

    with pytest.raises(ImportError, match="needs dlib"):
        crop_faces(photos, tmp_path / "crops", detector=missing)
    with pytest.raises(TypeError, match="detector: expected it to return a list of Face"):
        crop_faces(photos, tmp_path / "crops", detector=lambda picture: None)


def test_wrong_folders(tmp_path):
    with pytest.raises(DatasetError, match="there is no image in it"):
        crop_faces(tmp_path, tmp_path / "crops")
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="output: expected another folder"):
        crop_faces(tmp_path, tmp_path / "." / "")
    with pytest.raises(TypeError, match="detector: expected a callable"):
        crop_faces(tmp_path, tmp_path / "crops", detector=3)
    with pytest.raises(ValueError, match="size: expected an integer at least 16"):
        crop_faces(tmp_path, tmp_path / "crops", size=4)
    Image.new("L", (4, 4)).save(tmp_path / "a.jpg")
    with pytest.raises(DatasetError, match=r"a\.png: would become a\.png, as a\.jpg would"):
        crop_faces(tmp_path, tmp_path / "crops", detector=detector)
