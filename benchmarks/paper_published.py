"""The systems' names, and what the SliderGAN paper printed of them."""

from __future__ import annotations

from collections.abc import Mapping

from paper_data import CLASSES

NAMES = {
    "ganimation": "GANimation, exact AUs",
    "ganimation_detector": "GANimation, AUs as a detector reads them",
    "slidergan_wgp": "SliderGAN-WGP",
    "slidergan_rad": "SliderGAN-RaD",
    "slidergan_rad_without_pairs": "SliderGAN-RaD without pairs",
    "slidergan_rad_without_identity": "SliderGAN-RaD without identity",
}


def _recognised(*shares: float) -> dict[str, float]:
    """Table 2's columns, in the order of the classes."""
    return {f"accuracy_{name}": share for name, share in zip(CLASSES, shares, strict=True)}


PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "ganimation_detector": {
        "ied": 1.04e-2,
        "ied_speech": 3.07e-2,
        "accuracy": 0.579,
        "regression_error": 0.427,
        "consistency": 0.513,
        **_recognised(0.552, 0.446, 0.517, 0.658, 0.632, 0.622, 0.631),
    },
    "slidergan_wgp": {
        "ied": 7.93e-3,
        "ied_speech": 1.14e-2,
        "accuracy": 0.614,
        **_recognised(0.550, 0.463, 0.514, 0.762, 0.633, 0.678, 0.702),
    },
    "slidergan_rad": {
        "ied": 6.84e-3,
        "ied_speech": 9.35e-3,
        "accuracy": 0.636,
        "regression_error": 0.131,
        "consistency": 0.258,
        **_recognised(0.591, 0.481, 0.531, 0.798, 0.654, 0.689, 0.708),
    },
}
"""SliderGAN Tables 1 to 4. Its GANimation was trained with action units from OpenFace, so that is its row here."""
