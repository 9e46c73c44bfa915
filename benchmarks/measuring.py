"""What every benchmark here needs: the machine in words, interleaved timing, measured limits, results as JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import aucond
from aucond._files import atomic_file

RESULTS = Path(__file__).parent / "results"
CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(
        description=(description or "").split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<index>")
    made.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    made.add_argument("--rounds", type=int, help="repetitions of everything, medians are reported")
    made.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON file and the plot")
    made.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    return made


def prepare(arguments: argparse.Namespace) -> torch.device:
    """Check the device, set the number of threads and make the output folder.

    Raises:
        SystemExit: If the device is not there.
    """
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"--device {arguments.device}: no CUDA device is available here")
    torch.set_num_threads(arguments.threads)
    arguments.output.mkdir(parents=True, exist_ok=True)
    return device


def environment(device: torch.device, quick: bool) -> dict[str, Any]:
    """When and on what something was measured."""
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "aucond": aucond.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "quick": quick,
    }
    if device.type == "cuda":
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
    else:
        found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        # Others at work are the usual reason for figures that cannot be had again.
        found["load_average_before"] = round(os.getloadavg()[0], 2)
    return found


def cpu_name() -> str:
    """The processor's name and its number of cores."""
    lines: list[str] = []
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device, repeat: int = 1) -> float:
    """Seconds one call takes, the mean of ``repeat`` calls in a row."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    synchronize(device)
    return (time.perf_counter() - start) / repeat


def interleaved(
    works: Mapping[str, Callable[[], object]], device: torch.device, *, rounds: int, at_least: float = 0.02
) -> dict[str, float]:
    """The median seconds of each work, all of them measured in turn, so that a busy minute hits all alike.

    Args:
        works: What to measure, by name.
        device: Where it runs.
        rounds: How often each is measured.
        at_least: Each measurement repeats its work for about this many seconds.
    """
    repeats = {}
    for name, work in works.items():
        work()
        repeats[name] = max(1, min(1000, round(at_least / max(seconds_of(work, device), 1e-6))))
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(seconds_of(work, device, repeats[name]))
    return {name: statistics.median(values) for name, values in found.items()}


def copy_bandwidth(device: torch.device, quick: bool) -> float:
    """Bytes a second that a large copy moves, read and written."""
    count = 1 << (16 if quick else 28 if device.type == "cuda" else 26)
    source, target = (torch.zeros(count, device=device) for _ in range(2))
    best = min(seconds_of(lambda: target.copy_(source), device) for _ in range(8))
    return 2 * source.numel() * source.element_size() / best


def matrix_rate(device: torch.device, dtype: torch.dtype, quick: bool) -> float:
    """Floating-point operations a second of a large matrix product; the best of several, as a limit should be."""
    size = 128 if quick else 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = min(seconds_of(lambda: a @ b, device) for _ in range(8))
    return 2 * size**3 / best


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """torch's own formulas without FlopCounterMode's hooks on modules, which autograd.grad refuses."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        out = func(*args, **named)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **named, out_val=out)
        return out


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations of the products and convolutions of a work, two for a multiplication and addition."""
    with _Counter() as counter:
        work()
    return int(counter.total)


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new measurement of the peak memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif CLEAR_REFS.exists():
        CLEAR_REFS.write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int:
    """The most bytes in use since the last reset: allocated on the GPU, or resident memory of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if STATUS.exists():
        for line in STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def save(name: str, results: Mapping[str, Any], arguments: argparse.Namespace) -> Path:
    """Write the results to ``<name>_<device type>.json``, whole or not at all."""
    path: Path = arguments.output / f"{name}_{torch.device(arguments.device).type}.json"
    with atomic_file(path) as stream:
        stream.write((json.dumps(results, indent=1) + "\n").encode())
    print(f"written: {path}")
    return path


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of one set of keys as aligned text."""
    names = list(rows[0])
    texts = [[_short(row.get(name)) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in texts)) for i, name in enumerate(names)]
    lines = [names, *texts]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
