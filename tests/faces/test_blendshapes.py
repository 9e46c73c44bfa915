from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from aucond import AttentionGenerator, GANimation, PatchCritic
from aucond.conditions import ARKIT_BLENDSHAPES, pca_blendshapes, speech_blendshapes
from aucond.faces import (
    Blendshapes,
    LinearFaceModel,
    SyntheticFaces,
    head_blendshapes,
    principal_blendshapes,
    sample_expressions,
    sample_speech,
    sparse_blendshapes,
)
from aucond.faces.blendshapes import vertex_areas
from aucond.faces.head_blendshapes import face_weights
from aucond.faces.visemes import VISEMES

NAMES = ARKIT_BLENDSHAPES.names


def small_model() -> LinearFaceModel:
    """One triangle; the first expression moves it by 1 along y, the second by 2 along z."""
    steps = [np.tile(np.array(a, np.float32), (3, 1)) for a in ([0, 1, 0], [0, 0, 2])]
    return LinearFaceModel(
        mean=np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32),
        identity_basis=np.zeros((0, 3, 3), np.float32),
        expression_basis=np.stack(steps),
        triangles=np.array([[0, 1, 2]]),
    )


@pytest.fixture(scope="module")
def samples() -> torch.Tensor:
    return sample_expressions(1000, torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def principal(samples: torch.Tensor) -> Blendshapes:
    return principal_blendshapes(LinearFaceModel.default(), samples, 30)


def test_two_components_by_hand() -> None:
    samples = torch.tensor([[3.0, 0], [3, 0], [0, -1], [0, -1]])
    shapes = principal_blendshapes(small_model(), samples, 2, span=2.0)
    # E e^2 is 4.5 and 0.5; deformations are 1 and 2 long, so the eigenvalues are 4.5 and 0.5 * 4.
    torch.testing.assert_close(shapes.deviations, torch.tensor([4.5**0.5, 2**0.5]))
    # +1 is two deviations, in the direction in which the samples go.
    torch.testing.assert_close(shapes.expression, torch.tensor([[2 * 4.5**0.5, 0.0], [0.0, -(2**0.5)]]))
    expected = torch.tensor([[3 / (2 * 4.5**0.5), 0], [0, 1 / 2**0.5]])
    torch.testing.assert_close(shapes.parameters(samples[[0, 2]]), expected)
    assert shapes.explained == pytest.approx(1.0) and shapes.clipped == 0.0


def test_areas_of_a_triangle() -> None:
    assert vertex_areas(small_model()).tolist() == pytest.approx([1 / 6] * 3)


def test_it_is_the_decomposition_of_the_deformed_meshes(samples: torch.Tensor) -> None:
    model, some = LinearFaceModel.default(), samples[:200]
    weights = face_weights()
    shapes = principal_blendshapes(model, some, 12, weights=weights)
    share = (weights / weights.sum()).sqrt().numpy()
    moved = np.tensordot(some.numpy(), model.expression_basis, 1) * share[:, None]
    singular = np.linalg.svd(moved.reshape(len(some), -1), compute_uv=False)
    np.testing.assert_allclose(shapes.deviations.numpy(), singular[:12] / len(some) ** 0.5, rtol=1e-4)
    left = (singular[12:] ** 2).sum() / (singular**2).sum()
    assert shapes.explained == pytest.approx(1 - left, abs=1e-5)


def test_components_are_orthogonal_and_as_long_as_they_say(principal: Blendshapes) -> None:
    rows = principal.expression.double()
    lengths = principal.span * principal.deviations.double()
    torch.testing.assert_close(
        rows @ principal.metric @ rows.T,
        torch.diag(lengths**2),
        atol=1e-3 * float(lengths[-1] ** 2),
        rtol=1e-4,
    )
    assert bool((principal.deviations.diff() <= 0).all())


def test_parameters_give_the_deformation_back(samples: torch.Tensor, principal: Blendshapes) -> None:
    exact = principal.parameters(samples, clip=False)
    torch.testing.assert_close(
        principal.parameters(principal.coefficients(exact), clip=False), exact, atol=1e-3, rtol=1e-3
    )
    rest = (samples - principal.coefficients(exact)).double()
    total = (samples.double() @ principal.metric * samples.double()).sum()
    assert float((rest @ principal.metric * rest).sum() / total) == pytest.approx(
        1 - principal.explained, abs=1e-5
    )
    clipped = principal.parameters(samples)
    assert clipped.abs().max() == 1.0
    assert float((exact.abs() > 1).double().mean()) == pytest.approx(principal.clipped, abs=1e-6)
    assert float(clipped.mean(0).min()) > -0.02, "components point to where the samples go"
    assert principal.parameters(torch.zeros(52)).abs().max() == 0, "the neutral face is 0"


def test_the_model_with_these_components(principal: Blendshapes) -> None:
    model = LinearFaceModel.default()
    other = principal.model(model)
    assert other.expression_names == principal.space.names
    parameters, identity = torch.rand(2, 30) - 0.5, torch.randn(2, model.num_identities)
    torch.testing.assert_close(
        other.vertices(identity, parameters),
        model.vertices(identity, principal.coefficients(parameters)),
        atol=1e-4,
        rtol=1e-4,
    )


def test_sparse_components_move_less_of_the_face(samples: torch.Tensor) -> None:
    model = LinearFaceModel.default()
    sparse = sparse_blendshapes(model, samples, 20)
    dense = principal_blendshapes(model, samples, 20)
    assert float((sparse.expression == 0).float().mean()) > 0.85
    assert float((dense.expression == 0).float().mean()) < 0.2
    assert dense.explained > sparse.explained > 0.9

    def spread(shapes: Blendshapes) -> float:
        """Effective share of the vertices that a component moves."""
        moved = np.linalg.norm(np.tensordot(shapes.expression.numpy(), model.expression_basis, 1), axis=2)
        return float((moved.sum(1) ** 2 / (moved**2).sum(1)).mean() / model.num_vertices)

    assert spread(sparse) < 0.75 * spread(dense)
    again = sparse_blendshapes(model, samples, 20)
    assert torch.equal(again.expression, sparse.expression)


def test_expression_and_speech() -> None:
    shapes = head_blendshapes(30, speech=10)
    assert shapes.space == pca_blendshapes(30) + speech_blendshapes(10)
    assert shapes.expression.shape == (40, 52)
    model = LinearFaceModel.default()
    moved = np.linalg.norm(np.tensordot(shapes.expression[30:].numpy(), model.expression_basis, 1), axis=2)
    marks = moved[:, model.landmarks]
    assert marks[:, [*range(17, 28), *range(36, 48)]].max() < 0.003, "brows, bridge of the nose and eyes stay"
    assert marks[:, 48:].max() > 0.1, "the mouth moves"
    drawn = sample_expressions(300, torch.Generator().manual_seed(8))
    rest = (drawn - shapes.coefficients(shapes.parameters(drawn, clip=False))).double()
    kept = (rest @ shapes.metric * rest).sum() / (drawn.double() @ shapes.metric * drawn.double()).sum()
    assert kept < 0.01, "overlapping blocks share the deformation, none of it is lost"


def test_ranges_from_the_data() -> None:
    shapes = head_blendshapes(10, speech=2, ranges="data")
    low = torch.tensor(shapes.space.low)
    assert bool((low >= -1).all()) and low[0] > -0.6 and low[10] > -0.3, "an open jaw has no opposite"
    assert set(shapes.space.high) == {1.0}
    drawn = sample_expressions(300, torch.Generator().manual_seed(8))
    shapes.space.validate(shapes.parameters(drawn))


def test_the_space_renders_and_trains() -> None:
    shapes = head_blendshapes(6)
    faces = SyntheticFaces(2, 4, 32, space=shapes.space, expression=shapes.expression, cache=False)
    assert faces.images.float().std() > 20
    neutral, moved = torch.zeros(6), torch.tensor([1.0, 0, 0, 0, 0, 0])
    assert (faces.render(0, neutral) - faces.render(0, moved)).abs().max() > 0.3
    generator = AttentionGenerator(shapes.space, base_channels=4, num_residual_blocks=1)
    critic = PatchCritic({"condition": shapes.space}, base_channels=4, num_layers=3)
    objective = GANimation(generator, critic)
    batch: Any = faces.batch(range(4))
    for losses in (objective.critic_loss(batch), objective.generator_loss(batch)):
        losses.total.backward()
        assert losses.total.isfinite()


def test_speech_samples() -> None:
    drawn = sample_speech(500, torch.Generator().manual_seed(0))
    assert drawn.shape == (500, 52) and drawn.min() >= 0 and drawn.max() <= 1
    assert torch.equal(drawn, sample_speech(500, torch.Generator().manual_seed(0)))
    still = [i for i, name in enumerate(NAMES) if name.startswith(("brow", "eye", "cheek", "nose", "tongue"))]
    assert drawn[:, still].abs().max() == 0
    assert drawn[:, NAMES.index("jawOpen")].max() > 0.4
    assert all(name in NAMES or f"{name}Left" in NAMES for units in VISEMES.values() for name in units)
    assert sample_expressions(200)[:, NAMES.index("tongueOut")].max() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": 3}, TypeError, "model: expected a LinearFaceModel, got 3"),
        ({"expressions": torch.zeros(4, 3)}, ValueError, r"expressions: expected .* \(M, 2\)"),
        ({"expressions": torch.full((4, 2), torch.nan)}, ValueError, "expressions: expected finite values"),
        ({"expressions": torch.ones(1, 2)}, ValueError, "expressions: expected at least 2 samples, got 1"),
        ({"count": 3}, ValueError, r"count: expected an integer in \[1, 2\], got 3"),
        ({"count": 0}, ValueError, "count: expected an integer"),
        ({"count": 2}, ValueError, "count: expected at most 1, the independent deformations"),
        ({"span": 0.0}, ValueError, "span: expected a finite number at least 0.1"),
        ({"weights": torch.ones(2)}, ValueError, r"weights: expected .* \(3,\)"),
        ({"weights": -torch.ones(3)}, ValueError, "weights: expected values of at least 0"),
        ({"weights": torch.zeros(3)}, ValueError, "weights: expected values of at least 0, not all 0"),
        ({"ranges": "both"}, ValueError, "ranges: expected one of 'symmetric', 'data', got 'both'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    expressions = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    with pytest.raises(error, match=message):
        principal_blendshapes(**{"model": small_model(), "expressions": expressions, "count": 1, **arguments})


def test_blocks_that_do_not_go_together(principal: Blendshapes, samples: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="'pca_00' is in both spaces"):
        principal + principal
    other = principal_blendshapes(LinearFaceModel.default(), samples, 2, prefix="speech", span=2.0)
    with pytest.raises(ValueError, match="other: expected blendshapes of span 3, got 2"):
        principal + other
    with pytest.raises(ValueError, match="of the same face model"):
        principal + head_blendshapes(2, kind="sparse")
    with pytest.raises(ValueError, match="model: expected 52 expression components, got 2"):
        principal.model(small_model())
    with pytest.raises(ValueError, match="sparsity: 50 leaves 0 of 4 components"):
        sparse_blendshapes(LinearFaceModel.default(), samples, 4, sparsity=50.0)
