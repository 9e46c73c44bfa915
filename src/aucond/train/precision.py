"""Which precision a machine computes in natively."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

__all__ = ["native_precision"]

_CPU_FLAGS = Path("/proc/cpuinfo")


def native_precision() -> Literal["float32", "bfloat16"]:
    """``"bfloat16"`` where the machine has instructions for it, else ``"float32"``: for ``TrainerConfig.precision``.

    A GPU is asked first, then the processor's flags (``avx512_bf16``, ``amx_bf16``). Elsewhere bfloat16 is emulated,
    which is slower than float32. The same machine always gives the same answer. Where the flags cannot be read
    (not on Linux), float32 is taken.

    >>> native_precision() in ("float32", "bfloat16")
    True
    """
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    try:
        flags = _CPU_FLAGS.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return "float32"
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"
