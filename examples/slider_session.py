"""What the slider page does, without the page: each visitor's state, edits, and files to take away."""

from __future__ import annotations

import base64
import dataclasses
import io
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from aucond import OPENFACE_AUS
from aucond.edit import FaceEditor, PreparedPhoto, heat_map, save_gif
from aucond.edit.wild import cut_out
from aucond.faces import render_face

SIDE = 256
"""Pixels of the faces on the page."""
MAX_PIXELS = 24_000_000
FIRST_PERSON = 5008
"""The first sample; the numbers from 5000 on are people that no shipped network was trained on."""
GIF_STEPS = 16


@dataclasses.dataclass(frozen=True)
class Session:
    """What one visitor has on the page."""

    photo: PreparedPhoto
    source: str
    """The photo as Python writes it."""
    is_file: bool
    start: tuple[float, ...]
    """The sliders before anything was moved: what the critic read."""
    saved: tuple[tuple[float, ...] | None, tuple[float, ...] | None] = (None, None)


class Page:
    """What the page does; every visitor's state is in a :class:`Session`, nothing is shared but the networks."""

    def __init__(self, editor: FaceEditor, model: str | None) -> None:
        self.editor = editor
        self.model = model
        self.space = editor.space

    def sample(self, identity: int) -> Session:
        """A rendered face."""
        face = render_face(identity, OPENFACE_AUS.neutral_vector(), size=SIDE)
        source = f"render_face({identity}, OPENFACE_AUS.neutral_vector(), size={SIDE})"
        return self._session(self.editor.prepare(face), source, is_file=False)

    def upload(self, path: str) -> Session:
        """A visitor's photo, or a ValueError that says why not."""
        try:
            with Image.open(path) as picture:
                width, height = picture.size
        except Exception as error:  # Pillow's readers raise nearly anything on rubbish.
            raise ValueError("This file is not a picture that can be read.") from error
        if width * height > MAX_PIXELS:
            limit = f"{MAX_PIXELS // 1_000_000} million"
            raise ValueError(f"This picture has {width} x {height} pixels; the page takes up to {limit}.")
        try:
            photo = self.editor.prepare(path)
        except (ValueError, ImportError) as error:
            raise ValueError(str(error).replace(str(path), Path(path).name)) from error
        return self._session(photo, repr(Path(path).name), is_file=True)

    def _session(self, photo: PreparedPhoto, source: str, *, is_file: bool) -> Session:
        current = self.space.neutral_vector() if photo.current is None else photo.current[0]
        return Session(photo, source, is_file, tuple(round(v, 2) for v in self.space.clamp(current).tolist()))

    def changes(self, session: Session, values: tuple[float, ...]) -> dict[str, float]:
        """The components that were moved; all others stay as the critic reads them."""
        moved = zip(self.space.names, values, session.start, strict=True)
        return {name: round(value, 2) for name, value, start in moved if abs(value - start) > 0.004}

    def show(self, session: Session, values: tuple[float, ...]) -> tuple[str, str, str]:
        """The edited face, the heat map, and the line of Python that gives the same."""
        changes = self.changes(session, values)
        edit = self.editor.edit_details(session.photo, changes)
        heat = heat_map(edit.attention[:1])[0]
        share = f"edit mask, mean {edit.attention[0].mean():.0%}"
        after = self._face(session) if not changes else edit.face(0, SIDE)
        return figure(after, "after"), figure(heat, share), self.line(session, changes)

    def before(self, session: Session) -> str:
        """The face as it came."""
        return figure(self._face(session), "before")

    def line(self, session: Session, changes: dict[str, float]) -> str:
        """Python that reproduces the edit."""
        model = "" if self.model is None else repr(self.model)
        call = f"FaceEditor.from_pretrained({model}).edit({session.source}, {changes})"
        return f'{call}.save("edited.png")' if session.is_file else call

    def picture(self, session: Session, values: tuple[float, ...]) -> tuple[str, str]:
        """The whole edited photo at its own resolution, as an address that holds the file, and a file name."""
        image = self.editor.edit(session.photo, self.changes(session, values))
        if isinstance(image, Tensor):
            image = to_pil(image)
        large = image.width * image.height > 1_000_000
        return data_uri(image, "JPEG" if large else "PNG"), "edited.jpg" if large else "edited.png"

    def gif(self, session: Session, values: tuple[float, ...]) -> tuple[str, str]:
        """There and back between the two saved states, or from the photo to the sliders."""
        start, end = (
            torch.tensor(v) for v in (session.saved[0] or session.start, session.saved[1] or values)
        )
        there = [torch.lerp(start, end, share) for share in torch.linspace(0, 1, GIF_STEPS).tolist()]
        conditions = [self.space.clamp(condition) for condition in [*there, *there[-2:0:-1]]]
        frames = [self.editor.edit_details(session.photo, one).face(0, SIDE) for one in conditions]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "edited.gif"
            save_gif(frames, path, frames_per_second=20)
            content = base64.b64encode(path.read_bytes()).decode()
        return f"data:image/gif;base64,{content}", "edited.gif"

    def _face(self, session: Session) -> Tensor:
        if isinstance(session.photo.original, Tensor):
            return session.photo.original
        return cut_out(session.photo.original, session.photo.crops[0], SIDE)


def to_pil(image: Tensor) -> Image.Image:
    """(3, H, W) in [-1, 1] as a PIL image."""
    levels = ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def data_uri(image: Image.Image, kind: str) -> str:
    """A picture as an address that holds it."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"compress_level": 1} if kind == "PNG" else {"quality": 95}
    image.convert("RGB").save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def figure(image: Tensor, caption: str) -> str:
    """A picture with its caption, as HTML."""
    return (
        f'<figure><img alt="{caption}" src="{data_uri(to_pil(image), "PNG")}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
