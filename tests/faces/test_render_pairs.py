"""Exact pairs from the renderer: the same scene under other conditions, true to the bit."""

import pytest
import torch

from aucond.data import images_to_float

pytest.importorskip("numba", reason='needs the renderer: pip install "aucond[faces]"')

from aucond.faces import SyntheticFaces, render_pairs


@pytest.fixture(scope="module")
def faces():
    return SyntheticFaces(range(900, 903), samples=5, size=24, seed=4, cache=False)


def test_every_image_is_the_true_render_of_its_scene_and_condition(faces):
    pairs = render_pairs(faces, 3, cache=False)
    assert len(pairs) == 15 and torch.equal(pairs.images[:5], faces.images)
    assert torch.equal(pairs.conditions[:5], faces.conditions)
    assert torch.equal(pairs.identities, faces.identities.repeat(3))
    truth = faces.render(pairs.groups.tolist(), pairs.conditions)
    assert torch.equal(images_to_float(pairs.images), truth)
    item = pairs[0]
    partner = int(pairs.partners[0])
    assert partner % 5 == 0 and torch.equal(item["target_image"], faces.render(0, pairs.conditions[partner]))


def test_conditions_are_those_of_other_samples_and_follow_the_seed(faces):
    first, same, other = (render_pairs(faces, 2, seed=seed, cache=False) for seed in (1, 1, 2))
    assert torch.equal(first.images, same.images) and torch.equal(first.partners, same.partners)
    assert not torch.equal(first.conditions, other.conditions)
    ours, theirs = (sorted(map(tuple, rows.tolist())) for rows in (first.conditions[5:], faces.conditions))
    assert ours == theirs


def test_the_cache_gives_the_same_and_spoilt_files_are_rendered_again(faces, tmp_path):
    fresh = render_pairs(faces, 2, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    read = render_pairs(faces, 2, cache=tmp_path)
    assert torch.equal(fresh.images, read.images) and list(tmp_path.iterdir()) == [file]
    render_pairs(faces, 3, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(render_pairs(faces, 2, cache=tmp_path).images, fresh.images)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((None,), TypeError, "faces: expected SyntheticFaces, got None"),
        ((1,), ValueError, "expressions: expected an integer at least 2, got 1"),
        ((2.0,), TypeError, "expressions: expected an integer at least 2, got 2.0"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(faces, arguments, error, message):
    with pytest.raises(error, match=message):
        if arguments == (None,):
            render_pairs(None)
        else:
            render_pairs(faces, *arguments, cache=False)
