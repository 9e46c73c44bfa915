"""The layout of the published GANimation code: ``imgs/``, ``aus_openface.pkl``, ``train_ids.csv``, ``test_ids.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aucond._check import describe
from aucond.conditions import OPENFACE_AUS, ConditionSpace
from aucond.data._files import IMAGE_SUFFIXES, list_images, resolve_inside
from aucond.data._pickle import UnsafePickleError, load_plain_pickle
from aucond.data.annotations import Annotations, Record, check_values
from aucond.data.problems import DatasetError, OnError, Problem, report_problems

__all__ = ["collect_published", "read_published_layout"]

AUS_FILE = "aus_openface.pkl"
SPLIT_FILES = {"train": "train_ids.csv", "test": "test_ids.csv"}


def read_published_layout(
    root: str | Path, space: ConditionSpace = OPENFACE_AUS, *, on_error: OnError = "raise"
) -> Annotations:
    """Read the published layout without opening an image.

    ``aus_openface.pkl`` maps an image's name, with or without its ending, to its 17 intensities in OpenFace's order,
    raw 0..5. ``train_ids.csv`` and ``test_ids.csv`` name one image a line, with or without its ending; they
    become the splits ``"train"`` and ``"test"``. An ending is an image's, such as ``.png``: what else follows a dot
    belongs to the name. The pickle is read without running anything in it.

    Args:
        root: The folder.
        space: Some or all of the 17 action units, in any order.
        on_error: ``"raise"`` lists every broken entry in one error, ``"skip"`` in the log.

    Returns:
        Annotations: Normalised conditions; images and intensities that no list names are counted in ``notes``.

    Raises:
        DatasetError: A missing part, a pickle of anything but plain numbers, broken entries.
        ValueError: A component of the space that is none of the 17 action units.

    >>> read_published_layout("no_such_folder")
    Traceback (most recent call last):
    aucond.data.problems.DatasetError: no_such_folder: 1 problem
      no_such_folder: there is no such folder
    """
    annotations = collect_published(root, space)
    report_problems(annotations.root, annotations.problems, on_error)
    return annotations


def collect_published(root: str | Path, space: ConditionSpace) -> Annotations:
    """Read the published layout; broken entries are only collected."""
    root = Path(root)
    if not isinstance(space, ConditionSpace):
        raise TypeError(f"space: expected a ConditionSpace, got {describe(space)}")
    at = [OPENFACE_AUS.index(name) for name in space.names]
    _require_parts(root)
    intensities = _load_intensities(root / AUS_FILE)
    images = _by_name_and_stem(list_images(root / "imgs"))
    records: list[Record] = []
    problems: list[Problem] = []
    seen: dict[Path, str] = {}
    used: set[str] = set()
    for split, file_name in SPLIT_FILES.items():
        for line, name in _read_ids(root / file_name):
            try:
                path = _find_image(root / "imgs", images, name)
                if path in seen:
                    raise ValueError(f"{name!r} is already on {seen[path]}")
                seen[path] = f"line {line} of {file_name}"
                key, values = _find_intensities(intensities, name)
                used.add(key)
                condition = check_values(space, values[at].tolist(), columns=space.names, in_raw_units=True)
                records.append(Record(path, condition, split=split))
            except ValueError as error:
                problems.append(Problem(root / file_name, str(error), line))
    if not records and not problems:
        problems.append(Problem(root, "train_ids.csv and test_ids.csv name no image"))
        raise DatasetError(root, problems)
    return Annotations(root, tuple(records), tuple(problems), _notes(images, seen, intensities, used))


def _require_parts(root: Path) -> None:
    if not root.is_dir():
        raise DatasetError(root, [Problem(root, "there is no such folder")])
    problems = [
        Problem(root, f"there is no {name}")
        for name in (AUS_FILE, *SPLIT_FILES.values())
        if not (root / name).is_file()
    ]
    if not (root / "imgs").is_dir():
        problems.insert(0, Problem(root, "there is no folder imgs"))
    if problems:
        raise DatasetError(root, problems)


def _load_intensities(path: Path) -> dict[str, Any]:
    try:
        content = load_plain_pickle(path)
    except UnsafePickleError as error:
        raise DatasetError(path, [Problem(path, str(error))]) from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise DatasetError(path, [Problem(path, f"holds a {kind}, expected a dict of name to intensities")])
    return {_as_name(key): value for key, value in content.items()}


def _as_name(key: Any) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _read_ids(path: Path) -> list[tuple[int, str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 text (byte {error.object[error.start]:#04x}); save it as UTF-8"
        raise DatasetError(path, [Problem(path, reason)]) from error
    names = ((i, line.strip().strip('"').strip()) for i, line in enumerate(lines, 1))
    return [(i, name) for i, name in names if name]


def _by_name_and_stem(paths: list[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        for name in (path.name, path.stem):
            found.setdefault(name, []).append(path)
    return found


def _find_image(folder: Path, images: Mapping[str, list[Path]], name: str) -> Path:
    found = images.get(name, [])
    if len(found) > 1:
        raise ValueError(f"{name!r} means several images: {', '.join(path.name for path in found)}")
    return resolve_inside(folder, found[0].name if found else name)


def _find_intensities(intensities: Mapping[str, Any], name: str) -> tuple[str, np.ndarray[Any, Any]]:
    ending = Path(name).suffix
    stem = name.removesuffix(ending) if ending.lower() in IMAGE_SUFFIXES else name
    candidates = [name, stem, *(stem + suffix for suffix in sorted(IMAGE_SUFFIXES))]
    key = next((candidate for candidate in candidates if candidate in intensities), None)
    if key is None:
        raise ValueError(f"{AUS_FILE} has no entry {stem!r}")
    value = intensities[key]
    if isinstance(value, list | tuple) and all(type(item) in (int, float) for item in value):
        value = np.array(value, dtype=np.float64)
    if not isinstance(value, np.ndarray) or value.size != OPENFACE_AUS.dim:
        got = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else describe(value)
        raise ValueError(f"{AUS_FILE} has {got} for {key!r}, expected {OPENFACE_AUS.dim} intensities")
    values = value.reshape(-1).astype(np.float64)
    for i in np.flatnonzero(~np.isfinite(values)):
        raise ValueError(
            f"{AUS_FILE} has {values[i]} for {key!r}, {OPENFACE_AUS.names[i]!r}; expected a finite number"
        )
    return key, values


def _notes(
    images: Mapping[str, list[Path]], seen: Mapping[Path, str], intensities: Mapping[str, Any], used: set[str]
) -> tuple[str, ...]:
    everything = {path for paths in images.values() for path in paths}
    unlisted, unused = len(everything - set(seen)), len(intensities) - len(used)
    notes = []
    if unlisted:
        notes.append(f"{unlisted} images in imgs are in neither list and are not used")
    if unused:
        notes.append(f"{unused} entries of {AUS_FILE} belong to no listed image and are not used")
    return tuple(notes)
