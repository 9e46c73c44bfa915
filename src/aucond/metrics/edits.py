"""How good a generator's edits are where the truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from aucond._check import check_images, check_number, check_same_shape, check_tensor
from aucond.metrics._judge import judge, judging
from aucond.metrics.image_distance import image_euclidean_distance
from aucond.metrics.mask import mask_statistics
from aucond.nn import AttentionGenerator

__all__ = ["EditReport", "evaluate_edits"]


@dataclass(frozen=True)
class EditReport:
    """What :func:`evaluate_edits` found. Ratios and errors are lower-is-better; all are means over the images."""

    images: int
    """How many edits were judged."""
    ied_edit: float
    """Squared IED of the edit from the true image under the target condition, per pixel on [-1, 1]."""
    ied_source: float
    """The same of the unedited source: what a generator that does nothing gets."""
    ied_ratio: float
    """``ied_edit / ied_source``: 1 is doing nothing, 0 is the truth."""
    attention_mean: float
    """Mean of the edit mask; near 0 or 1 it has collapsed."""
    attention_saturated: float
    """Share of mask values within 0.01 of 0 or 1."""
    condition_error_edit: float | None = None
    """Mean absolute difference of the condition read from the edit and the target; None without a reader."""
    condition_error_source: float | None = None
    """The same read from the source: what a generator that does nothing gets."""
    condition_error_truth: float | None = None
    """The same read from the true image: what the reader itself gets wrong."""

    def to_dict(self) -> dict[str, float | int | None]:
        """All fields as JSON knows them."""
        return asdict(self)


@torch.inference_mode()
def evaluate_edits(
    generator: AttentionGenerator,
    image: Tensor,
    current: Tensor,
    target: Tensor,
    truth: Tensor,
    *,
    reader: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 64,
) -> EditReport:
    """Edit images whose true edits are known, and compare.

    Args:
        generator: The generator to judge.
        image: Source images (M, 3, H, W) in [-1, 1].
        current: Their conditions (M, N).
        target: The conditions to edit to (M, N).
        truth: The true images (M, 3, H, W) of the same faces under ``target``.
        reader: Reads conditions (B, N) from images, best one that had no part in the training, such as a
            :class:`~aucond.metrics.ConditionRegressor`.
        batch_size: Images edited at a time.

    Returns:
        The means over all images.

    Raises:
        ValueError: Arguments whose shapes do not go together, or a reader that gives no (B, N).

    >>> from aucond import AttentionGenerator
    >>> generator = AttentionGenerator(2, base_channels=4, num_residual_blocks=1, initial_attention=1e-9)
    >>> source, truth = torch.zeros(3, 3, 16, 16), torch.full((3, 3, 16, 16), 0.5)
    >>> report = evaluate_edits(generator, source, torch.zeros(3, 2), torch.ones(3, 2), truth)
    >>> round(report.ied_ratio, 3), report.attention_saturated
    (1.0, 1.0)
    """
    check_images("image", image)
    check_tensor("current", current, (image.shape[0], generator.condition_dim))
    check_same_shape("current", current, "target", target)
    check_same_shape("image", image, "truth", truth)
    check_number("batch_size", batch_size, low=1, integer=True)
    columns: list[list[Tensor]] = []
    for start in range(0, image.shape[0], batch_size):
        part = slice(start, start + batch_size)
        with judging(generator):
            output = generator.edit(image[part], target[part], current[part])
        mask = mask_statistics(output.attention)
        values = [
            image_euclidean_distance(output.image, truth[part], per_pixel=True),
            image_euclidean_distance(image[part], truth[part], per_pixel=True),
            mask.mean,
            mask.saturated,
        ]
        if reader is not None:
            for picture in (output.image, image[part], truth[part]):
                read = judge("reader", reader, picture)
                check_same_shape("target", target[part], "reader(images)", read)
                values.append((read - target[part]).abs().mean(1))
        columns.append(values)
    means = [float(torch.cat(column).double().mean()) for column in zip(*columns, strict=True)]
    edit, source, attention_mean, attention_saturated, *errors = means
    return EditReport(
        image.shape[0],
        edit,
        source,
        edit / source if source else float("nan"),
        attention_mean,
        attention_saturated,
        *errors,
    )
