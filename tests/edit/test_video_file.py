"""Video files written and read: frames, times, colours, sound, and files that are none."""

from fractions import Fraction

import pytest
import torch

from aucond.edit.video_file import Frame, probe_video, read_video, write_video

from tone import write_tone  # isort: skip

av = pytest.importorskip("av", reason='needs PyAV: pip install "aucond[video]"')


def frames(count, height=32, width=48):
    """A bright square that moves one pixel a frame on a colour gradient."""
    base = torch.stack(
        [
            torch.linspace(-0.8, 0.8, width).expand(height, -1),
            torch.linspace(-0.6, 0.9, height)[:, None].expand(-1, width),
            torch.zeros(height, width),
        ]
    )
    result = []
    for i in range(count):
        frame = base.clone()
        frame[:, 8:16, 4 + i % 30 : 12 + i % 30] = 0.9
        result.append(frame)
    return result


def packets(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".gif"])
def test_frames_come_back(tmp_path, suffix):
    path = tmp_path / f"new/clip{suffix}"
    written = write_video(iter(frames(12)), path, frames_per_second=20)
    assert (written.width, written.height, written.frames, written.audio) == (48, 32, 12, False)
    assert probe_video(path).frames_per_second == 20
    back = list(read_video(path))
    assert [float(frame.time) for frame in back] == pytest.approx([i / 20 for i in range(12)], abs=1e-6)
    for frame, original in zip(back, frames(12), strict=True):
        # Within about four of 255 levels: a swap of channels or another colour matrix is far more.
        assert (frame.image - original).abs().mean() < 0.045
        assert abs(float((frame.image - original).mean())) < 0.01
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


def test_uneven_times_and_odd_sizes_survive(tmp_path):
    times = [Fraction(0), Fraction(1, 10), Fraction(1001, 3000), Fraction(1)]
    pictures = [image[:, :31, :47] for image in frames(4)]
    written = write_video(
        map(Frame, pictures, times), tmp_path / "a.mp4", frames_per_second=Fraction(30000, 1001)
    )
    assert (written.height, written.width) == (31, 47)
    back = list(read_video(tmp_path / "a.mp4"))
    assert [frame.time for frame in back] == pytest.approx(times, abs=1e-4)
    assert back[0].image.shape == (3, 32, 48)  # H.264 stores even sizes: the last row and column come twice
    assert (back[0].image[:, 31] - back[0].image[:, 30]).abs().mean() < 0.05


def test_equal_times_are_told_apart(tmp_path):
    write_video([Frame(image, Fraction(0)) for image in frames(3)], tmp_path / "a.mp4")
    assert len(list(read_video(tmp_path / "a.mp4"))) == 3


def test_the_rotation_of_a_phone_is_applied(tmp_path):
    image = frames(1)[0]
    pixels = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy()
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.set_display_rotation(90)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    (frame,) = read_video(tmp_path / "a.mp4")
    assert frame.image.shape == (3, 48, 32)
    assert (frame.image - torch.rot90(image, 1, (1, 2))).abs().mean() < 0.05


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_bit_for_bit_up_to_the_end_of_the_video(tmp_path, suffix):
    tone = write_tone(tmp_path / "tone.m4a", 3.0)
    written = write_video(frames(25), tmp_path / f"a{suffix}", audio_from=tone)
    assert written.audio
    copied, original = packets(tmp_path / f"a{suffix}"), packets(tone)
    assert copied == original[: len(copied)]
    assert 1.0 <= len(copied) * 1024 / 16000 <= 1.2  # one second of video, whole packets


def test_sound_that_is_not_there_or_does_not_fit(tmp_path):
    write_video(frames(2), tmp_path / "silent.mp4")
    assert not write_video(frames(2), tmp_path / "a.mp4", audio_from=tmp_path / "silent.mp4").audio
    tone = write_tone(tmp_path / "tone.wav", 0.5, "pcm_s16le")
    with pytest.raises(
        ValueError, match=r"\.mp4 cannot hold the sound of .*tone.wav \(pcm_s16le\); write \.mov"
    ):
        write_video(frames(2), tmp_path / "b.mp4", audio_from=tone)
    assert not (tmp_path / "b.mp4").exists()
    assert write_video(frames(2), tmp_path / "b.mkv", audio_from=tone).audio
    assert not write_video(frames(2), tmp_path / "b.gif", audio_from=tone).audio


@pytest.mark.parametrize(
    "codec, source, advice",
    [
        ("flac", "tone.flac", {".mov": "write .mp4, or leave it out"}),
        ("libopus", "tone.ogg", {".mov": "write .mp4, or leave it out"}),
        (
            "wavpack",
            "tone.mkv",
            {".mp4": "write .mkv, or leave it out", ".mov": "write .mkv, or leave it out"},
        ),
        ("pcm_s24le", "tone.wav", {".mp4": "write .mov, or leave it out"}),
        (
            "pcm_s8",
            "tone.mov",
            {".mp4": "write .mov, or leave it out", ".mkv": "write .mov, or leave it out"},
        ),
        ("nellymoser", "tone.flv", dict.fromkeys([".mp4", ".mov"], "write .mkv") | {".mkv": "leave it out"}),
    ],
)
def test_a_sound_is_copied_or_the_format_is_said_not_to_hold_it(tmp_path, codec, source, advice):
    tone = write_tone(tmp_path / source, 0.5, codec)
    for suffix in (".mp4", ".mov", ".mkv"):
        path = tmp_path / f"a{suffix}"
        if suffix in advice:
            message = rf"audio_from: \{suffix} cannot hold the sound of .*{source} \(\w+\); {advice[suffix]}"
            with pytest.raises(ValueError, match=message):
                write_video(frames(13), path, audio_from=tone)
            assert not path.exists()
        else:
            assert write_video(frames(13), path, audio_from=tone).audio
            copied = b"".join(packets(path))
            assert copied and b"".join(packets(tone)).startswith(copied)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def stops():
        yield from frames(3)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_video(stops(), path)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_truncated_video_says_so(tmp_path):
    write_video(frames(30), tmp_path / "a.mkv")
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[:60])
    with pytest.raises(ValueError, match=r"b\.mp4: (cannot be read as a video|holds no)"):
        list(read_video(tmp_path / "b.mp4"))


@pytest.mark.parametrize(
    "call, exception, message",
    [
        (lambda at: write_video([], at / "a.mp4"), ValueError, "frames: expected at least one frame"),
        (lambda at: write_video(frames(1), at / "a.avi"), ValueError, r"ending in \.gif, .* got 'a\.avi'"),
        (
            lambda at: write_video([torch.zeros(3, 4)], at / "a.mp4"),
            ValueError,
            r"frames\[0\]: .*\(3, H, W\)",
        ),
        (lambda at: write_video([0], at / "a.mp4"), TypeError, r"frames\[0\]: .* got 0"),
        (
            lambda at: write_video([*frames(2), *frames(1, 16)], at / "a.mp4"),
            ValueError,
            r"frames\[2\]: expected the first frame's size 32x48, got 16x48",
        ),
        (lambda at: write_video(frames(1), at / "a.mp4", quality=99), ValueError, r"quality: .* got 99"),
        (
            lambda at: write_video(frames(1), at / "a.mp4", frames_per_second=0),
            ValueError,
            "frames_per_second",
        ),
        (
            lambda at: write_video(frames(1), at / "a.gif", frames_per_second=60),
            ValueError,
            "at most 50 .* got 60",
        ),
        (
            lambda at: write_video(frames(1), at / "a.mp4", audio_from=at / "no.wav"),
            ValueError,
            "audio_from: .*no.wav",
        ),
        (
            lambda at: write_video(frames(1), at / "a.mp4", audio_from=at / "text.txt"),
            ValueError,
            "cannot be read",
        ),
        (lambda at: read_video(at / "no.mp4"), ValueError, r"no\.mp4: there is no such file"),
        (lambda at: read_video(at / "text.txt"), ValueError, r"text\.txt: cannot be read as a video"),
        (lambda at: read_video(write_tone(at / "t.m4a", 0.2)), ValueError, "holds no video stream"),
        (lambda at: probe_video(at / "text.txt"), ValueError, r"text\.txt: cannot be read as a video"),
    ],
)
def test_wrong_calls(tmp_path, call, exception, message):
    (tmp_path / "text.txt").write_text("no video " * 50)
    with pytest.raises(exception, match=message):
        call(tmp_path)
    assert not list(tmp_path.glob("a.*"))
