"""Identity cosine and classification accuracy, with networks that misbehave in training mode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from aucond.metrics import classification_accuracy, identity_cosine


def network(width: int = 6) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, width), nn.BatchNorm1d(width), nn.Dropout(0.5))


def images(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_cosine_equals_numpy() -> None:
    encoder = network().eval()
    a, b = images(5, 0), images(5, 1)
    e, f = (encoder(x).detach().double().numpy() for x in (a, b))
    expected = (e * f).sum(1) / np.linalg.norm(e, axis=1) / np.linalg.norm(f, axis=1)
    np.testing.assert_allclose(identity_cosine(encoder, a, b).numpy(), expected, rtol=1e-10)
    assert identity_cosine(encoder, a, a).tolist() == pytest.approx([1] * 5)
    assert identity_cosine(encoder, a, b, reduction="mean").item() == pytest.approx(expected.mean())


def test_length_of_an_embedding_does_not_matter() -> None:
    a, b = images(3, 0), images(3, 1)
    once = identity_cosine(nn.Flatten(), a, b)
    torch.testing.assert_close(identity_cosine(nn.Flatten(), 0.1 * a, 7 * b), once, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(identity_cosine(nn.Flatten(), -a, b), -once, rtol=1e-6, atol=1e-7)


def test_a_zero_embedding_gives_zero() -> None:
    assert identity_cosine(nn.Flatten(), torch.zeros(1, 3, 4, 4), images(1, 0)).item() == 0


def test_the_network_is_asked_in_evaluation_mode_and_left_as_it_was() -> None:
    encoder = network().train()
    encoder[3].eval()  # a mixture of modes, to be put back exactly
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    first = identity_cosine(encoder, images(4, 0), images(4, 1))
    assert torch.equal(first, identity_cosine(encoder, images(4, 0), images(4, 1)))
    assert not first.requires_grad
    assert [module.training for module in encoder.modules()] == [True, True, True, True, False]
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_modes_are_put_back_after_an_error() -> None:
    encoder = network().train()
    with pytest.raises(RuntimeError):
        identity_cosine(encoder, torch.zeros(1, 3, 5, 5), torch.zeros(1, 3, 5, 5))
    assert all(module.training for module in encoder.modules())


def test_accuracy_by_hand() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.0], [0.5, 0.5, 0.0], [0.0, 0.2, 0.1], [3.0, 2.0, 1.0]])
    labels = torch.tensor([1, 0, 2, 0])
    hits = classification_accuracy(lambda _: scores, images(4, 0), labels)
    assert hits.tolist() == [1, 1, 0, 1]
    assert classification_accuracy(lambda _: scores, images(4, 0), labels, reduction="mean").item() == 0.75
    assert classification_accuracy(lambda _: scores, images(4, 0), labels, reduction="sum").item() == 3
