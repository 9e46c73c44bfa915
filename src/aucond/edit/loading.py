"""The folder of an editor: ``generator/``, ``critic/`` and ``editor.json``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from aucond._check import describe, nearest
from aucond._files import atomic_file
from aucond.faces.framing import FaceFraming
from aucond.nn import AttentionGenerator, ConvRegressionHead, PatchCritic
from aucond.types import HeadFactory

__all__ = ["load_pair", "save_pair", "trained_size"]

SHIPPED = Path(__file__).parent / "faces64"
_OPTIONS = ("size", "framing", "attention_floor", "critic")


def trained_size(critic: PatchCritic | None, head: str) -> int | None:
    """The side of the images that a size-bound head accepts; None where there is no such head."""
    bound = None if critic is None or head not in critic.heads else critic.heads[head]
    if critic is None or not isinstance(bound, ConvRegressionHead):
        return None
    return int(bound.kernel_size * 2**critic.num_layers)


def load_pair(
    folder_or_hub_id: str | Path | None,
    device: str | torch.device,
    critic_heads: Mapping[str, HeadFactory] | None = None,
) -> tuple[AttentionGenerator, PatchCritic | None, dict[str, Any]]:
    """Load generator, critic and the editor's own settings.

    ``editor.json`` says whether there is a critic; where it does not, there is one if there is a folder of one.

    Args:
        folder_or_hub_id: A folder, a repository on the Hub, or None for the networks that come with the package.
        device: Where the networks go.
        critic_heads: The critic's heads, where they were callables that the files do not describe.
    """
    folder = _folder(folder_or_hub_id)
    if not (folder / "generator").is_dir():
        raise FileNotFoundError(
            f"{folder / 'generator'}: expected the folder of a saved AttentionGenerator, found no such folder; an "
            "editor's folder is what FaceEditor.save_pretrained or an example wrote. A generator saved alone is "
            "opened by FaceEditor(AttentionGenerator.from_pretrained(folder), critic, size=...)"
        )
    settings = _settings(folder / "editor.json")
    found = (folder / "critic").is_dir()
    wanted = settings.pop("critic", found)
    if wanted and not found:
        raise FileNotFoundError(
            f"{folder / 'critic'}: expected the folder of a saved PatchCritic, as editor.json beside it says that "
            "there is one, found no such folder"
        )
    generator = AttentionGenerator.from_pretrained(folder / "generator", map_location=device)
    critic = None
    if wanted:
        heads = critic_heads or _described_heads(folder / "critic")
        options: dict[str, Any] = {} if heads is None else {"heads": heads}
        critic = PatchCritic.from_pretrained(folder / "critic", map_location=device, **options)
    return generator, critic, settings


def save_pair(
    generator: AttentionGenerator, critic: PatchCritic | None, settings: Mapping[str, Any], folder: Path
) -> None:
    """Write what :func:`load_pair` reads.

    An older critic in the folder is not removed where there is no new one: ``editor.json`` says that it is not loaded.
    """
    framing: FaceFraming = settings["framing"]
    points = {name: list(point) for name, point in vars(framing).items()}
    plain = {**settings, "framing": points, "critic": critic is not None}
    folder.mkdir(parents=True, exist_ok=True)
    # Nothing of an older editor is replaced before all of the new one is on the disk.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        new = Path(temporary)
        generator.save_pretrained(new / "generator")
        if critic is not None:
            critic.save_pretrained(new / "critic")
        with atomic_file(new / "editor.json") as stream:
            stream.write((json.dumps(plain, indent=2) + "\n").encode())
        for file in sorted(path for path in new.rglob("*") if path.is_file()):
            target = folder / file.relative_to(new)
            target.parent.mkdir(exist_ok=True)
            file.replace(target)


def _folder(folder_or_hub_id: str | Path | None) -> Path:
    if folder_or_hub_id is None:
        if not SHIPPED.is_dir():
            raise FileNotFoundError(f"{SHIPPED}: the networks that come with aucond are not installed here")
        return SHIPPED
    folder = Path(folder_or_hub_id)
    if folder.is_dir():
        return folder
    name = str(folder_or_hub_id)
    # A name on the Hub is "owner/name"; anything else was meant as a folder.
    if isinstance(folder_or_hub_id, Path) or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"{name}: there is no such folder")
    from huggingface_hub import snapshot_download

    patterns = ["generator/*", "critic/*", "editor.json"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (
        Exception
    ) as error:  # The Hub's client raises its own kinds for no network, no such name, no access.
        raise FileNotFoundError(
            f"{name}: there is no such folder, and it could not be had from the Hugging Face Hub ({error})"
        ) from error


def _described_heads(folder: Path) -> dict[str, HeadFactory] | None:
    """The heads of a saved critic whose config does not describe them but whose weights do (ConvRegressionHead)."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    saved = config.get("heads") or {}
    if not any(head is None for head in saved.values()):
        return None
    try:
        with safe_open(str(folder / "model.safetensors"), framework="pt") as weights:
            names = set(weights.keys())
            shapes = {
                name: weights.get_slice(f"heads.{name}.conv.weight").get_shape()
                for name in saved
                if f"heads.{name}.conv.weight" in names
            }
    except (OSError, SafetensorError):
        return None  # Loading the critic says what is wrong with the file.
    return {
        name: partial(ConvRegressionHead, out_features=shapes[name][0], kernel_size=shapes[name][2])
        if head is None and name in shapes
        else head
        for name, head in saved.items()
    }


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError("expected a JSON object")
        for name in settings:
            if name not in _OPTIONS:
                raise ValueError(f"unknown setting {name!r}{nearest(str(name), _OPTIONS)}")
        if not isinstance(settings.get("critic", True), bool):
            raise ValueError(f"critic: expected true or false, got {describe(settings['critic'])}")
        if "framing" in settings:
            points = {name: tuple(point) for name, point in settings["framing"].items()}
            settings["framing"] = FaceFraming(**points)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not the settings of an editor ({error})") from error
    return settings
