"""From pictures of people to a face pack, with a verification set of people who aren't trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import msgspec
from arcterm_registry.contracts import JobReport

from arcterm.data.make.imagefiles import Picture, Stored, Wanted, in_order, refusal
from arcterm.data.make.inputs import PackInput, PersonPictures, open_source
from arcterm.data.make.tally import Counter, Tally, early_warning, landmark_data, landmark_lines
from arcterm.data.reshape.copying import copy_files
from arcterm.errors import DataError
from arcterm.files import require_free
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.pairs.pairing import ImagePair, make_pairs
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
    image_size: tuple[int, int] = IMAGE_SIZE,
) -> JobReport:
    """Pack what `src` holds (see `sources`) into the face pack `dst`; the same input gives the same bytes.

    People and images go in natural order, or a list's in the order of its labels. The last `hold_out` people
    make up ``heldout.bin`` (see `pairing`, which also takes the number of `pairs`), the others are classes 0,
    1, …. JPEG files of `image_size` (height, width) are copied, others encoded at quality 95; images of
    another size are stretched with `resize`, unaligned ones of a list aligned with `align`, else refused. A
    stopped job goes on where it was. Raises `DataError`, leaving nothing at `dst`.
    """
    place = Path(dst)
    require_free(place)
    if place.resolve().is_relative_to(Path(src).resolve()):
        raise DataError(f"{place} lies inside {src}", "choose a directory outside of the folder of people")
    source = open_source(job, Path(src))
    if align and not source.listed:
        raise DataError(
            f"{src} is no list, so there are no landmarks to align by",
            "give a .lst list with landmarks (arcterm finds no faces by itself), or --resize what is aligned",
        )
    if source.refused and len(source.people) < 2:
        raise source.refused[0]
    trained, held = _split(source.people, hold_out, pairs)
    chosen = make_pairs([len(person.pictures) for person in held], pairs) if held else []
    total = sum(len(person.pictures) for person in source.people)
    if source.refused:
        count = len(source.refused)
        what = f"{count:,} folders have no image" if count > 1 else source.refused[0].message
        job.say(
            f"{what}; the images are looked at too, so that all that is wrong is named at once", "warning"
        )
    packer = _Packer(job, Wanted(image_size, resize, align), total, Tally(), source.refused)
    with write_pack(place, image_size, resume=job.id) as writer:
        packer.fill(writer, trained)
        stored = packer.keep(held)
        packer.end()
        if held:
            sides = [stored[number] for pair in chosen for number in (pair.a, pair.b)]
            write_pairs(writer.directory / HELD_OUT, sides, [pair.same for pair in chosen])
        sets, note = _sets(source, image_size, held_out=bool(held))
        copy_files(sets, writer.directory)
    report = _report(place, source, trained, held, chosen, packer, image_size)
    taken = [f"verification sets: {', '.join(path.stem for path in sets)}"] if sets else []
    data = {**report.data, "verification": [path.name for path in sets]}
    return replace(report, lines=[*report.lines, *taken, *note], data=data)


def _sets(source: PackInput, image_size: tuple[int, int], *, held_out: bool) -> tuple[list[Path], list[str]]:
    """The verification sets of a pack that are taken along, and a note on those that are not."""
    fit = source.size == image_size
    taken = [path for path in source.sets if fit and not (held_out and path.name == HELD_OUT)]
    left = ", ".join(path.name for path in source.sets if path not in taken)
    why = "its place is taken by the new one" if fit else "their images have another size"
    return taken, [f"note: left behind: {left}; {why}"] if left else []


class _Packer:
    """Reads images ahead by threads and stores them in order; refusals are gathered and named together."""

    def __init__(
        self, job: JobContext, wanted: Wanted, total: int, tally: Tally, refused: Sequence[DataError]
    ) -> None:
        self._job, self._wanted, self._total = job, wanted, total
        self._folders = len(refused)
        self._refused = [*refused]
        self._done = 0
        self.look_every = -(-total // _LOOKS)
        self._counter = Counter(tally)
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

    def keep(self, people: list[PersonPictures]) -> list[bytes]:
        """Read the images of all people, in order."""
        images = []
        for _, stored in self._read(_faces(people)):
            images.append(stored.data)
            self._report()
        return images

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
    """Split people into those to train on and those held out."""
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


def _report(
    place: Path,
    source: PackInput,
    trained: list[PersonPictures],
    held: list[PersonPictures],
    chosen: list[ImagePair],
    packer: _Packer,
    image_size: tuple[int, int],
) -> JobReport:
    tally = packer.tally
    images = sum(len(person.pictures) for person in trained)
    held_images = sum(len(person.pictures) for person in held)
    lines = [
        f"packed {images:,} images of {len(trained):,} people: "
        f"{tally.copied:,} as they were, {tally.encoded:,} encoded"
    ]
    if held:
        lines.append(
            f"held out {held_images:,} images of {len(held):,} people: {len(chosen):,} pairs in {HELD_OUT}"
        )
    if passed_over := source.ignored + source.junk:
        junk = f", {source.junk:,} of them left by macOS or Windows" if source.junk else ""
        lines.append(f"passed over {passed_over:,} files that aren't images of anybody{junk}")
    if tally.odd:
        looked = "" if packer.look_every == 1 else f" of every {packer.look_every}th"
        lines.append(f"{tally.odd:,} images{looked} don't look aligned (eyes and mouth in ArcFace's places):")
        lines += [f"  {name}" for name in tally.odd_names]
    lines += landmark_lines(tally)
    return JobReport(
        lines=lines,
        data={
            "path": str(place.resolve()),
            "classes": len(trained),
            "train_images": images,
            "held_out_people": len(held),
            "held_out_images": held_images,
            "pairs": len(chosen),
            "copied": tally.copied,
            "encoded": tally.encoded,
            "ignored": source.ignored,
            "junk": source.junk,
            "image_size": list(image_size),
            "not_aligned": tally.odd,
            "not_aligned_first": tally.odd_names,
            **landmark_data(tally),
        },
        result=str(place),
    )
