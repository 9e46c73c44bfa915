from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from aucond.train import DamagedCheckpointError, read_checkpoint
from aucond.train.checkpoint import (
    list_checkpoints,
    newest_checkpoint,
    newest_good,
    prune_checkpoints,
    set_aside_after,
    write_checkpoint,
)

TENSORS = {"generator": {"w": torch.arange(6.0).view(2, 3)}, "generator_optimizer": {}}


def write(folder: Path, *steps: int, good: bool = True) -> list[Path]:
    return [write_checkpoint(folder, step, TENSORS, {"good": good, "note": step}) for step in steps]


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    [path] = write(tmp_path, 12)
    assert path == tmp_path / "step_00000012"
    checkpoint = read_checkpoint(str(path))
    assert checkpoint.state["step"] == 12 and checkpoint.state["note"] == 12 and checkpoint.path == path
    assert torch.equal(checkpoint.tensors["generator"]["w"], TENSORS["generator"]["w"])
    assert checkpoint.tensors["generator_optimizer"] == {}
    assert names(tmp_path) == ["step_00000012"]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    [a], [b] = write(tmp_path / "a", 1), write(tmp_path / "b", 1)
    assert all((a / f.name).read_bytes() == f.read_bytes() for f in b.iterdir())


def test_a_checkpoint_can_be_written_again(tmp_path: Path) -> None:
    write(tmp_path, 3)
    write_checkpoint(tmp_path, 3, TENSORS, {"note": "new"})
    assert newest_checkpoint(tmp_path).state["note"] == "new" and names(tmp_path) == ["step_00000003"]


def test_an_interrupted_write_leaves_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 1)

    def dies(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dies)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, 2)
    assert [p.name for p in list_checkpoints(tmp_path)] == ["step_00000001"]
    assert names(tmp_path) == [".writing_step_00000002", "step_00000001"]
    prune_checkpoints(tmp_path, keep=1)
    assert names(tmp_path) == ["step_00000001"]


def test_pruning_keeps_the_newest_and_the_newest_good(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    write(tmp_path, 3, 4, 100_000_000, good=False)
    assert newest_good(tmp_path) == tmp_path / "step_00000002"
    prune_checkpoints(tmp_path, keep=2)
    assert names(tmp_path) == ["step_00000002", "step_00000004", "step_100000000"]


def test_setting_aside_deletes_nothing(tmp_path: Path) -> None:
    write(tmp_path, 1, 2, 3)
    set_aside_after(tmp_path, 1)
    write(tmp_path, 2)
    assert set_aside_after(tmp_path, 1) == [tmp_path / "set_aside" / "step_00000002_2"]
    assert names(tmp_path / "set_aside") == ["step_00000002", "step_00000002_2", "step_00000003"]
    assert [p.name for p in list_checkpoints(tmp_path)] == ["step_00000001"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def change_step(path: Path) -> None:
    path.write_text(path.read_text().replace('"note": 2', '"note": 7'))


DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("generator.safetensors", Path.unlink, "cannot be read: No such file"),
    ("generator.safetensors", cut, r"expected \d+ bytes, got \d+"),
    ("generator.safetensors", flip, "the content is not what was written"),
    ("state.json", Path.unlink, "cannot be read: No such file"),
    ("state.json", cut, "is no JSON"),
    ("state.json", lambda p: p.write_bytes(b""), "is no JSON"),
    ("state.json", lambda p: p.write_text("[]"), "is not the state of a checkpoint"),
    ("state.json", lambda p: p.write_text('{"files": 1}'), "is not the state of a checkpoint"),
    ("state.json", change_step, "the content is not what was written"),
]


@pytest.mark.parametrize(("name", "damage", "message"), DAMAGES)
def test_damage_is_named_and_passed_over(
    tmp_path: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    _, path = write(tmp_path, 1, 2)
    damage(path / name)
    with pytest.raises(DamagedCheckpointError, match=f"step_00000002/{name}: {message}"):
        read_checkpoint(path)
    with pytest.warns(RuntimeWarning, match=f"step_00000002/{name}: {message}.*going back to step_00000001"):
        assert newest_checkpoint(tmp_path).state["step"] == 1


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected at least one checkpoint"):
        newest_checkpoint(tmp_path)
    assert list_checkpoints(tmp_path / "missing") == [] and newest_good(tmp_path) is None


def test_none_is_whole(tmp_path: Path) -> None:
    for path in write(tmp_path, 1, 2):
        cut(path / "state.json")
    with pytest.raises(
        DamagedCheckpointError, match="no checkpoint is whole: .*step_00000002.*step_00000001"
    ):
        newest_checkpoint(tmp_path)


def test_a_newer_format_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    _, path = write(tmp_path, 1, 2)
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, "format": 99}))
    with pytest.raises(
        ValueError, match=r"checkpoint format 99, .* reads up to 1; it was written by a newer one"
    ):
        newest_checkpoint(tmp_path)


def test_a_file_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    from aucond.train.checkpoint import _digest

    [path] = write(tmp_path, 1)
    state = json.loads((path / "state.json").read_text())
    del state["sha256"]
    state["files"] = {"../../secret": {"bytes": 1, "sha256": ""}}
    (path / "state.json").write_text(json.dumps({**state, "sha256": _digest(state)}))
    with pytest.raises(DamagedCheckpointError, match="is no plain file name"):
        read_checkpoint(path)


def test_strangers_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    (tmp_path / "step_final").mkdir()
    (tmp_path / "step_00000009").write_text("a file")
    prune_checkpoints(tmp_path, keep=1)
    assert names(tmp_path) == ["step_00000002", "step_00000009", "step_final"]
    shutil.rmtree(tmp_path / "step_final")
