"""Sound carried over from one file to another, packet by packet, without being encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

__all__ = ["AudioCopy", "open_media"]

_BOTH = ("aac", "ac3", "alac", "eac3", "mp1", "mp2", "mp3", "mp3float")
_PCM = (
    *("pcm_alaw", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16le"),
    *("pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le", "pcm_s8", "pcm_u8"),
)
_FITS = {".mp4": (*_BOTH, "flac", "libopus", "opus"), ".mov": (*_BOTH, *_PCM)}
"""What FFmpeg writes into these formats; .mkv takes nearly everything and is asked."""


def open_media(path: Path) -> Any:
    """Open a video or sound file; ValueError names it."""
    try:
        import av
    except ImportError as error:
        raise ImportError('video files need PyAV: pip install "aucond[video]"') from error
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as a video or sound ({error})") from error
    if container.format.name == "tty":  # FFmpeg takes any text for the film of a terminal.
        container.close()
        raise ValueError(f"{path}: cannot be read as a video or sound (it is text)")
    return container


class AudioCopy:
    """The first audio stream of a file, copied in step with the video that is written beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._packets: Iterator[Any] = iter(())
        self._waiting: Any = None

    def __enter__(self) -> AudioCopy:
        try:
            self._source = open_media(self._path)
        except ValueError as error:
            raise ValueError(f"audio_from: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def join(self, output: Any, suffix: str) -> bool:
        """Add the stream to an output; False when the file has no sound.

        Raises:
            ValueError: The output's format cannot hold this kind of sound.
        """
        if not self._source.streams.audio:
            return False
        stream = self._source.streams.audio[0]
        codec = stream.codec_context.name
        if codec not in _FITS.get(suffix, (codec,)):
            raise ValueError(self._refusal(codec, suffix))
        try:
            self._stream = output.add_stream_from_template(stream)
        except ValueError as error:
            raise ValueError(self._refusal(codec, suffix)) from error
        self._output = output
        self._packets = (packet for packet in self._source.demux(stream) if packet.dts is not None)
        return True

    def copy_until(self, time: Fraction) -> None:
        """Copy what is heard before a time in seconds."""
        while True:
            packet = next(self._packets, None) if self._waiting is None else self._waiting
            self._waiting = packet
            if packet is None or packet.dts * packet.time_base >= time:
                return
            packet.stream = self._stream
            self._output.mux(packet)
            self._waiting = None

    def _refusal(self, codec: str, suffix: str) -> str:
        other = next((other for other, held in _FITS.items() if codec in held), ".mkv")
        advice = "leave it out" if other == suffix else f"write {other}, or leave it out"
        return f"audio_from: {suffix} cannot hold the sound of {self._path} ({codec}); {advice}"
