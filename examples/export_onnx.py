"""Write an editor's networks as ONNX, and check them against PyTorch with onnxruntime.

    python examples/export_onnx.py --output onnx

The folder then holds ``generator.onnx`` (image, condition -> edited, color, attention), ``reader.onnx`` (image ->
condition; the critic's head, where there is a critic) and ``editor.json`` (names, ranges, size). Batch, height and
width of the generator stay free; ``examples/edit_without_torch.py`` edits with these files and without torch.
Needs ``pip install "aucond[export]"``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from aucond.edit import FaceEditor

TOLERANCE = 2e-4
"""Largest difference allowed between onnxruntime and PyTorch, black to white being 2."""


class Reader(nn.Module):
    """The critic's head alone, its readings kept in the range of the space as the editor keeps them."""

    def __init__(self, editor: FaceEditor) -> None:
        super().__init__()
        if editor.critic is None:
            raise ValueError("editor: expected one with a critic")
        self.critic, self.head, self.space = editor.critic, editor.networks.head, editor.space

    def forward(self, image: Tensor) -> Tensor:
        """Read conditions (B, N) from images (B, 3, size, size)."""
        return self.space.clamp(self.critic(image).predictions[self.head])


def export(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], shapes: Any, path: Path) -> None:
    """Write one network, whole or not at all."""
    program = torch.onnx.export(
        module.eval(),
        tuple(inputs.values()),
        dynamo=True,
        input_names=list(inputs),
        output_names=outputs,
        dynamic_shapes=shapes,
        verbose=False,
    )
    if program is None:
        raise RuntimeError(f"{path}: torch.onnx.export gave no program")
    temporary = path.with_name(f".{path.name}")
    program.save(str(temporary))
    temporary.replace(path)


def write(editor: FaceEditor, folder: Path) -> None:
    """Write the networks and what an editor without torch has to know."""
    folder.mkdir(parents=True, exist_ok=True)
    size, space, generator = editor.size, editor.space, editor.generator
    batch, height, width = Dim("batch"), Dim("height"), Dim("width")
    step = 2**generator.num_downsamples
    image, condition = torch.zeros(2, 3, size, size + step), torch.zeros(2, space.dim)
    export(
        generator,
        {"image": image, "condition": condition},
        ["edited", "color", "attention"],
        {"image": {0: batch, 2: step * height, 3: step * width}, "condition": {0: batch}},
        folder / "generator.onnx",
    )
    if editor.critic is not None:
        square = torch.zeros(2, 3, size, size)
        export(
            Reader(editor), {"image": square}, ["condition"], {"image": {0: batch}}, folder / "reader.onnx"
        )
    plain = {
        "size": size,
        "names": list(space.names),
        "low": list(space.low),
        "high": list(space.high),
        "relative": generator.relative,
        "attention_floor": editor.attention_floor,
    }
    temporary = folder / ".editor.json"
    temporary.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / "editor.json")


@torch.no_grad()
def largest_difference(editor: FaceEditor, folder: Path) -> float:
    """Run the files on images of several sizes and batches; return the largest difference from PyTorch."""
    import onnxruntime

    rng = torch.Generator().manual_seed(0)
    session = onnxruntime.InferenceSession(folder / "generator.onnx", providers=["CPUExecutionProvider"])
    step, size = 2**editor.generator.num_downsamples, editor.size
    worst = 0.0
    for count, height, width in (
        (1, size, size),
        (3, size, size),
        (2, size // 2, size + step),
        (1, step * 5, step * 9),
    ):
        image = torch.rand(count, 3, height, width, generator=rng) * 2 - 1
        condition = torch.rand(count, editor.space.dim, generator=rng)
        results = session.run(None, {"image": image.numpy(), "condition": condition.numpy()})
        for result, reference in zip(results, editor.generator(image, condition), strict=True):
            worst = max(worst, float((torch.from_numpy(result) - reference).abs().max()))
    if editor.critic is not None:
        session = onnxruntime.InferenceSession(folder / "reader.onnx", providers=["CPUExecutionProvider"])
        image = torch.rand(3, 3, size, size, generator=rng) * 2 - 1
        (result,) = session.run(None, {"image": image.numpy()})
        worst = max(worst, float((torch.from_numpy(result) - editor.read_tensor(image)).abs().max()))
    return worst


def main() -> None:
    """Export and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="folder or Hub name of an editor; default: the one in the package")
    parser.add_argument("--size", type=int, help="side of the training crops, where the folder does not say")
    parser.add_argument(
        "--output", type=Path, default=Path("onnx"), help="folder to write to (default: onnx)"
    )
    arguments = parser.parse_args()
    options = {} if arguments.size is None else {"size": arguments.size}
    editor = FaceEditor.from_pretrained(arguments.model, **options)
    write(editor, arguments.output)
    worst = largest_difference(editor, arguments.output)
    print(f"{arguments.output}: largest difference from PyTorch {worst:.1e}")
    if worst > TOLERANCE:
        raise SystemExit(f"expected at most {TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
