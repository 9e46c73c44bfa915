"""Moving pictures: a photo that follows a sequence or a person, and a person who wears another expression."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aucond._check import check_choice, check_number, describe
from aucond.edit._following import Seen, follow_face
from aucond.edit._video_codec import Picture, Written, decode, encode
from aucond.edit.condition_sequence import ConditionSequence
from aucond.edit.editor import FaceEditor
from aucond.edit.prepared import Photo, PreparedPhoto
from aucond.edit.smoothing import smooth_conditions, smooth_stream
from aucond.edit.video_file import check_output, probe_video

__all__ = ["VideoReport", "animate_video", "drive_video", "reexpress_video"]


@dataclass(frozen=True)
class VideoReport:
    """What was written."""

    frames: int
    without_face: int
    """Frames in which no face was found even after short gaps were bridged."""
    seconds: float
    width: int
    height: int
    audio: bool


def animate_video(
    editor: FaceEditor,
    photo: Photo,
    sequence: ConditionSequence | Tensor | Iterable[Tensor | Mapping[str, float]],
    path: str | Path,
    *,
    frames_per_second: float | Fraction | None = None,
    window: int = 1,
    order: int = 2,
    audio_from: str | Path | None = None,
    quality: int = 18,
) -> VideoReport:
    """Write a video of a photo whose face follows a sequence of conditions.

    Args:
        editor: The editor.
        photo: Any photo that the editor takes.
        sequence: What :func:`~aucond.edit.read_condition_sequence` gives, conditions (T, N), or any iterable of what
            :meth:`FaceEditor.edit <aucond.edit.FaceEditor.edit>` takes as changes, which may be longer than memory.
        path: ``.mp4``, ``.mov``, ``.mkv`` or ``.gif``.
        frames_per_second: None: the sequence's own where it has one, else 25.
        window: Frames of the Savitzky-Golay filter over the conditions, odd; 1 takes them as they are. What a
            tracker wrote needs about 11 at 25 frames a second. Only for conditions given as numbers, not mappings.
        order: Degree of the filter's polynomial.
        audio_from: A file whose sound is copied.
        quality: As of :func:`~aucond.edit.write_video`.

    Raises:
        ValueError: An empty sequence, conditions outside the space, or a file that cannot be written that way.

    Convention: conditions are in the normalised unit of the editor's space; what the filter overshoots is moved back
    into its range.
    """
    _check_editor(editor)
    own_rate = sequence.frames_per_second if isinstance(sequence, ConditionSequence) else None
    target, rate = check_output(path, frames_per_second or own_rate or 25, quality)
    wanted = _smoothed(editor, sequence, window, order)
    images = editor.animate(editor.prepare(photo), wanted)
    pictures = (Picture(_pixels(image), number / rate) for number, image in enumerate(images))
    written = encode(pictures, target, rate=rate, quality=quality, audio_from=_path(audio_from))
    return _report(written, rate, 0)


def drive_video(
    editor: FaceEditor,
    photo: Photo,
    driving: str | Path,
    path: str | Path,
    *,
    framing: Literal["detect", "crop"] = "detect",
    window: int = 11,
    order: int = 2,
    longest_gap: int = 12,
    keep_audio: bool = True,
    quality: int = 18,
) -> VideoReport:
    """Write a video of a photo whose face follows the face of another video, as the critic reads it.

    Memory does not grow with the length of the video.

    Args:
        editor: An editor with a critic.
        photo: The photo that comes alive.
        driving: The video whose largest face is followed and read.
        path: ``.mp4``, ``.mov``, ``.mkv`` or ``.gif``.
        framing: ``"detect"`` finds the face in every frame; ``"crop"`` takes the frames as aligned crops.
        window: Frames of the Savitzky-Golay filter over place and condition, odd; 1 takes every frame by itself.
        order: Degree of the filter's polynomial.
        longest_gap: So many frames without a face are bridged; in a longer gap the photo keeps its last
            expression, and before the first face it is shown as it is.
        keep_audio: Copy the driving video's sound.
        quality: As of :func:`~aucond.edit.write_video`.

    Raises:
        ValueError: A file that is no video, or one without a face in any frame.
    """
    _check_editor(editor)
    source, target, rate = _check_videos(driving, path, quality, framing, longest_gap)
    prepared = editor.prepare(photo)
    lost = _Count()

    def pictures() -> Iterator[Picture]:
        condition: Tensor | None = None
        options: dict[str, Any] = {"window": window, "order": order, "longest_gap": longest_gap}
        for seen in follow_face(editor, decode(source), framing=framing, **options):
            lost.add(seen)
            condition = condition if seen.condition is None else seen.condition
            image = _unedited(prepared) if condition is None else editor.edit(prepared, condition)
            yield Picture(_pixels(image), seen.picture.time)
        lost.check(source)

    sound = source if keep_audio else None
    return _report(
        encode(pictures(), target, rate=rate, quality=quality, audio_from=sound), rate, lost.without_face
    )


def reexpress_video(
    editor: FaceEditor,
    video: str | Path,
    changes: Mapping[str, float] | Tensor,
    path: str | Path,
    *,
    relative: bool = False,
    framing: Literal["detect", "crop"] = "detect",
    window: int = 11,
    order: int = 2,
    longest_gap: int = 12,
    keep_audio: bool = True,
    quality: int = 18,
) -> VideoReport:
    """Write a video again with another expression on its largest face, frame by frame and without flicker.

    The face is followed; its place and its condition are smoothed over time before the edit. What the edit does not
    touch is what the source shows, but for the loss of the second compression. Frames keep their times. Memory
    does not grow with length: ``2 * window + longest_gap`` frames are held.

    Args:
        editor: An editor with a critic.
        video: The video.
        changes: As of :meth:`FaceEditor.edit <aucond.edit.FaceEditor.edit>`: a mapping sets the components it names,
            all others go on as the critic reads them from frame to frame.
        path: ``.mp4``, ``.mov``, ``.mkv`` or ``.gif``; may be the video's own, which is then replaced at the end.
        relative: The values are added to what is read (``{"AU12": 0.3}``: more smile than there is).
        framing: ``"detect"`` finds the face in every frame; ``"crop"`` takes the frames as aligned crops.
        window: Frames of the Savitzky-Golay filter over place and condition, odd; 1 edits every frame by itself.
        order: Degree of the filter's polynomial.
        longest_gap: So many frames in which the face is missed are bridged; in a longer gap frames stay unedited.
        keep_audio: Copy the sound.
        quality: As of :func:`~aucond.edit.write_video`.

    Raises:
        ValueError: A file that is no video, one without a face in any frame, or changes that the space lacks.
    """
    _check_editor(editor)
    source, target, rate = _check_videos(video, path, quality, framing, longest_gap)
    lost = _Count()

    def pictures() -> Iterator[Picture]:
        options: dict[str, Any] = {"window": window, "order": order, "longest_gap": longest_gap}
        for seen in follow_face(editor, decode(source), framing=framing, **options):
            lost.add(seen)
            if seen.crop is None or seen.condition is None:
                yield seen.picture
                continue
            face = editor.prepare(seen.picture.pixels, crops=[seen.crop], current=seen.condition)
            yield Picture(editor.edit(face, changes, relative=relative), seen.picture.time)
        lost.check(source)

    sound = source if keep_audio else None
    return _report(
        encode(pictures(), target, rate=rate, quality=quality, audio_from=sound), rate, lost.without_face
    )


class _Count:
    """Counts the frames in which no face was found."""

    def __init__(self) -> None:
        self.frames = 0
        self.without_face = 0

    def add(self, seen: Seen) -> None:
        self.frames += 1
        self.without_face += seen.condition is None

    def check(self, source: Path) -> None:
        if self.frames == self.without_face:
            raise ValueError(f"{source}: no face was found in any of its {self.frames} frames")


def _smoothed(editor: FaceEditor, sequence: Any, window: int, order: int) -> Iterable[Any]:
    if isinstance(sequence, ConditionSequence):
        sequence = sequence.conditions
    if isinstance(sequence, Tensor):
        editor.space.validate(sequence, name="sequence")
        return editor.space.clamp(smooth_conditions(sequence, window=window, order=order))
    if isinstance(sequence, str | Path) or not isinstance(sequence, Iterable):
        raise TypeError(
            f"sequence: expected conditions over time (read_condition_sequence reads a file), got {describe(sequence)}"
        )
    if window == 1:
        return sequence
    pairs = smooth_stream(((None, _numbers(wanted)) for wanted in sequence), window=window, order=order)
    return (editor.space.clamp(value) for _, value in pairs if value is not None)


def _numbers(wanted: Any) -> Tensor:
    if not isinstance(wanted, Tensor):
        raise TypeError(
            f"sequence: expected tensors (N,), which window > 1 can smooth, got {describe(wanted)}"
        )
    return wanted


def _unedited(prepared: PreparedPhoto) -> Any:
    return prepared.original if isinstance(prepared.original, Tensor) else prepared.original.rgb()


def _pixels(image: Any) -> NDArray[np.uint8]:
    """Bytes (H, W, 3) of an edited photo of any kind."""
    from PIL import Image

    if isinstance(image, Tensor):
        single = image[0] if image.dim() == 4 else image
        levels = ((single.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return levels.permute(1, 2, 0).contiguous().numpy()
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint16:
            image = (image >> 8).astype(np.uint8)
        if image.ndim == 3 and image.shape[2] == 3:
            return np.ascontiguousarray(image)
        if image.ndim == 3 and image.shape[2] == 1:
            image = image[..., 0]
        image = Image.fromarray(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.ascontiguousarray(np.asarray(image.convert("RGB")))


def _check_editor(editor: Any) -> None:
    if not isinstance(editor, FaceEditor):
        raise TypeError(f"editor: expected a FaceEditor, got {describe(editor)}")


def _check_videos(
    video: str | Path, path: str | Path, quality: Any, framing: Any, longest_gap: Any
) -> tuple[Path, Path, Fraction]:
    check_choice("framing", framing, ("detect", "crop"))
    check_number("longest_gap", longest_gap, low=0, integer=True)
    source = Path(video)
    rate = probe_video(source).frames_per_second
    target, rate = check_output(path, rate, quality)
    return source, target, rate


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _report(written: Written, rate: Fraction, without_face: int) -> VideoReport:
    seconds = float(written.frames / rate)
    return VideoReport(written.frames, without_face, seconds, written.width, written.height, written.audio)
