"""Wrong calls, each with its own message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from aucond import metrics
from aucond.conditions import OPENFACE_AUS, ConditionSpace

IMAGES = torch.zeros(2, 3, 16, 16)
NAN = torch.full((2, 3, 16, 16), float("nan"))
CONDITIONS = torch.full((2, 3), 0.5)
MASK = torch.full((2, 1, 4, 4), 0.5)
BYTES = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
SPACE = ConditionSpace(["a", "b", "c"])
FLAT = nn.Flatten()
ied, error = metrics.image_euclidean_distance, metrics.condition_error
train = metrics.train_regressor


def updated(kind: Any, *batches: torch.Tensor, **options: Any) -> Any:
    distance = kind(FLAT, name="pixels", **options)
    for batch in batches:
        distance.update(batch, real=True)
    return distance


TABLE: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ied([1.0], IMAGES), TypeError, r"x: expected a floating tensor .* got a list"),
    (lambda: ied(IMAGES.byte(), IMAGES), TypeError, r"x: expected a floating tensor .* uint8"),
    (lambda: ied(IMAGES[0], IMAGES[0]), ValueError, r"x: expected .* \(B, C, H, W\), got .* \(3, 16, 16\)"),
    (lambda: ied(IMAGES, IMAGES[:1]), ValueError, r"y: expected the shape of x, \(2, 3, 16, 16\)"),
    (lambda: ied(IMAGES[:0], IMAGES[:0]), ValueError, "x: expected at least one image"),
    (lambda: ied(IMAGES, IMAGES, sigma=0), ValueError, "sigma: expected a width above 0"),
    (lambda: ied(IMAGES, IMAGES, sigma=-1.0), ValueError, "sigma: expected a finite number at least 0"),
    (lambda: ied(IMAGES, NAN), ValueError, "x - y: expected finite values"),
    (lambda: ied(IMAGES, IMAGES, reduction="avg"), ValueError, "reduction: expected one of 'none', 'mean', 'sum'"),
    (lambda: metrics.psnr(IMAGES[:, :1], IMAGES[:, :1]), ValueError, r"x: expected .* \(B, 3, H, W\)"),
    (lambda: metrics.psnr(IMAGES, IMAGES[..., 1:]), ValueError, "y: expected the shape of x"),
    (lambda: metrics.psnr(IMAGES, NAN), ValueError, "y: expected finite values"),
    (lambda: metrics.ssim(IMAGES[..., :10], IMAGES[..., :10]), ValueError, r"x: .* at least 11 x 11 .* \(16, 10\)"),
    (lambda: metrics.ssim(IMAGES, None), TypeError, "y: expected a floating tensor .* got None"),
    (lambda: metrics.mask_statistics(IMAGES), ValueError, r"attention: expected .* \(B, 1, H, W\)"),
    (lambda: metrics.mask_statistics(MASK[:, :, :0]), ValueError, "attention: expected at least one mask"),
    (lambda: metrics.mask_statistics(MASK + 1), ValueError, r"attention: expected values in \[0, 1\]"),
    (lambda: metrics.mask_statistics(MASK * float("nan")), ValueError, r"attention: expected values in \[0, 1\]"),
    (lambda: metrics.mask_statistics(MASK, reduction="max"), ValueError, "reduction: expected one of"),
    (lambda: error(CONDITIONS[0], CONDITIONS[0]), ValueError, r"prediction: expected .* \(B, N\)"),
    (lambda: error(CONDITIONS, CONDITIONS[:, :2]), ValueError, r"prediction: expected the shape of target, \(2, 2\)"),
    (lambda: error(CONDITIONS[:0], CONDITIONS[:0]), ValueError, "target: expected at least one sample"),
    (lambda: error(CONDITIONS, CONDITIONS, norm="l1"), ValueError, "norm: expected one of 'l2', 'mean_absolute'"),
    (lambda: error(CONDITIONS, CONDITIONS, floor=0.1), ValueError, "floor: expected 0 unless relative=True"),
    (
        lambda: error(CONDITIONS, CONDITIONS * torch.tensor([[1.0], [0.0]]), relative=True),
        ValueError,
        r"target: the relative error of a condition of norm 0 is not defined \(sample 1\)",
    ),
    (lambda: error(CONDITIONS * float("inf"), CONDITIONS), ValueError, "prediction: expected finite values"),
    (lambda: metrics.ConditionAgreement(0), ValueError, "condition: expected an integer at least 1, got 0"),
    (lambda: metrics.ConditionAgreement("AU12"), TypeError, "condition: expected an integer"),
    (
        lambda: metrics.ConditionAgreement(OPENFACE_AUS).update(CONDITIONS, CONDITIONS),
        ValueError,
        r"target: expected .* \(B, 17\), got .* \(2, 3\)",
    ),
    (lambda: metrics.ConditionAgreement(3).compute(), ValueError, "target: expected at least two samples .* got 0"),
    (lambda: metrics.condition_agreement(CONDITIONS[:1], CONDITIONS[:1]), ValueError, "at least two samples .* got 1"),
    (lambda: metrics.MeanAccumulator().compute(), ValueError, "values: expected at least one value"),
    (lambda: metrics.MeanAccumulator().update(1.0), TypeError, "values: expected a tensor of real numbers, got 1.0"),
    (lambda: metrics.identity_cosine("arcface", IMAGES, IMAGES), TypeError, "encoder: expected a module .* 'arcface'"),
    (lambda: metrics.identity_cosine(FLAT, IMAGES, IMAGES[:1]), ValueError, "b: expected as many images as a has, 2"),
    (lambda: metrics.identity_cosine(FLAT, IMAGES, IMAGES[..., 1:]), ValueError, r"encoder\(b\): expected embeddings"),
    (lambda: metrics.identity_cosine(nn.Identity(), IMAGES, IMAGES), ValueError, r"encoder\(images\): .* \(2, D\)"),
    (lambda: metrics.identity_cosine(FLAT, NAN, IMAGES), ValueError, r"encoder\(images\): expected finite"),
    (
        lambda: metrics.classification_accuracy(FLAT, IMAGES, torch.tensor([0.0, 1.0])),
        TypeError,
        r"labels: expected a int64 tensor of shape \(2,\)",
    ),
    (
        lambda: metrics.classification_accuracy(FLAT, IMAGES, torch.tensor([0, 768])),
        ValueError,
        r"labels: expected classes in 0..767, got 0..768",
    ),
    (lambda: metrics.FrechetDistance(2048, name="x"), TypeError, "features: expected a module .* got 2048"),
    (lambda: metrics.FrechetDistance(FLAT, name=" "), ValueError, "name: expected the name of the features"),
    (lambda: metrics.FrechetDistance(FLAT, name="x").compute(), ValueError, "two real and two edited .* 0 and 0"),
    (lambda: updated(metrics.FrechetDistance, IMAGES).compute(), ValueError, "two edited ones, got 2 and 0"),
    (
        lambda: updated(metrics.FrechetDistance, IMAGES, IMAGES[..., 1:]),
        ValueError,
        r"features\(images\): expected 768 features as before, got 720",
    ),
    (
        lambda: metrics.FrechetDistance(FLAT, name="x").update(IMAGES, real=1),
        TypeError,
        "real: expected True or False, got 1",
    ),
    (lambda: metrics.KernelDistance(FLAT, name="x", subset_size=1), ValueError, "subset_size: .* at least 2, got 1"),
    (
        lambda: updated(metrics.KernelDistance, IMAGES).compute(),
        ValueError,
        "subset_size: expected at most the number of images, 2 real and 0 edited, got 1000",
    ),
    (lambda: metrics.ConditionRegressor(17), TypeError, "space: expected a ConditionSpace, got 17"),
    (
        lambda: metrics.ConditionRegressor(SPACE)(IMAGES[..., :15]),
        ValueError,
        "image: expected at least 16 x 16 pixels",
    ),
    (lambda: train(BYTES.float(), CONDITIONS, space=SPACE), TypeError, "images: expected a uint8 tensor"),
    (lambda: train(BYTES, CONDITIONS, space=SPACE), ValueError, r"conditions: expected .* \(4, 3\), got .* \(2, 3\)"),
    (lambda: train(BYTES[:2], CONDITIONS + 1, space=SPACE), ValueError, r"conditions: component 'a' must lie in"),
    (lambda: train(BYTES[:2], CONDITIONS, space=SPACE), ValueError, r"batch_size: .* in \[2, 2\], got 64"),
    (lambda: train(BYTES[:2], CONDITIONS, space=SPACE, batch_size=2, epochs=0), ValueError, "epochs: .* at least 1"),
    (lambda: train(BYTES[:2, ..., 1:], CONDITIONS, space=SPACE), ValueError, "images: expected at least 2 images"),
    (
        lambda: train(BYTES[:2], CONDITIONS, space=SPACE, batch_size=2, epochs=60, learning_rate=1e30),
        ValueError,
        "learning_rate: the loss is .* expected a lower rate",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), TABLE, ids=range(len(TABLE)))
def test_wrong_calls(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_refused_update_changes_nothing() -> None:
    distance = updated(metrics.FrechetDistance, IMAGES + torch.arange(16.0))
    with pytest.raises(ValueError, match="finite"):
        distance.update(NAN, real=False)
    distance.update(IMAGES, real=False)
    assert distance.compute().edited_count == 2
    agreement = metrics.ConditionAgreement(3)
    with pytest.raises(ValueError, match="finite"):
        agreement.update(CONDITIONS * float("nan"), CONDITIONS)
    agreement.update(CONDITIONS, CONDITIONS)
    assert agreement.compute().count == 2
