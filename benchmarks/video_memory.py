"""Resident memory while a video of a given length is re-expressed: ``python benchmarks/video_memory.py SECONDS``.

``benchmarks/video.py`` runs this once for each length, so that nothing is left over from another.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from aucond import OPENFACE_AUS
from aucond.edit import FaceEditor, reexpress_video, write_video
from aucond.faces import SyntheticFaces

RATE = 25
PHOTO = 5003


def memory_of(model: str | None, seconds: float) -> dict[str, float]:
    """Resident memory in MiB while a video of this length is re-expressed; this process does nothing else."""
    editor = FaceEditor.from_pretrained(model)
    process = psutil.Process()
    peak = 0

    def frames() -> Iterator[Tensor]:
        faces = SyntheticFaces([PHOTO], 1, editor.size, seed=3, pose=0.0, cache=False)
        smiles = torch.stack([OPENFACE_AUS.vector(AU12=number / RATE) for number in range(RATE)])
        rendered = faces.render([0] * RATE, smiles)
        for number in range(round(seconds * RATE)):
            yield rendered[number % RATE].repeat_interleave(4, 1).repeat_interleave(4, 2)

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "v.mp4"
        write_video(frames(), source, frames_per_second=RATE)
        before = process.memory_info().rss
        run = editor.edit

        def watched(*arguments: Any, **options: Any) -> Any:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)
            return run(*arguments, **options)

        editor.edit = watched  # type: ignore[method-assign]
        reexpress_video(editor, source, {"AU12": 0.8}, Path(folder) / "a.mp4", framing="crop")
    mib = 2**20
    return {
        "seconds": seconds,
        "rss_before_mib": round(before / mib, 1),
        "rss_peak_mib": round(peak / mib, 1),
    }


def main() -> None:
    """Measure one length and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--model", help="folder of an editor; default: the shipped networks")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(memory_of(arguments.model, arguments.seconds)))


if __name__ == "__main__":
    main()
