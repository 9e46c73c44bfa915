from __future__ import annotations

import logging
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from aucond.train import Verdict, read_log
from aucond.train.logs import Reporter, announce
from aucond.train.preview import save_preview


def reporter(folder: Path, step: int = 0, **options: Any) -> Reporter:
    return Reporter(folder, step, 10, **{"writes": True, "progress": False, "tensorboard": False, **options})


def test_a_line_holds_everything(tmp_path: Path) -> None:
    report = reporter(tmp_path)
    verdict = Verdict(2, "saturated", "attention_saturated", 1.0, over=False, message="step 2: ...")
    report.write(2, 0, 1e-4, {"critic/a": 1.5, "monitor/b": math.nan}, [verdict])
    report.close()
    [line] = read_log(tmp_path / "log.jsonl")
    assert line.pop("seconds") >= 0
    assert line == {
        "step": 2,
        "epoch": 0,
        "learning_rate": 1e-4,
        "critic/a": 1.5,
        "monitor/b": None,
        "verdicts": ["step 2: ..."],
    }


def test_resuming_forgets_what_came_after_and_what_was_cut_off(tmp_path: Path) -> None:
    report = reporter(tmp_path)
    for step in (1, 2, 3):
        report.write(step, 0, 0.1, {"x": float(step)}, [])
    report.close()
    path = tmp_path / "log.jsonl"
    path.write_bytes(path.read_bytes() + b'{"step": 4, "x"')
    assert [line["step"] for line in read_log(path)] == [1, 2, 3]
    again = reporter(tmp_path, step=2)
    again.write(3, 0, 0.1, {"x": 30.0}, [])
    again.close()
    assert [(line["step"], line["x"]) for line in read_log(path)] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_a_spoilt_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\nrubbish\n{"step": 2}\n')
    with pytest.raises(ValueError, match=r"log\.jsonl, line 2: is no JSON"):
        read_log(tmp_path / "log.jsonl")


def test_only_the_writing_process_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = reporter(tmp_path, writes=False, progress=True, tensorboard=True)
    report.advance()
    report.write(1, 0, 0.1, {"x": 1.0}, [])
    report.picture(1, torch.zeros(3, 2, 2, dtype=torch.uint8))
    report.sync()
    report.close()
    assert list(tmp_path.iterdir()) == [] and capsys.readouterr().err == ""


def test_the_bar_shows_progress_terms_and_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = reporter(tmp_path, step=4, progress=True)
    report.advance()
    report.write(5, 0, 0.1, {"critic/adversarial": 1.25, "critic/total": 9.0, "generator/cycle": 0.5}, [])
    report.close()
    shown = capsys.readouterr().err
    assert (
        "5/10" in shown
        and "c/adversarial=1.25 g/cycle=0.5" in shown
        and "total" not in shown
        and "<" in shown
    )


def test_tensorboard_gets_scalars_and_pictures(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for start, steps, value in ((0, (1, 2, 3), 1.0), (2, (3, 4), 2.0)):
        report = reporter(tmp_path, step=start, tensorboard=True)
        for step in steps:
            report.write(step, 0, 0.1, {"critic/a": value}, [])
        report.picture(3, torch.zeros(3, 2, 2, dtype=torch.uint8))
        report.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    # The value at step 3 is that of the second stretch: the first one's is purged.
    assert [(e.step, e.value) for e in events.Scalars("critic/a")] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert events.Tags()["images"] == ["preview"]


def test_missing_tqdm_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r'pip install "aucond\[train\]", or pass progress=False'):
        reporter(tmp_path, progress=True)


def test_missing_tensorboard_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    report = reporter(tmp_path, tensorboard=True)
    report.write(1, 0, 0.1, {"x": 1.0}, [])
    report.close()
    assert not (tmp_path / "tensorboard").exists() and len(read_log(tmp_path / "log.jsonl")) == 1


def test_troubles_are_warnings_and_their_end_is_information(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="aucond.train"):
        announce(
            [Verdict(1, "saturated", "x", 1.0, over=over, message=f"over={over}") for over in (False, True)]
        )
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("WARNING", "over=False"),
        ("INFO", "over=True"),
    ]


def test_a_preview_is_the_picture(tmp_path: Path) -> None:
    image = torch.tensor([-1.0, 0.0, 1.0, 5.0]).view(1, 2, 2).expand(3, 2, 2)
    pixels = save_preview(tmp_path / "previews" / "a.png", image)
    assert pixels[0].flatten().tolist() == [0, 128, 255, 255]
    with Image.open(tmp_path / "previews" / "a.png") as saved:
        assert saved.mode == "RGB" and [saved.getpixel((x, y))[1] for y in (0, 1) for x in (0, 1)] == [
            0,
            128,
            255,
            255,
        ]
    assert [p.name for p in (tmp_path / "previews").iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("image", "error"),
    [(torch.zeros(1, 3, 4, 4), ValueError), (torch.zeros(1, 4, 4), ValueError), (None, TypeError)],
)
def test_a_preview_of_another_shape_is_refused(tmp_path: Path, image: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"preview's result: expected a floating tensor of shape \(3, H, W\)"):
        save_preview(tmp_path / "a.png", image)
    assert list(tmp_path.iterdir()) == []
