"""The wheel and the sdist: they build, install, import, and run their doctests; the typed consumer is content."""

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason='building needs the extra: pip install "aucond[dev]"')

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "aucond"
# Parts of torch, and other packages, that no signature of ours speaks of: mypy need not read them, and is done
# in seconds.
UNREAD = (
    "torch._decomp torch._dynamo torch._export torch._functorch torch._higher_order_ops torch._inductor torch._library "
    "torch._logging torch._prims torch._refs torch._subclasses torch.ao torch.backends torch.compiler torch.cuda "
    "torch.distributed torch.distributions torch.export torch.fft torch.func torch.fx torch.hub torch.jit "
    "torch.library torch.linalg torch.masked torch.mtia torch.multiprocessing torch.nested torch.nn.intrinsic "
    "torch.nn.qat torch.nn.quantized torch.onnx torch.package torch.profiler torch.quantization torch.signal "
    "torch.sparse torch.special torch.testing torch.utils._sympy torch.xpu "
    "einops huggingface_hub numpy safetensors sympy"
)


def run(*command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=250, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def distributions(tmp_path_factory):
    """The sdist built from the source tree, and the wheel built from what the sdist holds, as an index would."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (tree,) = (folder / "unpacked").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=tree)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="session")
def environment(distributions, tmp_path_factory):
    """A fresh virtual environment with nothing but the wheel; what it depends on is lent by this environment."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "-q",
        distributions[1],
    )
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # Folders named by a .pth file come after the environment's own, and their own .pth files (an editable
    # installation of this very package) are not read.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_holds_the_package_and_nothing_else(distributions):
    names = set(zipfile.ZipFile(distributions[1]).namelist())
    sources = {
        p.relative_to(PACKAGE.parent).as_posix()
        for p in PACKAGE.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts and not p.name.endswith(".pyc")
    }
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert "aucond/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_metadata_says_what_is_needed(distributions):
    with zipfile.ZipFile(distributions[1]) as wheel:
        (path,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
        metadata = wheel.read(path).decode()
    assert "License-Expression: MIT" in metadata
    assert "Requires-Dist: torch" in metadata
    for extra in ("train", "faces", "detect", "metrics", "export", "kernel", "docs", "dev"):
        assert f"Provides-Extra: {extra}\n" in metadata
    assert "# aucond" in metadata  # the README is the description


def test_the_sdist_can_be_tested_and_documented(distributions):
    with tarfile.open(distributions[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in ("README.md", "LICENSE", "CHANGELOG.md", "Makefile", "constraints.txt", "pyproject.toml"):
        assert needed in names
    for folder in ("src/aucond/", "tests/", "docs/", "examples/"):
        assert any(name.startswith(folder) for name in names), folder
    assert not any(part in name for name in names for part in ("__pycache__", "_build/", "_generated/"))


def test_the_installed_package_runs_its_doctests(environment, tmp_path):
    modules = "types targets conditions.space conditions.presets losses.attention losses.penalties nn.critic nn.heads"
    code = (
        "import doctest, importlib, pathlib, sys, aucond\n"
        "assert pathlib.Path(aucond.__file__).is_relative_to(sys.prefix), aucond.__file__\n"
        f"for name in {modules.split()}:\n"
        "    result = doctest.testmod(importlib.import_module('aucond.' + name))\n"
        "    assert result.attempted and not result.failed, (name, result)\n"
        "print(aucond.__version__)\n"
    )
    version = run(environment, "-I", "-c", code, cwd=tmp_path).strip()
    assert f'__version__ = "{version}"' in (PACKAGE / "_version.py").read_text()


def test_a_typed_consumer_is_content(environment, tmp_path):
    pytest.importorskip("mypy", reason='type checking needs the extra: pip install "aucond[dev]"')
    consumer = tmp_path / "consumer.py"
    consumer.write_text(Path(__file__).with_name("typed_consumer.py").read_text())
    settings = tmp_path / "mypy.ini"
    unread = ",".join(f"{name},{name}.*" for name in UNREAD.split())
    settings.write_text(f"[mypy]\nstrict = True\n[mypy-{unread}]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--config-file", settings, "--python-executable", environment]
    output = run(*command, "--cache-dir", tmp_path / "cache", consumer, cwd=tmp_path)
    assert "Success" in output
