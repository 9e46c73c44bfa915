"""Move a slider, and the face follows: a page for the browser.

::

    pip install "aucond[app]"
    python examples/slider_app.py

Then open http://127.0.0.1:7860. The networks that come with aucond know rendered faces; give the folder of others
(``generator/`` and ``critic/``, as the recipes write them) with ``--model``. Nothing leaves the machine: no script,
font or count is fetched or sent, and nobody else reaches the page unless ``--host`` says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import secrets
from typing import Any, NamedTuple

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import torch
from slider_session import FIRST_PERSON, Page, Session
from torch import Tensor

from aucond import ConditionSpace
from aucond.edit import FACS_EXPRESSIONS, FaceEditor, component_label, facs_expression, group_components
from aucond.faces import sample_conditions

MAX_FILE = "15mb"
QUICK: dict[str, Any] = {
    "show_progress": "hidden",
    "trigger_mode": "always_last",
    "api_visibility": "private",
}
SLOW: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}

CSS = """
.stage { position: sticky; top: 0; align-self: flex-start; }
.faces { flex-wrap: nowrap !important; gap: 10px !important; }
.faces figure { margin: 0; }
.faces img { width: 100%; aspect-ratio: 1; border-radius: 8px; display: block; }
.faces figcaption { text-align: center; font-size: 0.9em; opacity: 0.8; margin-top: 4px; }
.four { display: grid !important; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 8px !important; }
.faces > * { padding: 0 !important; }
.sliders .form { display: grid !important; grid-template-columns: 1fr 1fr; background: transparent; }
.sliders .block { padding: 8px 12px !important; }
#code textarea { font-family: ui-monospace, monospace; font-size: 0.85em; }
footer { display: none !important; }
@media (max-width: 800px) { .stage { position: static; } .sliders .form { grid-template-columns: 1fr; } }
"""
SAVE_FILE = """(uri, name) => {
    if (!uri) return;
    fetch(uri).then(answer => answer.blob()).then(blob => {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(blob); link.download = name; link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    });
}"""


class Stage(NamedTuple):
    """All components of the page but the sliders."""

    before: gr.HTML
    after: gr.HTML
    heat: gr.HTML
    message: gr.Markdown
    upload: gr.UploadButton
    another: gr.Button
    undo: gr.Button
    random: gr.Button
    expressions: dict[str, gr.Button]
    saves: tuple[gr.Button, gr.Button]
    blend: gr.Slider
    picture: gr.Button
    gif: gr.Button
    code: gr.Textbox
    address: gr.Textbox
    file_name: gr.Textbox

    @property
    def shown(self) -> list[Any]:
        """What every move of a slider changes."""
        return [self.after, self.heat, self.code]


def build(editor: FaceEditor, model: str | None = None) -> gr.Blocks:
    """The page.

    Args:
        editor: The editor behind it.
        model: What the line of Python gives to ``FaceEditor.from_pretrained``.
    """
    page = Page(editor, model)
    # Temporary files (uploads) are removed after ten minutes; the rest lives in memory and goes with the session.
    with gr.Blocks(analytics_enabled=False, title="aucond sliders", delete_cache=(600, 600)) as demo:
        gr.Markdown("## Move a slider, and the face follows")
        session = gr.State(None, time_to_live=3600)
        with gr.Row():
            with gr.Column(scale=6, elem_classes="stage"):
                stage = draw_stage(editor.space)
            with gr.Column(scale=5, elem_classes="sliders"):
                sliders = draw_sliders(editor.space)
        wire_photos(demo, page, session, stage, sliders)
        wire_moves(page, session, stage, sliders)
        wire_saved_states(page, session, stage, sliders)
        wire_files(page, session, stage, sliders)
    demo.queue(default_concurrency_limit=4, max_size=64)
    return demo


def draw_stage(space: ConditionSpace) -> Stage:
    """Faces, buttons, and the line of Python."""
    with gr.Row(elem_classes="faces"):
        faces = [gr.HTML(elem_id=name, min_height=180) for name in ("before", "after", "heat")]
    message = gr.Markdown(elem_id="message")
    with gr.Row(elem_classes="four"):
        upload = gr.UploadButton("Upload a photo", file_types=["image"], size="md", elem_id="upload")
        another, undo, random = (
            gr.Button(text, size="md", elem_id=name)
            for name, text in (("sample", "Another sample"), ("undo", "Undo all"), ("random", "Random"))
        )
    if names := known_expressions(space):
        gr.Markdown("**Expressions**")
    with gr.Row(elem_classes="four"):
        expressions = {name: gr.Button(name, size="sm", elem_id=f"expression-{name}") for name in names}
    gr.Markdown("**Between two expressions**: save one as A, another as B, then slide.")
    with gr.Row():
        save_a, save_b = (gr.Button(f"Save as {slot}", size="sm", elem_id=f"save-{slot}") for slot in "AB")
        blend = gr.Slider(0, 1, 0, step=0.01, label="from A to B", buttons=[], elem_id="blend", scale=3)
    with gr.Row():
        picture = gr.Button("Download the picture", size="sm", elem_id="picture")
        gif = gr.Button("Download a GIF", size="sm", elem_id="gif")
    code = gr.Textbox(
        label="the same in Python", lines=2, buttons=["copy"], elem_id="code", interactive=False
    )
    hidden = [gr.Textbox(visible="hidden") for _ in range(2)]
    buttons = (upload, another, undo, random, expressions, (save_a, save_b), blend, picture, gif, code)
    return Stage(*faces, message, *buttons, *hidden)


def draw_sliders(space: ConditionSpace) -> list[gr.Slider]:
    """One slider a component, grouped by where it acts; in the order of the space."""
    by_name: dict[str, gr.Slider] = {}
    for region, names in group_components(space).items():
        with gr.Accordion(region.capitalize(), open=space.dim <= 20 or region in ("mouth", "other")):
            for name in names:
                at = space.index(name)
                by_name[name] = gr.Slider(
                    space.low[at],
                    space.high[at],
                    space.neutral[at],
                    step=0.01,
                    buttons=[],
                    label=component_label(name),
                    elem_id=f"slider-{name}",
                )
    return [by_name[name] for name in space.names]


def known_expressions(space: ConditionSpace) -> list[str]:
    """The basic expressions, where the space has names that they are made of."""
    try:
        facs_expression("neutral", space)
    except ValueError:
        return []
    return list(FACS_EXPRESSIONS)


def wire_photos(
    demo: gr.Blocks, page: Page, session: gr.State, stage: Stage, sliders: list[gr.Slider]
) -> None:
    """The first sample, other samples, uploads."""
    everything = [session, stage.message, stage.before, *sliders, *stage.shown]

    def opened(new: Session, text: str = "") -> list[Any]:
        return [new, text, page.before(new), *new.start, *page.show(new, new.start)]

    def uploaded(path: str) -> list[Any]:
        try:
            new = page.upload(path)
        except ValueError as error:
            return [gr.skip(), f"⚠️ {error}", *[gr.skip()] * (len(everything) - 2)]
        faces = len(new.photo)
        return opened(new, f"{faces} faces: the largest is shown, all are edited." if faces > 1 else "")

    demo.load(lambda: opened(page.sample(FIRST_PERSON)), None, everything, **SLOW)
    stage.another.click(lambda: opened(page.sample(5000 + secrets.randbelow(1000))), None, everything, **SLOW)
    stage.upload.upload(uploaded, stage.upload, everything, **SLOW)


def moved_to(page: Page, session: Session, values: Tensor) -> list[Any]:
    """Sliders and pictures at a condition."""
    rounded = tuple(round(value, 2) for value in values.tolist())
    return [*rounded, *page.show(session, rounded)]


def wire_moves(page: Page, session: gr.State, stage: Stage, sliders: list[gr.Slider]) -> None:
    """Sliders, expressions, random, undo."""
    moved = [*sliders, *stage.shown]
    gr.on(
        [slider.input for slider in sliders],
        lambda current, *values: page.show(current, values),
        [session, *sliders],
        stage.shown,
        **QUICK,
    )
    for name, button in stage.expressions.items():
        condition = facs_expression(name, page.space)
        button.click(
            lambda current, wanted=condition: moved_to(page, current, wanted), session, moved, **QUICK
        )

    def thrown(current: Session) -> list[Any]:
        rng = torch.Generator().manual_seed(secrets.randbits(62))
        return moved_to(page, current, sample_conditions(page.space, 1, rng)[0])

    stage.random.click(thrown, session, moved, **QUICK)
    stage.undo.click(
        lambda current: moved_to(page, current, torch.tensor(current.start)), session, moved, **QUICK
    )


def wire_saved_states(page: Page, session: gr.State, stage: Stage, sliders: list[gr.Slider]) -> None:
    """Two saved states and the slider between them."""

    def saved(current: Session, slot: int, values: tuple[float, ...]) -> tuple[Session, str]:
        both = (values, current.saved[1]) if slot == 0 else (current.saved[0], values)
        return dataclasses.replace(current, saved=both), f"Saved as {'AB'[slot]}."

    def between(current: Session, share: float) -> list[Any]:
        start, end = (torch.tensor(state or current.start) for state in current.saved)
        return moved_to(page, current, torch.lerp(start, end, share))

    for slot, button in enumerate(stage.saves):
        button.click(
            lambda current, *values, slot=slot: saved(current, slot, values),
            [session, *sliders],
            [session, stage.message],
            **SLOW,
        )
    stage.blend.input(between, [session, stage.blend], [*sliders, *stage.shown], **QUICK)


def wire_files(page: Page, session: gr.State, stage: Stage, sliders: list[gr.Slider]) -> None:
    """Files to take away: made on the server, saved by the browser, never on the server's disk."""
    for button, make in ((stage.picture, page.picture), (stage.gif, page.gif)):
        button.click(
            lambda current, *values, make=make: make(current, values),
            [session, *sliders],
            [stage.address, stage.file_name],
            **SLOW,
        ).then(None, [stage.address, stage.file_name], None, js=SAVE_FILE)


def launch(demo: gr.Blocks, host: str = "127.0.0.1", port: int | None = None, **options: Any) -> Any:
    """Serve the page: local unless told otherwise, without anything from the network."""
    return demo.launch(
        server_name=host,
        server_port=port,
        share=False,
        max_file_size=MAX_FILE,
        state_session_capacity=100,
        show_error=True,
        ssr_mode=False,
        css=CSS,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        **options,
    )


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="folder with generator/ and critic/; default: the shipped one")
    parser.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0 lets others in (default: only this machine)"
    )
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    editor = FaceEditor.from_pretrained(arguments.model, device=arguments.device)
    launch(build(editor, arguments.model), arguments.host, arguments.port)


if __name__ == "__main__":
    main()
