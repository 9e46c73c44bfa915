"""File names that come from data, and files that appear whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = [
    "IMAGE_SUFFIXES",
    "NOT_FOR_TABLES",
    "is_image_name",
    "list_images",
    "not_for_tables",
    "printable_name",
    "resolve_inside",
]

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What counts as an image when a folder is searched; a table may name files of any other kind Pillow reads."""

NOT_FOR_TABLES = (
    "the file name is not UTF-8; rename it",
    "the file name begins or ends with a blank, which tables take away; rename it",
    "the file name has a carriage return in it, which ends a row of a table; rename it",
)
"""What :func:`not_for_tables` answers."""


def is_image_name(path: Path) -> bool:
    """Tell whether the name ends like an image's."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def list_images(folder: Path) -> list[Path]:
    """Return the images directly inside a folder by name, or none when there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if is_image_name(p) and not p.name.startswith("."))


def not_for_tables(name: str) -> str | None:
    r"""Say why a name, written into a table, would not be read from it again; None if it would.

    >>> not_for_tables(" a.png")
    'the file name begins or ends with a blank, which tables take away; rename it'
    """
    not_utf8, blank, carriage_return = NOT_FOR_TABLES
    try:
        name.encode()
    except UnicodeEncodeError:
        return not_utf8
    if name != name.strip():
        return blank
    return carriage_return if "\r" in name else None


def printable_name(name: str) -> str:
    r"""Return a name with what no text file can hold written as an escape.

    >>> printable_name("Andr\udce9.png")
    'Andr\\udce9.png'
    """
    return name.encode(errors="backslashreplace").decode().replace("\r", "\\r")


def resolve_inside(root: Path, name: str, real_root: Path | None = None) -> Path:
    """Return the existing file that a name out of a data file means, if it lies inside ``root``.

    Args:
        root: The folder that names are relative to.
        name: The name as it stands in the data.
        real_root: ``root.resolve()``, from callers with many names.

    Raises:
        ValueError: An empty or absolute name, ``..`` in it, a link that leads out of ``root``, no such file, or a
            name that the system refuses to look up. The message is the reason alone; the caller knows the place.
    """
    if not name:
        raise ValueError("the file name is empty")
    if "\0" in name:
        raise ValueError(f"the file name {name!r} has a zero byte in it")
    # Either separator, on every system, so that a table made for one cannot escape on another.
    parts = re.split(r"[/\\]", name)
    if not parts[0] or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"the file name {name!r} is absolute; names are relative to {root}")
    if ".." in parts:
        raise ValueError(f"the file name {name!r} goes up with '..', which is refused")
    path = root / name
    try:
        if not path.is_file():
            hint = "; folders are separated by '/'" if "\\" in name else ""
            reason = (
                f"{name!r} is not a file" if path.exists() else f"there is no file {name!r} in {root}{hint}"
            )
            raise ValueError(reason)
        if not path.resolve().is_relative_to(real_root or root.resolve()):
            raise ValueError(f"{name!r} is a link that leads out of {root}, which is refused")
    except OSError as error:
        raise ValueError(f"{name!r} cannot be looked up ({error.strerror})") from error
    return path
