"""The slider page: what it does, and what a person sees in a browser."""

import base64
import importlib
import io
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from aucond import OPENFACE_AUS, AttentionGenerator, ConditionSpace, PatchCritic, pca_blendshapes
from aucond.edit import FaceEditor
from aucond.edit.loading import SHIPPED
from aucond.faces.detection import Face

gr = pytest.importorskip("gradio", reason='needs gradio: pip install "aucond[app]"')
pytest.importorskip("numba", reason='needs the renderer: pip install "aucond[faces]"')

ROOT = Path(__file__).parents[2]
MODEL = os.environ.get("AUCOND_TEST_MODEL")
"""The folder of another editor than the shipped one."""
WAIT = 1000 * float(os.environ.get("AUCOND_TEST_PATIENCE", "60"))


sys.path.insert(0, str(ROOT / "examples"))
app = importlib.import_module("slider_app")
doing = importlib.import_module("slider_session")
sys.path.pop(0)


def one_face(picture):
    """A detector that finds the middle of any picture but a black one."""
    if picture.max() < 10:
        return []
    height, width = picture.shape[:2]
    points = torch.full((68, 2), 0.5)
    points[36:42], points[42:48] = torch.tensor([0.318, 0.304]), torch.tensor([0.682, 0.304])
    points[33], points[48:55] = torch.tensor([0.5, 0.594]), torch.tensor([0.5, 0.712])
    return [Face(points * min(height, width), (0.0, 0.0, float(width), float(height)))]


@pytest.fixture(scope="module")
def page():
    torch.manual_seed(0)
    generator = AttentionGenerator(OPENFACE_AUS, base_channels=4, num_residual_blocks=1)
    critic = PatchCritic({"condition": OPENFACE_AUS}, base_channels=4, num_layers=3)
    return doing.Page(FaceEditor(generator, critic, size=32, detector=one_face), None)


def test_a_session_starts_with_the_photo_as_it_is(page):
    session = page.sample(5003)
    after, heat, line = page.show(session, session.start)
    assert after == page.before(session).replace("before", "after") and "mean" in heat
    assert (
        line
        == "FaceEditor.from_pretrained().edit(render_face(5003, OPENFACE_AUS.neutral_vector(), size=256), {})"
    )


def test_only_moved_sliders_are_changes(page):
    session = page.sample(5003)
    values = list(session.start)
    values[OPENFACE_AUS.index("AU12")] = 0.91
    assert page.changes(session, tuple(values)) == {"AU12": 0.91}
    after, _, line = page.show(session, tuple(values))
    assert after != page.before(session) and "{'AU12': 0.91}" in line


def test_an_uploaded_photo_keeps_its_size(page, tmp_path):
    Image.new("RGB", (90, 60), (200, 120, 80)).save(tmp_path / "it's me.png")
    session = page.upload(str(tmp_path / "it's me.png"))
    values = tuple(1.0 - v for v in session.start)
    uri, name = page.picture(session, values)
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as picture:
        assert picture.size == (90, 60) and name == "edited.png"
    assert '.edit("it\'s me.png", {' in page.show(session, values)[2] and str(tmp_path) not in page.line(
        session, {}
    )


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("rubbish.png", b"not a picture at all", "not a picture that can be read"),
        ("empty.jpg", b"", "not a picture that can be read"),
        ("cut.png", None, r"cut\.png: cannot be read"),
        ("huge.png", (6000, 5000), "6000 x 5000 pixels; the page takes up to 24 million"),
        ("black.png", (64, 64), r"black\.png: no face was found"),
    ],
)
def test_rubbish_is_refused_in_words(page, tmp_path, name, content, message):
    path = tmp_path / name
    if content is None:
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:4000])
    elif isinstance(content, tuple):
        Image.new("1", content).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as refusal:
        page.upload(str(path))
    assert str(tmp_path) not in str(refusal.value)


def test_the_gif_goes_there_and_back(page):
    uri, name = page.gif(page.sample(5003), (0.9,) * 17)
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as gif:
        assert gif.n_frames == 2 * doing.GIF_STEPS - 2 and name == "edited.gif"


def test_visitors_in_parallel_do_not_meet(page):
    values = [tuple(round(0.05 * number, 2) for _ in range(17)) for number in range(8)]
    session = page.sample(5003)
    alone = [page.show(session, v) for v in values]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda v: page.show(session, v), values)) == alone


@pytest.mark.parametrize(
    "space", [pca_blendshapes(3), ConditionSpace(["mine", "jawOpen"], low=-1.0)], ids=["pca", "own"]
)
def test_any_space_makes_a_page(space):
    generator = AttentionGenerator(space, base_channels=2, num_residual_blocks=0)
    critic = PatchCritic({"condition": space}, base_channels=2, num_layers=2)
    demo = app.build(FaceEditor(generator, critic, size=16))
    labels = [block.label for block in demo.blocks.values() if isinstance(block, gr.Slider)]
    assert set(labels) >= {"from A to B"} and len(labels) == space.dim + 1


# In a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served():
    if MODEL is None and not SHIPPED.is_dir():
        pytest.skip(f"needs the shipped networks in {SHIPPED}, or a folder in AUCOND_TEST_MODEL")
    demo = app.build(FaceEditor.from_pretrained(MODEL), MODEL)
    _, address, _ = app.launch(demo, port=None, prevent_thread_lock=True, quiet=True)
    yield address
    demo.close()


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs Chromium: no chromium, chromium-browser or google-chrome on the path")
    flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync"
    with api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=flags.split())
        yield started
        started.close()


class Visitor:
    """One person with the page open."""

    def __init__(self, browser, address):
        self.tab = browser.new_page(viewport={"width": 1400, "height": 900}, accept_downloads=True)
        self.tab.set_default_timeout(WAIT)
        self.asked = []
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(address)
        self.tab.wait_for_selector("#after img")
        self.tab.wait_for_function("document.querySelector('#code textarea').value.includes('FaceEditor')")

    def picture(self, place):
        uri = self.tab.locator(f"#{place} img").get_attribute("src")
        with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    def code(self):
        return self.tab.locator("#code textarea").input_value()

    def until_the_code_says(self, text):
        self.tab.wait_for_function(
            "t => document.querySelector('#code textarea').value.includes(t)", arg=text
        )

    def slide(self, name, key):
        slider = self.tab.locator(f"#slider-{name} input[type=range]")
        slider.focus()
        slider.press(key)

    def upload(self, path):
        self.tab.locator("input[type=file]").first.set_input_files(str(path))

    def download(self, button, folder):
        with self.tab.expect_download() as waiting:
            self.tab.click(f"#{button}")
        waiting.value.save_as(folder / waiting.value.suggested_filename)
        return folder / waiting.value.suggested_filename


@pytest.fixture
def visitor(browser, served):
    visitor = Visitor(browser, served)
    yield visitor
    visitor.tab.close()


def regions(identity, size):
    """Where the face and its mouth are in a sample."""
    from aucond.faces import SyntheticFaces

    faces = SyntheticFaces([identity], 1, size, pose=0.0, cache=False)
    marks = faces.landmarks([0], OPENFACE_AUS.neutral_vector()[None])[0].numpy()
    forehead = marks[17:27][::-1] - [0, 0.45 * (marks[8, 1] - marks[27, 1])]
    face, mouth = Image.new("1", (size, size)), Image.new("1", (size, size))
    ImageDraw.Draw(face).polygon([tuple(p) for p in np.concatenate([marks[:17], forehead])], fill=1)
    (left, top), (right, bottom) = marks[48:].min(0) - 0.06 * size, marks[48:].max(0) + 0.06 * size
    ImageDraw.Draw(mouth).rectangle([left, top, right, bottom], fill=1)
    return np.asarray(face), np.asarray(mouth)


def test_a_smile_moves_the_mouth_and_leaves_the_background(visitor):
    before, heat = visitor.picture("after"), visitor.picture("heat")
    assert np.array_equal(before, visitor.picture("before"))
    visitor.slide("AU12", "End")
    visitor.until_the_code_says("{'AU12': 1")
    visitor.tab.wait_for_timeout(300)
    changed = np.abs(visitor.picture("after") - before).max(-1) > 0
    face, mouth = regions(doing.FIRST_PERSON, doing.SIDE)
    strong = np.abs(visitor.picture("after") - before).max(-1) > 8
    assert strong[mouth].mean() > 0.05
    assert strong[mouth].mean() > 3 * strong[face & ~mouth].mean()
    assert changed[~face].mean() < 0.01
    assert not np.array_equal(heat, visitor.picture("heat"))
    assert {url.split("/")[2].split(":")[0] for url in visitor.asked if url.startswith("http")} == {
        "127.0.0.1"
    }


def test_expressions_undo_and_the_way_between_two(visitor):
    value = "document.querySelector('#slider-AU12 input[type=number]').value"
    start = visitor.tab.evaluate(value)
    visitor.tab.click("#save-A")
    visitor.tab.wait_for_function("document.querySelector('#message').innerText.includes('Saved as A')")
    visitor.tab.click("#expression-happiness")
    visitor.tab.wait_for_function(f"{value} == '0.9'")
    happy = visitor.picture("after")
    visitor.tab.click("#save-B")
    visitor.tab.wait_for_function("document.querySelector('#message').innerText.includes('Saved as B')")
    visitor.tab.click("#undo")
    visitor.tab.wait_for_function(f"{value} == '{start}'")
    assert np.array_equal(visitor.picture("after"), visitor.picture("before"))
    blend = visitor.tab.locator("#blend input[type=range]")
    blend.focus()
    blend.press("End")
    visitor.tab.wait_for_function(f"{value} == '0.9'")
    assert np.array_equal(visitor.picture("after"), happy)
    visitor.tab.click("#random")
    visitor.tab.wait_for_function(f"{value} != '0.9'")


def test_the_line_of_python_gives_the_downloaded_picture(visitor, tmp_path):
    from aucond.faces import render_face

    visitor.tab.click("#expression-surprise")
    visitor.until_the_code_says("'AU26': 0.9")
    saved = visitor.download("picture", tmp_path)
    assert saved.name == "edited.png"
    known = {"FaceEditor": FaceEditor, "render_face": render_face, "OPENFACE_AUS": OPENFACE_AUS}
    edited = eval(visitor.code(), known)
    with Image.open(saved) as picture:
        assert (
            np.abs(np.asarray(picture).astype(int) - np.asarray(doing.to_pil(edited)).astype(int)).max() <= 1
        )
    with Image.open(visitor.download("gif", tmp_path)) as gif:
        assert gif.n_frames == 2 * doing.GIF_STEPS - 2


def test_uploads_good_and_bad(visitor, tmp_path):
    said = "document.querySelector('#message').innerText"
    (tmp_path / "rubbish.png").write_bytes(b"rubbish " * 100)
    visitor.upload(tmp_path / "rubbish.png")
    visitor.tab.wait_for_function(f"{said}.includes('not a picture that can be read')")
    assert "render_face" in visitor.code()
    Image.new("1", (6000, 5000)).save(tmp_path / "huge.png")
    visitor.upload(tmp_path / "huge.png")
    visitor.tab.wait_for_function(f"{said}.includes('30000000') || {said}.includes('6000 x 5000')")
    pytest.importorskip("dlib", reason='needs dlib: pip install "aucond[detect]"')
    from aucond.faces import render_face

    face = doing.to_pil(render_face(5011, OPENFACE_AUS.neutral_vector(), size=200))
    photo = Image.new("RGB", (360, 300), (70, 110, 70))
    photo.paste(face, (80, 50))
    photo.save(tmp_path / "me.jpg", quality=95)
    visitor.upload(tmp_path / "me.jpg")
    visitor.until_the_code_says("'me.jpg'")
    visitor.tab.click("#expression-happiness")
    visitor.until_the_code_says("'AU12': 0.9")
    saved = visitor.download("picture", tmp_path)
    with Image.open(saved) as edited, Image.open(tmp_path / "me.jpg") as original:
        difference = np.abs(np.asarray(edited).astype(int) - np.asarray(original).astype(int)).max(-1)
    assert difference.shape == (300, 360) and (difference > 0).mean() > 0.005
    assert (difference[:, :50] == 0).all() and (difference[:30] == 0).all()


def test_two_visitors_have_their_own_faces(browser, served):
    one, other = Visitor(browser, served), Visitor(browser, served)
    one.slide("AU12", "End")
    one.until_the_code_says("'AU12': 1")
    other.slide("AU04", "End")
    other.until_the_code_says("{'AU04': 1")
    assert "AU04" not in one.code() and not np.array_equal(one.picture("after"), other.picture("after"))
    for visitor in (one, other):
        visitor.tab.close()
