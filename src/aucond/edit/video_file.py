"""Video files read and written frame by frame, in memory that does not grow with their length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aucond._check import check_number, check_tensor
from aucond.edit._video_codec import GIF_RATE, SUFFIXES, Picture, decode, encode, frame_rate, open_video

__all__ = ["Frame", "VideoInfo", "probe_video", "read_video", "write_video"]


class Frame(NamedTuple):
    """One picture of a video."""

    image: Tensor
    """(3, H, W) in [-1, 1], RGB, upright."""
    time: Fraction
    """When it is shown, in seconds from the start of the file."""


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video file before it is decoded, or was counted while it was written."""

    width: int
    height: int
    frames_per_second: Fraction
    frames: int
    """0 where the file does not say."""
    audio: bool


def probe_video(path: str | Path) -> VideoInfo:
    """Read size, frame rate and whether there is sound from the header of a video file.

    Raises:
        ValueError: No such file, no video, or no video stream in it; the message names the file.
    """
    with ExitStack() as stack:
        container, stream = open_video(Path(path), stack)
        width, height = stream.codec_context.width, stream.codec_context.height
        return VideoInfo(width, height, frame_rate(stream), stream.frames, bool(container.streams.audio))


def read_video(path: str | Path) -> Iterator[Frame]:
    """Decode a video one frame after the other; whatever PyAV reads, GIF included.

    A rotation in the file's metadata (phones held upright) is applied. The file is closed when the iterator ends
    or is thrown away.

    Args:
        path: The file.

    Returns:
        Its frames in the order they are shown, each with its own time: uneven frame rates survive.

    Raises:
        ValueError: No such file, no video in it, or a frame that cannot be decoded (the message tells which).
    """
    source = Path(path)
    with (
        ExitStack() as stack
    ):  # Here and now, so that a wrong path is told before the first frame is asked for.
        open_video(source, stack)
    return (Frame(_to_float(picture), picture.time) for picture in decode(source))


def write_video(
    frames: Iterable[Tensor | Frame],
    path: str | Path,
    *,
    frames_per_second: float | Fraction = 25,
    audio_from: str | Path | None = None,
    quality: int = 18,
) -> VideoInfo:
    """Write frames as MP4, MOV, MKV (H.264) or GIF, each as it comes, whole or not at all.

    H.264 halves the resolution of colour, so a frame of odd height or width gets its last row or column twice. A GIF
    has a palette of its own for every frame, repeats for ever, and has no sound.

    Args:
        frames: (3, H, W) in [-1, 1], all of one size, or :class:`Frame` with a time each.
        path: Where to; the suffix tells the format. Missing folders are made.
        frames_per_second: Of plain tensors; frames with a time keep theirs.
        audio_from: A file whose first audio stream is copied, not encoded again, up to the end of the video.
            A file without sound gives none. MP4 holds no PCM, MOV neither FLAC nor Opus; MKV holds nearly all.
        quality: H.264's constant rate factor, 0 (lossless but for colour) to 51; 18 is hard to tell from the source.

    Returns:
        What was written.

    Raises:
        ValueError: No frame, frames of several sizes, an unknown suffix, or a sound that the format cannot hold.
    """
    target, rate = check_output(path, frames_per_second, quality)
    sound = None if audio_from is None else Path(audio_from)
    written = encode(_bytes(frames, rate), target, rate=rate, quality=quality, audio_from=sound)
    return VideoInfo(written.width, written.height, rate, written.frames, written.audio)


def check_output(path: str | Path, frames_per_second: Any, quality: Any) -> tuple[Path, Fraction]:
    """Check what every writer of videos is given, and return the path and the exact frame rate."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise ValueError(f"path: expected a file ending in {', '.join(SUFFIXES)}, got {target.name!r}")
    exact = isinstance(frames_per_second, Fraction)
    check_number(
        "frames_per_second", float(frames_per_second) if exact else frames_per_second, low=0.1, high=1000.0
    )
    rate = frames_per_second if exact else Fraction(frames_per_second).limit_denominator(1001)
    if target.suffix.lower() == ".gif" and rate > GIF_RATE:
        raise ValueError(
            f"frames_per_second: a GIF shows at most {GIF_RATE} frames a second, got {float(rate):g}"
        )
    check_number("quality", quality, low=0, high=51, integer=True)
    return target, rate


def _bytes(frames: Iterable[Tensor | Frame], rate: Fraction) -> Iterator[Picture]:
    for number, frame in enumerate(frames):
        image, time = frame if isinstance(frame, Frame) else (frame, number / rate)
        check_tensor(f"frames[{number}]", image, (3, "H", "W"))
        pixels = ((image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        yield Picture(pixels.permute(1, 2, 0).contiguous().numpy(), time)


def _to_float(picture: Picture) -> Tensor:
    image: Tensor = torch.from_numpy(picture.pixels).permute(2, 0, 1).float() / 127.5 - 1
    return image.contiguous()
