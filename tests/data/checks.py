"""Small data sets with planted faults, and a check of them in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from arcterm_registry.contracts import JobReport

from arcterm.config import job_config
from arcterm.data.check.check import check
from arcterm.formats.images import Pixels, encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import RecordWriter
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.runs import store
from arcterm.runs.context import JobContext
from arcterm.runs.journal import NullJournal

PEOPLE, IMAGES = 4, 3


def picture(number: int, side: int = 112) -> Pixels:
    """A smooth pattern like no other, uint8 RGB."""
    coarse = np.random.default_rng(number).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))


def pictures() -> list[list[Pixels]]:
    """Those of four people."""
    return [[picture(10 * person + n) for n in range(IMAGES)] for person in range(PEOPLE)]


def make_pack(place: Path, people: Sequence[Sequence[Pixels]] | None = None, *, sealed: bool = True) -> Path:
    """A good pack with a verification set of other people."""
    with write_pack(place) as pack:
        for label, images in enumerate(pictures() if people is None else people):
            for image in images:
                pack.add(encode_jpeg(image), label, f"person {label}")
        make_set(pack.directory / "set.bin")
    if not sealed:
        (place / "train.crc").unlink()
    return place


def make_set(path: Path, first: Pixels | None = None, same: Sequence[bool] | None = None) -> None:
    """A verification set of 20 pairs, the first image of which may be given."""
    images = [picture(1000 + n) for n in range(40)]
    images[0] = images[0] if first is None else first
    write_pairs(path, [encode_jpeg(image) for image in images], same or [n % 2 == 0 for n in range(20)])


def raw_pack(
    place: Path, labels: Sequence[float], ranges: Sequence[tuple[float, float]], first: int = 1
) -> Path:
    """A pack with the labels and ranges that are given, right or wrong; image keys begin with `first`."""
    place.mkdir()
    with RecordWriter(place / "train.rec", place / "train.idx") as records:
        for key, label in enumerate(labels, first):
            records.write(key, irheader.pack((label, 1), key, encode_jpeg(picture(key))))
        end = first + len(labels)
        records.write(0, irheader.pack((end, end + len(ranges)), 0))
        for key, span in enumerate(ranges, end):
            records.write(key, irheader.pack(span, key))
    (place / "property").write_text(f"{int(max(labels)) + 1},112,112")
    return place


def new_job(folder: Path, path: Path) -> JobContext:
    """A job that nobody watches."""
    run = store.create(folder / "runs", job_config("check", [path], {}), label="data", argv=[], host="h")
    return JobContext(run, NullJournal(), threads=2)


def run_check(
    folder: Path, path: Path, *, html: str = "", duplicates: bool = True, seal: bool = False
) -> JobReport:
    """Check `path`; runs are made in `folder`."""
    return check(new_job(folder, path), str(path), html, duplicates, seal)


def kinds(report: JobReport, *, notes: bool = False) -> dict[str, int]:
    """Kind → count of the problems, or of everything."""
    found: dict[str, Any] = report.data["findings"]
    return {kind: each["count"] for kind, each in found.items() if notes or each["problem"]}


def offsets(pack: Path) -> dict[int, int]:
    """Key → byte offset."""
    lines = (pack / "train.idx").read_text().split("\n")
    return {int(line.split("\t")[0]): int(line.split("\t")[1]) for line in lines if line}


def flip(path: Path, offset: int, bit: int = 1) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= bit
    path.write_bytes(data)
