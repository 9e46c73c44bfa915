"""Settings of the documentation. The build needs no network and loads nothing from one when it is read."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from aucond import __version__

project = "aucond"
author = "The aucond contributors"
project_copyright = "The aucond contributors, MIT licence"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "benchmark_tables",
    "native_math",
    "public_names",
    "signatures",
    "unbroken_figures",
    "loss_figures",
    "gallery",
]
exclude_patterns = ["_build", "_generated"]
templates_path: list[str] = []
html_theme = "furo"
html_title = f"aucond {release}"
html_static_path = ["_static"]
html_css_files = ["aucond.css"]
html_math_renderer = "native"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "tango"

myst_enable_extensions = ["dollarmath", "deflist", "fieldlist", "attrs_inline"]
myst_heading_anchors = 3

python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Convention", "notes_style")]

# A reference that leads nowhere is an error. What lives in other libraries has no target, as their inventories
# would have to be downloaded.
nitpicky = True
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(torch|nn|np|numpy|collections|fractions|pathlib|typing|os|huggingface_hub|accelerate|Image|PIL)\..*",
    ),
    (
        r"py:.*",
        r"(_\w+|Fraction|NDArray|Dataset|Sampler|DataLoader|Tensor|Path|Any|Callable|Iterable|Iterator|Mapping|Sequence|Protocol|NamedTuple|TypedDict)",
    ),
    (r"py:.*", r"(str|int|float|bool|dict|list|tuple|bytes|type|object|None|optional|callable)"),
    (r"py:.*", r"(ValueError|TypeError|RuntimeError|ImportError|FileNotFoundError|FileExistsError|OSError)"),
]
