"""The kernel where there is no GPU: its tests in Triton's interpreter, and its compilation for GPUs.

The interpreter must be chosen before Triton is imported, hence the process of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aucond.ops import mask_blend

pytest.importorskip("triton", reason='needs Triton: pip install "aucond[kernel]"')


def test_kernel_tests_pass_in_the_interpreter():
    file = Path(__file__).with_name("test_mask_blend_triton.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        cwd=file.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= 60, run.stdout[-2000:]


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_kernels_compile_for_a_gpu_with_coalesced_accesses(layout):
    """What the interpreter cannot tell: both kernels are legal for compute capability 9.0, and use wide loads."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from aucond.ops import _mask_blend_triton as kernels

    pixel, channel = ("p", "c") if layout == "contiguous" else ("c", "p")
    flags = {"L1": True, "LOGITS": True, "BLOCK": 1024, "m_p": 1}
    for kernel, images, more in (
        (kernels._forward_kernel, "ico", {}),
        (
            kernels._backward_kernel,
            ["i", "c", "u", "di", "dc"],
            dict.fromkeys(["UPSTREAM", "SUMS", "IMAGE", "COLOR", "MASK"], True),
        ),
    ):
        constants = {**flags, **more, **{f"{name}_{pixel}": 1 for name in images}}
        if layout == "channels_last":
            constants |= {f"{name}_{channel}": 3 for name in images}
        kinds = dict.fromkeys(
            ["image", "color", "mask", "out", "upstream", "d_image", "d_color", "d_mask"], "*bf16"
        )
        kinds |= dict.fromkeys(["sums", "for_sums"], "*fp32") | dict.fromkeys(constants, "constexpr")
        signature = {name: kinds.get(name, "i32") for name in kernel.arg_names}
        even = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(kernel.arg_names) if n not in constants}
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=even)
        compiled = compile(source, target=GPUTarget("cuda", 90, 32))
        assert "cubin" in compiled.asm
        assert "ld.global.v4" in compiled.asm["ptx"]


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter takes CPU tensors")
def test_on_a_cpu_the_kernel_is_refused_and_says_why():
    image = torch.zeros(1, 3, 4, 4)
    with pytest.raises(
        ValueError, match=r"backend: 'triton' cannot be had here: it needs tensors on a CUDA device"
    ):
        mask_blend(image, image, image[:, :1], backend="triton")
