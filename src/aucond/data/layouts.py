"""Opening a data folder of any known layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from aucond.conditions import ConditionSpace
from aucond.data.annotations import Annotations
from aucond.data.dataset import AnnotatedImages
from aucond.data.folder import collect_metadata
from aucond.data.openface_folder import collect_openface_folder, find_openface_csvs
from aucond.data.problems import DatasetError, OnError, Problem
from aucond.data.published import AUS_FILE, SPLIT_FILES, collect_published

__all__ = ["Layout", "collect_annotations", "open_dataset", "recognise_layout"]

Layout: TypeAlias = Literal["folder", "published", "openface"]
"""An image folder with metadata.csv, the published code's layout, or images beside OpenFace CSV files."""

_NEEDS: dict[Layout, str] = {
    "folder": "metadata.csv with the column file_name and one column per component, and the images",
    "published": f"the folder imgs and {AUS_FILE}, {', '.join(SPLIT_FILES.values())}",
    "openface": "OpenFace CSV files (columns like 'AU12_r') and the images or folders of frames they are named after",
}


def open_dataset(
    folder: str | Path,
    space: ConditionSpace,
    *,
    split: str | None = None,
    size: int | tuple[int, int] | None = None,
    on_error: OnError = "raise",
    flip: bool = False,
    seed: int = 0,
    cache: str | Path | None = None,
) -> AnnotatedImages:
    """Open a data folder, whichever of the three layouts it has.

    Args:
        folder: An image folder with ``metadata.csv``, the published layout, or images with OpenFace CSV files.
        space: The condition space; see the reader of each layout for how its names are found.
        split: Only this split; None takes all.
        size: Height and width, or one number for both; None keeps the images' size, the same for all.
        on_error: ``"raise"`` lists every broken entry in one DatasetError, ``"skip"`` in the log.
        flip: Mirror half of the images at random, and their conditions with them.
        seed: Of the flips.
        cache: A folder for a memory-mapped copy of the decoded images; None keeps them in memory.

    Raises:
        DatasetError: No layout or several are recognised (the error lists what each needs), or broken entries.

    >>> open_dataset("no_such_folder", ConditionSpace(["AU12"]))
    Traceback (most recent call last):
    aucond.data.problems.DatasetError: no_such_folder: 1 problem
      no_such_folder: there is no such folder
    """
    return AnnotatedImages(
        collect_annotations(folder, space),
        space,
        split=split,
        size=size,
        on_error=on_error,
        flip=flip,
        seed=seed,
        cache=cache,
    )


def recognise_layout(folder: str | Path) -> Layout:
    """Tell the layout of a folder by looking at its files.

    Raises:
        DatasetError: None of the layouts, or more than one.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DatasetError(root, [Problem(root, "there is no such folder")])
    found: list[Layout] = []
    if (root / "metadata.csv").is_file():
        found.append("folder")
    if (root / AUS_FILE).is_file():
        found.append("published")
    if find_openface_csvs(root):
        found.append("openface")
    if len(found) == 1:
        return found[0]
    seen = (
        f"files of several layouts ({', '.join(found)}); keep one of"
        if found
        else "no known layout; expected one of"
    )
    needs = "; ".join(f"{name}: {need}" for name, need in _NEEDS.items() if not found or name in found)
    raise DatasetError(root, [Problem(root, f"the folder has {seen}: {needs}")])


def collect_annotations(folder: str | Path, space: ConditionSpace) -> Annotations:
    """Read the annotations of a folder of any layout; broken entries are only collected."""
    readers: dict[Layout, Callable[[str | Path, ConditionSpace], Annotations]] = {
        "folder": collect_metadata,
        "published": collect_published,
        "openface": collect_openface_folder,
    }
    return readers[recognise_layout(folder)](folder, space)
