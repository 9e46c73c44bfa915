"""What a network of one's own makes of the edits: the same person? the right expression?"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from aucond._check import check_images, check_tensor
from aucond.metrics._judge import judge
from aucond.metrics._reduce import check_reduction, precise, reduce_values
from aucond.types import Reduction

__all__ = ["classification_accuracy", "identity_cosine"]


def identity_cosine(
    encoder: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, *, reduction: Reduction = "none"
) -> Tensor:
    """Cosine between the identity embeddings of two images each, ``cos(e(a), e(b))`` (SliderGAN Eq. 11 is 1 - cos).

    Convention:
        1 the same direction, 0 unrelated, -1 opposite; an embedding's length does not matter, and one of
        length 0 gives 0. A module is run in evaluation mode, without gradients, and left in the mode it was
        in. Images go into the encoder as they come, in [-1, 1]; what it needs of cropping and normalising is
        its own affair.

    Args:
        encoder: A module or callable, images (B, 3, H, W) to embeddings (B, D).
        a: Images (B, 3, H, W).
        b: As many images; another size is fine where the encoder takes it.
        reduction: ``"none"`` one value per pair (B,), ``"mean"`` or ``"sum"`` over the batch.

    Raises:
        TypeError: No floating tensors, or an encoder that gives none.
        ValueError: Different numbers of images, embeddings of another shape than (B, D) or not finite.

    >>> encoder = torch.nn.Flatten()
    >>> a, b = torch.tensor([3.0, 4.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    >>> identity_cosine(encoder, a.view(1, 3, 1, 1), b.view(1, 3, 1, 1))
    tensor([0.6000], dtype=torch.float64)
    """
    check_images("a", a)
    check_images("b", b)
    check_reduction(reduction)
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"b: expected as many images as a has, {a.shape[0]}, got {b.shape[0]}")
    first, second = precise(judge("encoder", encoder, a)), precise(judge("encoder", encoder, b))
    if first.shape != second.shape:
        raise ValueError(
            f"encoder(b): expected embeddings of the shape of encoder(a), {tuple(first.shape)}, "
            f"got {tuple(second.shape)}"
        )
    return reduce_values(F.cosine_similarity(first, second, dim=1), reduction)


def classification_accuracy(
    classifier: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, *, reduction: Reduction = "none"
) -> Tensor:
    """Whether a classifier finds the intended class in each image (SliderGAN Table 2 averages it).

    Convention:
        1.0 where the largest of the K scores is the label's, else 0.0; of equal scores the first one counts.
        The classifier is run in evaluation mode, without gradients, and left in the mode it was in.

    Args:
        classifier: A module or callable, images (B, 3, H, W) to scores (B, K).
        images: Images (B, 3, H, W) in [-1, 1].
        labels: The intended classes (B,), int64, in 0..K-1.
        reduction: ``"none"`` one value per image (B,), ``"mean"`` (the accuracy) or ``"sum"`` (the hits).

    Raises:
        TypeError: Images that are no floating tensor, labels that are not int64.
        ValueError: Other shapes, scores that are not finite, a label outside 0..K-1 (on the CPU).

    >>> by_brightness = lambda images: torch.stack([-images.mean((1, 2, 3)), images.mean((1, 2, 3))], dim=1)
    >>> classification_accuracy(by_brightness, torch.ones(2, 3, 4, 4), torch.tensor([1, 0]), reduction="mean")
    tensor(0.5000, dtype=torch.float64)
    """
    check_images("images", images)
    check_tensor("labels", labels, (images.shape[0],), dtype=torch.int64)
    check_reduction(reduction)
    scores = judge("classifier", classifier, images)
    classes = scores.shape[1]
    if labels.device.type == "cpu" and not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(f"labels: expected classes in 0..{classes - 1}, got {labels.min()}..{labels.max()}")
    hits = scores.argmax(dim=1) == labels.to(scores.device)
    return reduce_values(precise(hits), reduction)
