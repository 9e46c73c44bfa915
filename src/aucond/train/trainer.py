"""The Trainer: runs an objective's two losses step by step, and goes on exactly where it was stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn

from aucond.train.checkpoint import (
    Checkpoint,
    checkpoint_path,
    list_checkpoints,
    newest_good,
    prune_checkpoints,
    read_checkpoint,
    set_aside_after,
    write_checkpoint,
)
from aucond.train.config import TrainerConfig
from aucond.train.learner import Learner, check_objective
from aucond.train.loading import EpochLoader
from aucond.train.logs import LOGGER, Reporter, announce
from aucond.train.monitor import Monitor
from aucond.train.outcome import TrainingDivergedError, TrainResult
from aucond.train.pending import PendingValues
from aucond.train.preview import save_preview
from aucond.train.processes import Processes
from aucond.train.randomness import derived_seed, loss_randomness, preserved_global_state
from aucond.train.run_state import Progress, check_same_run, find_checkpoint, saved_settings
from aucond.types import Batch, Objective

__all__ = ["Trainer"]


class Trainer:
    """Trains the generator and the critic of an objective.

    Each batch trains the critic; every ``critic_steps_per_generator_step``-th trains the generator as well. The Trainer
    knows nothing of what the losses mean: a recipe, or any object with ``generator``, ``critic``, ``critic_loss`` and
    ``generator_loss``, is an objective. It may offer ``advice`` for the :class:`Monitor`, and ``to(device)`` if it
    holds more than the two networks. An objective whose losses do the same work on tensors in every step, with no
    decision, count or draw made in Python, may say so with ``capturable = True``: on a CUDA device its steps then run
    as CUDA graphs (see ``TrainerConfig.speed``).

    Writes to ``folder``: ``checkpoints/step_<n>/`` (safetensors and ``state.json``), ``log.jsonl``,
    ``previews/``, and ``tensorboard/`` where that is installed.

    A run that is stopped at any moment, even killed, goes on from its last checkpoint, and on the CPU ends with the
    very bytes of an uninterrupted run: every draw of a loss comes from a generator seeded by (seed, step, network,
    process), the order of the data by (seed, epoch), and everything else is in the checkpoint.

    Under ``torchrun`` or ``accelerate launch`` every batch is shared among the processes and the gradients are
    averaged over all samples (see :class:`EpochLoader`). That is the step one process would take, wherever the loss
    is a mean of per-sample values; draws of the losses differ between processes. All processes read the same folder.

    Args:
        objective: The networks and their losses.
        config: The settings.
        folder: Where the run lives.
        preview: Called with the averaged generator every ``preview_every`` steps; returns a picture (3, H, W),
            values in [-1, 1].
        monitor: Watches for collapse; by default a :class:`Monitor` with the objective's advice.
        progress: Whether to show a progress bar.
        tensorboard: Whether to write for TensorBoard, if it is installed.
        cpu: Train on the CPU. By default the networks go to the GPU, if there is one, when the Trainer is made.

    Raises:
        ImportError: If accelerate is not installed.
        TypeError: If an argument is of the wrong kind.
        ValueError: If a network has nothing to train, or the two share parameters.
    """

    def __init__(
        self,
        objective: Objective,
        config: TrainerConfig,
        *,
        folder: str | os.PathLike[str],
        preview: Callable[[nn.Module], Tensor] | None = None,
        monitor: Monitor | None = None,
        progress: bool = True,
        tensorboard: bool = True,
        cpu: bool = False,
    ) -> None:
        check_objective(objective)
        self.objective = objective
        self.config = config
        self.folder = Path(folder)
        self.processes = Processes.current(cpu=cpu)
        self.monitor = Monitor(getattr(objective, "advice", None)) if monitor is None else monitor
        self._preview = preview
        self._shows = {"progress": progress, "tensorboard": tensorboard}
        self._learner = Learner(objective, config, self.processes)
        self._pending = PendingValues(self.processes)
        self._progress = Progress()
        self._owns_folder = False

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self._progress.step

    @property
    def started(self) -> bool:
        """Whether a step is done, or the folder has a checkpoint that ``fit(loader, resume=True)`` would go on from.

        What is to be done once before the first step, such as teaching the critic alone, is to be done if not. The
        folder itself tells less: it is made before the first checkpoint in it is complete.

        >>> from tempfile import TemporaryDirectory
        >>> from aucond.types import LossTerms
        >>> class Same:
        ...     generator, critic = nn.Linear(1, 1), nn.Linear(1, 1)
        ...     def critic_loss(self, batch, rng): return LossTerms({"score": self.critic(batch["image"]).mean()})
        ...     def generator_loss(self, batch, rng): return LossTerms({"edit": self.generator(batch["image"]).mean()})
        >>> def trainer(folder):
        ...     options = {"progress": False, "tensorboard": False, "cpu": True}
        ...     return Trainer(Same(), TrainerConfig(steps=2), folder=folder, **options)
        >>> with TemporaryDirectory() as folder:
        ...     before = trainer(folder).started
        ...     _ = trainer(folder).fit([{"image": torch.zeros(3, 1)}])
        ...     before, trainer(folder).started
        (False, True)
        """
        return self.step > 0 or bool(list_checkpoints(self._checkpoints))

    @property
    def ema(self) -> nn.Module:
        """The averaged generator, in evaluation mode: the one to keep."""
        return self._learner.average.network

    def resume(
        self, folder: str | os.PathLike[str] | None = None, *, allow_changed_config: bool = False
    ) -> Trainer:
        """Load a checkpoint, from where :meth:`fit` then goes on.

        A damaged checkpoint is passed over for the one before it, with a warning that says which and why.

        Args:
            folder: A run's folder, of which the newest whole checkpoint is taken, or the folder of one checkpoint; by
                default this run's.
            allow_changed_config: Go on even if settings that change the result differ, with a warning that names them.
                Settings are those of the config and, where the objective has them, its ``weights`` and ``adversarial``,
                ``targets``, ``penalty_points`` and ``instance_noise``, as far as their fields or their repr tell.

        Returns:
            The Trainer itself.

        Raises:
            FileNotFoundError: If there is no checkpoint.
            DamagedCheckpointError: If the one named, or every one of the run, is damaged.
            ValueError: If it is of other settings, another condition space or architecture, or of a newer version.
        """
        source = self.folder if folder is None else Path(folder)
        found = find_checkpoint(source) if self.processes.is_main else None
        path = self.processes.same_object(found.path if found is not None else None)
        checkpoint = found if found is not None else find_checkpoint(path)
        check_same_run(
            checkpoint,
            self.config,
            self.objective,
            self.processes.count,
            allow_changed_config=allow_changed_config,
        )
        self._load(checkpoint)
        self._owns_folder = path.resolve().parent == self._checkpoints.resolve()
        return self

    def fit(self, loader: Iterable[Batch], *, resume: bool = False) -> TrainResult:
        """Train until ``config.steps`` are done.

        Args:
            loader: Batches (see :class:`Batch`), of all processes together; iterated once per epoch. Best a DataLoader.
            resume: Go on from the newest checkpoint in the run's folder if there is one, else start.

        Returns:
            The latest loss values, what the monitor noticed, and where the last checkpoint is.

        Raises:
            FileExistsError: If the folder holds an earlier run that is not resumed.
            TrainingDivergedError: If a loss or a weight is not finite any more.
            ValueError: If the loader has no batch.
        """
        epochs = EpochLoader(
            loader, self.config.seed, process=self.processes.index, processes=self.processes.count
        )
        self._settle(resume)
        reporter = Reporter(
            self.folder, self.step, self.config.steps, writes=self.processes.is_main, **self._shows
        )
        with preserved_global_state(), self._learner.training(), closing(reporter):
            while self.step < self.config.steps:
                self._run_epoch(epochs, reporter)
            if self.processes.is_main and not self._checkpoint_path.exists():
                self._save(reporter)
        self.processes.wait()
        return TrainResult(
            self.step, dict(self._progress.values), tuple(self.monitor.history), self._checkpoint_path
        )

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def _checkpoint_path(self) -> Path:
        return checkpoint_path(self._checkpoints, self.step)

    def _load(self, checkpoint: Checkpoint) -> None:
        self._learner.restore(checkpoint)
        self._progress = Progress.from_json(checkpoint.state["progress"])
        self.monitor.load_state_dict(checkpoint.state["monitor"])
        self._pending = PendingValues(self.processes)

    def _settle(self, resume: bool) -> None:
        """Make the folder this run's: resume, or refuse to mix with another run, and set aside what lies ahead."""
        occupied = self.processes.same_object(bool(list_checkpoints(self._checkpoints)))
        if occupied and resume and self.step == 0:
            self.resume()
        elif occupied and not self._owns_folder:
            raise FileExistsError(
                f"{self.folder}: holds the checkpoints of an earlier run; "
                "go on with fit(loader, resume=True), or choose another folder"
            )
        self.processes.wait()
        if self.processes.is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in set_aside_after(self._checkpoints, self.step):
                LOGGER.warning("going on from step %d; a checkpoint past it is now in %s", self.step, path)
            prune_checkpoints(self._checkpoints, self.config.keep_checkpoints)
        self._owns_folder = True

    def _run_epoch(self, epochs: EpochLoader, reporter: Reporter) -> None:
        progress = self._progress
        for batch in epochs.epoch(progress.epoch, skip=progress.batch):
            self._learner.learn(batch, progress.step + 1, self._pending)
            progress.step += 1
            progress.batch += 1
            reporter.advance()
            self._report(reporter)
            if self.step == self.config.steps:
                return
        progress.epoch, progress.batch = progress.epoch + 1, 0

    def _report(self, reporter: Reporter) -> None:
        """Do what is due after this step: look at the values, log, show a preview, save."""
        config, last = self.config, self.step == self.config.steps
        logs = last or self.step % config.log_every == 0
        saves = last or self.step % config.checkpoint_every == 0
        diverged = self._look() if logs or saves else None
        if logs or diverged:
            self._log(reporter)
        if diverged:
            self._stop(diverged)
        if last or self.step % config.preview_every == 0:
            self._show_preview(reporter)
        if saves:
            self._save(reporter)

    def _look(self) -> str | None:
        """Fetch the values of the steps since the last look; returns what is not finite, in words."""
        diverged = None
        for phase in self._pending.fetch():
            self._progress.values |= phase.terms
            self._progress.values |= {f"monitor/{name}": value for name, value in phase.watched.items()}
            terms = {name: value for name, value in phase.terms.items() if not name.endswith("/total")}
            verdicts = self.monitor.update(phase.step, terms, phase.watched)
            if self.processes.is_main:
                announce(verdicts)
            broken = [v.message for v in verdicts if v.kind == "not_finite"]
            diverged = diverged or (broken[0] if broken else None)
        return diverged

    def _log(self, reporter: Reporter) -> None:
        progress = self._progress
        news = [verdict for verdict in self.monitor.history if verdict.step > progress.logged]
        rate = self.config.learning_rate * self.config.learning_rate_factor(self.step)
        reporter.write(self.step, progress.epoch, rate, progress.values, news)
        progress.logged = self.step

    def _show_preview(self, reporter: Reporter) -> None:
        if self._preview is None or not self.processes.is_main:
            return
        seed = derived_seed(self.config.seed, "preview", self.step)
        with torch.no_grad(), loss_randomness(seed, self.processes.device):
            image = self._preview(self.ema)
        self.ema.eval()
        path = self.folder / "previews" / f"step_{self.step:06d}.png"
        reporter.picture(self.step, save_preview(path, image))

    def _save(self, reporter: Reporter) -> None:
        broken = self._learner.broken_networks()
        if broken:
            self._stop(
                f"step {self.step}: the weights of the {' and the '.join(broken)} are not finite any more"
            )
        if not self.processes.is_main:
            return
        # First the log, so that no checkpoint is ahead of the lines that lead to it.
        reporter.sync()
        state = {
            "good": self.monitor.healthy,
            "progress": self._progress.to_json(),
            "ema_updates": self._learner.average.updates,
            "monitor": self.monitor.state_dict(),
            **saved_settings(self.config, self.objective, self.processes.count),
        }
        write_checkpoint(self._checkpoints, self.step, self._learner.tensors(), state)
        prune_checkpoints(self._checkpoints, self.config.keep_checkpoints)

    def _stop(self, reason: str) -> NoReturn:
        """Load the last good checkpoint, or else the last, whose weights are finite at any rate, and raise."""
        self.processes.wait()
        good = newest_good(self._checkpoints)
        path = self.processes.same_object(good or next(reversed(list_checkpoints(self._checkpoints)), None))
        if path is None:
            raise TrainingDivergedError(f"{reason}. There is no checkpoint to go back to.", None)
        kind = "last good" if path == good else "last"
        try:
            self._load(read_checkpoint(path))
        except Exception as error:
            raise TrainingDivergedError(
                f"{reason}. The {kind} checkpoint, {path}, could not be loaded: {error}", None
            ) from error
        raise TrainingDivergedError(f"{reason}. The {kind} checkpoint, {path}, has been loaded.", path)
