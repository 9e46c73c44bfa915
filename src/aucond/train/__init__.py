"""Training: the Trainer, its settings, its monitor and its checkpoints. It knows no recipe."""

from aucond.train.checkpoint import Checkpoint, DamagedCheckpointError, read_checkpoint
from aucond.train.config import TrainerConfig
from aucond.train.ema import GeneratorAverage
from aucond.train.logs import read_log
from aucond.train.monitor import HEALTHY_RANGES, WATCHES, Monitor, Verdict, Watch
from aucond.train.outcome import TrainingDivergedError, TrainResult
from aucond.train.precision import native_precision
from aucond.train.trainer import Trainer

__all__ = [
    "HEALTHY_RANGES",
    "WATCHES",
    "Checkpoint",
    "DamagedCheckpointError",
    "GeneratorAverage",
    "Monitor",
    "TrainResult",
    "Trainer",
    "TrainerConfig",
    "TrainingDivergedError",
    "Verdict",
    "Watch",
    "native_precision",
    "read_checkpoint",
    "read_log",
]
