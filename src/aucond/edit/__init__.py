"""Editing with trained models, and pictures of it."""

from aucond.edit.comparison import picture_of_edits
from aucond.edit.component_names import component_label, group_components
from aucond.edit.condition_sequence import ConditionSequence, read_condition_sequence
from aucond.edit.cropping import CropReport, crop_faces
from aucond.edit.editor import FaceEditor
from aucond.edit.expressions import FACS_EXPRESSIONS, facs_expression
from aucond.edit.flicker import temporal_flicker
from aucond.edit.heat_map import heat_map
from aucond.edit.pictures import label_rows, save_gif, save_png, tile
from aucond.edit.prepared import Edit, NoFaceError, PreparedPhoto
from aucond.edit.smoothing import bridge_gaps, smooth_conditions, smooth_stream
from aucond.edit.sweep import sweep
from aucond.edit.video import VideoReport, animate_video, drive_video, reexpress_video
from aucond.edit.video_file import Frame, VideoInfo, probe_video, read_video, write_video

__all__ = [
    "FACS_EXPRESSIONS",
    "ConditionSequence",
    "CropReport",
    "Edit",
    "FaceEditor",
    "Frame",
    "NoFaceError",
    "PreparedPhoto",
    "VideoInfo",
    "VideoReport",
    "animate_video",
    "bridge_gaps",
    "component_label",
    "crop_faces",
    "drive_video",
    "facs_expression",
    "group_components",
    "heat_map",
    "label_rows",
    "picture_of_edits",
    "probe_video",
    "read_condition_sequence",
    "read_video",
    "reexpress_video",
    "save_gif",
    "save_png",
    "smooth_conditions",
    "smooth_stream",
    "sweep",
    "temporal_flicker",
    "tile",
    "write_video",
]
