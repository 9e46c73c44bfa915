"""The fused kernel against float64 references: on a GPU, or on a CPU through Triton's interpreter.

The interpreter must be chosen before Triton is imported; ``test_mask_blend_interpreter.py`` runs this file so.
"""

from __future__ import annotations

import os

import pytest
import torch

from aucond.ops import mask_blend, mask_blend_from_logits, mask_blend_with_tv

pytest.importorskip("triton", reason='needs Triton: pip install "aucond[kernel]"')

INTERPRET = os.environ.get("TRITON_INTERPRET") == "1"
if not INTERPRET and not torch.cuda.is_available():
    pytest.skip("needs a CUDA device or TRITON_INTERPRET=1", allow_module_level=True)
DEVICES = ["cpu"] if INTERPRET else [pytest.param("cuda", marks=pytest.mark.gpu)]
pytestmark = pytest.mark.parametrize("device", DEVICES)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
NORMS = pytest.mark.parametrize("norm", ["l2", "l1"])
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
# Rounding of the result, relative to its largest value; the interpreter cuts bfloat16 off instead of rounding it.
ROUNDING = {torch.float32: 1e-6, torch.float16: 1.5e-3, torch.bfloat16: 1.2e-2}


def inputs(device, dtype=torch.float32, batch=2, height=9, width=13, layout="contiguous", seed=0):
    rng = torch.Generator().manual_seed(seed)
    image, color = (torch.rand(batch, 3, height, width, generator=rng) * 2 - 1 for _ in range(2))
    mask = (torch.rand(batch, 1, height, width, generator=rng) * 1.6 - 0.3).clamp(0, 1)
    found = [t.to(device, dtype).contiguous(memory_format=LAYOUTS[layout]) for t in (image, color, mask)]
    return [t.requires_grad_() for t in found]


def backward(outputs, values, use=(0, 1, 2, 3)):
    rng = torch.Generator().manual_seed(1)
    weights = [torch.randn(o.shape, generator=rng, dtype=torch.float64).to(o) for o in outputs]
    total = sum((outputs[i].double() * weights[i].double()).sum() for i in use)
    return torch.autograd.grad(total, [v for v in values if v.requires_grad], allow_unused=True)


def assert_near(mine, exact, tolerance):
    scale = max(exact.abs().max().item(), 1e-3)
    torch.testing.assert_close(mine.double(), exact, rtol=0, atol=tolerance * scale)


def compare(call, values, norm, tolerance, use=(0, 1, 2, 3)):
    exact_values = [v.detach().double().requires_grad_(v.requires_grad) for v in values]
    ours = call(*values, norm=norm, backend="triton")
    exact = call(*exact_values, norm=norm, backend="reference")
    assert_near(ours.image, exact.image, tolerance)
    for mine, other in zip(ours[1:], exact[1:], strict=True):
        assert mine.dtype == torch.float32
        assert_near(mine, other, 2e-6)
    grads = zip(
        values_with_grad(values), backward(ours, values, use), backward(exact, exact_values, use), strict=True
    )
    for value, mine, other in grads:
        if other is None:
            assert mine is None
            continue
        assert mine.dtype == value.dtype
        assert_near(mine, other, tolerance)


def values_with_grad(values):
    return [v for v in values if v.requires_grad]


@DTYPES
@NORMS
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("call", [mask_blend_with_tv, mask_blend_from_logits], ids=["mask", "logits"])
def test_equals_the_float64_reference(device, dtype, norm, layout, call):
    compare(call, inputs(device, dtype, layout=layout), norm, ROUNDING[dtype])


@NORMS
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (31, 33), (32, 32), (40, 64)], ids=str)
def test_any_size(device, norm, size):
    compare(mask_blend_with_tv, inputs(device, height=size[0], width=size[1]), norm, 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_fresh_random_inputs_and_mixed_layouts(device, seed):
    values = inputs(device, seed=seed)
    mixed = values[1].detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    compare(mask_blend_with_tv, [values[0], mixed, values[2]], "l2", 1e-6)


def test_mixed_precision(device):
    image, color, mask = inputs(device)
    values = [image, color.detach().bfloat16().requires_grad_(), mask.detach().half().requires_grad_()]
    blended = mask_blend(*values, backend="triton")
    assert blended.dtype == torch.float32
    assert_near(blended, mask_blend(*(v.double() for v in values), backend="reference"), 1e-6)


def test_views_of_one_merged_head_and_odd_strides(device):
    merged = torch.rand(2, 4, 9, 13, device=device)
    turned = torch.rand(2, 3, 13, 9, device=device).transpose(2, 3)
    compare(mask_blend_with_tv, [turned, merged[:, :3], merged[:, 3:].requires_grad_()], "l2", 1e-6)
    wide = torch.rand(2, 3, 9, 26, device=device)[..., ::2].requires_grad_()
    compare(mask_blend_with_tv, [wide, merged[:, :3], merged[:, 3:]], "l2", 1e-6)


@pytest.mark.parametrize("end", [0.0, 1.0])
@DTYPES
def test_bit_for_bit_at_both_ends(device, dtype, end):
    image, color, mask = inputs(device, dtype)
    blended = mask_blend(image, color, torch.full_like(mask, end), backend="triton")
    bits = torch.int16 if image.element_size() == 2 else torch.int32
    wanted = color if end else image
    assert torch.equal(blended.detach().view(bits), wanted.detach().view(bits))


@NORMS
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_ties_have_no_slope(device, norm, end):
    image, color, mask = inputs(device)
    mask = torch.full_like(mask, end, requires_grad=True)
    terms = mask_blend_with_tv(image, color, mask, norm=norm, backend="triton")
    (grad,) = torch.autograd.grad(terms.tv.sum(), mask, retain_graph=True)
    assert not grad.any()
    (grad,) = torch.autograd.grad(terms.norm.sum() + terms.mean.sum(), mask)
    assert grad.isfinite().all()


# Outputs used and inputs differentiated; the sums depend on the mask alone.
USES = [(0,), (1,), (1, 2, 3), (0, 3)]
WANTED = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1)]


@pytest.mark.parametrize(("use", "wanted"), [(u, w) for u in USES for w in WANTED if 0 in u or w[2]], ids=str)
def test_only_some_outputs_and_gradients(device, use, wanted):
    values = [v.requires_grad_(bool(w)) for v, w in zip(inputs(device), wanted, strict=True)]
    compare(mask_blend_with_tv, values, "l2", 1e-6, use)


def test_upstream_gradient_of_a_plain_sum(device):
    """``sum().backward()`` hands over an expanded gradient of stride 0."""
    values = inputs(device)
    grads = torch.autograd.grad(mask_blend(*values, backend="triton").sum(), values)
    expected = torch.autograd.grad(mask_blend(*values, backend="reference").sum(), values)
    for mine, other in zip(grads, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_second_derivatives_are_the_references(device):
    values = inputs(device, height=4, width=4)

    def twice(backend):
        terms = mask_blend_with_tv(*values, backend=backend)
        first = torch.autograd.grad(sum(t.square().sum() for t in terms), values, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), values)

    for mine, other in zip(twice("triton"), twice("reference"), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_inputs_that_depend_on_each_other(device):
    image = inputs(device)[0].detach().requires_grad_()

    def blended(backend):
        terms = mask_blend_with_tv(image, (2 * image).tanh(), image.mean(1, True).sigmoid(), backend=backend)
        return terms.image.square().sum() + terms.tv.sum()

    expected = torch.autograd.grad(blended("reference"), image)
    for create_graph in (False, True):
        found = torch.autograd.grad(blended("triton"), image, create_graph=create_graph)
        torch.testing.assert_close(found[0].detach(), expected[0], rtol=1e-4, atol=1e-5)


def test_same_bits_every_time(device):
    values = inputs(device, batch=3, height=50, width=50)
    first, second = (mask_blend_with_tv(*values, backend="triton") for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_no_grad(device):
    with torch.no_grad():
        assert not mask_blend(*inputs(device), backend="triton").requires_grad


@pytest.mark.parametrize("logits", [False, True])
def test_opcheck(device, logits):
    from aucond.ops import _mask_blend_triton  # noqa: F401

    op = torch.ops.aucond.mask_blend.default
    torch.library.opcheck(op, (*inputs(device), False, logits), rtol=1e-4, atol=1e-4)
    image, color, mask = (v.detach() for v in inputs(device))
    backward_op = torch.ops.aucond.mask_blend_backward.default
    arguments = (
        image,
        color,
        mask,
        torch.ones_like(image),
        torch.ones(2, 3, device=device),
        [True] * 3,
        True,
        logits,
    )
    torch.library.opcheck(backward_op, arguments, rtol=1e-4, atol=1e-4)


def test_compiles_into_one_graph(device):
    values = inputs(device)

    def step(image, color, mask):
        terms = mask_blend_with_tv(image, color, mask, backend="triton")
        return terms.image.sum() + terms.tv.sum() + terms.norm.sum()

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*values), step(*values))
    for mine, other in zip(
        torch.autograd.grad(compiled(*values), values),
        torch.autograd.grad(step(*values), values),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def test_float64_is_refused_and_auto_falls_back(device):
    values = [v.detach().double() for v in inputs(device)]
    with pytest.raises(ValueError, match=r"backend: 'triton' cannot be had here: .* got torch\.float64"):
        mask_blend(*values, backend="triton")
    assert mask_blend(*values).dtype == torch.float64
