"""Image files decoded once into uint8 tensors, in memory or in a memory-mapped file."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aucond._check import check_number, describe
from aucond._files import atomic_file
from aucond.data.problems import Problem

__all__ = ["MappedFile", "check_size", "decode_image", "decode_images", "images_to_float"]

_FORMAT = 1  # Part of the cache key: raised whenever the same file would be decoded to other bytes.
_UNREAD = "cannot be read as an image"


@dataclass(frozen=True)
class MappedFile:
    """A file of decoded images: what a pickle holds in place of them.

    Args:
        path: The file, absolute.
        shape: (M, 3, H, W).
        written: When the file was written, in nanoseconds: one made anew may hold other images.
    """

    path: Path
    shape: tuple[int, ...]
    written: int

    def images(self) -> Tensor:
        """Map the images, uint8. A write into them reaches this process's memory only, never the file.

        Raises:
            FileNotFoundError: The file is gone.
            ValueError: It was written anew.
        """
        found = self.path.stat()
        if (found.st_size, found.st_mtime_ns) != (math.prod(self.shape), self.written):
            raise ValueError(
                f"{self.path}: the file was written anew after the data set had mapped it; open the data set again"
            )
        # Not torch.from_file: what that maps cannot be sent to another process.
        return torch.from_numpy(np.memmap(self.path, np.uint8, "c", shape=self.shape))


def images_to_float(images: Tensor) -> Tensor:
    """Return uint8 images of any shape as float32 in [-1, 1]: ``x / 127.5 - 1``.

    Convention: 0 becomes exactly -1 and 255 exactly 1.

    >>> images_to_float(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        raise TypeError(f"images: expected a uint8 tensor, got {describe(images)}")
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def check_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return ``size`` as (height, width), None for images as they are."""
    if size is None:
        return None
    if isinstance(size, tuple):
        if len(size) != 2:
            raise ValueError(f"size: expected an int or (height, width), got {size}")
        for side in size:
            check_number("size", side, low=1, integer=True)
        return size
    check_number("size", size, low=1, integer=True)
    return (size, size)


def decode_image(path: str | Path, size: int | tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Decode one image file as RGB bytes (3, H, W).

    The rotation of the EXIF tag is applied, transparent pixels become white, 16-bit grey is cut to 8 bits, of an
    animation the first picture is taken. With a size the image is cut to its aspect ratio around the
    centre and resampled (Lanczos).

    Args:
        path: Any file that Pillow reads.
        size: Height and width of the result; None keeps the image's own.

    Raises:
        ValueError: No image, a truncated or damaged one, or pixels that are not 8 or 16 bits.

    >>> decode_image("no_such.png")
    Traceback (most recent call last):
    ValueError: no_such.png: cannot be read as an image ([Errno 2] No such file or directory: 'no_such.png')
    """
    wanted = check_size(size)
    with _strict_pillow():
        try:
            return _decode(Path(path), wanted)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def decode_images(
    paths: Sequence[Path], size: tuple[int, int] | None, cache: Path | None = None
) -> tuple[Tensor, list[int], list[Problem], MappedFile | None]:
    """Decode image files, several at a time.

    Args:
        paths: The files.
        size: (height, width) of the result; None keeps the images' own, which must then be all the same.
        cache: A folder for a memory-mapped copy, used again while names, file sizes and times are the same; None
            keeps the images in memory. Files that could not be read are tried again each time, since many a failure
            passes. Nothing is removed from it: another copy may be of another split, or in use.

    Returns:
        The images uint8 (M, 3, H, W), the positions in ``paths`` they come from, the files that could not be used,
        and the file that the images are mapped from, None in memory.
    """
    with _strict_pillow(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        if cache is None:
            return (*_decode_into_memory(paths, size, pool), None)
        return _decode_into_file(paths, size, pool, cache)


@contextmanager
def _strict_pillow() -> Iterator[None]:
    # Some packages switch this flag on for the whole process; truncated files would then pass unnoticed.
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _decode(path: Path, size: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            opened.load()
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            elif image.mode in ("I", "F"):
                raise ValueError(f"pixels of kind {image.mode!r} (32 bits) have no known range; save 8 bits")
            elif image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("RGB")
            if size is not None and image.size != (size[1], size[0]):
                image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.LANCZOS)
            return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files.
        raise ValueError(f"{_UNREAD} ({error})") from error


def _decoded(
    paths: Sequence[Path], size: tuple[int, int] | None, pool: ThreadPoolExecutor
) -> Iterator[tuple[int, npt.NDArray[np.uint8] | Problem]]:
    """Yield each image or its problem, in order; images of another size than the first are problems."""

    def attempt(path: Path) -> npt.NDArray[np.uint8] | Problem:
        try:
            return _decode(path, size)
        except ValueError as error:
            return Problem(path, str(error))

    first: tuple[Path, tuple[int, ...]] | None = None
    # In runs of bounded length: the pool would otherwise decode the whole set ahead of its reader.
    for start in range(0, len(paths), 256):
        for i, result in enumerate(pool.map(attempt, paths[start : start + 256]), start):
            if not isinstance(result, Problem):
                first = first or (paths[i], result.shape)
                if result.shape != first[1]:
                    (_, h, w), (_, wanted_h, wanted_w) = result.shape, first[1]
                    result = Problem(
                        paths[i],
                        f"is {h}x{w} (height x width), while {first[0].name} is {wanted_h}x{wanted_w}; "
                        "pass size= to bring all images to one size",
                    )
            yield i, result


def _decode_into_memory(
    paths: Sequence[Path], size: tuple[int, int] | None, pool: ThreadPoolExecutor
) -> tuple[Tensor, list[int], list[Problem]]:
    images = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
    kept: list[int] = []
    problems: list[Problem] = []
    for i, result in _decoded(paths, size, pool):
        if isinstance(result, Problem):
            problems.append(result)
            continue
        if not kept:
            images = torch.empty(len(paths), *result.shape, dtype=torch.uint8)
        images[len(kept)] = torch.from_numpy(result)
        kept.append(i)
    return images[: len(kept)], kept, problems


def _decode_into_file(
    paths: Sequence[Path], size: tuple[int, int] | None, pool: ThreadPoolExecutor, cache: Path
) -> tuple[Tensor, list[int], list[Problem], MappedFile | None]:
    cache.mkdir(parents=True, exist_ok=True)
    stats = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    key = hashlib.sha256(json.dumps([_FORMAT, size, stats]).encode()).hexdigest()[:24]
    pixels, index = cache / f"images-{key}.bin", cache / f"images-{key}.json"
    content = _whole_index(pixels, index)
    if content is None or _reads_now(_left_out(paths, content), size, pool):
        _fill_cache(pixels, index, _decoded(paths, size, pool))
        content = json.loads(index.read_text(encoding="utf-8"))
    shape, kept, problems = tuple(content["shape"]), content["kept"], _left_out(paths, content)
    if not kept:
        return torch.empty(shape, dtype=torch.uint8), kept, problems, None
    file = MappedFile(pixels.resolve(), shape, pixels.stat().st_mtime_ns)
    return file.images(), kept, problems, file


def _whole_index(pixels: Path, index: Path) -> dict[str, Any] | None:
    """The index of a cached set, None where there is no whole one."""
    try:
        content: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        shape, kept = content["shape"], content["kept"]
        whole = pixels.stat().st_size == math.prod(shape) and len(kept) == shape[0]
        return content if whole else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _left_out(paths: Sequence[Path], content: dict[str, Any]) -> list[Problem]:
    kept = {*content["kept"]}
    rest = [path for i, path in enumerate(paths) if i not in kept]
    return [Problem(path, reason) for path, (_, reason) in zip(rest, content["problems"], strict=True)]


def _reads_now(problems: list[Problem], size: tuple[int, int] | None, pool: ThreadPoolExecutor) -> bool:
    """Whether a file that could not be read can be read by now."""
    unread = [problem.path for problem in problems if problem.reason.startswith(_UNREAD)]
    return any(not isinstance(result, Problem) for _, result in _decoded(unread, size, pool))


def _fill_cache(
    pixels: Path, index: Path, decoded: Iterator[tuple[int, npt.NDArray[np.uint8] | Problem]]
) -> None:
    kept: list[int] = []
    problems: list[tuple[str, str]] = []
    shape: tuple[int, ...] = (3, 0, 0)
    with atomic_file(pixels) as stream:
        for i, result in decoded:
            if isinstance(result, Problem):
                problems.append((str(result.path), result.reason))
                continue
            stream.write(result.tobytes())
            shape = result.shape
            kept.append(i)
    # Written last: an index says that the pixels are all there.
    with atomic_file(index) as stream:
        content = {"shape": [len(kept), *shape], "kept": kept, "problems": problems}
        stream.write(json.dumps(content).encode())
