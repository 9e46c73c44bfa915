"""Faces with ground truth: a linear face model, a software renderer, and a dataset of rendered people."""

from .action_units import ACTION_UNITS, expression_coefficients, expression_matrix
from .geometry import HeadGeometry
from .linear_model import LinearFaceModel
from .sampling import PROTOTYPES, sample_conditions

__all__ = [
    "ACTION_UNITS",
    "PROTOTYPES",
    "HeadGeometry",
    "LinearFaceModel",
    "SyntheticFaces",
    "expression_coefficients",
    "expression_matrix",
    "render_face",
    "sample_conditions",
]


def __getattr__(name: str) -> object:
    # numba is an extra and takes a second to import: loaded when the first face is rendered.
    if name in ("SyntheticFaces", "render_face"):
        from . import synthetic

        return getattr(synthetic, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
