"""The blend of Eq. 1 and its terms: exact at both ends, equal to the separate functions, any layout."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from aucond.losses import attention_l1_loss, attention_l2_loss, attention_tv_loss
from aucond.ops import mask_blend, mask_blend_from_logits, mask_blend_with_tv

BACKENDS = pytest.mark.parametrize("backend", ["auto", "reference"])
NORMS = pytest.mark.parametrize("norm", ["l2", "l1"])
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def inputs(batch=2, height=5, width=6, dtype=torch.float64, seed=0, requires_grad=True, layout=LAYOUTS[0]):
    """An image, a colour image, and a mask with saturated stretches (ties between neighbours)."""
    rng = torch.Generator().manual_seed(seed)
    image, color = (
        torch.rand(batch, 3, height, width, generator=rng, dtype=torch.float64) * 2 - 1 for _ in range(2)
    )
    mask = (torch.rand(batch, 1, height, width, generator=rng, dtype=torch.float64) * 1.6 - 0.3).clamp(0, 1)
    found = [t.to(dtype).contiguous(memory_format=layout) for t in (image, color, mask)]
    return [t.requires_grad_(requires_grad) for t in found]


def separate(image, color, mask, norm):
    """Eq. 1 and 2 from the separate functions, the blend written out."""
    return (
        mask * color + (1 - mask) * image,
        attention_tv_loss(mask, norm=norm, reduction="none"),
        attention_l2_loss(mask, "none"),
        attention_l1_loss(mask, "none"),
    )


def gradients(outputs, values, seed=0, use=(0, 1, 2, 3)):
    rng = torch.Generator().manual_seed(seed)
    weights = [torch.randn(o.shape, generator=rng, dtype=torch.float64).to(o.dtype) for o in outputs]
    total = sum((outputs[i] * weights[i]).sum() for i in use)
    return torch.autograd.grad(total, [v for v in values if v.requires_grad], allow_unused=True)


@BACKENDS
def test_eq_1_by_hand_on_a_2x2_image(backend):
    image = torch.tensor([[0.0, 1.0], [-1.0, 0.5]]).expand(1, 3, 2, 2)
    color = torch.tensor([[1.0, 0.0], [1.0, -0.5]]).expand(1, 3, 2, 2)
    mask = torch.tensor([[[[0.25, 0.5], [0.75, 1.0]]]])
    expected = torch.tensor([[0.25, 0.5], [0.5, -0.5]])
    for channel in mask_blend(image, color, mask, backend=backend)[0]:
        torch.testing.assert_close(channel, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])
@pytest.mark.parametrize(
    "blend",
    [mask_blend, lambda *t: mask_blend_with_tv(*t).image],
    ids=["blend", "with_tv"],
)
def test_bit_for_bit_at_both_ends(dtype, layout, blend):
    image, color, mask = inputs(dtype=dtype, layout=layout)
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[image.element_size()]
    nothing, everything = (
        blend(image, color, torch.zeros_like(mask)),
        blend(image, color, torch.ones_like(mask)),
    )
    assert torch.equal(nothing.detach().view(bits), image.detach().view(bits))
    assert torch.equal(everything.detach().view(bits), color.detach().view(bits))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_stays_between_image_and_color_and_mirrors(seed):
    image, color, mask = inputs(seed=seed, requires_grad=False)
    blended = mask_blend(image, color, mask)
    assert (blended >= torch.minimum(image, color) - 1e-15).all()
    assert (blended <= torch.maximum(image, color) + 1e-15).all()
    torch.testing.assert_close(mask_blend(color, image, 1 - mask), blended)


@BACKENDS
@NORMS
@pytest.mark.parametrize("size", [(5, 6), (1, 1), (1, 7), (7, 1), (16, 16)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])
def test_equals_the_separate_functions(backend, norm, size, layout):
    values = inputs(3, *size, layout=layout)
    ours = mask_blend_with_tv(*values, norm=norm, backend=backend)
    theirs = separate(*values, norm)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-13, atol=1e-15)
    for mine, other in zip(gradients(ours, values), gradients(theirs, values), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)


# Outputs used and inputs differentiated; the sums depend on the mask alone.
USES = [(0,), (1,), (2,), (3,), (0, 1), (1, 2, 3)]
WANTED = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 0)]


@NORMS
@pytest.mark.parametrize(("use", "wanted"), [(u, w) for u in USES for w in WANTED if 0 in u or w[2]], ids=str)
def test_only_some_outputs_used_and_only_some_gradients_wanted(norm, use, wanted):
    values = inputs()
    for value, want in zip(values, wanted, strict=True):
        value.requires_grad_(bool(want))
    ours, theirs = mask_blend_with_tv(*values, norm=norm), separate(*values, norm)
    expected = gradients(theirs, values, use=use)
    for mine, other in zip(gradients(ours, values, use=use), expected, strict=True):
        if other is None:
            assert mine is None or not mine.any()
        else:
            torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)


@BACKENDS
@NORMS
def test_first_and_second_derivatives(backend, norm):
    values = inputs(1, 3, 3, seed=2)
    values[2] = (
        values[2].detach() * 0.8 + 0.1 * torch.rand(1, 1, 3, 3, dtype=torch.float64)
    ).requires_grad_()
    call = partial(mask_blend_with_tv, norm=norm, backend=backend)
    assert gradcheck(call, values, check_undefined_grad=False)
    assert gradgradcheck(call, values, check_undefined_grad=False)
    blend = partial(mask_blend, backend=backend)
    assert gradcheck(blend, values)
    assert gradgradcheck(blend, values)


@BACKENDS
@NORMS
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_saturated_mask_has_no_nan_and_no_slope_at_ties(backend, norm, value):
    image, color, _ = inputs()
    mask = torch.full((2, 1, 5, 6), value, dtype=torch.float64, requires_grad=True)
    terms = mask_blend_with_tv(image, color, mask, norm=norm, backend=backend)
    (grad,) = torch.autograd.grad(terms.tv.sum(), mask, retain_graph=True)
    assert not grad.any()
    (grad,) = torch.autograd.grad(terms.norm.sum(), mask, retain_graph=True)
    torch.testing.assert_close(grad, torch.full_like(mask, value / 30**0.5))
    (grad,) = torch.autograd.grad(terms.mean.sum(), mask)
    torch.testing.assert_close(grad, torch.full_like(mask, value / 30))


@settings(max_examples=15, deadline=None)
@given(batch=st.integers(1, 5), seed=st.integers(0, 10**6), norm=st.sampled_from(["l2", "l1"]))
def test_an_image_does_not_know_its_batch(batch, seed, norm):
    values = inputs(batch, seed=seed)
    together = mask_blend_with_tv(*values, norm=norm)
    alone = [mask_blend_with_tv(*(v[i : i + 1] for v in values), norm=norm) for i in range(batch)]
    for k, term in enumerate(together):
        torch.testing.assert_close(term, torch.cat([one[k] for one in alone]))


@NORMS
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_logits(norm, backend):
    values = inputs()
    ours = mask_blend_from_logits(*values, norm=norm, backend=backend)
    theirs = separate(values[0], values[1].tanh(), values[2].sigmoid(), norm)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)
    for mine, other in zip(gradients(ours, values), gradients(theirs, values), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_sums_in_float32(dtype):
    values = inputs(1, 64, 64, dtype=dtype)
    terms = mask_blend_with_tv(*values)
    exact = mask_blend_with_tv(*(v.double() for v in values))
    assert terms.image.dtype == dtype
    for mine, other in zip(terms[1:], exact[1:], strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, other.float(), rtol=1e-5, atol=1e-6)


def test_operands_of_different_precision_give_the_highest():
    image, color, mask = inputs(dtype=torch.float32)
    blended = mask_blend(image, color.bfloat16(), mask.bfloat16())
    assert blended.dtype == torch.float32
    assert torch.equal(mask_blend(image, color.bfloat16(), torch.zeros_like(mask).bfloat16()), image)


def test_views_of_one_merged_head():
    """Colour and mask as slices of one tensor, as a merged head gives them."""
    merged = torch.rand(2, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    image = inputs()[0].detach()
    (grad,) = torch.autograd.grad(
        sum(t.sum() for t in mask_blend_with_tv(image, merged[:, :3], merged[:, 3:])), merged
    )
    (expected,) = torch.autograd.grad(
        sum(t.sum() for t in separate(image, merged[:, :3], merged[:, 3:], "l2")), merged
    )
    torch.testing.assert_close(grad, expected)


@pytest.mark.parametrize("call", [mask_blend, mask_blend_with_tv, mask_blend_from_logits])
def test_compiles_into_one_graph(call):
    values = inputs(dtype=torch.float32)
    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    ours, theirs = compiled(*values), call(*values)
    ours, theirs = ([t] if isinstance(t, torch.Tensor) else list(t) for t in (ours, theirs))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)
    everything = range(len(ours))
    grads = zip(
        gradients(ours, values, use=everything), gradients(theirs, values, use=everything), strict=True
    )
    for mine, other in grads:
        torch.testing.assert_close(mine, other)


IMAGE, MASK = torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: mask_blend(IMAGE, IMAGE, MASK[:1]),
            ValueError,
            r"attention: expected shape \(2, 1, 8, 8\) .* \(1, 1",
        ),
        (lambda: mask_blend(IMAGE, IMAGE, MASK[..., :1]), ValueError, r"attention: .* got .* \(2, 1, 8, 1\)"),
        (
            lambda: mask_blend(IMAGE, IMAGE, IMAGE),
            ValueError,
            r"attention: .* \(B, 1, H, W\), got .* \(2, 3, 8, 8\)",
        ),
        (lambda: mask_blend(IMAGE, IMAGE, MASK[:, 0]), ValueError, r"attention: .* got .* \(2, 8, 8\)"),
        (lambda: mask_blend(IMAGE, IMAGE[:1], MASK), ValueError, r"color: expected the shape of image"),
        (lambda: mask_blend(MASK, IMAGE, MASK), ValueError, r"image: expected .* \(B, 3, H, W\)"),
        (
            lambda: mask_blend(IMAGE[:0], IMAGE[:0], MASK[:0]),
            ValueError,
            r"image: expected at least one image",
        ),
        (lambda: mask_blend(IMAGE.byte(), IMAGE, MASK), TypeError, r"image: .* got a uint8 tensor"),
        (lambda: mask_blend(IMAGE, None, MASK), TypeError, r"color: .* got None"),
        (lambda: mask_blend(IMAGE, IMAGE, MASK, backend="cuda"), ValueError, r"backend: .* got 'cuda'"),
        (lambda: mask_blend_with_tv(IMAGE, IMAGE, MASK, norm="tv"), ValueError, r"norm: .* got 'tv'"),
        (
            lambda: mask_blend_from_logits(IMAGE, IMAGE, MASK[:1]),
            ValueError,
            r"attention_logits: expected shape \(2, 1, 8, 8\)",
        ),
        (lambda: mask_blend_from_logits(IMAGE, MASK, MASK), ValueError, r"color_logits: .* \(B, 3, H, W\)"),
        (
            lambda: mask_blend(IMAGE, IMAGE.to("meta"), MASK),
            ValueError,
            r"color, attention: expected to be on the device of image, cpu, got meta and cpu",
        ),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_triton_without_triton_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "aucond.ops._mask_blend_triton", raising=False)
    with pytest.raises(
        ValueError, match=r'backend: .triton. cannot be had here: .*pip install "aucond\[kernel\]"'
    ):
        mask_blend(IMAGE, IMAGE, MASK, backend="triton")


def test_light_import():
    """Importing the operations must not import Triton."""
    import subprocess
    import sys

    code = "import sys, aucond.ops; sys.exit('aucond.ops._mask_blend_triton' in sys.modules or 'triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
