"""Figures that say how good an edit is: per image, batched, over processes.

Functions return one value per image (B,) in float64 unless asked to reduce; :class:`MeanAccumulator` takes
such values batch by batch, and the other accumulators what cannot be averaged.
"""

from __future__ import annotations

from aucond.metrics.accumulate import MeanAccumulator
from aucond.metrics.agreement import ConditionAgreement, ConditionAgreementReport, condition_agreement
from aucond.metrics.condition import condition_error
from aucond.metrics.edits import EditReport, evaluate_edits
from aucond.metrics.frechet import DistributionDistance, FrechetDistance, KernelDistance
from aucond.metrics.image_distance import image_euclidean_distance
from aucond.metrics.mask import MaskStatistics, mask_statistics
from aucond.metrics.quality import psnr, ssim
from aucond.metrics.recognition import classification_accuracy, identity_cosine
from aucond.metrics.regressor import ConditionRegressor, train_regressor

__all__ = [
    "ConditionAgreement",
    "ConditionAgreementReport",
    "ConditionRegressor",
    "DistributionDistance",
    "EditReport",
    "FrechetDistance",
    "KernelDistance",
    "MaskStatistics",
    "MeanAccumulator",
    "classification_accuracy",
    "condition_agreement",
    "condition_error",
    "evaluate_edits",
    "identity_cosine",
    "image_euclidean_distance",
    "mask_statistics",
    "psnr",
    "ssim",
    "train_regressor",
]
