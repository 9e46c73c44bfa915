"""The public surface changes only on purpose, and importing it is quick and loads nothing that is optional."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from public_api import SNAPSHOT, describe_api

OPTIONAL = (
    "triton anny numba dlib accelerate kornia PIL torchmetrics matplotlib "
    "tensorboard onnx onnxruntime skimage gradio"
)


def test_the_public_surface_is_the_one_written_down():
    written, actual = SNAPSHOT.read_text(encoding="utf-8").splitlines(), describe_api().splitlines()
    gone = sorted(set(written) - set(actual))
    new = sorted(set(actual) - set(written))
    assert written == actual, (
        "the public surface is another one than tests/package/public_api.txt says; if that is meant, run "
        f"python tests/package/public_api.py --write\ngone: {gone}\nnew: {new}"
    )


def test_the_description_shows_what_matters():
    text = describe_api()
    assert "class ConditionSpace(names: Iterable[str], low: float | Sequence[float] = 0.0" in text
    assert (
        "    def vector(self, values: Mapping[str, float] | None = None, /, **named: float) -> Tensor\n"
        in text
    )
    assert "protocol TargetSampler\n    def __call__(self, conditions: Tensor" in text
    assert "def gradient_penalty(critic: Critic, points: Tensor, *, center: float = 1.0" in text


@pytest.fixture(scope="module")
def fresh_import():
    """What ``import aucond`` loads, and what it costs beyond torch, in a process of its own."""
    code = (
        "import json, sys, time, torch\n"
        "before, threads = set(sys.modules), torch.get_num_threads()\n"
        "seed, grad = torch.initial_seed(), torch.is_grad_enabled()\n"
        "started = time.process_time()\n"
        "import aucond\n"
        "seconds = time.process_time() - started\n"
        "same = (threads, seed, grad) == (torch.get_num_threads(), torch.initial_seed(), torch.is_grad_enabled())\n"
        "print(json.dumps({'seconds': seconds, 'same': same, 'loaded': sorted(set(sys.modules) - before)}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return {**json.loads(done.stdout), "stderr": done.stderr}


def test_importing_takes_less_than_a_second_beyond_torch(fresh_import):
    assert fresh_import["seconds"] < 1.0


def test_importing_loads_nothing_that_is_optional(fresh_import):
    top = {name.partition(".")[0] for name in fresh_import["loaded"]}
    assert not top & set(OPTIONAL.split())
    assert not {name for name in fresh_import["loaded"] if name.startswith(("aucond.train", "aucond.faces"))}


def test_importing_changes_and_says_nothing(fresh_import):
    assert fresh_import["same"]
    assert fresh_import["stderr"] == ""


def test_unknown_names_are_attribute_errors():
    import aucond

    with pytest.raises(AttributeError, match="has no attribute 'Trianer'"):
        aucond.Trianer  # noqa: B018
    assert not set(aucond.__all__) - set(dir(aucond)) - {"FaceEditor", "Trainer", "TrainerConfig"}
    for name in aucond.__all__:
        assert getattr(aucond, name) is not None


def test_the_citation_file_names_this_version():
    import aucond

    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert str(citation["version"]) == aucond.__version__
    assert citation["license"] == "MIT"
    for paper in citation["references"]:
        assert {"type", "title", "authors"} <= set(paper)
