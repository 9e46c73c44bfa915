"""Saving and loading of models: safetensors and config.json, locally or on the Hub."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import ModelHubMixin
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

__all__ = ["Pretrained"]

WEIGHTS_NAME = "model.safetensors"
T = TypeVar("T", bound="Pretrained")


class Pretrained(ModelHubMixin, library_name="aucond"):
    """``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` for a module whose ``config()`` rebuilds it.

    A folder holds ``config.json`` (the arguments of the class, condition space included) and ``model.safetensors``.
    Loading is strict: a missing or an extra weight is an error. Files are replaced whole or not at all.
    """

    def config(self) -> dict[str, Any]:
        """The JSON-able arguments that rebuild this module."""
        raise TypeError(f"{type(self).__name__} has no config(), so it cannot be saved with save_pretrained")

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> str | None:
        """Write the model to a folder, which is made if need be.

        Args:
            save_directory: Folder to write to.
            **kwargs: ``repo_id``, ``push_to_hub`` and the rest of huggingface_hub's ``ModelHubMixin``.

        Returns:
            The address of the commit when pushed to the Hub, else None.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
            result = super().save_pretrained(temporary, **kwargs)
            for file in sorted(Path(temporary).iterdir()):
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
                file.replace(folder / file.name)
        return result

    def _save_pretrained(self, save_directory: Path) -> None:
        if not isinstance(self, nn.Module):
            raise TypeError(f"{type(self).__name__} is not a torch.nn.Module")
        weights = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        save_file(weights, save_directory / WEIGHTS_NAME, metadata={"format": "pt"})
        (save_directory / "config.json").write_text(
            json.dumps(self.config(), indent=2) + "\n", encoding="utf-8"
        )

    @classmethod
    def _from_pretrained(
        cls: type[T],
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str | torch.device = "cpu",
        **model_kwargs: Any,
    ) -> T:
        if Path(model_id).is_dir():
            weights_file = Path(model_id) / WEIGHTS_NAME
        else:
            from huggingface_hub import hf_hub_download

            weights_file = Path(
                hf_hub_download(
                    model_id,
                    WEIGHTS_NAME,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
            )
        if not weights_file.is_file():
            raise FileNotFoundError(
                f"{weights_file}: expected the weights of a saved {cls.__name__}, found no such file"
            )
        try:
            weights = load_file(weights_file, device=str(map_location))
        except SafetensorError as error:
            raise ValueError(f"{weights_file}: not a whole safetensors file ({error})") from error
        try:
            model = cls(**model_kwargs)
        except TypeError as error:
            config = weights_file.with_name("config.json")
            raise ValueError(f"{config}: does not describe a {cls.__name__}: {error}") from error
        if not isinstance(model, nn.Module):
            raise TypeError(f"{cls.__name__} is not a torch.nn.Module")
        try:
            model.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            raise ValueError(
                f"{weights_file}: not the weights of the {cls.__name__} asked for: {error}"
            ) from error
        model.to(map_location).eval()
        return model
