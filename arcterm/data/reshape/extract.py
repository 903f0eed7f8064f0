"""``arcterm data extract``: the images of a pack or of a .bin as files, byte for byte."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import JobReport

from arcterm.data.reshape.copying import PackImages, group_images, parts_of, read
from arcterm.errors import DataError
from arcterm.files import staged_directory, stamp
from arcterm.formats.images import ending
from arcterm.formats.pairs.binfile import read_pairs
from arcterm.formats.recordio.facepack import FacePack
from arcterm.ranges import numbers_below
from arcterm.runs.context import JobContext

_KEY = re.compile(r" key ([0-9]+) ")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 100


def extract(job: JobContext, src: str, dst: str, *, people: str) -> JobReport:
    """Write a pack's images to ``dst/PERSON/KEY.jpg``, or a .bin's to ``dst/images`` with ``pairs.txt``.

    `people` are the classes to write, all if empty. `data pack` and `data bin --list` read what is written. A
    stopped job goes on where it was. Raises `DataError`, leaving nothing at `dst`.
    """
    source, target = Path(src), Path(dst)
    if source.is_dir():
        return _extract_pack(job, FacePack(source), target, people)
    if people:
        raise DataError(f"{source} is no pack: its images have no class numbers", "leave --people out")
    return _extract_pairs(job, source, target)


def _extract_pack(job: JobContext, pack: FacePack, target: Path, wanted: str) -> JobReport:
    job.require_unchanged(stamp(parts_of([pack])))
    grouped = group_images(job, pack)
    if wanted:
        numbers = numbers_below(pack.classes, wanted, f"classes of {pack.directory}")
        missing = sorted(set(numbers) - set(grouped.present().tolist()))
        if missing:
            raise DataError(
                f"{pack.directory} has no image of class {missing[0]}", "leave it out of --people"
            )
        grouped = grouped.where(np.isin(grouped.classes, numbers))
    folders = _folders(grouped)
    total = len(grouped.images)
    with staged_directory(target, resume=job.id) as directory:
        for name in folders.values():
            (directory / name).mkdir(exist_ok=True)
        for done, (index, number) in enumerate(zip(grouped.images, grouped.classes, strict=True)):
            job.progress(done, total, "writing images")
            record = read(pack, int(index))
            assert not isinstance(record.image, np.ndarray)
            key = _KEY.search(record.source)
            name = f"{key[1] if key else index}{_ending(record.image, f'{pack.directory}: {record.source}')}"
            _write(directory / folders[int(number)] / name, record.image)
        _settle(job, total)
    return JobReport(
        lines=[f"{total:,} images of {len(folders):,} people in {target}"],
        data={
            "path": str(target),
            "images": total,
            "people": len(folders),
            "folders": list(folders.values()),
        },
        result=str(target),
    )


def _extract_pairs(job: JobContext, source: Path, target: Path) -> JobReport:
    job.require_unchanged(stamp([source]))
    pairs = read_pairs(source)
    names: dict[int, str] = {}
    with staged_directory(target, resume=job.id) as directory:
        (directory / "images").mkdir(exist_ok=True)
        for number, image in enumerate(pairs.images):
            job.progress(number, len(pairs.images), "writing images")
            if id(image) not in names:
                name = f"images/{len(names) + 1:06d}{_ending(image, f'{source}: image {number}')}"
                names[id(image)] = name
                _write(directory / name, image)
        sides = [names[id(image)] for image in pairs.images]
        rows = zip(sides[::2], sides[1::2], map(str, pairs.same.astype(int)), strict=True)
        lines = map(" ".join, rows)
        if pairs.groups is not None:  # a group may have blanks in it
            named = [("image1", "image2", "same", "group")]
            lines = map("\t".join, named + [(*row, of) for row, of in zip(rows, pairs.groups, strict=True)])
        (directory / "pairs.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        _settle(job, len(pairs.images))
    count, same = len(pairs.same), int(pairs.same.sum())
    return JobReport(
        lines=[
            f"{count:,} pairs, {same:,} same, of {len(names):,} images in {target}",
            f"back again: `arcterm data bin {target} NAME.bin --list {target / 'pairs.txt'}`",
        ],
        data={"path": str(target), "pairs": count, "same": same, "images": len(names)},
        result=str(target),
    )


def _folders(people: PackImages) -> dict[int, str]:
    """A folder for each class: its name made safe, or its number; no two alike on any file system."""
    found: dict[int, str] = {}
    taken: set[str] = set()
    for number in people.present().tolist():
        plain = f"{number:07d}"
        name = _UNSAFE.sub("_", people.name(number)).lstrip(".-")[:_LONGEST_NAME] or plain
        if name.lower() in taken:
            name = f"{name}-{plain}"
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        found[number] = name
    return found


def _ending(image: bytes | memoryview, source: str) -> str:
    """Return the ending for an image's file name; raises `DataError` naming its `source`."""
    if known := ending(image):
        return known
    raise DataError(
        f"{source} begins with {bytes(image[:8]).hex(' ')}: it is no image that is known here",
        "`arcterm data check SRC` names every such image",
    )


def _write(path: Path, image: bytes | memoryview) -> None:
    """Write a file, unless a stopped attempt has; one that a crash left torn or empty is written again."""
    try:
        if path.read_bytes() == image:
            return
    except FileNotFoundError:
        pass
    path.write_bytes(image)


def _settle(job: JobContext, total: int) -> None:
    """Make all files durable before their folder gets its name; one by one would take hours of small ones."""
    job.progress(total, total, "writing to disk")
    os.sync()
