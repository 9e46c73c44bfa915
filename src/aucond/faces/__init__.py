"""Faces with ground truth: a linear face model, a software renderer, and a dataset of rendered people."""

import importlib
from typing import TYPE_CHECKING

from .action_units import ACTION_UNITS, expression_coefficients, expression_matrix
from .blendshapes import Blendshapes, principal_blendshapes, sparse_blendshapes
from .camera import HeadCamera
from .detection import DlibDetector, Face, FaceDetector
from .fitting import LandmarkFit, fit_landmarks
from .framing import FaceCrop, FaceFraming
from .geometry import HeadGeometry
from .head_blendshapes import head_blendshapes, sample_expressions
from .identity import IdentityEncoder, synthetic_identity_encoder
from .linear_model import LinearFaceModel
from .sampling import PROTOTYPES, sample_conditions
from .space_model import SpaceModel
from .visemes import VISEMES, sample_speech

if TYPE_CHECKING:
    from .pairs import render_pairs
    from .portrait import render_face
    from .synthetic import SyntheticFaces
    from .warping import FittedPhoto, fit_photo, warp_pairs

__all__ = [
    "ACTION_UNITS",
    "PROTOTYPES",
    "VISEMES",
    "Blendshapes",
    "DlibDetector",
    "Face",
    "FaceCrop",
    "FaceDetector",
    "FaceFraming",
    "FittedPhoto",
    "HeadCamera",
    "HeadGeometry",
    "IdentityEncoder",
    "LandmarkFit",
    "LinearFaceModel",
    "SpaceModel",
    "SyntheticFaces",
    "expression_coefficients",
    "expression_matrix",
    "fit_landmarks",
    "fit_photo",
    "head_blendshapes",
    "principal_blendshapes",
    "render_face",
    "render_pairs",
    "sample_conditions",
    "sample_expressions",
    "sample_speech",
    "sparse_blendshapes",
    "synthetic_identity_encoder",
    "warp_pairs",
]


_RENDERED = {
    "FittedPhoto": "warping",
    "SyntheticFaces": "synthetic",
    "fit_photo": "warping",
    "render_face": "portrait",
    "render_pairs": "pairs",
    "warp_pairs": "warping",
}
"""What needs numba, an extra that takes a second to import: loaded when it is first asked for."""


def __getattr__(name: str) -> object:
    if name in _RENDERED:
        return getattr(importlib.import_module(f".{_RENDERED[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
