"""Time from moving a slider to seeing the picture, in a real browser.

``python benchmarks/slider_latency.py --output benchmarks/results/slider_latency.json``

The slider page is served in this process and opened in headless Chromium. Each move presses the End or Home key on a
slider; a script in the page takes the time of the slider's ``input`` event and of the moment at which the new picture
is decoded (``img.decode()``), by the browser's own clock. Beside it: the time the server's handler takes alone, called
directly, and its parts. ``--screenshot`` keeps a picture of the page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from aucond import __version__
from aucond._files import atomic_file
from aucond.edit import FaceEditor

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import slider_app
import slider_session

WATCH = """() => {
    window.moves = [];
    let pressed = null;
    document.querySelector("#slider-AU12 input[type=range]").addEventListener(
        "input", () => { pressed = performance.now(); }, true);
    const look = async () => {
        const image = document.querySelector("#after img");
        if (!image || image.src === window.seen) return;
        window.seen = image.src;
        await image.decode();
        if (pressed !== null) { window.moves.push(performance.now() - pressed); pressed = null; }
    };
    window.seen = document.querySelector("#after img").src;
    new MutationObserver(look).observe(
        document.querySelector("#after"), {subtree: true, childList: true, attributes: true});
}"""


def summary(values: list[float]) -> dict[str, float]:
    """Median, 90th percentile and smallest, in milliseconds."""
    ordered = sorted(values)
    return {
        "median_ms": round(statistics.median(ordered), 1),
        "p90_ms": round(ordered[int(0.9 * (len(ordered) - 1))], 1),
        "best_ms": round(ordered[0], 1),
        "count": len(ordered),
    }


def timed(call: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Wall and processor time of a call."""
    wall, cpu = [], []
    for _ in range(repeats + 3):
        start, used = time.perf_counter(), time.process_time()
        call()
        wall.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - used))
    return {"wall": summary(wall[3:]), "cpu": summary(cpu[3:])}


def in_the_server(editor: FaceEditor, repeats: int) -> dict[str, Any]:
    """The handler alone, and its parts."""
    page = slider_session.Page(editor, None)
    session = page.sample(slider_session.FIRST_PERSON)
    values = tuple(
        1.0 if name == "AU12" else start
        for name, start in zip(editor.space.names, session.start, strict=True)
    )
    edit = editor.edit_details(session.photo, {"AU12": 1.0})
    face = edit.face(0, slider_session.SIDE)
    return {
        "handler": timed(lambda: page.show(session, values), repeats),
        "networks": timed(lambda: editor.edit_details(session.photo, {"AU12": 1.0}), repeats),
        "enlarge_change_to_page_size": timed(lambda: edit.face(0, slider_session.SIDE), repeats),
        "png": timed(lambda: slider_session.figure(face, ""), repeats),
    }


def in_the_browser(
    editor: FaceEditor, moves: int, patience: float, screenshot: Path | None
) -> dict[str, Any]:
    """Slider to picture."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("needs Chromium on the path")
    demo = slider_app.build(editor)
    _, address, _ = slider_app.launch(demo, prevent_thread_lock=True, quiet=True)
    flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=[*flags.split(), "--disable-sync"])
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        tab.set_default_timeout(1000 * patience)
        tab.goto(address)
        tab.wait_for_selector("#after img")
        tab.wait_for_function("document.querySelector('#code textarea').value.includes('FaceEditor')")
        tab.evaluate(WATCH)
        slider = tab.locator("#slider-AU12 input[type=range]")
        slider.focus()
        for number in range(moves + 5):
            slider.press("Home" if number % 2 else "End")
            tab.wait_for_function("n => window.moves.length > n", arg=number)
        times = tab.evaluate("window.moves")[5:]
        if screenshot is not None:
            tab.click("#expression-happiness")
            tab.wait_for_function("document.querySelector('#code textarea').value.includes('AU06')")
            tab.wait_for_timeout(1000)
            tab.mouse.move(0, 0)
            tab.screenshot(path=screenshot)
        version = browser.version
        browser.close()
    demo.close()
    return {"chromium": version, **summary(times)}


def main() -> None:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="folder of an editor; default: the shipped networks")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/slider_latency.json"))
    parser.add_argument("--moves", type=int, default=40)
    parser.add_argument("--screenshot", type=Path, help="write a picture of the page here")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for the page")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    editor = FaceEditor.from_pretrained(arguments.model)
    result = {
        "aucond": __version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "network_size": editor.size,
        "page_size": slider_session.SIDE,
        "server": in_the_server(editor, arguments.moves),
        "slider_to_picture": in_the_browser(
            editor, arguments.moves, arguments.patience, arguments.screenshot
        ),
    }
    print(json.dumps(result, indent=2))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(arguments.output) as stream:
        stream.write((json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
