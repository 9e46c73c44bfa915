"""The blend's compiled CPU kernels: the reference's numbers, in every layout, from any thread, and doing without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from aucond.ops import _mask_blend_cpu as dispatcher
from aucond.ops import mask_blend_with_tv
from aucond.ops._mask_blend_reference import TVNorm, raw_terms

kernels = pytest.importorskip(
    "aucond.ops._mask_blend_compiled", reason='needs numba: pip install "aucond[kernel]"'
)

NORMS = pytest.mark.parametrize("norm", ["l2", "l1"])
LAYOUTS = pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)
SIZES = [(2, 5, 6), (3, 1, 1), (1, 1, 7), (2, 7, 1), (2, 33, 40)]


@pytest.fixture(autouse=True)
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have small tensors take the compiled way too."""
    monkeypatch.setattr(dispatcher, "LEAST_PIXELS_COMPILED", 1)


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kernels, "PIXELS_A_THREAD", 8)
    monkeypatch.setattr(kernels, "PIXELS_A_BLOCK", 100)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def inputs(
    shape: tuple[int, int, int],
    dtype: torch.dtype = torch.float64,
    layout: torch.memory_format = torch.contiguous_format,
) -> list[Tensor]:
    """An image, a colour image, and a mask with saturated stretches, which has ties between neighbours."""
    rng = torch.Generator().manual_seed(0)
    batch, height, width = shape
    image, color = (
        torch.rand(batch, 3, height, width, generator=rng, dtype=torch.float64) * 2 - 1 for _ in range(2)
    )
    mask = (torch.rand(batch, 1, height, width, generator=rng, dtype=torch.float64) * 1.6 - 0.3).clamp(0, 1)
    found = [t.to(dtype).contiguous(memory_format=layout) for t in (image, color, mask)]
    return [t.requires_grad_() for t in found]


def weighted(outputs: tuple[Tensor, ...], use: tuple[int, ...] = (0, 1, 2, 3)) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    weights = [torch.randn(o.shape, generator=rng, dtype=torch.float64).to(o.dtype) for o in outputs]
    return torch.stack([(outputs[i] * weights[i]).sum() for i in use]).sum()


def exact(values: list[Tensor]) -> list[Tensor]:
    return [v.detach().double().contiguous().requires_grad_(v.requires_grad) for v in values]


@NORMS
@LAYOUTS
@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)], ids=str)
@pytest.mark.usefixtures("two_threads")
def test_the_references_numbers_and_gradients(
    norm: TVNorm,
    layout: torch.memory_format,
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    values = inputs(shape, dtype, layout)
    references = exact(values)
    ours, theirs = dispatcher.raw_terms_cpu(*values, norm), raw_terms(*references, norm)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine.double(), other, rtol=tolerance, atol=tolerance)
    grads = torch.autograd.grad(weighted(ours), values)
    for mine, other in zip(grads, torch.autograd.grad(weighted(theirs), references), strict=True):
        torch.testing.assert_close(mine.double(), other, rtol=tolerance, atol=tolerance)
    assert all(g.is_contiguous(memory_format=layout) for g in grads)


def test_it_is_these_kernels_that_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for name in ("blend_and_sums", "gradients"):
        original = getattr(kernels, name)
        monkeypatch.setattr(kernels, name, lambda *a, n=name, f=original: called.append(n) or f(*a))
    values = inputs((2, 5, 6))
    weighted(tuple(mask_blend_with_tv(*values))).backward()
    assert called == ["blend_and_sums", "gradients"]


USES = [(0,), (1,), (2,), (3,), (0, 1), (1, 2, 3)]
WANTED = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 0)]


@NORMS
@LAYOUTS
@pytest.mark.parametrize(("use", "wanted"), [(u, w) for u in USES for w in WANTED if 0 in u or w[2]], ids=str)
def test_only_some_outputs_used_and_only_some_gradients_wanted(
    norm: TVNorm, layout: torch.memory_format, use: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    values = inputs((2, 5, 6), layout=layout)
    for value, want in zip(values, wanted, strict=True):
        value.requires_grad_(bool(want))
    references = exact(values)
    found = []
    for blend, tensors in ((dispatcher.raw_terms_cpu, values), (raw_terms, references)):
        chosen = [v for v in tensors if v.requires_grad]
        found.append(torch.autograd.grad(weighted(blend(*tensors, norm), use), chosen, allow_unused=True))
    for mine, other in zip(*found, strict=True):
        if other is None:
            assert mine is None or not mine.any()
        else:
            torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)


@LAYOUTS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_saturated_mask_is_exact_and_has_no_slope(
    layout: torch.memory_format, dtype: torch.dtype, value: float
) -> None:
    image, color, mask = inputs((2, 16, 24), dtype, layout)
    mask = torch.full_like(mask, value).requires_grad_()
    for norm in ("l2", "l1"):
        terms = mask_blend_with_tv(image, color, mask, norm=norm)  # type: ignore[arg-type]
        bits = torch.int32 if dtype == torch.float32 else torch.int64
        wanted = color if value else image
        assert torch.equal(terms.image.detach().view(bits), wanted.detach().view(bits))
        (slope,) = torch.autograd.grad(terms.tv.sum(), mask)
        assert not slope.any() and not terms.tv.any()


def test_derivatives_above_the_first() -> None:
    values = inputs((1, 3, 3))
    values[2] = (values[2].detach() * 0.8 + 0.1 * torch.rand(1, 1, 3, 3).double()).requires_grad_()
    assert torch.autograd.gradcheck(mask_blend_with_tv, values, check_undefined_grad=False)
    assert torch.autograd.gradgradcheck(mask_blend_with_tv, values, check_undefined_grad=False)


@LAYOUTS
def test_the_bytes_do_not_depend_on_threads_or_on_the_batch(
    layout: torch.memory_format, two_threads: None
) -> None:
    values = inputs((3, 16, 24), torch.float32, layout)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        terms = dispatcher.raw_terms_cpu(*values, "l2")
        found.append([*terms, *torch.autograd.grad(weighted(terms), values)])
    alone = [dispatcher.raw_terms_cpu(*(v[i : i + 1] for v in values), "l2") for i in range(3)]
    found[0] += [torch.cat(parts) for parts in zip(*alone, strict=True)]
    found[1] += list(terms)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.usefixtures("two_threads")
def test_many_callers_at_once() -> None:
    values = inputs((3, 16, 24), torch.float32)

    def work(_: int) -> Tensor:
        mine = [v.detach().requires_grad_() for v in values]
        return torch.autograd.grad(weighted(tuple(mask_blend_with_tv(*mine))), mine)[2]

    expected = work(0)
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(found, expected) for found in pool.map(work, range(40)))


def test_an_upstream_of_another_layout_and_tensors_with_gaps() -> None:
    values = inputs((2, 8, 8))
    (expected,) = torch.autograd.grad(raw_terms(*values, "l2")[0].sum(), values[2])
    (found,) = torch.autograd.grad(
        dispatcher.raw_terms_cpu(*values, "l2")[0].sum(), values[2]
    )  # strides of 0
    torch.testing.assert_close(found, expected)
    merged = torch.rand(2, 4, 8, 8, dtype=torch.float64)
    assert kernels.layout_of(values[0], merged[:, :3], merged[:, 3:]) is None
    terms = dispatcher.raw_terms_cpu(values[0], merged[:, :3], merged[:, 3:], "l2")
    for mine, other in zip(terms, raw_terms(values[0], merged[:, :3], merged[:, 3:], "l2"), strict=True):
        torch.testing.assert_close(mine, other)


CODE = """
import sys, torch
from aucond.ops import mask_blend_with_tv
def work(size):
    values = [torch.rand(1, c, size, size, requires_grad=True) for c in (3, 3, 1)]
    terms = mask_blend_with_tv(*values)
    (terms.image.sum() + terms.tv.sum()).backward()
    assert all(v.grad.isfinite().all() for v in values)
work(16)
assert "numba" not in sys.modules, "loaded for a small tensor"
work(128)
print("aucond.ops._mask_blend_compiled" in sys.modules)
"""


@pytest.mark.parametrize("without", [False, True])
def test_numba_is_loaded_when_it_pays_and_not_missed(without: bool) -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        + CODE.replace('assert "numba" not in', 'assert "numba.core" not in')
        if without
        else CODE
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == str(not without)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_works_in_a_forked_worker(two_threads: None) -> None:
    values = inputs((2, 16, 24), torch.float32)
    kernels.blend_and_sums(*values, "l2")
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # as a DataLoader's workers do: OpenMP's threads do not survive a fork
        ours = kernels.blend_and_sums(*values, "l2")[1]
        os._exit(0 if bool(ours.isfinite().all()) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
