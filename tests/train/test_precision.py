from __future__ import annotations

import pytest
import torch

from aucond.train import TrainerConfig, native_precision, precision

cpu_only = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")


@cpu_only
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f", "float32"),
        ("fpu avx512_bf16", "bfloat16"),
        ("amx_bf16 fpu", "bfloat16"),
        ("", "float32"),
    ],
)
def test_the_flags_decide(tmp_path, monkeypatch, flags, expected):
    file = tmp_path / "cpuinfo"
    file.write_text(f"flags\t\t: {flags}\n")
    monkeypatch.setattr(precision, "_CPU_FLAGS", file)
    assert native_precision() == expected
    assert TrainerConfig(steps=1, precision=native_precision()).precision == expected


@cpu_only
def test_no_flags_mean_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_CPU_FLAGS", tmp_path / "missing")
    assert native_precision() == "float32"
