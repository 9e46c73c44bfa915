"""What an interrupted annotation leaves behind: a line per finished photo, appended as the work goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from aucond.data.problems import DatasetError, Problem

__all__ = ["AnnotationJournal"]


class AnnotationJournal:
    """An append-only file of JSON lines, the first of which says what the others were made with.

    A line that was cut off by a crash is dropped: its photo is done again.

    Args:
        path: The file; made if it is not there.
        settings: What the entries depend on; a file with other settings is refused.

    Raises:
        DatasetError: A journal of other settings, or a file that is no journal.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        """What is known of each photo, by its name: ``values`` (and ``faces``), or ``problem``."""
        settings = json.loads(json.dumps(settings))
        content = path.read_bytes() if path.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            path.write_bytes(json.dumps(settings).encode() + b"\n")
            return
        if len(whole) < len(content):
            with path.open("r+b") as stream:
                stream.truncate(len(whole))
        try:
            first, *lines = [json.loads(line) for line in whole.decode().splitlines()]
            self.entries = {line.pop("file_name"): line for line in lines}
        except (ValueError, KeyError, AttributeError) as error:
            raise DatasetError(
                path, [Problem(path, f"not a journal of an annotation ({error}); remove it")]
            ) from error
        if first != settings:
            reason = "was begun with other settings (space, model or limits); go on with those, or remove it"
            raise DatasetError(path, [Problem(path, reason)])

    def add(self, entries: dict[str, dict[str, Any]]) -> None:
        """Append finished photos and see them onto the disk."""
        text = "".join(json.dumps({"file_name": name, **entry}) + "\n" for name, entry in entries.items())
        with self.path.open("ab") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        self.entries.update(entries)

    def remove(self) -> None:
        """Take the file away: all of it is in the table."""
        self.path.unlink(missing_ok=True)
