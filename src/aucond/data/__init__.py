"""Reading images with their conditions: three layouts on the disk, one data set, two loaders.

A folder is opened with :func:`open_dataset`, whatever its layout; ``python -m aucond.data.convert`` turns the
published layout and OpenFace's files into the image folder with ``metadata.csv``.
"""

from aucond.data.annotation import AnnotationReport, annotate
from aucond.data.annotations import Annotations, Record
from aucond.data.conversion import convert_to_folder
from aucond.data.dataset import AnnotatedImages
from aucond.data.folder import ConditionFolder
from aucond.data.images import decode_image, images_to_float
from aucond.data.layouts import open_dataset, recognise_layout
from aucond.data.loader import EpochDataLoader, make_loader
from aucond.data.openface import OpenFaceRow, OpenFaceTable, read_openface_csv
from aucond.data.openface_folder import read_openface_folder
from aucond.data.order import EpochSampler
from aucond.data.pairs import ExactPairs
from aucond.data.phases import EpochBatches, PairedPhases
from aucond.data.problems import DatasetError, Problem
from aucond.data.published import read_published_layout
from aucond.data.tensor_loader import TensorLoader

__all__ = [
    "AnnotatedImages",
    "AnnotationReport",
    "Annotations",
    "ConditionFolder",
    "DatasetError",
    "EpochBatches",
    "EpochDataLoader",
    "EpochSampler",
    "ExactPairs",
    "OpenFaceRow",
    "OpenFaceTable",
    "PairedPhases",
    "Problem",
    "Record",
    "TensorLoader",
    "annotate",
    "convert_to_folder",
    "decode_image",
    "images_to_float",
    "make_loader",
    "open_dataset",
    "read_openface_csv",
    "read_openface_folder",
    "read_published_layout",
    "recognise_layout",
]
