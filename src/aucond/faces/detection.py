"""Finding faces and their 68 landmarks in a picture; the detector is anything that can be called like one."""

from __future__ import annotations

import functools
import importlib.util
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._check import check_number, check_tensor, describe

__all__ = [
    "DlibDetector",
    "Face",
    "FaceDetector",
    "check_picture",
    "checked_faces",
    "find_faces",
    "landmark_problem",
    "usable_faces",
]

_TURN = threading.Lock()
"""All detectors share dlib's two objects, which hold the state of a search."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a picture.

    Convention: x to the right, y down, in pixels of the whole picture; the centre of the first pixel is (0.5, 0.5).

    Args:
        landmarks: The 68 points (68, 2), float32, in the order of iBUG: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47,
            mouth 48-67; "right" of that order is the person's own, on the picture's left.
        box: Left, top, right, bottom, as the detector draws it.
        score: How sure the detector is; its unit is the detector's own, more is surer.

    >>> face = Face(torch.rand(68, 2) * 100, box=(0.0, 0.0, 100.0, 100.0))
    >>> face.area
    10000.0
    """

    landmarks: Tensor
    box: tuple[float, float, float, float]
    score: float = 1.0

    def __post_init__(self) -> None:
        check_tensor("landmarks", self.landmarks, (68, 2))
        if len(self.box) != 4 or not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError(f"box: expected left < right and top < bottom in pixels, got {self.box}")

    @property
    def area(self) -> float:
        """Of the box, in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


class FaceDetector(Protocol):
    """Whatever finds faces: a callable from a picture to its faces."""

    def __call__(self, picture: NDArray[np.uint8]) -> list[Face]:
        """Return the faces of a picture (H, W, 3), RGB bytes, in any order; none found is an empty list."""
        ...


class DlibDetector:
    """dlib's frontal detector (HOG) and its predictor of 68 landmarks. Needs ``pip install "aucond[detect]"``.

    It sees faces from frontal to about 45 degrees of yaw. Nothing is downloaded: program and weights are packages.
    One detector may be used from several threads; they take turns.

    Args:
        max_side: A larger picture is searched at this many pixels of its longer side, so that time and memory stay
            bounded. dlib wants about 80 pixels of face there: raise it for small faces in large pictures.
        min_side: A smaller picture is enlarged to this many pixels of its shorter side before the search.
        threshold: Faces with a lower score are left out; 0 is dlib's own limit, lower finds more and errs more.

    >>> DlibDetector(max_side=0)
    Traceback (most recent call last):
    ValueError: max_side: expected an integer at least 64, got 0
    """

    def __init__(self, *, max_side: int = 1280, min_side: int = 256, threshold: float = 0.0) -> None:
        check_number("max_side", max_side, low=64, integer=True)
        check_number("min_side", min_side, low=1, high=max_side, integer=True)
        check_number("threshold", threshold)
        self.max_side = max_side
        self.min_side = min_side
        self.threshold = float(threshold)

    def __repr__(self) -> str:
        return (
            f"DlibDetector(max_side={self.max_side}, min_side={self.min_side}, threshold={self.threshold:g})"
        )

    def __call__(self, picture: NDArray[np.uint8]) -> list[Face]:
        """Find the faces of a picture.

        Args:
            picture: (H, W, 3), RGB bytes.

        Returns:
            The faces, the largest first.

        Raises:
            ImportError: dlib or its weights are not installed.
            TypeError: Not an array of bytes.
            ValueError: An array of another shape.
        """
        check_picture("picture", picture)
        detector, predictor = _dlib_parts()
        searched, scale = self._searched(picture)
        with _TURN:
            boxes, scores, _ = detector.run(searched, 0, self.threshold)
            shapes = [predictor(searched, box) for box in boxes]
        faces = []
        for box, score, shape in zip(boxes, scores, shapes, strict=True):
            points = np.array([(point.x, point.y) for point in shape.parts()], np.float32)
            corners = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1], np.float64) / scale
            faces.append(
                Face(
                    # dlib counts pixels; the centre of pixel 0 is at 0.5.
                    torch.from_numpy((points + np.float32(0.5)) / np.float32(scale)),
                    (float(corners[0]), float(corners[1]), float(corners[2]), float(corners[3])),
                    float(score),
                )
            )
        return sorted(faces, key=lambda face: -face.area)

    def _searched(self, picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
        """The picture at the size at which it is searched, and that size over its own."""
        height, width = picture.shape[:2]
        scale = max(1.0, self.min_side / min(height, width))
        scale = min(scale, self.max_side / max(height, width))
        if scale == 1.0:
            return np.ascontiguousarray(picture), 1.0
        from PIL import Image

        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(picture).resize(size, method, reducing_gap=2.0)), scale


def check_picture(name: str, picture: Any) -> NDArray[np.uint8]:
    """Return ``picture`` if it is an array of RGB bytes (H, W, 3) of at least one pixel."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        got = f"an array of {picture.dtype}" if isinstance(picture, np.ndarray) else describe(picture)
        raise TypeError(f"{name}: expected an array of uint8, (H, W, 3), got {got}")
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise ValueError(f"{name}: expected an array of shape (H, W, 3), got shape {picture.shape}")
    return picture


def find_faces(detector: FaceDetector, picture: NDArray[np.uint8]) -> list[Face]:
    """Ask a detector, which may be anybody's, and hold it to what :class:`FaceDetector` promises.

    Returns:
        The faces, the largest first.

    Raises:
        TypeError: It returned something else than a list of faces.
        ValueError: Landmarks that are not pixels, or in another order of points or of x and y.
    """
    faces = checked_faces(detector(picture))
    for face in faces:
        problem = landmark_problem(face)
        if problem is not None:
            raise ValueError(f"detector: {problem}")
    return sorted(faces, key=lambda face: -face.area)


def usable_faces(detector: FaceDetector, picture: NDArray[np.uint8]) -> list[Face] | str:
    """Ask a detector about one picture of many: its usable faces, or why there are none.

    Raises:
        ImportError: What the detector needs is missing.
        TypeError: It returned something else than a list of faces.
    """
    try:
        found = detector(picture)
    except ImportError:
        raise
    except Exception as error:  # Whatever a detector of the user's does to one photo, the others go on.
        return f"the detector failed: {type(error).__name__}: {error}"
    # Another kind of answer is no fault of the photo: it ends the run before all photos are listed as unusable.
    faces = checked_faces(found)
    finite = [face for face in faces if bool(face.landmarks.isfinite().all())]
    if faces and not finite:
        return "the detector gave landmarks that are not finite"
    problems = [landmark_problem(face) for face in finite]
    if finite and None not in problems:
        return f"the detector went wrong: {problems[0]}"
    usable = [face for face, problem in zip(finite, problems, strict=True) if problem is None]
    return usable or "no face was found"


def checked_faces(found: Any) -> list[Face]:
    """Return what a detector returned if it is a list of faces."""
    if not isinstance(found, list | tuple):
        raise TypeError(
            f"detector: expected it to return a list of Face(landmarks, box), got {describe(found)}"
        )
    for one in found:
        if not isinstance(one, Face):
            raise TypeError(
                f"detector: expected it to return a list of Face(landmarks, box), got a list with {describe(one)}"
            )
    return list(found)


def landmark_problem(face: Face) -> str | None:
    """What is wrong with a face's landmarks, of the mistakes that a fit would not notice; None if nothing is.

    They are: coordinates from 0 to 1 in place of pixels, y before x, and points in mirrored order. The last two show
    in one sign: seen from the person's right eye to the left one, the mouth lies on the wrong side. Points all on one
    line along x or y count too: a fit notices them, but refuses all faces of its batch for one.
    """
    # In float32 first, as a fit takes them: a line there may be none in float64.
    points = face.landmarks.detach().float().double().cpu()
    sides = points.amax(0) - points.amin(0)
    extent = float(sides.max())
    if extent <= 1.0:
        return f"its landmarks span {extent:.2g} pixels; they must be pixels of the picture, not shares of its size"
    if float(sides.min()) <= 0.0:
        return "its landmarks lie all on one line"
    right, left, mouth = points[36:42].mean(0), points[42:48].mean(0), points[48:].mean(0)
    across, down = left - right, mouth - (left + right) / 2
    lengths = float(across.norm()), float(down.norm())
    turn = float(across[0] * down[1] - across[1] * down[0])
    # A head seen nearly from the side has its eyes next to each other and tells nothing.
    if min(lengths) > 0.2 * extent and turn < -0.5 * lengths[0] * lengths[1]:
        return (
            "its landmarks show a mirrored face; x comes before y, and the points are in the order of iBUG, in which "
            "the eye 36-41 is on the picture's left"
        )
    return None


@functools.cache
def _dlib_parts() -> tuple[Any, Any]:
    """Detector and predictor, loaded once a process (the weights take half a second)."""
    hint = 'pip install "aucond[detect]"'
    try:
        import dlib
    except ImportError as error:
        raise ImportError(f"finding faces needs dlib: {hint}") from error
    # The package is never imported: it needs setuptools' old pkg_resources. Only its files are of use.
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or found.origin is None:
        raise ImportError(f"finding faces needs dlib's weights: {hint}")
    weights = Path(found.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat"
    if not weights.is_file():
        raise ImportError(f"{weights}: expected dlib's landmark weights, found no such file; {hint}")
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(weights))
