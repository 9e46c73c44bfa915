"""Whether the person is still the same: the angle between two face embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aucond._check import check_images, check_not_empty, check_same_shape, check_tensor, describe
from aucond.losses._reduce import in_float, reduce_samples
from aucond.types import Reduction

__all__ = ["IdentityLoss", "identity_loss"]


def identity_loss(embedding: Tensor, reference_embedding: Tensor, reduction: Reduction = "mean") -> Tensor:
    """One minus the cosine of two embeddings, ``1 - e_gen . e_org / (|e_gen| |e_org|)`` (SliderGAN Eq. 11).

    Convention:
        In [0, 2]; 0 for the same direction, whatever the lengths. Embeddings need not be normalised. Half precision
        is compared in float32, as it cannot tell small angles from 0.

    Args:
        embedding: Embeddings of the edited images, ``(B, D)``.
        reference_embedding: Embeddings of the originals, ``(B, D)``.
        reduction: ``"none"`` gives ``(B,)``.

    Returns:
        The loss.

    >>> identity_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    tensor(1.)
    """
    check_tensor("embedding", embedding, ("B", "D"))
    check_tensor("reference_embedding", reference_embedding, ("B", "D"))
    check_same_shape("embedding", embedding, "reference_embedding", reference_embedding)
    check_not_empty("embedding", embedding)
    cosine = F.cosine_similarity(in_float(embedding), in_float(reference_embedding), dim=1)
    return reduce_samples(1 - cosine, reduction)


class IdentityLoss(nn.Module):
    """Identity loss of images under a frozen face encoder (SliderGAN Eq. 11).

    The encoder's parameters are frozen (``requires_grad`` is set to False on the module given) and it
    stays in evaluation mode whatever ``.train()`` is told, so batch statistics never drift. Gradients
    flow to the edited image only; the reference is embedded without a graph.

    Args:
        encoder: Any module from images ``(B, 3, H, W)`` in [-1, 1] to embeddings ``(B, D)``.

    >>> encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    >>> loss = IdentityLoss(encoder)
    >>> image = torch.rand(2, 3, 2, 2)
    >>> bool(loss(image, image) < 1e-5)
    True
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        if not isinstance(encoder, nn.Module):
            raise TypeError(f"encoder: expected a torch.nn.Module, got {describe(encoder)}")
        self.encoder = encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> IdentityLoss:
        """Set the mode of this module but leave the encoder in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, edited: Tensor, image: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Compare edited images with their originals.

        Args:
            edited: Edited images, ``(B, 3, H, W)`` in [-1, 1].
            image: The originals, same shape.
            reduction: ``"none"`` gives ``(B,)``.

        Returns:
            The loss, in [0, 2].
        """
        check_images("edited", edited)
        check_images("image", image)
        check_same_shape("edited", edited, "image", image)
        with torch.no_grad():
            reference = self.encoder(image)
        embedding = self.encoder(edited)
        if not isinstance(embedding, Tensor) or embedding.dim() != 2 or embedding.shape[0] != edited.shape[0]:
            raise ValueError(
                f"encoder: expected it to give embeddings of shape ({edited.shape[0]}, D), got {describe(embedding)}"
            )
        return identity_loss(embedding, reference, reduction)
