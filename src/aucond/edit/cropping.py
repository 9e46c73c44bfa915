"""From photos to aligned face crops: pictures to train on, framed as the editor will frame them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from aucond._check import check_number, describe
from aucond._files import atomic_file
from aucond.data import DatasetError, Problem
from aucond.data._files import list_images
from aucond.edit.photo_io import open_pixels
from aucond.edit.wild import cut_out
from aucond.faces.detection import DlibDetector, FaceDetector, usable_faces
from aucond.faces.framing import FaceFraming

__all__ = ["CropReport", "crop_faces"]

logger = logging.getLogger("aucond.edit")


@dataclass(frozen=True)
class CropReport:
    """What :func:`crop_faces` did.

    Args:
        crops: The files written.
        problems: Every photo that gave no crop, and why.
    """

    crops: tuple[Path, ...]
    problems: tuple[Problem, ...]


def crop_faces(
    photos: str | Path,
    output: str | Path,
    *,
    size: int = 256,
    framing: FaceFraming | None = None,
    detector: FaceDetector | None = None,
) -> CropReport:
    """Cut the largest face out of every photo of a folder, upright and in one frame, and write it as a PNG file.

    ``FaceEditor`` cuts faces out in the same way, so networks trained on these crops meet in photos what they have
    learned. No photo ends the run: one that cannot be read, in which no face is found, on which the detector fails, or
    whose face lies outside the picture, is in the report and in the log.

    Args:
        photos: A folder of photos.
        output: Folder to write to, another one; ``a.jpg`` becomes ``a.png``.
        size: Side of the crops in pixels. Larger than the training size is fine: data sets resample them.
        framing: Where eyes, nose and mouth shall lie; None: as in :class:`~aucond.faces.SyntheticFaces`.
        detector: Finds faces; None: :class:`~aucond.faces.DlibDetector`.

    Raises:
        DatasetError: No such folder, no photo in it, or two photos that would become one file.
        ValueError: ``output`` is the folder of the photos.
        ImportError: dlib or its weights are missing.
        TypeError: The detector returns something else than a list of faces.

    >>> crop_faces("no_such_folder", "crops")
    Traceback (most recent call last):
    aucond.data.problems.DatasetError: no_such_folder: 1 problem
      no_such_folder: there is no image in it
    """
    root, target = Path(photos), Path(output)
    check_number("size", size, low=16, integer=True)
    if root.resolve() == target.resolve():
        raise ValueError(f"output: expected another folder than that of the photos, got {target}")
    finder = DlibDetector() if detector is None else detector
    if not callable(finder):
        raise TypeError(f"detector: expected a callable picture -> faces, got {describe(detector)}")
    names = _crop_names(root)
    target.mkdir(parents=True, exist_ok=True)
    crops, problems = [], []
    for path, name in names.items():
        reason = _crop_one(path, target / name, size, framing or FaceFraming(), finder)
        if reason is None:
            crops.append(target / name)
        else:
            problems.append(Problem(path, reason))
            logger.warning("%s: %s", path, reason)
    return CropReport(tuple(crops), tuple(problems))


def _crop_names(root: Path) -> dict[Path, str]:
    paths = list_images(root)
    if not paths:
        raise DatasetError(root, [Problem(root, "there is no image in it")])
    names = {path: f"{path.stem}.png" for path in paths}
    taken: dict[str, Path] = {}
    for path, name in names.items():
        if name in taken:
            reason = f"would become {name}, as {taken[name].name} would; rename one of them"
            raise DatasetError(root, [Problem(path, reason)])
        taken[name] = path
    return names


def _crop_one(
    path: Path, target: Path, size: int, framing: FaceFraming, detector: FaceDetector
) -> str | None:
    """Write one crop; return why there is none, or None."""
    from PIL import Image

    try:
        pixels = open_pixels(path)
    except (ValueError, OSError) as error:
        return str(error).removeprefix(f"{path}: ")
    faces = usable_faces(detector, pixels.rgb())
    if isinstance(faces, str):
        return faces
    face = max(faces, key=lambda face: face.area)
    try:
        crop = cut_out(pixels, framing.crop(face.landmarks), size)
    except ValueError as error:
        return f"the face cannot be cut out ({error})"
    values = ((crop + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy()
    with atomic_file(target) as stream:
        Image.fromarray(values).save(stream, "PNG")
    return None
