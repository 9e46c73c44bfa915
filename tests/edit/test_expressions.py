"""The basic expressions, and what components are called in words."""

import pytest
import torch

from aucond import ARKIT_BLENDSHAPES, OPENFACE_AUS, ConditionSpace, pca_blendshapes
from aucond.edit.component_names import component_label, group_components
from aucond.edit.expressions import FACS_EXPRESSIONS, facs_expression

# EMFACS: what each expression must at least move.
CORE = {
    "neutral": (),
    "happiness": (6, 12),
    "sadness": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
    "fear": (1, 2, 4, 5, 7, 20, 26),
    "anger": (4, 5, 7, 23),
    "disgust": (9, 15),
    "contempt": (12, 14),
}


def test_the_table_has_emfacs_units_within_the_space():
    assert set(FACS_EXPRESSIONS) == set(CORE)
    for name, units in FACS_EXPRESSIONS.items():
        assert {f"AU{unit:02d}" for unit in CORE[name]} <= set(units)
        assert set(units) <= set(OPENFACE_AUS.names) and all(0 < v <= 1 for v in units.values())


@pytest.mark.parametrize("name", CORE)
@pytest.mark.parametrize("space", [OPENFACE_AUS, ARKIT_BLENDSHAPES], ids=["openface", "arkit"])
def test_every_expression_lies_in_every_space(name, space):
    full = space.validate(facs_expression(name, space))
    assert torch.equal(facs_expression(name, space, intensity=0.0), space.neutral_vector())
    assert torch.allclose(facs_expression(name, space, intensity=0.5), 0.5 * full)
    assert bool((full > 0).any()) == (name != "neutral")


def test_values_follow_the_space():
    assert facs_expression("anger")[OPENFACE_AUS.index("AU04")] == 1.0
    wide = ConditionSpace(["AU12", "mine"], low=-1.0, high=3.0, neutral=1.0)
    # 0.9 of the way from neutral (1) to high (3); a name of one's own stays neutral.
    assert facs_expression("happiness", wide).tolist() == pytest.approx([2.8, 1.0])
    arkit = dict(
        zip(ARKIT_BLENDSHAPES.names, facs_expression("happiness", ARKIT_BLENDSHAPES).tolist(), strict=True)
    )
    assert arkit["mouthSmileLeft"] == arkit["mouthSmileRight"] == pytest.approx(0.9 * 0.9)
    assert arkit["jawOpen"] == pytest.approx(0.4 * 0.14) and arkit["browDownLeft"] == 0


def test_contempt_has_a_side_where_the_space_has():
    arkit = dict(
        zip(ARKIT_BLENDSHAPES.names, facs_expression("contempt", ARKIT_BLENDSHAPES).tolist(), strict=True)
    )
    assert arkit["mouthDimpleRight"] == 1.0 and arkit["mouthDimpleLeft"] == 0
    assert facs_expression("contempt")[OPENFACE_AUS.index("AU14")] == pytest.approx(0.9)


@pytest.mark.parametrize(
    "call, exception, message",
    [
        (lambda: facs_expression("hapiness"), ValueError, "did you mean 'happiness'"),
        (lambda: facs_expression("anger", 17), TypeError, "space: expected a ConditionSpace, got 17"),
        (lambda: facs_expression("anger", intensity=2.0), ValueError, r"intensity: .*\[0.0, 1.0\], got 2.0"),
        (lambda: facs_expression("anger", pca_blendshapes(3)), ValueError, "expected action units .* pca_00"),
        (lambda: component_label(12), TypeError, "name: expected a component's name, got 12"),
        (lambda: group_components(["AU12"]), TypeError, "space: expected a ConditionSpace, got a list"),
    ],
)
def test_wrong_calls(call, exception, message):
    with pytest.raises(exception, match=message):
        call()


@pytest.mark.parametrize(
    "space", [OPENFACE_AUS, ARKIT_BLENDSHAPES, pca_blendshapes(2)], ids=["au", "arkit", "pca"]
)
def test_groups_hold_every_component_once(space):
    groups = group_components(space)
    assert sorted(name for names in groups.values() for name in names) == sorted(space.names)
    assert ("other" in groups) == (space.names[0] == "pca_00")


def test_labels_and_groups():
    labels = [component_label(name) for name in OPENFACE_AUS.names]
    assert len(set(labels)) == 17 and all(label.startswith("AU") and ": " in label for label in labels)
    assert component_label("AU45") == "AU45: blink, close the eyes"
    assert component_label("eyeLookInLeft") == "eye look in, left"
    assert component_label("mouthLeft") == "mouth left" and component_label("browInnerUp") == "brow inner up"
    assert component_label("eyebrowThing") == "eyebrowThing"
    groups = group_components(ARKIT_BLENDSHAPES)
    assert groups["nose"] == ("noseSneerLeft", "noseSneerRight")
    assert {"cheekPuff", "jawOpen", "tongueOut"} <= set(groups["mouth"]) and "cheekSquintLeft" in groups[
        "eyes"
    ]
    assert list(group_components(OPENFACE_AUS)) == ["brows", "eyes", "nose", "mouth"]
