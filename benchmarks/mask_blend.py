"""The blend with total variation and norm of its mask: plain functions, torch.compile of them, and ours.

Forward, backward and both, over image sizes and batches; seconds, bytes that have to be moved over the measured copy
bandwidth (1 is the limit), peak memory; a JSON file and a plot. On a CPU everything is measured twice: with freed
memory given back to the system, as a process has it, and kept, as ``Trainer.fit`` has it.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import (
    copy_bandwidth,
    environment,
    interleaved,
    parser,
    peak_memory,
    prepare,
    reset_peak_memory,
    save,
    table,
)
from torch import Tensor
from torch._functorch import config as functorch_config

from aucond.losses import attention_l1_loss, attention_l2_loss, attention_tv_loss
from aucond.ops import mask_blend_with_tv
from aucond.train.memory import kept_memory

Terms = tuple[Tensor, Tensor, Tensor, Tensor]
Blend = Callable[[Tensor, Tensor, Tensor], Terms]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def plain(image: Tensor, color: Tensor, attention: Tensor) -> Terms:
    """Eq. 1 and 2 written down as they are."""
    blended = attention * color + (1 - attention) * image
    tv = attention_tv_loss(attention, reduction="none")
    return blended, tv, attention_l2_loss(attention, "none"), attention_l1_loss(attention, "none")


def ours(image: Tensor, color: Tensor, attention: Tensor) -> Terms:
    """The library's."""
    terms = mask_blend_with_tv(image, color, attention)
    return terms.image, terms.tv, terms.norm, terms.mean


def moved_bytes(inputs: list[Tensor], phase: str) -> int:
    """What no implementation can avoid: forward three inputs and the blend, backward these and three gradients."""
    image, color, attention = (t.numel() * t.element_size() for t in inputs)
    forward = image + color + attention + image
    backward = 2 * image + color + attention + image + color + attention
    return {"forward": forward, "backward": backward, "both": forward + backward}[phase]


def backward(terms: Terms, upstream: Tensor, inputs: list[Tensor], keep: bool = False) -> None:
    """Gradients with an upstream that is not 1 for the blend, and of total variation and norm."""
    sums: Tensor = torch.add(terms[2].sum(), terms[1].sum(), alpha=1e-4)
    torch.autograd.grad([terms[0], sums], inputs, [upstream, None], retain_graph=keep)


def phases(blend: Blend, inputs: list[Tensor], upstream: Tensor) -> dict[str, Callable[[], object]]:
    """The works to measure."""
    kept = blend(*inputs)
    return {
        "forward": lambda: blend(*inputs),
        "backward": lambda: backward(kept, upstream, inputs, keep=True),
        "both": lambda: backward(blend(*inputs), upstream, inputs),
    }


def with_compiler(blends: dict[str, Blend], inputs: list[Tensor], upstream: Tensor) -> dict[str, Blend]:
    """The blends, with torch.compile's if there is a compiler for this device."""
    # The backward is measured by itself, again and again on one forward.
    functorch_config.donated_buffer = False
    compiled: Blend = torch.compile(plain, dynamic=False)
    try:
        backward(compiled(*inputs), upstream, inputs)
    except Exception as error:  # Whatever the compiler's tool chain lacks, it says in its own way.
        reason = str(error).splitlines()[:1]
        warnings.warn(f"measured without torch.compile, which failed here: {reason}", stacklevel=2)
        return blends
    return {**blends, "compiled": compiled}


def measure(
    size: int, batch: int, options: argparse.Namespace, bandwidth: float, kept: bool
) -> list[dict[str, Any]]:
    """All phases of all blends at one size."""
    device, dtype = torch.device(options.device), DTYPES[options.dtype]
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    rng = torch.Generator().manual_seed(0)

    def random(channels: int) -> Tensor:
        values = torch.rand(batch, channels, size, size, generator=rng)
        return values.to(device, dtype).contiguous(memory_format=layout)

    upstream, inputs = random(3), [random(3), random(3), random(1)]
    for value in inputs:
        value.requires_grad_()
    blends: dict[str, Blend] = {"eager": plain, "ours": ours}
    if not options.no_compile:
        blends = with_compiler(blends, inputs, upstream)
    works = {name: phases(blend, inputs, upstream) for name, blend in blends.items()}
    rounds = options.rounds or (2 if options.quick else 20)
    rows = []
    for phase in ("forward", "backward", "both"):
        seconds = interleaved({name: work[phase] for name, work in works.items()}, device, rounds=rounds)
        for name, duration in seconds.items():
            reset_peak_memory(device)
            works[name][phase]()
            rows.append(
                {
                    "size": size,
                    "batch": batch,
                    "memory_kept": kept,
                    "phase": phase,
                    "blend": name,
                    "milliseconds": 1e3 * duration,
                    "speedup": seconds["eager"] / duration,
                    "share_of_bandwidth": moved_bytes(inputs, phase) / duration / bandwidth,
                    "peak_bytes": peak_memory(device) if device.type == "cuda" else None,
                }
            )
    torch._dynamo.reset()
    return rows


def plot(rows: list[dict[str, Any]], info: dict[str, Any], path: Path) -> None:
    """Speed-up over the plain functions, forward and backward together, against the number of pixels."""
    memory_kept = any(row["memory_kept"] for row in rows)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no plot without matplotlib: pip install "aucond[docs]"')
        return
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for name, color in (("eager", "#808080"), ("compiled", "#d95926"), ("ours", "#3987e5")):
        found = sorted(
            (r["batch"] * r["size"] ** 2, r["speedup"])
            for r in rows
            if (r["blend"], r["phase"], r["memory_kept"]) == (name, "both", memory_kept)
        )
        if found:
            axes.plot(*zip(*found, strict=True), marker="o", color=color, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("mask pixels in the batch")
    axes.set_ylabel("times faster than eager")
    axes.set_ylim(bottom=0)
    memory = ", freed memory kept" if memory_kept else ""
    axes.set_title(
        f"Blend, total variation and norm, forward and backward\n{info['device']}{memory}", fontsize=10
    )
    axes.grid(alpha=0.25)
    axes.legend()
    figure.savefig(path, dpi=150)
    print(f"written: {path}")


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__)
    made.add_argument("--dtype", choices=sorted(DTYPES), default="float32", help="of images and masks")
    made.add_argument("--channels-last", action="store_true", help="channels_last memory")
    made.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    made.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024], help="image sizes")
    made.add_argument("--batches", type=int, nargs="+", default=[1, 8, 25, 64], help="images a batch")
    made.add_argument(
        "--most-pixels", type=int, help="leave out larger batches; default 2**22 on a CPU, 2**26"
    )
    options = made.parse_args()
    device = prepare(options)
    sizes, batches = ([16], [2]) if options.quick else (options.sizes, options.batches)
    most = options.most_pixels or (2**26 if device.type == "cuda" else 2**22)
    info = environment(device, options.quick)
    bandwidth = copy_bandwidth(device, options.quick)
    chosen = [(size, batch) for size in sizes for batch in batches if batch * size**2 <= most]
    rows = []
    for keep in (False, True) if device.type == "cpu" else (False,):
        with kept_memory(keep) as kept:
            if kept == keep:  # not every system can be told
                rows += [row for one in chosen for row in measure(*one, options, bandwidth, kept)]
    print(table(rows))
    layout = "channels_last" if options.channels_last else "contiguous"
    results = {
        "environment": info,
        "copy_bandwidth": bandwidth,
        "dtype": options.dtype,
        "layout": layout,
        "rows": rows,
    }
    usual = options.dtype == "float32" and not options.channels_last
    path = save("mask_blend" if usual else f"mask_blend_{options.dtype}_{layout}", results, options)
    plot(rows, info, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
