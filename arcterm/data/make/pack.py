"""From pictures of people to a face pack, with a verification set of people who aren't trained on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from arcterm_registry.contracts import JobReport

from arcterm.align.door import FaceFinder, finder_for
from arcterm.data.make.imagefiles import Picture, Stored, Wanted, in_order, refusal
from arcterm.data.make.inputs import PackInput, PersonPictures, open_source
from arcterm.data.make.tally import Counter, Tally, early_warning, landmark_data, landmark_lines
from arcterm.data.reshape.copying import copy_sets
from arcterm.errors import DataError
from arcterm.files import require_free
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.pairs.pairing import make_pairs
from arcterm.formats.recordio.packwriter import PackWriter, write_pack
from arcterm.runs.context import JobContext

HELD_OUT = "heldout.bin"
IMAGE_SIZE = (112, 112)
_LOOKS = 20_000
"""Images that are judged by their looks, spread over all."""


class _Face(NamedTuple):
    """One image to pack: the how many-th, whose, and which."""

    number: int
    label: int
    name: str
    picture: Picture


def pack(
    job: JobContext,
    src: str,
    dst: str,
    *,
    hold_out: int = 0,
    pairs: int | None = None,
    resize: bool = False,
    align: bool = False,
    detector: str = "",
    weights: str = "",
    image_size: tuple[int, int] = IMAGE_SIZE,
) -> JobReport:
    """Pack what `src` holds (see `inputs`) into the face pack `dst`; the same input gives the same bytes.

    People and images go in natural order, or a list's in the order of its labels. The last `hold_out` people
    make up ``heldout.bin`` (see `pairing`, which also takes the number of `pairs`), the others are classes 0,
    1, …. JPEG files of `image_size` (height, width) are copied, others encoded at quality 95; images of
    another size are stretched with `resize`, else refused. With `align` those that a list calls unaligned
    are, by its landmarks, and the faces of all others' photos are found by `detector`. A stopped job goes on
    where it was. Raises `DataError`, leaving nothing at `dst`.
    """
    place = Path(dst)
    require_free(place)
    finder = finder_for(job, align, detector, weights, image_size)
    source = _open(job, src, place, finder)
    trained, held = _split(source.people, hold_out, pairs)
    chosen = make_pairs([len(person.pictures) for person in held], pairs) if held else []
    wanted = Wanted(image_size, resize, align, finder, photos=align and not source.listed)
    packer = _Packer(job, wanted, source)
    with write_pack(place, image_size, resume=job.id) as writer:
        packer.fill(writer, trained)
        stored = packer.read_all(held)
        packer.end()
        if held:
            sides = [stored[number] for pair in chosen for number in (pair.a, pair.b)]
            write_pairs(writer.directory / HELD_OUT, sides, [pair.same for pair in chosen])
        sets, notes = _sets(source, image_size, held_out=bool(held))
        copy_sets(sets, writer.directory)
    data = {
        "path": str(place.resolve()),
        "image_size": list(image_size),
        "verification": [path.name for path in sets],
        "pairs": len(chosen),
        **_counts(source, trained, held),
        **packer.data(),
    }
    lines = [*_lines(data, packer.look_every), *landmark_lines(packer.tally), *notes]
    return JobReport(lines=lines, data=data, result=str(place))


def _open(job: JobContext, src: str, place: Path, finder: FaceFinder | None) -> PackInput:
    if place.resolve().is_relative_to(Path(src).resolve()):
        raise DataError(f"{place} lies inside {src}", "choose a directory outside of the folder of people")
    source = open_source(job, Path(src), finder)
    if source.refused and len(source.people) < 2:
        raise source.refused[0]
    if source.refused:
        count = len(source.refused)
        what = f"{count:,} folders have no image" if count > 1 else source.refused[0].message
        job.say(
            f"{what}; the images are looked at too, so that all that is wrong is named at once", "warning"
        )
    return source


def _sets(source: PackInput, image_size: tuple[int, int], *, held_out: bool) -> tuple[list[Path], list[str]]:
    """Return the verification sets of a pack that are taken along, and notes on them and the others."""
    fit = source.size == image_size
    taken = [path for path in source.sets if fit and not (held_out and path.name == HELD_OUT)]
    left = ", ".join(path.name for path in source.sets if path not in taken)
    why = "its place is taken by the new one" if fit else "their images have another size"
    names = ", ".join(path.stem for path in taken)
    notes = [f"verification sets: {names}" * bool(taken), f"note: left behind: {left}; {why}" * bool(left)]
    return taken, [note for note in notes if note]


class _Packer:
    """Reads images ahead by threads and stores them in order; refusals are gathered and named together."""

    def __init__(self, job: JobContext, wanted: Wanted, source: PackInput) -> None:
        self._job, self._wanted, self._total = job, wanted, _images(source.people)
        self._folders, self._refused = len(source.refused), [*source.refused]
        self._done = 0
        self.look_every = -(-self._total // _LOOKS)
        self._counter = Counter(Tally())
        self._warned = False

    @property
    def tally(self) -> Tally:
        return self._counter.tally

    def fill(self, writer: PackWriter, people: list[PersonPictures]) -> None:
        """Add the images of all people, after those that are there already."""
        faces = _faces(people)
        if writer.images:
            self._counter = Counter(msgspec.json.decode(writer.note, type=Tally))
            self._done = writer.images
            next(islice(faces, writer.images - 1, None))
        for face, stored in self._read(faces):
            if not self._refused:
                writer.add(stored.data, face.label, face.name)
            if self._report() and not self._refused:
                writer.save(self._counter.judge)

    def read_all(self, people: list[PersonPictures]) -> list[bytes]:
        images = []
        for _, stored in self._read(_faces(people)):
            images.append(stored.data)
            self._report()
        return images

    def data(self) -> dict[str, Any]:
        tally = self.tally
        return {
            "copied": tally.copied,
            "encoded": tally.encoded,
            "found": tally.found,
            "not_aligned": tally.odd,
            "not_aligned_first": tally.odd_names,
            **landmark_data(tally),
        }

    def end(self) -> None:
        """Judge the last looks; raises `DataError` if images were refused, naming the first ones."""
        self._counter.judge()
        if not self._refused:
            return
        place = self._job.work / "refused.txt"
        raise refusal(self._refused, self._total, "packed", place, self._folders)

    def _read(self, faces: Iterator[_Face]) -> Iterator[tuple[_Face, Stored]]:
        for face, stored in in_order(self._store, faces, self._job.threads):
            self._done += 1
            if isinstance(stored, DataError):
                self._refused.append(stored)
                self._report()
            else:
                self._counter.count(face.picture.name, stored)
                yield face, stored

    def _store(self, face: _Face) -> Stored:
        return self._wanted.read(face.picture, look=face.number % self.look_every == 0)

    def _report(self) -> bool:
        if not self._warned and (warning := early_warning(self.tally)):
            self._job.say(warning, "warning")
            self._warned = True
        return self._job.progress(self._done, self._total, "pack", "images")


def _faces(people: list[PersonPictures]) -> Iterator[_Face]:
    numbers = count()
    for label, (name, pictures) in enumerate(people):
        for picture in pictures:
            yield _Face(next(numbers), label, name, picture)


def _split(
    people: list[PersonPictures], hold_out: int, pairs: int | None
) -> tuple[list[PersonPictures], list[PersonPictures]]:
    if len(people) - hold_out < 2:
        raise DataError(
            f"holding out {hold_out} of {len(people)} people leaves fewer than two to train on"
            if hold_out > 0
            else f"there are {len(people)} people to train on and {hold_out} to hold out; training takes two",
            f"hold out from 2 to {len(people) - 2} people" if len(people) >= 4 else "add people",
        )
    if pairs is not None and not hold_out:
        raise DataError(f"{pairs} pairs of nobody: no people are held out", "hold out two people or more")
    return people[: len(people) - hold_out], people[len(people) - hold_out :]


def _images(people: list[PersonPictures]) -> int:
    return sum(len(person.pictures) for person in people)


def _counts(source: PackInput, trained: list[PersonPictures], held: list[PersonPictures]) -> dict[str, int]:
    return {
        "classes": len(trained),
        "train_images": _images(trained),
        "held_out_people": len(held),
        "held_out_images": _images(held),
        "ignored": source.ignored,
        "junk": source.junk,
    }


def _lines(data: dict[str, Any], look_every: int) -> list[str]:
    lines = [
        f"packed {data['train_images']:,} images of {data['classes']:,} people: "
        f"{data['copied']:,} as they were, {data['encoded']:,} encoded"
    ]
    if data["found"]:
        lines.append(f"found and aligned the faces of {data['found']:,} images")
    if data["held_out_people"]:
        lines.append(
            f"held out {data['held_out_images']:,} images of {data['held_out_people']:,} people: "
            f"{data['pairs']:,} pairs in {HELD_OUT}"
        )
    if passed_over := data["ignored"] + data["junk"]:
        junk = f", {data['junk']:,} of them left by macOS or Windows" if data["junk"] else ""
        lines.append(f"passed over {passed_over:,} files that aren't images of anybody{junk}")
    if odd := data["not_aligned"]:
        looked = "" if look_every == 1 else f" of every {look_every}th"
        lines.append(f"{odd:,} images{looked} don't look aligned (eyes and mouth in ArcFace's places):")
        lines += [f"  {name}" for name in data["not_aligned_first"]]
    return lines
