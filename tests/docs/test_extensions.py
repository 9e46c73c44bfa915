"""What the documentation's own extensions change on its pages."""

import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason='the documentation needs its extra: pip install "aucond[docs]"')

from docutils import nodes

import aucond

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


def extension(name):
    sys.path.insert(0, str(EXTENSIONS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(EXTENSIONS))


@pytest.mark.parametrize("name", ["AttentionGenerator", "PatchCritic"])
def test_networks_show_their_own_arguments(name):
    own = extension("signatures").own_arguments
    network = getattr(aucond, name)
    shown, returned = own(None, "class", name, network, None, "(*args, **kwargs)", None)
    assert (
        "base_channels: int = 64" in shown and "self" not in shown and "->" not in shown and returned is None
    )
    assert own(None, "class", name, network, None, "(size: int)", None) is None
    assert own(None, "function", name, network, None, "(*args, **kwargs)", None) is None


def test_a_figure_in_a_table_is_not_broken_and_text_elsewhere_is_left_alone():
    document = nodes.document(None, None)
    table = nodes.table("", nodes.entry("", nodes.paragraph("", "2.01 ± 0.43 of 1")))
    document += [table, nodes.paragraph("", "mean ± deviation")]
    extension("unbroken_figures").join(None, document)
    assert table.astext() == "2.01\u00a0±\u00a00.43 of 1"
    assert document.children[1].astext() == "mean ± deviation"
