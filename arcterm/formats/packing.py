"""From a folder of people to a face pack, with a verification set of people who aren't trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from arcterm.errors import DataError
from arcterm.formats import images as codec
from arcterm.formats.packwriter import write_pack
from arcterm.formats.pairing import make_pairs
from arcterm.formats.pairs import write_pairs
from arcterm.formats.people import Person, find_people
from arcterm.formats.staging import require_free

HELD_OUT = "heldout.bin"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class PackReport:
    """What was packed: counts of people, images and pairs; `ignored` files weren't images.

    `copied` images went in byte for byte, the others were encoded as JPEG of quality 95.
    """

    path: Path
    classes: int
    train_images: int
    held_out_people: int
    held_out_images: int
    pairs: int
    copied: int
    ignored: int
    image_size: tuple[int, int]


def pack_people(
    src: Path,
    dst: Path,
    *,
    hold_out: int = 0,
    resize: bool = False,
    pairs: int | None = None,
    image_size: tuple[int, int] = (112, 112),
    progress: Progress | None = None,
) -> PackReport:
    """Pack `src`, a directory per person, into the face pack `dst`; the same input gives the same bytes.

    People and images go in natural order. The last `hold_out` people make up `heldout.bin` (see `pairing`,
    which also takes the number of `pairs`), the others are classes 0, 1, …. JPEG files of `image_size`
    (height, width) are copied, others encoded; images of another size are stretched with `resize`, else
    refused. `progress` is called with images done and in all. Raises `DataError`, leaving nothing
    at `dst`.
    """
    require_free(dst)
    if dst.resolve().is_relative_to(src.resolve()):
        raise DataError(f"{dst} lies inside {src}", "choose a directory outside of the folder of people")
    people, ignored = find_people(src)
    trained, held = _split(people, hold_out, pairs)
    chosen = make_pairs([len(person.images) for person in held], pairs) if held else []
    reader = _Reader(image_size, resize, sum(len(person.images) for person in people), progress)
    with write_pack(dst, image_size) as pack:
        for label, person in enumerate(trained):
            for path in person.images:
                pack.add(reader.read(path), label)
        stored = [reader.read(path) for person in held for path in person.images]
        if held:
            sides = [stored[number] for pair in chosen for number in (pair.a, pair.b)]
            write_pairs(pack.directory / HELD_OUT, sides, [pair.same for pair in chosen])
    return PackReport(
        path=dst,
        classes=len(trained),
        train_images=pack.images,
        held_out_people=len(held),
        held_out_images=len(stored),
        pairs=len(chosen),
        copied=reader.copied,
        ignored=ignored,
        image_size=image_size,
    )


def _split(people: list[Person], hold_out: int, pairs: int | None) -> tuple[list[Person], list[Person]]:
    """Those to train on and those held out."""
    if hold_out < 0 or len(people) - hold_out < 2:
        raise DataError(
            f"holding out {hold_out} of {len(people)} people leaves fewer than two to train on"
            if hold_out > 0
            else f"there are {len(people)} people to train on and {hold_out} to hold out; training takes two",
            f"hold out from 2 to {len(people) - 2} people" if len(people) >= 4 else "add people",
        )
    if pairs is not None and not hold_out:
        raise DataError(f"{pairs} pairs of nobody: no people are held out", "hold out two people or more")
    return people[: len(people) - hold_out], people[len(people) - hold_out :]


class _Reader:
    """Image files as they go into the pack, counted."""

    def __init__(self, size: tuple[int, int], resize: bool, total: int, progress: Progress | None) -> None:
        self.size, self.resize, self.total, self.progress = size, resize, total, progress
        self.done, self.copied = 0, 0

    def read(self, path: Path) -> bytes:
        """The file's bytes if they are a JPEG of the right size, else one made of it; raises `DataError`."""
        data = codec.read_file(path)
        pixels = codec.decode(data, size=None if self.resize else self.size, source=str(path))
        right = pixels.shape[:2] == self.size
        if right and codec.is_jpeg(data):
            self.copied += 1
        else:
            data = codec.encode_jpeg(pixels if right else codec.resize(pixels, self.size))
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)
        return data
