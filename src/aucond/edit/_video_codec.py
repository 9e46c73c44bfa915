"""Encoding and decoding of pictures with PyAV, one at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aucond._files import atomic_file
from aucond.edit._audio_copy import AudioCopy, open_media

__all__ = ["GIF_RATE", "SUFFIXES", "Picture", "Written", "decode", "encode", "frame_rate", "open_video"]

logger = logging.getLogger("aucond.edit")

SUFFIXES = (".gif", ".mkv", ".mov", ".mp4")
"""What can be written."""
GIF_RATE = 50
"""Viewers play anything faster at ten frames a second."""
_TICKS = 90_000
"""Ticks a second of H.264: a frame of every usual rate, 29.97 included, lasts a whole number of them."""
_GIF_TICKS = 100
_BT709 = 1


class Picture(NamedTuple):
    """Bytes (H, W, 3), RGB, and when they are shown, in seconds."""

    pixels: NDArray[np.uint8]
    time: Fraction


class Written(NamedTuple):
    """What :func:`encode` wrote."""

    width: int
    height: int
    frames: int
    audio: bool


def decode(path: Path) -> Iterator[Picture]:
    """Yield the pictures of a video, upright."""
    with ExitStack() as stack:
        container, stream = open_video(path, stack)
        rate, count = frame_rate(stream), 0
        frames = container.decode(stream)
        while True:
            try:
                picture = next(frames)
            except StopIteration:
                break
            except (_av().FFmpegError, ValueError) as error:
                raise ValueError(f"{path}: frame {count + 1} cannot be decoded ({error})") from error
            pixels = picture.to_ndarray(format="rgb24")
            turned = np.ascontiguousarray(np.rot90(pixels, round(picture.rotation / 90)))
            known = picture.pts is not None and picture.time_base is not None
            yield Picture(turned, picture.pts * picture.time_base if known else count / rate)
            count += 1
        if count == 0:
            raise ValueError(f"{path}: holds no frame that can be decoded")
        if count < stream.frames:
            logger.warning("%s: its header promises %d frames, %d could be read", path, stream.frames, count)


def open_video(path: Path, stack: ExitStack) -> tuple[Any, Any]:
    """Open a file and return it with its first video stream."""
    container = stack.enter_context(open_media(path))
    if not container.streams.video:
        raise ValueError(f"{path}: holds no video stream")
    return container, container.streams.video[0]


def frame_rate(stream: Any) -> Fraction:
    """Frames a second of a stream; 25 where it does not say."""
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return Fraction(rate) if rate else Fraction(25)


def encode(
    pictures: Iterator[Picture], path: Path, *, rate: Fraction, quality: int, audio_from: Path | None
) -> Written:
    """Write pictures as they come; the file appears when all of them are in it."""
    suffix = path.suffix.lower()
    first = next(pictures, None)
    if first is None:
        raise ValueError("frames: expected at least one frame, got none")
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        file = stack.enter_context(atomic_file(path))
        # Closed before the file gets its name, which may be the sound's own: Windows replaces no open file.
        wanted = audio_from is not None and suffix != ".gif"
        sound = stack.enter_context(AudioCopy(audio_from)) if wanted and audio_from is not None else None
        return _encode(chain([first], pictures), first.pixels.shape, file, suffix, rate, quality, sound)


def _encode(
    pictures: Iterator[Picture],
    shape: tuple[int, ...],
    file: Any,
    suffix: str,
    rate: Fraction,
    quality: int,
    sound: AudioCopy | None,
) -> Written:
    height, width = shape[:2]
    kind = {".mkv": "matroska", ".mov": "mov", ".mp4": "mp4", ".gif": "gif"}[suffix]
    gif = suffix == ".gif"
    ticks = _GIF_TICKS if gif else _TICKS
    with _av().open(file, "w", format=kind) as out:
        stream = _add_stream(out, gif, height, width, rate, quality)
        audio = sound is not None and sound.join(out, suffix)
        paint = _gif_painter(height, width) if gif else _h264_picture
        count, end = 0, -1
        for picture in pictures:
            if picture.pixels.shape != shape:
                got = "x".join(map(str, picture.pixels.shape[:2]))
                raise ValueError(
                    f"frames[{count}]: expected the first frame's size {height}x{width}, got {got}"
                )
            frame = paint(picture.pixels)
            # Two frames at one time, as damaged files have them, are told apart by a tick.
            end = max(round(picture.time * ticks), end + 1)
            frame.pts, frame.time_base, frame.duration = end, Fraction(1, ticks), round(ticks / rate)
            out.mux(stream.encode(frame))
            count += 1
            if sound is not None and audio:
                sound.copy_until(picture.time)
        out.mux(stream.encode())
        if sound is not None and audio:
            sound.copy_until(Fraction(end, ticks) + 1 / rate)
    return Written(width, height, count, audio)


def _add_stream(out: Any, gif: bool, height: int, width: int, rate: Fraction, quality: int) -> Any:
    stream = out.add_stream("gif" if gif else "libx264", rate=rate)
    stream.width, stream.height = (width, height) if gif else (width + width % 2, height + height % 2)
    context = stream.codec_context
    context.time_base = stream.time_base = Fraction(1, _GIF_TICKS if gif else _TICKS)
    stream.pix_fmt = "pal8" if gif else "yuv420p"
    if not gif:
        stream.options = {"crf": str(quality), "preset": "medium"}
        for name in ("color_primaries", "color_trc", "colorspace", "color_range"):
            setattr(context, name, _BT709)  # Said in the file: players guess differently where it is not.
    return stream


def _h264_picture(pixels: NDArray[np.uint8]) -> Any:
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    picture = _av().VideoFrame.from_ndarray(padded, format="rgb24")
    return picture.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_BT709)


def _gif_painter(height: int, width: int) -> Callable[[NDArray[np.uint8]], Any]:
    """A palette per frame: it needs no second look at the video. Ordered dither stands still where the video does."""
    av = _av()
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=Fraction(1, _TICKS))
    split = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single")
    use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    pushed = 0

    def paint(pixels: NDArray[np.uint8]) -> Any:
        nonlocal pushed
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        picture.pts, picture.time_base = pushed, Fraction(1, _TICKS)
        pushed += 1
        graph.push(picture)
        return graph.pull()

    return paint


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ImportError('video files need PyAV: pip install "aucond[video]"') from error
    return av
