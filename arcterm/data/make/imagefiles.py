"""An image file as it goes into a pack or a verification set: its own bytes, or a JPEG made of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from arcterm.align.door import FaceFinder
from arcterm.data.check import alignment
from arcterm.data.reshape import copying
from arcterm.errors import DataError
from arcterm.faces import landmarks, similarity
from arcterm.formats import images as codec
from arcterm.formats.recordio.facepack import FacePack

T = TypeVar("T")
R = TypeVar("R")
_CHUNK = 16
_NAMED, _HINTS = 10, 3


class Picture(NamedTuple):
    """An image file, and what a list says of it: `landmarks` (5, 2) pixels, `box` x1 y1 x2 y2.

    With a `pack` it is the image `number` of that, and `path` its record file.
    """

    path: Path
    aligned: bool = True
    landmarks: NDArray[np.float64] | None = None
    box: tuple[int, int, int, int] | None = None
    pack: FacePack | None = None
    number: int = 0

    @property
    def name(self) -> str:
        return str(self.path) if self.pack is None else f"{self.path} key {self.pack.key(self.number)}"

    def read(self) -> bytes:
        if self.pack is None:
            return codec.read_file(self.path)
        image = copying.read(self.pack, self.number).image
        assert not isinstance(image, np.ndarray)
        return bytes(image)


class Stored(NamedTuple):
    """The JPEG `data` to store; `copied` if it is the file's own; by `light` its alignment is judged.

    `aligned` if that was done here, by landmarks with a `problem` if they can't be right; `found` if the face
    was looked for.
    """

    data: bytes
    copied: bool
    light: alignment.Floats | None = None
    aligned: bool = False
    problem: landmarks.Fault | None = None
    found: bool = False


class Wanted(NamedTuple):
    """The (height, width) of an image to store, and what may be done to it for that.

    With `align` the images of a list that says that they aren't are aligned, by its landmarks or with a
    `finder`; with `photos` it finds the face of every image.
    """

    size: tuple[int, int]
    resize: bool = False
    align: bool = False
    finder: FaceFinder | None = None
    photos: bool = False

    def read(self, picture: Picture, look: bool = True) -> Stored:
        """The file as it is stored: a JPEG of the right size stays as it is. Raises `DataError` naming it.

        With `look` it comes with what `alignment.judge` takes.
        """
        data = picture.read()
        pixels = codec.decode(data, size=None, source=picture.name)
        if self.photos:
            return self._found(picture, pixels, look)
        if not picture.aligned:
            return self._aligned(picture, pixels, look)
        right = pixels.shape[:2] == self.size
        if not (right or self.resize):
            codec.check_size(pixels, self.size, picture.name)
        pixels = pixels if right else codec.resize(pixels, self.size)
        light = alignment.prepare(pixels) if look and self.size == similarity.SIZE else None
        copied = right and codec.is_jpeg(data)
        return Stored(data if copied else codec.encode_jpeg(pixels), copied, light)

    def _aligned(self, picture: Picture, pixels: codec.Pixels, look: bool) -> Stored:
        if not self.align:
            raise DataError(
                f"{picture.path}: the list says that this image isn't aligned",
                "give --align, which aligns by the list's landmarks or box, or finds the face",
            )
        problem = None
        if picture.landmarks is not None:
            made = similarity.warp(pixels, picture.landmarks, self.size, str(picture.path))
            problem = landmarks.judge(picture.landmarks, picture.box, (pixels.shape[0], pixels.shape[1]))
        elif picture.box is not None:
            made = similarity.crop(pixels, picture.box, self.size, source=str(picture.path))
        else:
            self._require_finder(picture)
            return self._found(picture, pixels, look)
        light = alignment.prepare(made) if look and self.size == similarity.SIZE else None
        return Stored(codec.encode_jpeg(made), False, light, aligned=True, problem=problem)

    def _require_finder(self, picture: Picture) -> None:
        """Raise `DataError` for an image whose face only a detector can find, if there is none."""
        said = f"{picture.path}: the list gives no landmarks and no box to align by"
        if self.finder is None:
            raise DataError(said, "align it elsewhere and put 1 into the list's first column")
        try:
            self.finder.open()
        except DataError as error:
            raise DataError(f"{said}, and {error.message}", error.hint) from None

    def _found(self, picture: Picture, pixels: codec.Pixels, look: bool) -> Stored:
        """Find the face and align it; raises `DataError` if there is none."""
        assert self.finder is not None
        made = self.finder.align(pixels, picture.name)
        light = alignment.prepare(made) if look and self.size == similarity.SIZE else None
        return Stored(codec.encode_jpeg(made), False, light, found=True)


def refusal(refused: Sequence[DataError], total: int, done: str, place: Path, folders: int = 0) -> DataError:
    """One error for all images of `total` that can't be used; where they are many, the file `place` has all.

    `done` is what would have been done with them; the first `folders` of the errors are of folders.
    """
    if len(refused) == 1:
        return refused[0]
    named = "\n".join(f"  {error.message}" for error in refused[:_NAMED])
    hint = "; ".join([*dict.fromkeys(error.hint for error in refused)][:_HINTS])
    if len(refused) > _NAMED:
        place.write_text("".join(f"{error.message}\n" for error in refused), encoding="utf-8")
        named += f"\n  and {len(refused) - _NAMED:,} more"
        hint = f"{hint}; all of them: {place}"
    also = f"{folders:,} {'folders' if folders > 1 else 'folder'} and " if folders else ""
    return DataError(f"{also}{len(refused) - folders:,} of {total:,} images can't be {done}:\n{named}", hint)


def in_order(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[tuple[T, R | DataError]]:
    """Each item with what `work` makes of it or the `DataError` it raised, in order, by threads ahead."""

    def several(chunk: list[T]) -> list[tuple[T, R | DataError]]:
        return [(item, _tried(work, item)) for item in chunk]

    waiting: deque[Future[list[tuple[T, R | DataError]]]] = deque()
    rest = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="images") as pool:
        try:
            while True:
                while len(waiting) < 2 * threads and (chunk := list(islice(rest, _CHUNK))):
                    waiting.append(pool.submit(several, chunk))
                if not waiting:
                    return
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _tried(work: Callable[[T], R], item: T) -> R | DataError:
    try:
        return work(item)
    except DataError as error:
        return error
