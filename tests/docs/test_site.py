"""The built documentation: complete, self-contained, and without a link or a name that leads nowhere."""

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

import aucond
from aucond import losses

pytest.importorskip("sphinx", reason='the documentation needs its extra: pip install "aucond[docs]"')
pytest.importorskip("matplotlib", reason='the documentation needs its extra: pip install "aucond[docs]"')

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*") if p.suffix in (".md", ".rst") and "_build" not in p.parts)
TEXTS = {
    page: page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
}
FOLDERS = sorted(p.parent.name for p in Path(aucond.__file__).parent.glob("*/__init__.py"))
PACKAGES = ["aucond", *(f"aucond.{name}" for name in FOLDERS if not name.startswith("_"))]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built from scratch with warnings as errors; once, however many processes run the tests."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    target, done = folder / "site", folder / "site_is_built"
    with FileLock(folder / "site.lock"):
        if not done.exists():
            options = ["-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "site_doctrees")]
            command = [sys.executable, "-m", "sphinx", *options, str(DOCS), str(target)]
            build = subprocess.run(command, capture_output=True, text=True, timeout=280)
            assert build.returncode == 0, build.stderr
            done.touch()
    return target


@pytest.fixture(scope="session")
def documented(site):
    """Every Python name in the site's inventory."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    return {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}


class Tags(HTMLParser):
    """What a page links to, loads and can be linked to."""

    def __init__(self):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()

    def handle_starttag(self, tag, attributes):
        values = {name: value or "" for name, value in attributes}
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag != "a":
            self.loads += [values[name] for name in ("src", "href", "srcset", "data") if name in values]


@pytest.fixture(scope="session")
def pages(site):
    parsed = {}
    for path in site.rglob("*.html"):
        tags = Tags()
        tags.feed(path.read_text(encoding="utf-8"))
        parsed[path] = tags
    return parsed


def resolve(name):
    """The object behind a dotted name, or None."""
    path, *parts = name.split(".")
    value = importlib.import_module(path)
    for part in parts:
        path = f"{path}.{part}"
        try:
            value = getattr(value, part)
        except AttributeError:
            try:
                value = importlib.import_module(path)
            except ImportError:
                return None
    return value


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_documented(package, documented):
    objects = [resolve(name) for name in documented if name.startswith("aucond.")]
    missing = []
    for name in importlib.import_module(package).__all__:
        if f"{package}.{name}" in documented or name == "__version__":
            continue
        # A name that another package exports as well is documented there.
        value = getattr(importlib.import_module(package), name)
        if not any(value is other for other in objects):
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_else_is_documented_as_public(package, documented):
    public = set(importlib.import_module(package).__all__)
    level = package.count(".") + 1
    shown = {name.split(".")[level] for name in documented if name.startswith(f"{package}.")}
    modules = {name.removeprefix("aucond.").split(".")[-1] for name in PACKAGES} | {"targets", "types"}
    strangers = {
        name
        for name in shown - public - modules
        if resolve(f"{package}.{name}").__class__.__name__ != "module"
    }
    assert not strangers


def test_the_page_of_aucond_links_to_every_name(pages, site):
    page = (site / "api" / "aucond.html").read_text(encoding="utf-8")
    for name in aucond.__all__:
        if name != "__version__":
            assert re.search(rf'<a [^>]*href="[^"]*#aucond\.[\w.]*{name}"', page), name


def test_every_internal_link_arrives(pages, site):
    broken = []
    for path, tags in pages.items():
        for link in [*tags.links, *tags.loads]:
            target = urlsplit(link)
            if target.scheme or link.startswith("//") or not link:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            anchor = unquote(target.fragment)
            if not file.exists() or (anchor and file.suffix == ".html" and anchor not in pages[file].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_reading_the_site_needs_no_network(pages, site):
    remote = [f"{path.name}: {load}" for path, tags in pages.items() for load in tags.loads if "//" in load]
    for path in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        text = path.read_text(encoding="utf-8")
        remote += [
            f"{path.name}: {url}"
            for url in re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^)\"']+)", text)
        ]
    assert not remote


def test_equations_are_drawn(pages, site):
    page = (site / "recipes" / "ganimation.html").read_text(encoding="utf-8")
    assert page.count("<math ") >= 5 and r"\mathbb" not in page


def test_every_loss_has_a_contract_page():
    contracts = {p: TEXTS[p] for p in PAGES if p.parent.name == "losses" and p.stem != "index"}
    for name in losses.__all__:
        is_object = hasattr(getattr(losses, name), "needs_real") and name != "AdversarialLoss"
        if is_object or name.endswith(("_loss", "_penalty")):
            assert any(f"aucond.losses.{name}`" in text for text in contracts.values()), name
    for path, text in contracts.items():
        for row in ("Source", "Takes", "Range", '`"none"` gives one value per', "Derivatives that exist"):
            assert f"| {row} |" in text or (row == "Source" and "| source |" in text), (
                f"{path.name}: no row {row!r}"
            )
        assert "$$" in text and "```pycon" in text, f"{path.name}: expected an equation and an example"
        assert f"]({path.name})" in TEXTS[DOCS / "losses" / "index.md"], f"{path.name} is not in the index"


def test_every_test_named_in_the_documentation_exists():
    named = {match for text in TEXTS.values() for match in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text)}
    assert len(named) > 20
    for file, test in sorted(named):
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_every_dotted_name_in_the_documentation_exists():
    for page, text in TEXTS.items():
        for name in set(re.findall(r"\baucond(?:\.[A-Za-z_]\w*)+", text)):
            if not (ROOT / "src" / name.replace(".", "/")).exists() and not name.endswith(
                (".css", ".rst", ".md")
            ):
                assert resolve(name) is not None, f"{page}: {name}"


def test_links_of_the_readme_arrive():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXTS[page]):
            assert link.startswith("http") or (ROOT / link).exists(), f"{page.name}: {link}"
