"""``arcterm data bin``: a verification set of the pairs in a list, or of pairs drawn from people's images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
from arcterm_registry.contracts import JobReport

from arcterm.align.door import finder_for
from arcterm.data.make.imagefiles import Picture, Wanted, in_order, refusal
from arcterm.data.make.listedimages import locate, real_path
from arcterm.errors import DataError
from arcterm.files import stamp
from arcterm.formats.pairs.binfile import MAX_FILE, write_pairs
from arcterm.formats.pairs.groupfile import groups_file, write_groups
from arcterm.formats.pairs.oddpairs import OddPairs, find_odd_pairs
from arcterm.formats.pairs.pairing import BLOCKS, make_pairs
from arcterm.formats.pairs.protocols import read_protocol
from arcterm.formats.people import find_people
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import RecordFile
from arcterm.formats.recordio.facepack import pack_directory
from arcterm.formats.recordio.packwriter import PackWriter
from arcterm.runs.context import JobContext
from arcterm.text import first_of

IMAGE_SIZE = (112, 112)

_NAMED = 10
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class _Set(NamedTuple):
    """Files, two a pair; whether each pair is one person's; folds as far as known; places in a list.

    `groups` has the group of each pair, if pairs have one; `notes` say how a list was read.
    """

    files: list[Path]
    same: list[bool]
    folds: int | None
    places: list[str] | None = None
    groups: list[str] | None = None
    notes: tuple[str, ...] = ()

    def name(self, pair: int) -> str:
        """The line of a pair; of drawn ones its number and files."""
        if self.places is not None:
            return self.places[pair]
        return f"pair {pair} ({self.files[2 * pair].name}, {self.files[2 * pair + 1].name})"


def make_bin(
    job: JobContext,
    src: str,
    dst: str,
    *,
    list: str,
    pairs: int | None,
    seed: int,
    resize: bool,
    align: bool = False,
    detector: str = "",
    weights: str = "",
) -> JobReport:
    """Write the .bin `dst` of the pairs in the file `list`, or of `pairs` drawn from the people in `src`.

    JPEG files of 112×112 go in byte for byte, others are encoded; with `align` the face of every photo is
    found by `detector` and aligned. A stopped job goes on where it was. Raises
    `DataError`, leaving nothing at `dst`, for an image that is missing or can't go in, naming it.
    """
    source, target = Path(src), Path(dst)
    _require_new(target)
    finder = finder_for(job, align, detector, weights, IMAGE_SIZE)
    if list:
        if pairs is not None:
            raise DataError("--pairs is for drawn pairs, and --list gives them", "leave out one of the two")
        chosen = _listed(source, Path(list), job.work / "missing.txt")
        _require_consistent(chosen)
    else:
        chosen = _drawn(source, pairs, seed)
    if chosen.groups is None:
        _require_no_groups(target)
    stored = _read(
        job, [*dict.fromkeys(chosen.files)], Wanted(IMAGE_SIZE, resize, align, finder, photos=align)
    )
    odd = find_odd_pairs([stored.images[path] for path in chosen.files], chosen.same)
    job.progress(len(stored.images), len(stored.images), "writing", target.name)
    _require_new(target)
    _write(target, [stored.images[path] for path in chosen.files], chosen.same, chosen.groups)
    return _report(target, chosen, stored, odd)


def _require_new(target: Path) -> None:
    if target.suffix != ".bin":
        raise DataError(
            f"{target} doesn't end in .bin", f"call it {target.name}.bin: that is how sets are found"
        )
    if target.exists() or target.is_symlink():
        raise DataError(f"{target} already exists", "choose another name, or remove it first")


def _require_no_groups(target: Path) -> None:
    """Raise `DataError` for groups that another set of this name has left."""
    if (place := groups_file(target)).exists():
        raise DataError(f"{place} has the groups of another set", "choose another name, or remove it first")


def _listed(folder: Path, path: Path, missing: Path) -> _Set:
    listed = read_protocol(path.expanduser(), folder)
    pairs = listed.pairs
    found = locate(folder, listed, missing)
    moved = f"the list's paths were taken without {found.dropped}" if found.dropped else ""
    groups = [pair.group for pair in pairs]
    return _Set(
        found.files,
        [pair.same for pair in pairs],
        listed.folds,
        [pair.place for pair in pairs],
        groups if any(groups) else None,
        tuple(filter(None, (listed.note, moved))),
    )


def _drawn(folder: Path, limit: int | None, seed: int) -> _Set:
    if pack_directory(folder):
        raise DataError(
            f"{folder} is a pack, and pairs are drawn from a folder of people",
            f"`arcterm data pack {folder} NEW --hold-out 10` draws them from its last ten people, and "
            f"`arcterm data extract {folder} PEOPLE` writes its images into folders",
        )
    people = find_people(folder).people
    chosen = make_pairs([len(person.images) for person in people], limit, seed)
    images = [path for person in people for path in person.images]
    root = folder.resolve()
    files = []
    for pair in chosen:
        for number in (pair.a, pair.b):
            path = images[number]
            if _CONTROL.search(str(path.relative_to(folder))):
                raise DataError(f"{str(path)!r} has control characters in its name", "rename it")
            files.append(real_path(path, root))
    return _Set(files, [pair.same for pair in chosen], BLOCKS)


class _Stored(NamedTuple):
    """The bytes to store by file, `copied` of them as they were."""

    images: dict[Path, bytes]
    copied: int


def _read(job: JobContext, paths: Sequence[Path], wanted: Wanted) -> _Stored:
    """Read each file as a JPEG of 112×112, stored in the job for a resume.

    Raises `DataError` naming all that can't be stored as one.
    """
    job.require_unchanged([*stamp(paths), *(wanted.finder.stamp() if wanted.finder else [])])
    place = job.work / "images"
    place.mkdir(exist_ok=True)
    writer = PackWriter(place)
    images = dict(zip(paths, _kept(place / "train.rec"), strict=False))
    copied = msgspec.json.decode(writer.note) or 0
    size = sum(map(len, images.values()))
    pictures = (Picture(path) for path in paths[len(images) :])
    refused: list[DataError] = []
    read = partial(wanted.read, look=False)
    with closing(writer.records):
        for picture, stored in in_order(read, pictures, job.threads):
            if isinstance(stored, DataError):
                refused.append(stored)
                job.progress(len(images) + len(refused), len(paths), "reading images", picture.path.name)
                continue
            if refused:
                continue
            writer.add(stored.data, 0)
            images[picture.path] = stored.data
            copied += stored.copied
            size += len(stored.data)
            if size > MAX_FILE:
                raise DataError(f"the images have over {MAX_FILE} bytes, the most of a .bin", "take fewer")
            if job.progress(len(images), len(paths), "reading images", picture.path.name):
                writer.save(partial(int, copied))
    if refused:
        raise refusal(refused, len(paths), "stored", job.work / "refused.txt")
    return _Stored(images, copied)


def _require_consistent(chosen: _Set) -> None:
    """Raise `DataError` if the list says same and different of the same two files."""
    odd = find_odd_pairs(chosen.files, chosen.same)
    wrong = [f"{chosen.name(pair)} calls an image and itself two persons" for pair in odd.torn]
    wrong += [
        f"{chosen.name(one)} and {chosen.name(other)} say same and different of the same two images"
        for one, other in odd.against
    ]
    if wrong:
        raise DataError(
            f"the list contradicts itself: {first_of(wrong, _NAMED, '; ')}",
            "correct the list: look at the images, and take out the lines that are wrong",
        )


def _odd_lines(chosen: _Set, odd: OddPairs) -> list[str]:
    """Notes on pairs that say nothing, count twice, or can't be true."""
    lines = []
    for words, named in (
        ("of an image with itself, which any model gets right", [chosen.name(p) for p in odd.alone]),
        ("of an image and its copy as two persons", [chosen.name(p) for p in odd.torn]),
        ("listed twice, which count twice", [f"{chosen.name(b)} as {chosen.name(a)}" for a, b in odd.again]),
        (
            "that say the opposite of another",
            [f"{chosen.name(b)} of {chosen.name(a)}" for a, b in odd.against],
        ),
    ):
        if named:
            lines.append(f"note: pairs {words}: {len(named):,} ({first_of(named, _NAMED)})")
    return lines


def _kept(path: Path) -> Iterator[bytes]:
    """The images that a stopped attempt read, in order."""
    if path.stat().st_size:
        for offset, payload in RecordFile(path).scan():
            yield bytes(irheader.unpack(payload, f"{path}: record at byte {offset}").image)


def _write(target: Path, images: Sequence[bytes], same: Sequence[bool], groups: Sequence[str] | None) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{target.parent} can't be made: {error.strerror}", "choose another place") from None
    if groups is not None:  # first, so that the set is never there without them
        write_groups(target, groups)
    write_pairs(target, images, same)


def _report(target: Path, chosen: _Set, stored: _Stored, odd: OddPairs) -> JobReport:
    images, encoded = len(stored.images), len(stored.images) - stored.copied
    count, same = len(chosen.same), sum(chosen.same)
    folds = "" if chosen.folds is None else f" in {chosen.folds} folds"
    return JobReport(
        lines=[
            f"{count:,} pairs{folds}: {same:,} same, {count - same:,} different; of {images:,} images",
            f"{stored.copied:,} JPEG files of 112×112 copied, {encoded:,} images encoded",
            *(f"note: {note}" for note in chosen.notes),
            *_counted(chosen.groups),
            *_unlike(chosen.same),
            *_odd_lines(chosen, odd),
        ],
        data={
            "path": str(target),
            "pairs": count,
            "same": same,
            "images": images,
            "folds": chosen.folds,
            "groups": dict(Counter(chosen.groups or ())),
            "copied": stored.copied,
            "encoded": encoded,
            "odd_pairs": {kind: len(pairs) for kind, pairs in odd._asdict().items()},
        },
        result=str(target),
    )


def _counted(groups: Sequence[str] | None) -> list[str]:
    """A line on how many pairs each group has."""
    counts = Counter(groups or ())
    return [f"groups: {', '.join(f'{name} {count:,}' for name, count in counts.items())}"] if counts else []


def _unlike(same: Sequence[bool]) -> list[str]:
    """A warning where the ten blocks that verification cuts a set into don't balance, as if by an order."""
    edges = [len(same) * n // BLOCKS for n in range(BLOCKS + 1)]
    blocks = [same[low:high] for low, high in pairwise(edges)]
    kinds = Counter("one" if len(set(block)) == 1 else "both" for block in blocks if len(block) > 1)
    if not kinds["one"]:
        return []
    return [
        f"note: verification cuts the pairs into {BLOCKS} blocks as they come; in {kinds['one']} of them all "
        "are same or all different, which makes its accuracy less sure"
    ]
