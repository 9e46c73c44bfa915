"""What a run tells: a JSONL file, TensorBoard and a progress bar."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from aucond.train.files import replace_file
from aucond.train.monitor import Verdict

__all__ = ["LOGGER", "Reporter", "announce", "read_log"]

LOGGER = logging.getLogger("aucond.train")


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a ``log.jsonl`` as dicts; a last line that a killed run left half-written is left out.

    Raises:
        ValueError: If another line is no JSON; the message names file and line.
    """
    lines = Path(path).read_bytes().split(b"\n")
    entries = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            entries.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: is no JSON: {error}") from error
    return entries


class Reporter:
    """Writes the logs of one stretch of a run, from its start or resumption to its end.

    Args:
        folder: The run's folder; gets ``log.jsonl`` and, if TensorBoard is installed, ``tensorboard/``.
        step: The step the stretch starts after. Lines past it, of an interrupted run, are removed first.
        steps: How many steps the whole run has.
        writes: False for all but one of several processes: nothing is written or shown then.
        progress: Whether to show a progress bar.
        tensorboard: Whether to write for TensorBoard where it is installed.

    Raises:
        ImportError: If the bar is wanted and tqdm is missing.
    """

    def __init__(
        self, folder: Path, step: int, steps: int, *, writes: bool, progress: bool, tensorboard: bool
    ) -> None:
        path = folder / "log.jsonl"
        if writes:
            _forget_after(path, step)
        self._bar = _progress_bar(step, steps) if writes and progress else None
        self._board = _board(folder / "tensorboard", step) if writes and tensorboard else None
        self._file = path.open("ab") if writes else None
        self._since = time.perf_counter()

    def advance(self) -> None:
        """One more step is done."""
        if self._bar is not None:
            self._bar.update(1)

    def write(
        self,
        step: int,
        epoch: int,
        learning_rate: float,
        values: Mapping[str, float],
        verdicts: Sequence[Verdict],
    ) -> None:
        """Write one line.

        Args:
            step: The number of the last finished step.
            epoch: Its epoch.
            learning_rate: The generator's learning rate in it.
            values: The latest value of each term (``critic/...``, ``generator/...``) and watched value
                (``monitor/...``).
            verdicts: What the monitor noticed since the last line.
        """
        if self._file is None:
            return
        now = time.perf_counter()
        line: dict[str, Any] = {"step": step, "epoch": epoch, "learning_rate": learning_rate}
        line |= {name: value if math.isfinite(value) else None for name, value in values.items()}
        line["seconds"] = round(now - self._since, 4)
        if verdicts:
            line["verdicts"] = [v.message for v in verdicts]
        self._since = now
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._file.flush()
        if self._board is not None:
            for name, value in {**values, "learning_rate": learning_rate}.items():
                self._board.add_scalar(name, value, step)
        if self._bar is not None:
            self._bar.set_postfix_str(_short(values), refresh=False)

    def picture(self, step: int, pixels: Tensor) -> None:
        """Show TensorBoard a preview, uint8 (3, H, W)."""
        if self._board is not None:
            self._board.add_image("preview", pixels, step)

    def sync(self) -> None:
        """Wait until everything written is on the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """End the stretch."""
        if self._file is not None:
            self._file.close()
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()


def announce(verdicts: Sequence[Verdict]) -> None:
    """Say verdicts aloud: troubles as warnings of the logger ``aucond.train``, their end as information."""
    for verdict in verdicts:
        LOGGER.log(logging.INFO if verdict.over else logging.WARNING, verdict.message)


def _forget_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [entry for entry in read_log(path) if entry["step"] <= step]
    replace_file(path, b"".join(json.dumps(entry).encode() + b"\n" for entry in kept))


def _progress_bar(step: int, steps: int) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            'the progress bar needs tqdm: pip install "aucond[train]", or pass progress=False'
        ) from error
    return tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True)


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    # TensorBoard hides what an interrupted run wrote past this step.
    return SummaryWriter(str(folder), purge_step=step + 1)


def _short(values: Mapping[str, float]) -> str:
    shown = {name: value for name, value in values.items() if not name.endswith("/total")}
    text = " ".join(f"{name}={value:.3g}" for name, value in shown.items())
    return text.replace("critic/", "c/").replace("generator/", "g/").replace("monitor/", "")
