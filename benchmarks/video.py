"""Video: two ten-second clips, flicker before and after smoothing, and memory against length.

``python benchmarks/video.py --model FOLDER --output benchmarks/results/video.json``

- *From a CSV*: a rendered person's true action units over ten seconds, with the noise of a tracker, written as OpenFace
  would; a photo of a person that no network has seen is animated from it.
- *From a driving video*: another person rendered under the same action units, with camera noise and in the crops of
  a tracker that jitters, compressed; the critic reads it frame by frame.
- *Re-expression*: a person whose head sways while talking; the face is found in every frame and smiles.
- *Memory*: resident memory during 2, 10 and 30 seconds of re-expression, each in a process of its own.

Flicker is :func:`aucond.edit.temporal_flicker` in 8-bit levels; every clip is made with each frame by itself (window 1)
and smoothed (window 11). The true motion is what the same editor shows without disturbance (the true action units; what
the critic reads in the undisturbed driving video; the frame of the true landmarks), in the third clip that of the
change alone, without the head's: motion that the networks fail to make is an error, not flicker. Flicker against the
true video, which counts both, stands beside it. Equal expression error: the distance of the clip from the true video,
and of what the critic reads in it from the true action units.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aucond import OPENFACE_AUS
from aucond._files import atomic_file
from aucond.edit import FaceEditor
from aucond.edit._following import follow_face
from aucond.edit._video_codec import decode
from aucond.edit.condition_sequence import read_condition_sequence
from aucond.edit.flicker import temporal_flicker
from aucond.edit.video import animate_video, drive_video, reexpress_video
from aucond.edit.video_file import read_video, write_video
from aucond.faces import SyntheticFaces, expression_coefficients, expression_matrix, render_face
from aucond.faces.renderer import Person, project_landmarks
from aucond.faces.scene import Scene

RATE = 25
WINDOWS = (1, 11)
QUALITY = 1
"""Nearly lossless, so that the flicker is not the compression's."""
PHOTO, DRIVER, SPEAKER = 5003, 5011, 5020
"""Identities that no network was trained on."""


def motion(frames: int) -> Tensor:
    """Action units of a person who smiles, raises the brows, speaks and blinks; smooth in time (frames, 17)."""
    t = torch.arange(frames) / RATE
    wave = lambda period, phase=0.0: 0.5 - 0.5 * torch.cos(2 * math.pi * (t / period + phase))  # noqa: E731
    speech = wave(0.9) * wave(5.0, 0.5)
    units = {
        "AU12": 0.9 * wave(5.0),
        "AU06": 0.6 * wave(5.0),
        "AU01": 0.7 * wave(3.3),
        "AU02": 0.6 * wave(3.3),
        "AU25": 0.6 * speech,
        "AU26": 0.5 * speech,
        "AU45": (1 - ((t % 2.5) - 0.3).abs() / 0.2).clamp(0, 1),
    }
    result = torch.zeros(frames, OPENFACE_AUS.dim)
    for name, values in units.items():
        result[:, OPENFACE_AUS.index(name)] = values
    return result


def write_openface(path: Path, conditions: Tensor, noise: float, rng: torch.Generator) -> None:
    """What OpenFace writes about a clip, with normal noise on the raw intensities (0..5)."""
    raw = OPENFACE_AUS.denormalize(conditions)
    raw = (raw + noise * torch.randn(raw.shape, generator=rng)).clamp(0, 5)
    lines = [
        "frame, face_id, timestamp, confidence, success, " + ", ".join(f"{n}_r" for n in OPENFACE_AUS.names)
    ]
    for number, row in enumerate(raw.tolist(), 1):
        values = ", ".join(f"{v:.2f}" for v in row)
        lines.append(f"{number}, 0, {(number - 1) / RATE:.3f}, 0.98, 1, {values}")
    path.write_text("\n".join(lines) + "\n")


def with_camera_noise(frames: Tensor, rng: torch.Generator, levels: float = 3.0) -> Tensor:
    """Sensor noise of so many 8-bit levels."""
    return (frames + levels / 127.5 * torch.randn(frames.shape, generator=rng)).clamp(-1, 1)


def jittered(frames: Tensor, size: int, rng: torch.Generator, pixels: float = 0.75) -> Tensor:
    """Crops of a tracker that jitters by so many pixels of the final size, from larger frames."""
    shift = 2 * pixels / size * torch.randn(len(frames), 2, generator=rng)
    theta = torch.cat([torch.eye(2).expand(len(frames), 2, 2), shift[..., None]], dim=2)
    grid = F.affine_grid(theta, list(frames.shape), align_corners=False)
    moved = F.grid_sample(frames, grid, padding_mode="border", align_corners=False)
    return F.interpolate(moved, (size, size), mode="area")


def judge(
    editor: FaceEditor, clip: Path, truth: Tensor, conditions: Tensor, ideal: Tensor | None = None
) -> dict[str, float]:
    """Flicker and expression error of a clip whose true video is known, and what the editor would show undisturbed."""
    frames = [frame.image for frame in read_video(clip)]
    size = truth.shape[-1]
    shown = torch.stack([frame[:, :size, :size] for frame in frames])
    crops = F.interpolate(shown, (editor.size,) * 2, mode="area")
    against = truth if ideal is None else ideal
    result = {"flicker_levels": 127.5 * temporal_flicker(shown, against)}
    if ideal is not None:
        result["flicker_against_true_video_levels"] = 127.5 * temporal_flicker(shown, truth)
    result["error_against_true_video_levels"] = 127.5 * float((shown - truth).abs().mean())
    result["error_of_read_action_units"] = float((editor.read_tensor(crops) - conditions).abs().mean())
    return result


def both_ways(make: Any, check: Any) -> dict[str, Any]:
    """Make a clip with every frame by itself and smoothed."""
    result: dict[str, Any] = {}
    for window in WINDOWS:
        start, cpu = time.perf_counter(), time.process_time()
        report, clip = make(window)
        used = time.process_time() - cpu
        result[f"window_{window}"] = {
            "frames": report.frames,
            "seconds_of_video": report.seconds,
            "wall_s": round(time.perf_counter() - start, 2),
            "cpu_ms_per_frame": round(1000 * used / report.frames, 2),
            **{key: round(value, 4) for key, value in check(clip).items()},
        }
    before, after = (result[f"window_{w}"]["flicker_levels"] for w in WINDOWS)
    result["flicker_after_over_before"] = round(after / before, 3)
    return result


def clips(editor: FaceEditor, folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """The CSV clip and the driven clip."""
    rng = torch.Generator().manual_seed(seed)
    size, frames = editor.size, round(seconds * RATE)
    conditions = motion(frames)
    photo = SyntheticFaces([PHOTO], 1, size, seed=3, pose=0.0, cache=False)
    truth = photo.render([0] * frames, conditions)
    start = photo.render(0, OPENFACE_AUS.neutral_vector())
    prepared = editor.prepare(start)
    csv = folder / "clip.csv"
    write_openface(csv, conditions, 0.25, rng)
    driver = SyntheticFaces([DRIVER], 1, 2 * size, seed=4, pose=0.0, cache=False)
    acted = driver.render([0] * frames, conditions)
    readings = editor.read_tensor(F.interpolate(acted, (size, size), mode="area"))
    driving = folder / "driving.mp4"
    write_video(with_camera_noise(jittered(acted, size, rng), rng), driving, frames_per_second=RATE)
    ideals = [torch.stack(list(editor.animate(prepared, wanted))) for wanted in (conditions, readings)]

    def from_csv(window: int) -> Any:
        clip = folder / f"csv_{window}.mp4"
        return animate_video(
            editor, prepared, read_condition_sequence(csv), clip, window=window, quality=QUALITY
        ), clip

    def from_video(window: int) -> Any:
        clip = folder / f"driven_{window}.mp4"
        return drive_video(
            editor, prepared, driving, clip, framing="crop", window=window, quality=QUALITY
        ), clip

    def check(ideal: Tensor) -> Callable[[Path], dict[str, float]]:
        return lambda clip: judge(editor, clip, truth, conditions, ideal)

    return {
        "from_csv": both_ways(from_csv, check(ideals[0])),
        "from_driving_video": both_ways(from_video, check(ideals[1])),
    }


def reexpression(editor: FaceEditor, folder: Path, seconds: float, size: int, seed: int) -> dict[str, Any]:
    """A swaying, speaking head that is made to smile."""
    frames = round(seconds * RATE)
    conditions = motion(frames)
    conditions[:, OPENFACE_AUS.index("AU12")] = conditions[:, OPENFACE_AUS.index("AU06")] = 0.0
    smiling = conditions.clone()
    smiling[:, OPENFACE_AUS.index("AU12")] = 0.8
    poses = [(0.12 * math.sin(2 * math.pi * i / RATE / 3.0), 0.0, 0.0) for i in range(frames)]

    def rendered(rows: Tensor) -> Tensor:
        return torch.stack(
            [render_face(SPEAKER, row, size=size, pose=pose) for row, pose in zip(rows, poses, strict=True)]
        )

    clean, truth = rendered(conditions), rendered(smiling)
    layer = undisturbed(editor, clean, conditions, poses) - clean
    video = folder / "speaker.mp4"
    rng = torch.Generator().manual_seed(seed)
    write_video(with_camera_noise(clean, rng, 1.5), video, frames_per_second=RATE, quality=QUALITY)

    def make(window: int) -> Any:
        clip = folder / f"smiling_{window}.mp4"
        return reexpress_video(editor, video, {"AU12": 0.8}, clip, window=window, quality=QUALITY), clip

    def check(clip: Path) -> dict[str, float]:
        result = judge(editor, clip, truth, smiling)
        result["flicker_against_true_video_levels"] = result.pop("flicker_levels")
        window = int(clip.stem.split("_")[1])
        return {"flicker_levels": 127.5 * temporal_flicker(change(editor, video, window), layer), **result}

    return both_ways(make, check)


def change(editor: FaceEditor, video: Path, window: int) -> Iterator[Tensor]:
    """What re-expression adds to each frame, before the compression."""
    seen = follow_face(editor, decode(video), framing="detect", window=window, order=2, longest_gap=12)
    for picture, crop, condition in seen:
        if crop is None or condition is None:
            raise SystemExit(f"no face at {float(picture.time):.2f} s of {video}")
        face = editor.prepare(picture.pixels, crops=[crop], current=condition)
        added = editor.edit(face, {"AU12": 0.8}).astype(np.float32) - picture.pixels
        yield torch.from_numpy(added).permute(2, 0, 1) / 127.5


def undisturbed(
    editor: FaceEditor, clean: Tensor, conditions: Tensor, poses: list[tuple[float, float, float]]
) -> Tensor:
    """What the editor shows when it is told where the face is: in the frame of the true landmarks."""
    size = clean.shape[-1]
    person, matrix = Person.of_identity(SPEAKER, size), expression_matrix(OPENFACE_AUS)
    coefficients = expression_coefficients(OPENFACE_AUS, conditions, matrix).numpy()
    result = []
    for image, row, pose in zip(clean, coefficients, poses, strict=True):
        scene = dataclasses.replace(Scene.random((0, 11), 0.0), pose=np.array(pose, np.float32))
        marks = torch.from_numpy(project_landmarks(person, row, scene, size))
        pixels = ((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        edited = editor.edit(editor.prepare(pixels, crops=[editor.framing.crop(marks)]), {"AU12": 0.8})
        result.append(torch.from_numpy(edited).permute(2, 0, 1) / 127.5 - 1)
    return torch.stack(result)


def memory(model: str | None, lengths: tuple[float, ...]) -> list[dict[str, float]]:
    """One process a length."""
    rows = []
    for seconds in lengths:
        command = [sys.executable, str(Path(__file__).with_name("video_memory.py")), str(seconds)]
        if model is not None:
            command += ["--model", model]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def main() -> None:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="folder of an editor; default: the shipped networks")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/video.json"))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--sway-seconds", type=float, default=4.0)
    parser.add_argument("--sway-size", type=int, default=192)
    parser.add_argument("--lengths", type=float, nargs="*", default=[2.0, 10.0, 30.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the clips; default: thrown away")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    editor = FaceEditor.from_pretrained(arguments.model)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result: dict[str, Any] = {
            "environment": measuring.environment(torch.device("cpu"), quick=False),
            "size": editor.size,
            "frames_per_second": RATE,
            "seed": arguments.seed,
            **clips(editor, folder, arguments.seconds, arguments.seed),
        }
        print(json.dumps(result, indent=2), flush=True)
        sway = reexpression(editor, folder, arguments.sway_seconds, arguments.sway_size, arguments.seed)
        result["re_expression"] = {"picture_size": arguments.sway_size, **sway}
    result["memory"] = memory(arguments.model, tuple(arguments.lengths))
    print(json.dumps(result, indent=2))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(arguments.output) as stream:
        stream.write((json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
