"""The attention blend of GANimation Eq. 1, alone and with the attention regularisers."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from aucond._check import check_choice, check_images, check_same_shape, describe
from aucond.ops._eager_cpu import is_followed
from aucond.ops._mask_blend_cpu import raw_terms_cpu
from aucond.ops._mask_blend_reference import RawTerms, TVNorm, blend, raw_terms

__all__ = ["Backend", "BlendTerms", "mask_blend", "mask_blend_from_logits", "mask_blend_with_tv"]

Backend: TypeAlias = Literal["auto", "reference", "triton"]
"""Which implementation: ``"reference"`` is plain PyTorch; ``"triton"`` is the fused kernel, and raises where it
cannot be had; ``"auto"`` takes the fastest that is exact for the tensors given, on a CPU with numba a compiled one."""


class BlendTerms(NamedTuple):
    """A blend and what GANimation Eq. 2 and its published code charge for the mask, per image."""

    image: Tensor
    """The blended image (B, 3, H, W)."""
    tv: Tensor
    """Total variation of the mask (B,), the sum over neighbour pairs: ``attention_tv_loss``."""
    norm: Tensor
    """Euclidean norm of the mask (B,): ``attention_l2_loss``."""
    mean: Tensor
    """Mean of the mask's absolute values (B,): ``attention_l1_loss``."""


def _check(image: Tensor, color: Tensor, attention: Tensor, suffix: str = "") -> None:
    check_images("image", image)
    check_images(f"color{suffix}", color)
    check_same_shape("image", image, f"color{suffix}", color)
    check_images(f"attention{suffix}", attention, channels=1)
    if attention.shape[0] != image.shape[0] or attention.shape[2:] != image.shape[2:]:
        wanted = (image.shape[0], 1, *image.shape[2:])
        raise ValueError(
            f"attention{suffix}: expected shape {wanted} to go with image, got {describe(attention)}"
        )
    if not image.device == color.device == attention.device:
        raise ValueError(
            f"color{suffix}, attention{suffix}: expected to be on the device of image, {image.device}, "
            f"got {color.device} and {attention.device}"
        )


def _why_not_triton(image: Tensor, color: Tensor, attention: Tensor) -> str | None:
    try:
        from aucond.ops._mask_blend_triton import why_not_triton
    except ImportError as error:
        return f'Triton cannot be imported ({error}); pip install "aucond[kernel]"'
    return why_not_triton(image, color, attention)


def _use_triton(backend: Backend, image: Tensor, color: Tensor, attention: Tensor) -> bool:
    """Decide; raise if the kernel was asked for and cannot be had."""
    check_choice("backend", backend, ("auto", "reference", "triton"))
    if backend == "triton":
        why = _why_not_triton(image, color, attention)
        if why is not None:
            raise ValueError(f"backend: 'triton' cannot be had here: {why}")
        return True
    # Under torch.compile the compiler fuses the reference itself.
    fuse = backend == "auto" and image.is_cuda and not torch.compiler.is_compiling()
    return fuse and _why_not_triton(image, color, attention) is None


def _fused(image: Tensor, color: Tensor, attention: Tensor, norm: TVNorm, logits: bool) -> RawTerms:
    from aucond.ops._mask_blend_triton import raw_terms_triton

    return raw_terms_triton(image, color, attention, norm, logits)


def _finish(terms: RawTerms, pixels: int) -> BlendTerms:
    blended, tv, squares, absolutes = terms
    positive = squares > 0
    # Two where's, so that a mask of zeros has norm 0 with gradient 0 and not NaN.
    norm = torch.where(positive, torch.where(positive, squares, torch.ones_like(squares)).sqrt(), squares)
    return BlendTerms(blended, tv, norm, absolutes / pixels)


def mask_blend(image: Tensor, color: Tensor, attention: Tensor, *, backend: Backend = "auto") -> Tensor:
    """Blend a colour image over an image, ``A * C + (1 - A) * I`` (GANimation Eq. 1, SliderGAN Eq. 4).

    Convention:
        ``attention`` is the EDIT mask A: 0 gives the input back bit for bit, 1 gives the colour bit for bit
        (only a negative zero may come back as a positive one).
        Contrast with the published GANimation code, whose mask is ``1 - A``. Operands of different precision
        give a result of the highest.

    Args:
        image: The input I, ``(B, 3, H, W)`` in [-1, 1].
        color: The colour image C, same shape.
        attention: The edit mask A, ``(B, 1, H, W)`` in [0, 1].
        backend: ``"auto"``, ``"reference"`` or ``"triton"``. All give derivatives of any order; those above the
            first are computed by the reference.

    Returns:
        The blended image, ``(B, 3, H, W)``.

    Raises:
        ValueError: Shapes that do not go together, or ``backend="triton"`` where it cannot be had (with why).

    >>> image, color = torch.full((1, 3, 2, 2), -1.0), torch.full((1, 3, 2, 2), 1.0)
    >>> mask_blend(image, color, torch.full((1, 1, 2, 2), 0.75))[0, 0]
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    _check(image, color, attention)
    if _use_triton(backend, image, color, attention):
        return _fused(image, color, attention, "l2", False)[0]
    return blend(image, color, attention)


def mask_blend_with_tv(
    image: Tensor,
    color: Tensor,
    attention: Tensor,
    *,
    norm: Literal["l2", "l1"] = "l2",
    backend: Backend = "auto",
) -> BlendTerms:
    """Blend and measure the mask: :func:`mask_blend` with the terms of GANimation Eq. 2.

    The numbers and gradients are those of :func:`mask_blend`, ``attention_tv_loss``, ``attention_l2_loss`` and
    ``attention_l1_loss``; only the passes over memory are fewer.

    Convention:
        ``attention`` is the EDIT mask, and the terms are those of the edit mask, one value per image. Gradients of
        ``|x|`` at 0 and of the norm of a mask of zeros are 0.

    Args:
        image: The input I, ``(B, 3, H, W)`` in [-1, 1].
        color: The colour image C, same shape.
        attention: The edit mask A, ``(B, 1, H, W)`` in [0, 1].
        norm: Squared (``"l2"``, Eq. 2) or absolute (``"l1"``) differences in the total variation.
        backend: As in :func:`mask_blend`.

    Returns:
        ``BlendTerms(image, tv, norm, mean)``; the last three ``(B,)``, half precision summed in float32.

    Raises:
        ValueError: As in :func:`mask_blend`.

    >>> mask = torch.tensor([[[[0.0, 1.0], [0.0, 0.0]]]])
    >>> terms = mask_blend_with_tv(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2), mask)
    >>> terms.tv, terms.norm, terms.mean
    (tensor([2.]), tensor([1.]), tensor([0.2500]))
    """
    check_choice("norm", norm, ("l2", "l1"))
    _check(image, color, attention)
    if _use_triton(backend, image, color, attention):
        terms = _fused(image, color, attention, norm, False)
    elif _use_cpu(backend, image, color, attention):
        terms = raw_terms_cpu(image, color, attention, norm)
    else:
        terms = raw_terms(image, color, attention, norm)
    return _finish(terms, attention[0].numel())


def mask_blend_from_logits(
    image: Tensor,
    color_logits: Tensor,
    attention_logits: Tensor,
    *,
    norm: Literal["l2", "l1"] = "l2",
    backend: Backend = "auto",
) -> BlendTerms:
    """Blend straight from the heads' outputs: :func:`mask_blend_with_tv` of their tanh and sigmoid.

    The fused kernel computes both inside and again in the backward, so neither the colour nor the mask is stored.

    Convention:
        ``A = sigmoid(attention_logits)`` is the EDIT mask, ``C = tanh(color_logits)``.

    Args:
        image: The input I, ``(B, 3, H, W)`` in [-1, 1].
        color_logits: The colour head before its tanh, same shape.
        attention_logits: The attention head before its sigmoid, ``(B, 1, H, W)``.
        norm: As in :func:`mask_blend_with_tv`.
        backend: As in :func:`mask_blend`.

    Returns:
        As :func:`mask_blend_with_tv`.

    Raises:
        ValueError: As in :func:`mask_blend`.

    >>> zeros = torch.zeros(1, 3, 2, 2)
    >>> mask_blend_from_logits(zeros, zeros, torch.zeros(1, 1, 2, 2)).mean
    tensor([0.5000])
    """
    check_choice("norm", norm, ("l2", "l1"))
    _check(image, color_logits, attention_logits, "_logits")
    if _use_triton(backend, image, color_logits, attention_logits):
        terms = _fused(image, color_logits, attention_logits, norm, True)
        return _finish(terms, attention_logits[0].numel())
    return mask_blend_with_tv(
        image, color_logits.tanh(), attention_logits.sigmoid(), norm=norm, backend=backend
    )


def _use_cpu(backend: Backend, *values: Tensor) -> bool:
    """The hand-written CPU backward serves one dtype at a time, and pays only where a backward will come."""
    if backend != "auto" or is_followed() or not torch.is_grad_enabled():
        return False
    return (
        all(value.device.type == "cpu" and value.dtype == values[0].dtype for value in values)
        and values[0].dtype in (torch.float32, torch.float64)
        and any(value.requires_grad for value in values)
    )
