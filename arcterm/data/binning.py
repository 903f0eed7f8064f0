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

from arcterm.data.imagefiles import Picture, Wanted, in_order
from arcterm.data.job import Job
from arcterm.data.listedimages import locate, real_path
from arcterm.errors import DataError
from arcterm.formats import irheader
from arcterm.formats.packwriter import PackWriter
from arcterm.formats.pairing import BLOCKS, make_pairs
from arcterm.formats.pairlists import read_pair_list
from arcterm.formats.pairs import MAX_FILE, write_pairs
from arcterm.formats.people import find_people
from arcterm.formats.recordio import RecordFile
from arcterm.runs.report import Report

IMAGE_SIZE = (112, 112)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class _Set(NamedTuple):
    """Files, two a pair; whether each pair is one person's; folds as far as known."""

    files: list[Path]
    same: list[bool]
    folds: int | None


def make_bin(
    job: Job, src: str, dst: str, *, list: str, pairs: int | None, seed: int, resize: bool
) -> Report:
    """Write the .bin `dst` of the pairs in the file `list`, or of `pairs` drawn from the people in `src`.

    JPEG files of 112×112 go in byte for byte, others are encoded. A stopped job goes on where it was. Raises
    `DataError`, leaving nothing at `dst`, for an image that is missing or can't go in, naming it.
    """
    source, target = Path(src), Path(dst)
    _require_new(target)
    if list:
        if pairs is not None:
            raise DataError("--pairs is for drawn pairs, and --list gives them", "leave out one of the two")
        chosen = _listed(source, Path(list), job.work / "missing.txt")
    else:
        chosen = _drawn(source, pairs, seed)
    stored = _read(job, [*dict.fromkeys(chosen.files)], resize)
    job.tell("writing", len(stored.images), len(stored.images), target.name)
    _require_new(target)
    _write(target, [stored.images[path] for path in chosen.files], chosen.same)
    return _report(target, chosen, stored)


def _require_new(target: Path) -> None:
    if target.suffix != ".bin":
        raise DataError(
            f"{target} doesn't end in .bin", f"call it {target.name}.bin: that is how sets are found"
        )
    if target.exists() or target.is_symlink():
        raise DataError(f"{target} already exists", "choose another name, or remove it first")


def _listed(folder: Path, path: Path, missing: Path) -> _Set:
    listed = read_pair_list(path.expanduser())
    return _Set(locate(folder, listed, missing), [pair.same for pair in listed.pairs], listed.folds)


def _drawn(folder: Path, limit: int | None, seed: int) -> _Set:
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


def _read(job: Job, paths: Sequence[Path], resize: bool) -> _Stored:
    """Each file as a JPEG of 112×112, kept in the job for a resume.

    Raises `DataError` for the first that can't be stored as one.
    """
    place = job.place_for(paths)
    writer = PackWriter(place)
    images = dict(zip(paths, _kept(place / "train.rec"), strict=False))
    copied = msgspec.json.decode(writer.note) or 0
    size = sum(map(len, images.values()))
    pictures = (Picture(path) for path in paths[len(images) :])
    read = partial(Wanted(IMAGE_SIZE, resize=resize).read, look=False)
    with closing(writer.records):
        for picture, stored in in_order(read, pictures, job.threads):
            if isinstance(stored, DataError):
                raise stored
            writer.add(stored.data, 0)
            images[picture.path] = stored.data
            copied += stored.copied
            size += len(stored.data)
            if size > MAX_FILE:
                raise DataError(f"the images have over {MAX_FILE} bytes, the most of a .bin", "take fewer")
            if job.tell("reading images", len(images), len(paths), picture.path.name):
                writer.save(partial(int, copied))
    return _Stored(images, copied)


def _kept(path: Path) -> Iterator[bytes]:
    """The images that a stopped attempt read, in order."""
    if path.stat().st_size:
        for offset, payload in RecordFile(path).scan():
            yield bytes(irheader.unpack(payload, f"{path}: record at byte {offset}").image)


def _write(target: Path, images: Sequence[bytes], same: Sequence[bool]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{target.parent} can't be made: {error.strerror}", "choose another place") from None
    write_pairs(target, images, same)


def _report(target: Path, chosen: _Set, stored: _Stored) -> Report:
    images, encoded = len(stored.images), len(stored.images) - stored.copied
    count, same = len(chosen.same), sum(chosen.same)
    folds = "" if chosen.folds is None else f" in {chosen.folds} folds"
    return Report(
        lines=[
            f"{count:,} pairs{folds}: {same:,} same, {count - same:,} different; of {images:,} images",
            f"{stored.copied:,} JPEG files of 112×112 copied, {encoded:,} images encoded",
            *_unlike(chosen.same),
        ],
        data={
            "path": str(target),
            "pairs": count,
            "same": same,
            "images": images,
            "folds": chosen.folds,
            "copied": stored.copied,
            "encoded": encoded,
        },
        result=str(target),
    )


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
