from __future__ import annotations

import numpy as np
import pytest
import torch

from aucond.conditions import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace
from aucond.faces import ACTION_UNITS, LinearFaceModel, expression_coefficients, expression_matrix

BROWS, LIDS, NOSE, MOUTH, CHIN = range(17, 27), range(36, 48), range(27, 36), range(48, 68), range(6, 11)


def motion(name: str) -> np.ndarray:
    """How each of the 68 landmarks of the mean head moves under one component at full intensity (68, 3)."""
    space = OPENFACE_AUS if name in OPENFACE_AUS.names else ARKIT_BLENDSHAPES
    row = expression_matrix(space)[space.index(name)].numpy()
    model = LinearFaceModel.default()
    moved = model.vertices(np.zeros(model.num_identities), row) - model.mean
    return moved[model.landmarks]


def test_every_openface_unit_is_described_by_known_units() -> None:
    assert tuple(ACTION_UNITS) == OPENFACE_AUS.names
    for weights in ACTION_UNITS.values():
        assert set(weights) <= set(ARKIT_BLENDSHAPES.names)


def test_matrix_rows() -> None:
    matrix = expression_matrix(OPENFACE_AUS)
    smile = matrix[OPENFACE_AUS.index("AU12")]
    assert smile.nonzero().flatten().tolist() == [
        ARKIT_BLENDSHAPES.index("mouthSmileLeft"),
        ARKIT_BLENDSHAPES.index("mouthSmileRight"),
    ]
    assert torch.equal(expression_matrix(ARKIT_BLENDSHAPES), torch.eye(52))


def test_openface_units_move_both_sides_alike() -> None:
    matrix = expression_matrix(OPENFACE_AUS)
    assert torch.equal(matrix, ARKIT_BLENDSHAPES.flip(matrix))


def test_names_of_both_kinds_may_be_mixed() -> None:
    space = ConditionSpace(["AU45", "jawOpen"])
    assert expression_matrix(space)[1].sum() == 1


@pytest.mark.parametrize(
    ("unit", "moving", "still"),
    [
        ("AU01", BROWS, MOUTH),
        ("AU02", BROWS, MOUTH),
        ("AU04", BROWS, MOUTH),
        ("AU05", LIDS, MOUTH),
        ("AU07", LIDS, MOUTH),
        ("AU09", NOSE, CHIN),
        ("AU10", MOUTH, BROWS),
        ("AU12", MOUTH, BROWS),
        ("AU14", MOUTH, LIDS),
        ("AU15", MOUTH, BROWS),
        ("AU17", MOUTH, BROWS),
        ("AU20", MOUTH, BROWS),
        ("AU23", MOUTH, BROWS),
        ("AU25", MOUTH, BROWS),
        ("AU26", CHIN, LIDS),
        ("AU45", LIDS, MOUTH),
    ],
)
def test_units_move_their_own_region(unit: str, moving: range, still: range) -> None:
    length = np.linalg.norm(motion(unit), axis=1)
    assert length[list(moving)].max() > 0.03
    assert length[list(still)].max() < 0.15 * length[list(moving)].max()


def test_directions() -> None:
    assert motion("AU12")[[48, 54], 1].min() > 0.03, "lip corners go up"
    assert motion("AU12")[54, 0] > 0.03 > -0.03 > motion("AU12")[48, 0], "and outwards"
    assert motion("AU15")[[48, 54], 1].max() < -0.03, "lip corners go down"
    assert motion("AU26")[8, 1] < -0.1, "the chin goes down"
    assert motion("AU01")[[21, 22], 1].min() > 0.04, "the inner brows go up"
    assert motion("AU04")[[19, 24], 1].max() < -0.03, "the brows go down"
    assert motion("AU45")[[37, 38, 43, 44], 1].max() < -0.05, "the upper lids close"
    assert motion("AU05")[[37, 38, 43, 44], 1].min() > 0.02, "the upper lids open"


def test_left_is_the_subjects_left() -> None:
    wink = np.linalg.norm(motion("eyeBlinkLeft"), axis=1)
    assert wink[[43, 44]].min() > 0.05 > wink[[37, 38]].max()


def test_intensity_counts_from_neutral_to_the_far_end() -> None:
    space = ConditionSpace(["AU12", "AU45"], low=[-1.0, 0.0], high=[1.0, 4.0], neutral=[0.0, 0.0])
    matrix = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    rows = expression_coefficients(space, torch.tensor([[-0.5, 0.0], [1.0, 2.0]]), matrix)
    assert rows.tolist() == [[-0.5, 0.0], [1.0, 1.0]]


def test_neutral_is_the_neutral_face() -> None:
    for space in (OPENFACE_AUS, ARKIT_BLENDSHAPES):
        assert (
            expression_coefficients(space, space.neutral_vector(), expression_matrix(space)).abs().max() == 0
        )


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="got 'AU012'; did you mean 'AU12'\\?"):
        expression_matrix(ConditionSpace(["AU012"]))
    with pytest.raises(ValueError, match="got 'happy'; for other names give your own expression matrix"):
        expression_matrix(ConditionSpace(["happy"]))
    with pytest.raises(TypeError, match="space: expected a ConditionSpace, got a list"):
        expression_matrix(["AU12"])  # type: ignore[arg-type]
