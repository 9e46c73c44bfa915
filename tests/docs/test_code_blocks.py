"""Every code block of the README and of the documentation runs, page by page, in an empty folder."""

import doctest
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)])
FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=fence)`*[ \t]*$", re.MULTILINE | re.DOTALL
)
NOT_RUN = {"console", "diff", "text", "json"}


@dataclass(frozen=True)
class Block:
    language: str
    line: int
    code: str


def blocks(text):
    return [
        Block(match["info"].strip(), text.count("\n", 0, match.start()) + 2, match["body"])
        for match in FENCE.finditer(text)
    ]


def run(page, text):
    """Run the blocks of one page in one namespace, as a reader who types them one after the other would."""
    namespace = {"__name__": "__page__"}
    for block in blocks(text):
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.code
            exec(compile(code, str(page), "exec"), namespace)  # noqa: S102
        elif block.language == "pycon":
            test = doctest.DocTestParser().get_doctest(
                block.code, namespace, page.name, str(page), block.line - 1
            )
            test.globs = namespace
            said = []
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            runner.run(test, out=said.append, clear_globs=False)
            assert not runner.failures, "".join(said)


def runnable(page):
    return any(block.language in ("python", "pycon") for block in blocks(page.read_text(encoding="utf-8")))


@pytest.fixture(autouse=True)
def a_readers_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("page", [p for p in PAGES if runnable(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_code_of_the_page_runs(page):
    run(page, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_code_block_escapes(page):
    text = page.read_text(encoding="utf-8")
    for block in blocks(text):
        known = block.language in {"python", "pycon", *NOT_RUN} or block.language.startswith("{")
        assert known, f"{page}, line {block.line - 1}: a block of {block.language!r} would not be run"
        if block.language in NOT_RUN:
            assert ">>> " not in block.code and "import aucond" not in block.code, (
                f"{page}, line {block.line}"
            )
    assert text.count("\n```") % 2 == (1 if text.startswith("```") else 0), f"{page}: a fence is not closed"


def test_the_runner_finds_what_is_wrong():
    page = Path("page.md")
    run(page, "```python\nx = 1\n```\ntext\n```pycon\n>>> x\n1\n\n```\n")
    with pytest.raises(AssertionError, match=r"(?s)Expected:\s+2\s+Got:\s+1"):
        run(page, "```pycon\n>>> 1\n2\n\n```\n")
    with pytest.raises(ZeroDivisionError):
        run(page, "```python\n1 / 0\n```\n")
    assert [b.line for b in blocks("one\n```python\nx\n```\n\n```text\ny\n```\n")] == [3, 7]
