"""The editor: a trained generator and critic, used on photos in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch import Tensor

from aucond._check import check_choice, check_number, describe
from aucond.edit.loading import load_pair, save_pair
from aucond.edit.networks import Networks
from aucond.edit.prepared import Edit, Photo, PreparedPhoto, prepare_photo
from aucond.edit.requests import Wanted, path_between, resolve_target
from aucond.faces.detection import DlibDetector, FaceDetector
from aucond.faces.framing import FaceCrop, FaceFraming
from aucond.nn import AttentionGenerator, PatchCritic
from aucond.types import GeneratorOutput, HeadFactory

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["FaceEditor"]

Framing = Literal["auto", "detect", "crop"]

_NO_READING = (
    "current: this needs the photo's current condition, and the editor has no critic to read it; build the "
    "editor with one, or pass current=... to prepare() (space.neutral_vector() for an unexpressive face)"
)


class FaceEditor:
    """Edits the expression of faces in photos; what an edit does not touch stays as it was, bit for bit.

    A photo is a path, a PIL image, an array (H, W), (H, W, 3) or (H, W, 4) of uint8 or uint16, or a tensor. The result
    is of the same kind: a PIL image for a path, an array for an array. In a photo, the faces are found, cut out in the
    frame of the training data, edited at the network's resolution, and the *change* is put back at the photo's own
    resolution. A tensor, (3, H, W) or (B, 3, H, W) in [-1, 1], is taken as aligned crops, without a search.
    :meth:`prepare` chooses otherwise, and saves the search when one photo is edited many times.

    Convention:
        * Conditions are in the normalised unit of ``space``. A mapping sets the components it names and keeps the
          others at what the critic reads; a tensor (N,) is the whole target.
        * Pixels outside the crop, and those where the edit mask is at most ``attention_floor``, keep their exact value
          (a sigmoid is never 0); above it the mask rises from 0, so that no edge shows. A tensor of the network's own
          size gets the network's output as it is.

    Args:
        generator: A generator that was built with a ConditionSpace.
        critic: A critic with a head that reads that space; without it ``current`` must be given to :meth:`prepare`.
        size: Side of the crops the networks were trained on; None: taken from the critic if its head fixes the size.
        detector: Finds the faces; None: :class:`~aucond.faces.DlibDetector`, made when first needed.
        framing: Position of eyes, nose and mouth in the training crops.
        attention_floor: Mask values up to this one count as 0 in photos, in [0, 1).
        head: Name of the critic's head.
        batch_size: Most crops that go through the networks at once.

    Raises:
        TypeError: Networks of another kind.
        ValueError: A generator without a space, a critic without that head, or a size that nothing tells.

    >>> from aucond import OPENFACE_AUS
    >>> generator = AttentionGenerator(OPENFACE_AUS, base_channels=4, num_residual_blocks=1)
    >>> critic = PatchCritic({"condition": OPENFACE_AUS}, base_channels=4, num_layers=3)
    >>> editor = FaceEditor(generator, critic, size=32)
    >>> editor.edit(torch.zeros(2, 3, 32, 32), {"AU12": 0.9}).shape
    torch.Size([2, 3, 32, 32])
    >>> editor.edit(torch.zeros(3, 32, 32), {"AU012": 0.9})
    Traceback (most recent call last):
    ValueError: names: 'AU012' is not one of the 17 components of this space; did you mean 'AU12'?
    """

    def __init__(
        self,
        generator: AttentionGenerator,
        critic: PatchCritic | None = None,
        *,
        size: int | None = None,
        detector: FaceDetector | None = None,
        framing: FaceFraming | None = None,
        attention_floor: float = 0.02,
        head: str = "condition",
        batch_size: int = 16,
    ) -> None:
        self.networks = Networks(generator, critic, size=size, head=head, batch_size=batch_size)
        if framing is not None and not isinstance(framing, FaceFraming):
            raise TypeError(f"framing: expected a FaceFraming or None, got {describe(framing)}")
        if detector is not None and not callable(detector):
            raise TypeError(f"detector: expected a callable picture -> faces, got {describe(detector)}")
        check_number("attention_floor", attention_floor, low=0.0, high=0.999)
        self.generator, self.critic = self.networks.generator, self.networks.critic
        self.space, self.size = self.networks.space, self.networks.size
        self.framing = framing or FaceFraming()
        self.attention_floor = float(attention_floor)
        self._detector = detector

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path | None = None,
        *,
        device: str | torch.device = "cpu",
        detector: FaceDetector | None = None,
        critic_heads: Mapping[str, HeadFactory] | None = None,
        **options: Any,
    ) -> FaceEditor:
        """Load an editor.

        Args:
            folder_or_hub_id: A folder with ``generator/`` and, if there is one, ``critic/`` (as :meth:`save_pretrained`
                and the recipes write them), or a repository of that layout on the Hugging Face Hub; None: the small
                networks that come with aucond. They know *rendered* faces of 64 x 64 pixels only.
            device: Where the networks go.
            detector: As of the class.
            critic_heads: The critic's heads; needed only for callables that cannot be recognised from the weights.
            **options: The class's other arguments, in place of what the folder says.

        Raises:
            FileNotFoundError: No such folder, no generator in it, or no critic where the saved editor had one.
            ValueError: Damaged files, or those of something else.
        """
        generator, critic, stored = load_pair(folder_or_hub_id, device, critic_heads)
        return cls(generator, critic, detector=detector, **{**stored, **options})

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the editor to a folder that :meth:`from_pretrained` reads (the detector is not part of it).

        An older editor in the folder is replaced when all of the new one is written. If the new one has no critic, the
        older one's files stay in ``critic/``, but are not loaded.
        """
        settings = {"size": self.size, "framing": self.framing, "attention_floor": self.attention_floor}
        save_pair(self.generator, self.critic, settings, Path(folder))

    def to(self, device: str | torch.device) -> FaceEditor:
        """Move the networks to a device; returns the editor."""
        self.generator.to(device)
        if self.critic is not None:
            self.critic.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.networks.device

    @property
    def detector(self) -> FaceDetector:
        """What finds the faces."""
        if self._detector is None:
            self._detector = DlibDetector()
        return self._detector

    def prepare(
        self,
        photo: Photo,
        *,
        framing: Framing = "auto",
        crops: Sequence[FaceCrop] | None = None,
        who: Literal["all", "largest"] | Sequence[int] = "all",
        current: Wanted | None = None,
    ) -> PreparedPhoto:
        """Open a photo, find its faces and read their conditions, once for many edits.

        The result goes wherever a photo goes.

        Args:
            photo: A photo.
            framing: ``"detect"`` looks for faces; ``"crop"`` takes the picture (its middle square) as one aligned
                crop; ``"auto"`` looks for faces but in tensors.
            crops: Where the faces are, in place of a search.
            who: ``"all"`` faces, the ``"largest"``, or their numbers, the largest face being number 0.
            current: The condition of the faces, in place of the critic's reading; of a mapping, components without a
                name are neutral.

        Raises:
            NoFaceError: No face was found.
            ValueError: A file that is no photo, or an argument out of its range.
            TypeError: Something that is no photo.
        """
        check_choice("framing", framing, ("auto", "detect", "crop"))
        if isinstance(photo, PreparedPhoto):
            if (framing, crops, who, current) != ("auto", None, "all", None):
                raise ValueError("photo: is prepared already, so no other choice can be made for it")
            return photo
        prepared = prepare_photo(
            photo, self.size, self.framing, lambda: self.detector, how=framing, crops=crops, who=who
        )
        if current is not None:
            neutral = self.space.neutral_vector().expand(len(prepared), -1)
            return replace(prepared, current=resolve_target(self.space, current, neutral, name="current"))
        return replace(prepared, current=self.networks.read(prepared.images))

    def read(self, photo: Photo) -> dict[str, float]:
        """The current condition of a photo's largest face, by name, as the critic's head reads it.

        Values are moved into the space's range.
        """
        values = self.read_tensor(photo)[0].tolist()
        return dict(zip(self.space.names, values, strict=True))

    def read_tensor(self, photo: Photo | Sequence[Photo]) -> Tensor:
        """The current conditions of all faces, (F, N): of one photo, or of several one after the other."""
        return torch.cat([self._current(self.prepare(one)) for one in _listed(photo)])

    @overload
    def edit(
        self, photo: str | Path | Image.Image, changes: Wanted, *, relative: bool = ...
    ) -> Image.Image: ...
    @overload
    def edit(self, photo: Tensor, changes: Wanted, *, relative: bool = ...) -> Tensor: ...
    @overload
    def edit(self, photo: NDArray[Any], changes: Wanted, *, relative: bool = ...) -> NDArray[Any]: ...
    @overload
    def edit(self, photo: PreparedPhoto, changes: Wanted, *, relative: bool = ...) -> Any: ...
    @overload
    def edit(
        self, photo: list[Any] | tuple[Any, ...], changes: Wanted, *, relative: bool = ...
    ) -> list[Any]: ...

    def edit(self, photo: Photo | Sequence[Photo], changes: Wanted, *, relative: bool = False) -> Any:
        """Edit a photo, or a list of photos in one batch.

        Args:
            photo: A photo, or a list of them.
            changes: Name to value, all other components staying as they are; or the whole target, (N,) or one per
                face (F, N).
            relative: The values are added to the current condition (``{"AU12": 0.3}``: more smile than now); the sum
                is kept in the space's range.

        Returns:
            The edited photo, of the photo's own kind; a list for a list.

        Raises:
            ValueError: An unknown name (with the nearest one), a value out of range, no face.
        """
        edits = self._edits([self.prepare(one) for one in _listed(photo)], changes, relative)
        return [edit.image for edit in edits] if isinstance(photo, list | tuple) else edits[0].image

    def edit_details(self, photo: Photo, changes: Wanted, *, relative: bool = False) -> Edit:
        """Like :meth:`edit`, with mask, colour, conditions and the place of each face."""
        return self._edits([self.prepare(photo)], changes, relative)[0]

    def sweep(
        self, photo: Photo, name: str, values: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
    ) -> list[Any]:
        """Edit a photo so that one component takes each of several values, all others staying as they are."""
        return list(self.animate(photo, [{name: value} for value in values]))

    def grid(
        self,
        photo: Photo,
        rows: str,
        columns: str,
        values: Sequence[float] = (0.0, 0.33, 0.67, 1.0),
        *,
        cell: int = 128,
    ) -> Image.Image:
        """A labelled picture of one face under all pairs of values of two components.

        Args:
            photo: A photo; its largest face is shown.
            rows: The component that changes from row to row.
            columns: The one that changes from column to column.
            values: The values both take.
            cell: Pixels of each face.
        """
        from aucond.edit.grids import labelled_grid

        check_number("cell", cell, low=16, integer=True)
        if rows == columns:
            raise ValueError(f"columns: expected another component than rows, got {columns!r} twice")
        prepared = self.prepare(photo).one(0)
        lines = [
            [
                self._edits([prepared], {rows: row, columns: column}, False)[0].face(0, cell)
                for column in values
            ]
            for row in values
        ]
        return labelled_grid(lines, rows, columns, values)

    def interpolate(self, photo: Photo, start: Wanted, end: Wanted, steps: int) -> list[Any]:
        """Edit a photo along the straight line between two conditions, ``p = (1 - a) start + a end``.

        Args:
            photo: A photo.
            start: Where it begins, as ``changes`` of :meth:`edit`.
            end: Where it ends.
            steps: Number of results, both ends included, at least 2.
        """
        check_number("steps", steps, low=2, integer=True)
        prepared = self.prepare(photo)
        first, last = self._target(prepared, start, False), self._target(prepared, end, False)
        return list(self.animate(prepared, path_between(first, last, steps)))

    def transfer(self, source: Photo, target: Photo) -> Any:
        """Give the faces of one photo the expression of another's (SliderGAN Section 4.6).

        Args:
            source: The photo that is edited.
            target: The photo whose largest face's condition the critic reads; a batch of tensors as large as the
                source's goes pair by pair.

        Returns:
            The source with the target's expression, of the source's kind.
        """
        source, conditions = self.prepare(source), self.read_tensor(target)
        paired = isinstance(target, Tensor) and len(conditions) == len(source)
        return self._edits([source], conditions if paired else conditions[0], False)[0].image

    def neutralise(self, photo: Photo) -> Any:
        """Edit a photo to the neutral face of the space (SliderGAN: p = 0)."""
        return self.edit(self.prepare(photo), self.space.neutral_vector())

    def animate(self, photo: Photo, sequence: Iterable[Wanted], *, relative: bool = False) -> Iterator[Any]:
        """Yield one edited photo per condition of a sequence.

        The sequence is read as the frames are taken, so neither it nor its length has to fit in memory.

        Args:
            photo: A photo.
            sequence: Conditions, each as ``changes`` of :meth:`edit`; a tensor (T, N) is T of them.
            relative: As of :meth:`edit`.
        """
        prepared = self.prepare(photo)
        return (self._edits([prepared], wanted, relative)[0].image for wanted in sequence)

    def _edits(self, photos: Sequence[PreparedPhoto], changes: Wanted, relative: bool) -> list[Edit]:
        targets = [self._target(one, changes, relative) for one in photos]
        # An absolute network never looks at the current condition, so that one may be missing.
        currents = [
            target if one.current is None else one.current
            for one, target in zip(photos, targets, strict=True)
        ]
        output = self.networks.edit(
            torch.cat([one.images for one in photos]), torch.cat(targets), torch.cat(currents)
        )
        counts = [len(one) for one in photos]
        parts = zip(*(torch.split(value, counts) for value in output), strict=True)
        return [
            Edit(one, GeneratorOutput(*part), target, self.attention_floor)
            for one, part, target in zip(photos, parts, targets, strict=True)
        ]

    def _target(self, photo: PreparedPhoto, wanted: Wanted, relative: bool) -> Tensor:
        whole = isinstance(wanted, Tensor) and not relative
        if photo.current is None and (self.generator.relative or not whole):
            raise ValueError(_NO_READING)
        current = photo.current
        if current is None:
            current = self.space.neutral_vector().expand(len(photo), -1)
        return resolve_target(self.space, wanted, current, relative=relative)

    def _current(self, photo: PreparedPhoto) -> Tensor:
        if photo.current is None:
            raise ValueError(_NO_READING)
        return photo.current


def _listed(photo: Any) -> list[Any]:
    if isinstance(photo, list | tuple):
        if not photo:
            raise ValueError("photo: expected at least one photo, got an empty list")
        return list(photo)
    return [photo]
