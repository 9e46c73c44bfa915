"""How a training run ends: well, or with numbers that are not finite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aucond.train.monitor import Verdict

__all__ = ["TrainResult", "TrainingDivergedError"]


class TrainingDivergedError(RuntimeError):
    """A loss or a weight is not finite any more.

    ``checkpoint`` is the folder of the last good checkpoint (see :class:`Monitor`) or, where none was good, of the
    last; it has been loaded. None if there was none, or it could not be loaded; ``__cause__`` then says why.
    """

    def __init__(self, message: str, checkpoint: Path | None) -> None:
        super().__init__(message)
        self.checkpoint = checkpoint


@dataclass(frozen=True)
class TrainResult:
    """How a run ended."""

    steps: int
    """How many steps are done."""
    terms: dict[str, float]
    """The latest value of each loss term (``critic/...``, ``generator/...``) and watched value (``monitor/...``)."""
    verdicts: tuple[Verdict, ...]
    """Everything the monitor noticed, oldest first."""
    checkpoint: Path
    """The folder of the last checkpoint."""
