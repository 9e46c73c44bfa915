"""Steps that are recorded once and then repeated: CUDA graphs, with the ordinary step wherever one does not fit.

A training step of small networks on a GPU is hundreds of kernels, and starting them one by one from Python can take
longer than running them. A CUDA graph starts them all at once, on the very memory it was recorded with: the batch is
copied into static buffers, and whatever else changes from step to step must lie in a tensor or in a registered
generator.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import torch
from torch import Tensor

from aucond.types import Batch

__all__ = ["CudaRecorder", "Recorder", "RepeatedWork"]

LOGGER = logging.getLogger("aucond.train")

T = TypeVar("T")
Layout: TypeAlias = tuple[tuple[str, torch.Size, tuple[int, ...], torch.dtype, torch.device], ...]


class Recorder(Protocol):
    """Does work, or records it so that it can be repeated."""

    def warm_up(self, work: Callable[[], T]) -> T:
        """Do the work once, in a way that prepares its recording."""
        ...

    def record(self, work: Callable[[], T]) -> Callable[[], T]:
        """Record the work without doing it; each call of the result does it and gives the tensors of the recording."""
        ...


class CudaRecorder:
    """Records work as a CUDA graph.

    Args:
        generators: The generators of the device, besides its default one, that the work draws from. Their seeds are
            read at each repetition.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._generators = tuple(generators)
        # Graphs that never run at the same time share their memory.
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], T]) -> T:
        """Do the work on a stream of its own, as capturing does: what autograd remembers of streams then fits."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = work()
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def record(self, work: Callable[[], T]) -> Callable[[], T]:
        """Capture the work."""
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        # The outer context puts the stream back even when the capture fails. Threads of a data loader may go on.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"),
        ):
            result = work()

        def replay() -> T:
            graph.replay()
            return result

        return replay


class RepeatedWork:
    """Work on batches that is recorded for the first layout that has come a few times, and repeated for it.

    Batches of another layout (a short last one) and batches that hold more than tensors are worked on as usual, and
    so is everything once a recording has failed, with a warning that says why.

    Args:
        work: From a batch on the device to whatever tensors are wanted. It must do the same work on tensors every
            time: a decision or a count that it makes in Python is made once, when it is recorded.
        recorder: Records it.
        name: What it is called in the warning.
        warm_ups: How many batches of a layout are worked on as usual before it is recorded.
    """

    def __init__(
        self, work: Callable[[Batch], T], recorder: Recorder, *, name: str, warm_ups: int = 3
    ) -> None:
        self._work: Callable[[Batch], Any] = work
        self._recorder = recorder
        self._name = name
        self._warm_ups = warm_ups
        self.forget()

    def forget(self) -> None:
        """Drop the recording, because memory it knows has been replaced; it is made again after new warm-ups."""
        self._seen: dict[Layout, int] = {}
        self._recorded: tuple[Layout, dict[str, Tensor], Callable[[], Any]] | None = None
        self._failed = False

    @property
    def is_recorded(self) -> bool:
        """Whether batches of some layout are being repeated."""
        return self._recorded is not None

    def __call__(self, batch: Batch) -> Any:
        """Work on a batch."""
        values: dict[str, Any] = dict(batch)
        if self._failed or not all(isinstance(value, Tensor) for value in values.values()):
            return self._work(batch)
        layout = _layout(values)
        if self._recorded is None:
            if self._seen.setdefault(layout, 0) < self._warm_ups:
                self._seen[layout] += 1
                return self._recorder.warm_up(lambda: self._work(batch))
            self._record(layout, values)
        if self._recorded is None or self._recorded[0] != layout:
            return self._work(batch)
        _, buffers, repeat = self._recorded
        for name, buffer in buffers.items():
            buffer.copy_(values[name], non_blocking=True)
        return repeat()

    def _record(self, layout: Layout, values: dict[str, Tensor]) -> None:
        buffers = {name: torch.empty_like(value).copy_(value) for name, value in values.items()}
        try:
            repeat = self._recorder.record(lambda: self._work(cast(Batch, buffers)))
        except RuntimeError as error:
            self._failed = True
            LOGGER.warning("%s cannot be recorded and goes on step by step: %s", self._name, error)
        else:
            self._recorded = layout, buffers, repeat


def _layout(values: dict[str, Tensor]) -> Layout:
    return tuple((name, v.shape, v.stride(), v.dtype, v.device) for name, v in sorted(values.items()))
