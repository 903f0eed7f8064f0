"""``arcterm data merge`` and ``split``: packs made of packs, no image being decoded."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import JobReport

from arcterm.data.reshape.copying import (
    Copier,
    PackImages,
    copy_sets,
    group_images,
    parts_of,
    verification_sets,
)
from arcterm.data.reshape.extract import extract
from arcterm.errors import DataError
from arcterm.files import require_free, stamp
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.runs.context import JobContext

__all__ = ["extract", "merge", "split"]


def merge(job: JobContext, *paths: str) -> JobReport:
    """Make one pack, the last of `paths`, of the others: classes of the second follow those of the first.

    A person's images come together even where a pack has them in several places; classes without an image
    get no number. The .bin files are copied. Raises `DataError`, leaving nothing behind, if image sizes
    differ, two different .bin files have one name, or a record is damaged.
    """
    target = Path(paths[-1])
    require_free(target)
    packs = [FacePack(Path(path)) for path in paths[:-1]]
    _require_alike(packs)
    sets = verification_sets(packs)
    job.require_unchanged(stamp(parts_of(packs)))
    people = [group_images(job, pack) for pack in packs]
    with write_pack(target, packs[0].image_size, resume=job.id) as writer:
        Copier(job, sum(len(pack) for pack in packs)).copy(people, writer)
        copy_sets(sets, writer.directory)
    counts = [len(group.present()) for group in people]
    return JobReport(
        lines=[
            f"{writer.images:,} images of {writer.classes:,} people in {target}",
            *_first_numbers(people, counts),
            *_unused(people),
            *([f"verification sets: {', '.join(path.stem for path in sets)}"] if sets else []),
        ],
        data={
            "path": str(target),
            "images": writer.images,
            "classes": writer.classes,
            "packs": [
                {"path": str(pack.directory), "images": len(pack), "classes": count}
                for pack, count in zip(packs, counts, strict=True)
            ],
            "verification": [path.name for path in sets],
        },
        result=str(target),
    )


def split(
    job: JobContext, src: str, first: str, second: str, *, people: int | None, seed: int | None
) -> JobReport:
    """Make two packs of one: `people` go to `second`, a tenth if None, and all others to `first`.

    They are the last ones, or with a `seed` drawn ones, and keep their order; the .bin files go to `first`.
    Raises `DataError`, leaving neither, if no people would be left or a record is damaged.
    """
    places = Path(first), Path(second)
    if places[0].resolve() == places[1].resolve():
        raise DataError(f"{first} and {second} are one place", "give two directories")
    pack = FacePack(Path(src))
    sets = verification_sets([pack])
    job.require_unchanged(stamp(parts_of([pack])))
    grouped = group_images(job, pack)
    moved = np.isin(grouped.classes, _chosen(grouped, people, seed))
    parts = grouped.where(~moved), grouped.where(moved)
    _write_both(job, parts, places, sets)
    written = [
        {"path": str(place), "images": len(part.images), "classes": len(part.present())}
        for place, part in zip(places, parts, strict=True)
    ]
    return JobReport(
        lines=[
            *(
                f"{part['images']:,} images of {part['classes']:,} people in {part['path']}"
                for part in written
            ),
            *_unused([grouped]),
            *([f"verification sets in {first}: {', '.join(path.stem for path in sets)}"] if sets else []),
        ],
        data={
            "first": written[0],
            "second": written[1],
            "moved": parts[1].present().tolist(),
            "verification": [path.name for path in sets],
        },
        result=first,
    )


def _write_both(
    job: JobContext, parts: tuple[PackImages, PackImages], places: tuple[Path, Path], sets: Sequence[Path]
) -> None:
    """Write two packs so that both appear, one right after the other, or neither."""
    size = parts[0].pack.image_size
    copier = Copier(job, len(parts[0].images) + len(parts[1].images))
    # A job that was killed between the two appearances finds the second there, and finishes the first.
    ending = job.work / "ending"
    appeared = ending.exists() and (places[1] / "property").exists()
    try:
        with write_pack(places[0], size, resume=job.id) as writer:
            copier.copy([parts[0]], writer)
            copy_sets(sets, writer.directory)
            if not appeared:
                with write_pack(places[1], size, resume=job.id) as other:
                    copier.copy([parts[1]], other)
                    ending.touch()
                appeared = True
    except DataError:
        if appeared:
            shutil.rmtree(places[1])
        raise


def _chosen(grouped: PackImages, count: int | None, seed: int | None) -> list[int]:
    present: list[int] = grouped.present().tolist()
    wanted = max(1, len(present) // 10) if count is None else count
    if wanted >= len(present):
        raise DataError(
            f"{wanted} of {len(present)} people leave nobody in the first pack",
            f"ask for --people {len(present) - 1} or fewer" if len(present) > 1 else "take a larger pack",
        )
    if seed is None:
        return present[-wanted:]
    return random.Random(seed).sample(present, wanted)  # noqa: S311


def _require_alike(packs: Sequence[FacePack]) -> None:
    seen: set[Path] = set()
    for pack in packs:
        if pack.directory.resolve() in seen:
            raise DataError(
                f"{pack.directory} is given twice: its people would be counted twice", "give it once"
            )
        seen.add(pack.directory.resolve())
        if pack.image_size != packs[0].image_size:
            (h, w), (height, width) = packs[0].image_size, pack.image_size
            raise DataError(
                f"{packs[0].directory} has images of {w}×{h} and {pack.directory} of {width}×{height}",
                "make one of them again in that size: `arcterm data pack SRC DST --resize` takes a pack too",
            )


def _first_numbers(people: Sequence[PackImages], counts: Sequence[int]) -> list[str]:
    """Which numbers the people of each pack have now."""
    ends = np.cumsum(counts)
    return [
        f"{group.pack.directory}: {count:,} people, now {end - count} to {end - 1}"
        for group, count, end in zip(people, counts, ends, strict=True)
    ]


def _unused(people: Sequence[PackImages]) -> list[str]:
    """A note on each pack with classes that have no image, since the numbers after them moved."""
    return [
        f"note: {gone:,} of the {group.pack.classes:,} classes in {group.pack.directory} have no image, and "
        "no number any more"
        for group in people
        if (gone := group.pack.classes - len(group.present()))
    ]
