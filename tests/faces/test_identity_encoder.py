"""The shipped identity encoder: what it accepts, what it tells apart, and that losses can use it."""

import pytest
import torch

from aucond import IdentityLoss
from aucond.faces import IdentityEncoder, synthetic_identity_encoder
from aucond.faces.identity import WEIGHTS
from aucond.metrics import identity_cosine


def test_the_file_is_small_and_its_numbers_are_finite():
    assert WEIGHTS.stat().st_size < 1_500_000
    encoder = synthetic_identity_encoder()
    assert not encoder.training and all(not p.requires_grad for p in encoder.parameters())
    assert all(value.isfinite().all() for value in encoder.state_dict().values())
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}


@pytest.mark.parametrize("size", [(64, 64), (48, 64), (128, 128), (17, 33), (1, 1)])
def test_any_size_gives_one_embedding_an_image(size):
    embedding = synthetic_identity_encoder()(torch.rand(2, 3, *size) * 2 - 1)
    assert embedding.shape == (2, 64) and embedding.isfinite().all()


def test_a_picture_keeps_its_direction_at_twice_the_size():
    image = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 8) * 2 - 1, 64, mode="bicubic").clamp(-1, 1)
    larger = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert identity_cosine(synthetic_identity_encoder(), image, larger).min() > 0.95


def test_it_tells_held_out_people_apart():
    faces = pytest.importorskip("aucond.faces.synthetic", reason='needs pip install "aucond[faces]"')
    known = faces.SyntheticFaces(range(3_000_000, 3_000_010), 40, size=64, seed=3, cache=False)
    image = known.images.float() / 127.5 - 1
    embedding = torch.nn.functional.normalize(synthetic_identity_encoder()(image), dim=1)
    cosine = embedding @ embedding.T
    same = known.identities[:, None] == known.identities[None, :]
    other = cosine[~same]
    mine = cosine[same & ~torch.eye(40, dtype=torch.bool)]
    # The area under the ROC curve, pair by pair.
    auc = (mine[:, None] > other[None, :]).double().mean()
    assert auc > 0.9


def test_the_identity_loss_gives_a_gradient_to_the_edit_alone():
    loss = IdentityLoss(synthetic_identity_encoder())
    image = torch.rand(2, 3, 48, 48) * 2 - 1
    edit = (image + 0.2 * torch.randn(2, 3, 48, 48)).requires_grad_()
    loss(edit, image).backward()
    assert edit.grad is not None and edit.grad.abs().sum() > 0
    assert loss(image, image).item() == pytest.approx(0, abs=1e-5)
    assert all(p.grad is None for p in loss.parameters())


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: IdentityEncoder(0), ValueError, "dim: expected an integer at least 1, got 0"),
        (
            lambda: IdentityEncoder(4)(torch.zeros(2, 1, 8, 8)),
            ValueError,
            r"image: expected .*\(B, 3, H, W\)",
        ),
        (lambda: IdentityEncoder(4)([1]), TypeError, "image: expected"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
