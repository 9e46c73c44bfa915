"""Videos of edits: a photo that follows numbers or a person, and a person with another expression."""

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aucond import AttentionGenerator, ConditionSpace, PatchCritic
from aucond.edit import video
from aucond.edit._video_codec import decode
from aucond.edit.condition_sequence import ConditionSequence
from aucond.edit.editor import FaceEditor
from aucond.edit.flicker import temporal_flicker
from aucond.edit.video import animate_video, drive_video, reexpress_video
from aucond.edit.video_file import read_video, write_video
from aucond.faces.detection import Face
from aucond.ops import mask_blend
from aucond.types import CriticOutput, GeneratorOutput

from tone import write_tone  # isort: skip

pytest.importorskip("av", reason='needs PyAV: pip install "aucond[video]"')
pytest.importorskip("scipy", reason='needs scipy: pip install "aucond[video]"')

SPACE = ConditionSpace(["AU04", "AU12"])
SIZE, SIDE = 32, 40
RED = torch.tensor([0.9, -0.9, -0.9])
OPEN_FILES = Path("/proc/self/fd")


def landmarks(x, y, side):
    """Points that the default framing turns into a crop of this middle and side."""
    points = torch.full((68, 2), 0.5)
    points[36:42], points[42:48] = torch.tensor([0.318, 0.304]), torch.tensor([0.682, 0.304])
    points[33], points[48], points[54] = (
        torch.tensor([0.5, 0.594]),
        torch.tensor([0.4, 0.712]),
        torch.tensor([0.6, 0.712]),
    )
    return torch.tensor([x, y]) + (points - 0.5) * side


class RedSquares:
    """Finds red squares, and misses the frames it is told to miss."""

    def __init__(self, missed=(), jitter=0.0):
        self.missed, self.calls, self.jitter = set(missed), 0, jitter
        self.rng = np.random.default_rng(0)

    def __call__(self, picture):
        self.calls += 1
        if self.calls - 1 in self.missed:
            return []
        red = (picture[..., 0] > 170) & (picture[..., 1] < 90) & (picture[..., 2] < 90)
        faces = []
        for columns in (slice(0, 80), slice(80, None)):
            ys, xs = np.nonzero(red[:, columns])
            if len(xs) > 20:
                middle = np.array([xs.mean() + (columns.start or 0), ys.mean()]) + 0.5
                x, y = middle + self.jitter * self.rng.standard_normal(2)
                half = len(xs) ** 0.5 / 2
                faces.append(Face(landmarks(x, y, SIDE), (x - half, y - half, x + half, y + half)))
        return sorted(faces, key=lambda face: -face.area)


def editor(detector=None):
    """An editor whose edit is known: colour green, mask AU12 in the middle of the crop and 0 around it."""
    generator = AttentionGenerator(SPACE, base_channels=2, num_residual_blocks=0, num_downsamples=0)
    critic = PatchCritic({"condition": SPACE}, base_channels=2, num_layers=2)
    made = FaceEditor(generator, critic, size=SIZE, detector=detector or RedSquares())

    def paint(images, target, current):
        color = torch.tensor([-1.0, 1.0, -1.0]).view(1, 3, 1, 1).expand_as(images)
        mask = torch.zeros(len(images), 1, SIZE, SIZE)
        mask[..., 10:22, 10:22] = target[:, 1].view(-1, 1, 1, 1)
        return GeneratorOutput(mask_blend(images, color, mask), color, mask)

    made.generator.edit = paint
    return made


def reads(made, values):
    """Let the critic say one value of AU12 after the other."""
    values = iter(values)

    def read(images):
        said = SPACE.vector(AU12=float(next(values))).expand(len(images), -1)
        return CriticOutput(torch.zeros(len(images), 1, 1, 1), {"condition": said})

    made.critic.forward = read
    return made


def scene(xs, height=96, width=160, other=None):
    """A grey video with a red face whose middle is at each x; another, larger red face may stand at the right."""
    frames = []
    for number, x in enumerate(xs):
        frame = torch.full((3, height, width), -0.2)
        if x is not None:
            frame[:, 38:58, int(x) - 10 : int(x) + 10] = RED.view(3, 1, 1)
        if other is not None and number >= other:
            frame[:, 20:60, 110:150] = RED.view(3, 1, 1)
        frames.append(frame)
    return frames


def green(image):
    """How much of the picture is greener than it is red."""
    return float((image[1] - image[0] > 0.5).float().mean())


@pytest.mark.parametrize(
    "kind",
    [
        "tensor",
        "image",
        "grey array",
        "grey array (H, W, 1)",
        "deep grey array (H, W, 1)",
        "deep array",
        "path",
    ],
)
def test_any_photo_follows_a_sequence(tmp_path, kind):
    square = np.full((48, 48, 3), 120, np.uint8)
    Image.fromarray(square).save(tmp_path / "photo.png")
    photo = {
        "tensor": torch.zeros(3, 48, 48),
        "image": Image.fromarray(square).convert("RGBA"),
        "grey array": square[..., 0],
        "grey array (H, W, 1)": square[..., :1],
        "deep grey array (H, W, 1)": square[..., :1].astype(np.uint16) * 257,
        "deep array": square.astype(np.uint16) * 257,
        "path": tmp_path / "photo.png",
    }[kind]
    made = editor()
    prepared = made.prepare(photo) if kind == "tensor" else made.prepare(photo, framing="crop")
    sequence = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    report = animate_video(made, prepared, sequence, tmp_path / "a.mp4", frames_per_second=10)
    assert (report.frames, report.without_face, report.width, report.height) == (3, 0, 48, 48)
    assert report.seconds == pytest.approx(0.3)
    first, second, third = (frame.image for frame in read_video(tmp_path / "a.mp4"))
    assert (first - third).abs().mean() < 0.02
    if "grey" not in kind:
        assert green(second) > 0.08 and green(first) == 0
    assert (second - first).abs().mean() > 0.02


def test_sequences_of_every_kind(tmp_path):
    made, photo = editor(), torch.zeros(3, 32, 32)
    rows = [{"AU12": 0.0}, {"AU12": 1.0}]
    timed = ConditionSequence(torch.tensor([[0.0, 0.0], [0.0, 1.0]]), 8.0, 0)
    for number, (sequence, rate) in enumerate(
        [(rows, 25), (iter(rows), 25), (timed, 8), (timed.conditions, 25)]
    ):
        path = tmp_path / f"{number}.gif"
        report = animate_video(made, photo, sequence, path)
        assert report.frames == 2 and report.seconds == pytest.approx(2 / rate)
        assert [green(frame.image) > 0.08 for frame in read_video(path)] == [False, True]


def test_smoothing_a_sequence_takes_out_the_flicker(tmp_path):
    made, photo = editor(), torch.zeros(3, 32, 32)
    noise = 0.15 * torch.randn(40, generator=torch.Generator().manual_seed(0))
    true = torch.stack([torch.zeros(40), 0.5 + 0.3 * torch.sin(torch.arange(40) / 8)], 1)
    noisy = SPACE.clamp(true + torch.stack([torch.zeros(40), noise], 1))
    for name, sequence, window in (
        ("true", true, 1),
        ("raw", noisy, 1),
        ("smooth", noisy, 11),
        ("stream", iter(noisy), 11),
    ):
        animate_video(made, photo, sequence, tmp_path / f"{name}.mp4", window=window, quality=1)
    clip = {
        n: [f.image for f in read_video(tmp_path / f"{n}.mp4")] for n in ("true", "raw", "smooth", "stream")
    }
    flicker = {n: temporal_flicker(clip[n], clip["true"]) for n in ("raw", "smooth")}
    assert 0 < flicker["smooth"] < 0.5 * flicker["raw"]
    assert max(float((a - b).abs().max()) for a, b in zip(clip["smooth"], clip["stream"], strict=True)) < 0.05


def test_the_expression_of_a_driving_video_is_put_on(tmp_path):
    write_video(scene([60] * 4), tmp_path / "driving.mp4", frames_per_second=12)
    made = reads(editor(), [0.0, 0.0, 1.0, 1.0, 0.0])
    photo = made.prepare(torch.zeros(3, 32, 32))
    report = drive_video(made, photo, tmp_path / "driving.mp4", tmp_path / "a.mp4", window=1)
    assert (report.frames, report.without_face, report.width) == (4, 0, 32)
    assert [green(frame.image) > 0.08 for frame in read_video(tmp_path / "a.mp4")] == [
        False,
        True,
        True,
        False,
    ]


def test_gaps_are_bridged_and_the_expression_is_held(tmp_path):
    write_video(scene([60] * 8), tmp_path / "d.mp4")
    made = reads(editor(RedSquares(missed=[0, 3, 5, 6, 7])), [0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    photo = made.prepare(torch.zeros(3, 32, 32))
    report = drive_video(made, photo, tmp_path / "d.mp4", tmp_path / "a.mp4", window=1, longest_gap=1)
    assert report.without_face == 3
    assert [green(frame.image) > 0.08 for frame in read_video(tmp_path / "a.mp4")] == [True] * 8


def test_only_the_face_changes_and_the_rest_of_the_video_stays(tmp_path):
    source = scene(list(range(40, 52)))
    write_video(source, tmp_path / "v.mp4", quality=4)
    made = reads(editor(), [0.0] * 12)
    report = reexpress_video(made, tmp_path / "v.mp4", {"AU12": 1.0}, tmp_path / "a.mp4", window=5, quality=4)
    assert (report.frames, report.without_face) == (12, 0)
    for number, (frame, original) in enumerate(zip(read_video(tmp_path / "a.mp4"), source, strict=True)):
        x = 40 + number
        assert green(frame.image[:, 43:53, x - 5 : x + 5]) > 0.9
        outside = torch.ones(96, 160, dtype=torch.bool)
        outside[20:76, x - 28 : x + 28] = False
        assert (frame.image - original)[:, outside].abs().mean() < 0.02


def test_a_jittering_detector_does_not_show(tmp_path):
    write_video(scene([60] * 30), tmp_path / "v.mp4", quality=1)
    flicker = {}
    for window in (1, 11):
        made = reads(editor(RedSquares(jitter=0.7)), [0.0] * 30)
        reexpress_video(made, tmp_path / "v.mp4", {"AU12": 1.0}, tmp_path / "a.mp4", window=window, quality=1)
        clip = (frame.image for frame in read_video(tmp_path / "a.mp4"))
        flicker[window] = temporal_flicker(clip, scene([60] * 30))
    assert flicker[11] < 0.5 * flicker[1]


def test_the_same_face_is_followed_when_a_larger_one_comes(tmp_path):
    write_video(scene([40] * 6, other=3), tmp_path / "v.mp4", quality=4)
    made = reads(editor(), [0.0] * 6)
    reexpress_video(made, tmp_path / "v.mp4", {"AU12": 1.0}, tmp_path / "a.mp4", window=1)
    for frame in read_video(tmp_path / "a.mp4"):
        assert green(frame.image[:, 43:53, 35:45]) > 0.9 and green(frame.image[:, :, 100:]) == 0


def test_frames_after_the_face_has_gone_stay_as_they_are(tmp_path):
    source = scene([60] * 3 + [None] * 4)
    write_video(source, tmp_path / "v.mp4", quality=4)
    made = reads(editor(), [0.0] * 3)
    report = reexpress_video(
        made, tmp_path / "v.mp4", {"AU12": 1.0}, tmp_path / "v.mp4", window=3, longest_gap=2, quality=4
    )
    assert (report.frames, report.without_face) == (7, 4)
    shown = [green(frame.image) > 0.01 for frame in read_video(tmp_path / "v.mp4")]  # written over its source
    assert shown == [True] * 3 + [False] * 4


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason=f"open files are not listed here: {OPEN_FILES}")
def test_the_source_is_closed_before_it_is_written_over(tmp_path, monkeypatch):
    """Windows refuses to replace a file that is open."""
    clip = tmp_path / "v.mp4"
    write_video(scene([60] * 3), tmp_path / "silent.mp4")
    write_video(scene([60] * 3), clip, audio_from=write_tone(tmp_path / "tone.m4a", 0.5))
    replaced, replace = [], Path.replace

    def watched(path, target):
        replaced.append(target)
        assert clip.resolve() not in [entry.resolve() for entry in OPEN_FILES.iterdir()]
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    report = reexpress_video(reads(editor(), [0.0] * 3), clip, {"AU12": 1.0}, clip, window=1)
    assert report.audio and replaced == [clip]


def test_relative_changes_add_to_what_is_read(tmp_path):
    write_video(scene([60] * 2), tmp_path / "v.mp4")
    made, wanted = reads(editor(), [0.25, 0.25]), []
    paint = made.generator.edit
    made.generator.edit = lambda images, target, current: (
        wanted.append(target[0, 1].item()) or paint(images, target, current)
    )
    reexpress_video(made, tmp_path / "v.mp4", {"AU12": 0.5}, tmp_path / "a.mp4", relative=True, window=1)
    assert wanted == pytest.approx([0.75, 0.75])


def test_pictures_in_flight_do_not_grow_with_the_video(tmp_path, monkeypatch):
    alive, most = 0, 0

    def gone():
        nonlocal alive
        alive -= 1

    def watched(path):
        nonlocal alive, most
        for picture in decode(path):
            weakref.finalize(picture.pixels, gone)
            alive += 1
            most = max(most, alive)
            yield picture
            del picture

    write_video(scene([60] * 60), tmp_path / "v.mp4")
    monkeypatch.setattr(video, "decode", watched)
    made = reads(editor(), [0.0] * 60)
    reexpress_video(made, tmp_path / "v.mp4", {"AU12": 1.0}, tmp_path / "a.mp4", window=5, longest_gap=3)
    assert 5 <= most <= 2 * 5 + 3 + 4


@pytest.mark.parametrize(
    "call, exception, message",
    [
        (
            lambda e, at: animate_video(None, "p.png", torch.zeros(1, 2), at / "a.mp4"),
            TypeError,
            "editor: expected a",
        ),
        (
            lambda e, at: animate_video(e, torch.zeros(3, 32, 32), "a.csv", at / "a.mp4"),
            TypeError,
            "sequence: .*read_c",
        ),
        (
            lambda e, at: animate_video(e, torch.zeros(3, 32, 32), [], at / "a.mp4"),
            ValueError,
            "at least one frame",
        ),
        (
            lambda e, at: animate_video(e, torch.zeros(3, 32, 32), torch.full((1, 2), 3.0), at / "a.mp4"),
            ValueError,
            r"sequence: component 'AU04' must lie in \[0, 1\], got 3",
        ),
        (
            lambda e, at: animate_video(e, torch.zeros(3, 32, 32), [{"AU12": 1.0}], at / "a.mp4", window=3),
            TypeError,
            "sequence: expected tensors",
        ),
        (
            lambda e, at: animate_video(e, torch.zeros(3, 32, 32), torch.zeros(1, 2), at / "a.mp4", window=4),
            ValueError,
            "window: expected an odd number",
        ),
        (
            lambda e, at: drive_video(e, torch.zeros(3, 32, 32), at / "no.mp4", at / "a.mp4"),
            ValueError,
            "no such file",
        ),
        (
            lambda e, at: drive_video(e, torch.zeros(3, 32, 32), at / "empty.mp4", at / "a.mp4"),
            ValueError,
            r"empty\.mp4: no face was found in any of its 3 frames",
        ),
        (
            lambda e, at: reexpress_video(e, at / "empty.mp4", {}, at / "a.mp4"),
            ValueError,
            "no face was found",
        ),
        (
            lambda e, at: reexpress_video(e, at / "empty.mp4", {}, at / "a.mp4", window=2),
            ValueError,
            "window: expected",
        ),
        (
            lambda e, at: reexpress_video(e, at / "empty.mp4", {"AU13": 1.0}, at / "a.mp4", framing="crop"),
            ValueError,
            "'AU13' is not one of .*did you mean",
        ),
        (
            lambda e, at: reexpress_video(e, at / "empty.mp4", {}, at / "a.mp4", framing="auto"),
            ValueError,
            "framing: expected one of 'detect', 'crop', got 'auto'",
        ),
        (
            lambda e, at: reexpress_video(e, at / "empty.mp4", {}, at / "a.mp4", longest_gap=-1),
            ValueError,
            "longest_gap",
        ),
        (
            lambda e, at: reexpress_video(e, at / "empty.mp4", {}, at / "a.txt"),
            ValueError,
            "path: expected a file",
        ),
    ],
)
def test_wrong_calls(tmp_path, call, exception, message):
    write_video(scene([None] * 3), tmp_path / "empty.mp4")
    with pytest.raises(exception, match=message):
        call(editor(), tmp_path)
    assert not (tmp_path / "a.mp4").exists()
