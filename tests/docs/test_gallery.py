"""The gallery's pictures: made by the page's own code, all of them shown, none blank, each of something else."""

import importlib
import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("sphinx", reason='the documentation needs its extra: pip install "aucond[docs]"')
pytest.importorskip("matplotlib", reason='the documentation needs its extra: pip install "aucond[docs]"')
pytest.importorskip("numba", reason='rendering needs its extra: pip install "aucond[faces]"')

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "gallery.md"
TEXT = PAGE.read_text(encoding="utf-8")
FIGURES = re.compile(r"^```\{figure\} (\S+)\n(?::alt: (.*)\n)?", re.MULTILINE)


@pytest.fixture(scope="module")
def gallery():
    sys.path.insert(0, str(DOCS / "_ext"))
    yield importlib.import_module("gallery")
    sys.path.remove(str(DOCS / "_ext"))


@pytest.fixture(scope="module")
def pictures(gallery, tmp_path_factory):
    """What the page's blocks leave behind, by file name, as (H, W, 3) from 0 to 255."""
    folder = tmp_path_factory.mktemp("gallery")
    before = Path.cwd()
    gallery.run(PAGE, folder)
    assert Path.cwd() == before
    return {path.name: np.asarray(Image.open(path)).astype(float) for path in sorted(folder.iterdir())}


def shown(folder):
    return [Path(file).name for file, _ in FIGURES.findall(TEXT) if file.startswith(folder)]


def faces(picture, columns):
    """The columns of a sweep, each (H, 128, 3)."""
    return [picture[:, 128 * i : 128 * (i + 1)] for i in range(columns)]


def test_every_picture_that_is_made_is_shown_and_the_other_way_round(pictures):
    assert sorted(shown("_generated/")) == sorted([*pictures, "mask_collapse.svg"])
    assert all((DOCS / "images" / name).exists() for name in shown("images/"))


def test_no_picture_is_blank_and_no_two_are_the_same(pictures):
    for name, picture in pictures.items():
        assert picture.std() > 20, name
    for (one, left), (other, right) in itertools.combinations(pictures.items(), 2):
        assert left.shape != right.shape or np.abs(left - right).mean() > 1, f"{one} and {other}"


def test_pictures_can_be_read_on_a_phone(pictures):
    # 358 pixels are left of a screen of 390: writing of 16 pixels must not shrink below 10.
    for name, picture in pictures.items():
        labelled = not name.startswith("sweep")
        assert picture.shape[1] <= (572 if labelled else 6 * 128), name


def test_a_sweep_goes_further_with_every_column(pictures):
    for name in [name for name in pictures if name.startswith("sweep")]:
        start, *others = faces(pictures[name], 5)
        distances = [np.abs(other - start).mean() for other in others]
        assert distances == sorted(distances) and distances[0] > 0.05, (name, distances)


def test_edits_of_single_units_are_nearer_to_the_truth_than_the_source_is(pictures):
    for name in ("units_upper.png", "units_lower.png"):
        source, edit, truth = faces(pictures[name][:, -3 * 128 :], 3)
        assert np.square(edit - truth).mean() < 0.9 * np.square(source - truth).mean(), name


def test_every_picture_says_in_words_what_it_shows():
    described = FIGURES.findall(TEXT)
    assert len(described) >= 10
    for file, words in described:
        assert len(words.split()) >= 8, file
    assert len({words for _, words in described}) == len(described)


def test_the_measured_masks_collapse_and_come_back():
    found = json.loads((DOCS.parent / "benchmarks/results/mask_weights_cpu.json").read_text(encoding="utf-8"))
    assert not found["environment"]["quick"]
    means = {
        name: [one["reports"][when]["attention_mean"] for when in ("before", "collapsed", "cured")]
        for name, one in found["collapse"].items()
    }
    before, collapsed, cured = means["to_0"]
    assert collapsed < 0.005 < 0.02 < min(before, cured)
    before, collapsed, cured = means["to_1"]
    assert collapsed > 0.6 > max(before, cured)


def test_a_block_that_fails_is_named_with_its_line(gallery, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text\n\n```python\nx = 1\n```\n\n```python\nx / 0\n```\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError) as caught:
        gallery.run(page, tmp_path)
    assert caught.traceback[-1].lineno + 1 == 8 and str(caught.traceback[-1].path) == str(page)


def test_a_heavier_total_variation_makes_smoother_masks():
    found = json.loads((DOCS.parent / "benchmarks/results/mask_weights_cpu.json").read_text(encoding="utf-8"))
    smoothness = [row["attention_tv"] for row in found["total_variation"]]
    assert len(smoothness) == 4 and smoothness[-1] < 0.8 * smoothness[0]
