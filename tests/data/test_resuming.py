"""Jobs that were stopped go on: the same result, and what was done is not done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from arcterm.data.make.bin import make_bin
from arcterm.data.make.imagefiles import Picture, Stored, Wanted
from arcterm.data.make.pack import pack
from arcterm.data.reshape.extract import extract
from arcterm.data.reshape.index import make_index
from arcterm.errors import DataError, StopAskedError
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.runs.context import JobContext, accept_changed_data
from arcterm.runs.journal import NullJournal
from tests.jobs import make_job, make_run, pack_people


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Five people of four images each: a JPEG, which is copied, and three PNG files, which are encoded."""
    random = np.random.default_rng(0)
    for person in range(5):
        (tmp_path / "people" / f"p{person}").mkdir(parents=True)
        for number, ending in enumerate(("jpg", "png", "png", "png")):
            pixels = cv2.resize(random.integers(0, 255, (7, 7, 3), np.uint8), (112, 112))
            cv2.imwrite(str(tmp_path / "people" / f"p{person}" / f"{number}.{ending}"), pixels)
    return tmp_path / "people"


class Stopping(JobContext):
    """Tells each time, and is asked to stop at the how-many-th word of a phase."""

    def __init__(self, root: Path, phase: str, stop: int, task: str, paths: Sequence[str]) -> None:
        super().__init__(make_run(root, task, paths), NullJournal(), threads=2)
        self.phase = phase
        self.stop: int | None = stop

    def again(self) -> JobContext:
        """The job as `arcterm resume` starts it, and nobody stops it."""
        self.stop = None
        return self

    def progress(self, done: int, total: int, phase: str, detail: str = "") -> bool:
        if phase == self.phase and self.stop is not None:
            self.stop -= 1
            if self.stop < 0:
                raise StopAskedError
        return True


def stopped(
    root: Path,
    task: str,
    phase: str,
    stop: int,
    work: Callable[[JobContext], object],
    paths: Sequence[str] = (),
) -> Stopping:
    """A job that was stopped while it did `work`."""
    job = Stopping(root, phase, stop, task, paths)
    with pytest.raises(StopAskedError):
        work(job)
    return job


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["pack", "pairs"])
@pytest.mark.parametrize("stop", [0, 1, 7, 11])
def test_extract(people: Path, tmp_path: Path, kind: str, stop: int) -> None:
    pack_people(people, tmp_path / "pack")
    images = [path.read_bytes() for path in sorted(people.rglob("*.jpg"))]
    write_pairs(tmp_path / "x.bin", [*images, images[0], *images, images[0]], [True, False] * 3)
    source = str(tmp_path / ("pack" if kind == "pack" else "x.bin"))
    extract(make_job("extract"), source, str(tmp_path / "whole"), people="")

    def parts(job: JobContext) -> None:
        extract(job, source, str(tmp_path / "parts"), people="")

    job = stopped(tmp_path / "runs", "extract", "writing images", stop, parts)
    (stage,) = tmp_path.glob(".parts.partial.*")
    assert not (tmp_path / "parts").exists()
    before = {path: path.stat() for path in stage.rglob("*") if path.is_file()}
    assert len(before) == min(stop, 20 if kind == "pack" else 5)
    if before:  # as a crash leaves it
        torn = next(iter(before))
        os.truncate(torn, 3)
        del before[torn]
    parts(job.again())
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    for path, stat in before.items():
        now = (tmp_path / "parts" / path.relative_to(stage)).stat()
        assert (now.st_ino, now.st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    assert not stage.exists()


def test_extract_of_what_was_changed(people: Path, tmp_path: Path) -> None:
    pack_people(people, tmp_path / "pack")

    def parts(job: JobContext) -> None:
        extract(job, str(tmp_path / "pack"), str(tmp_path / "parts"), people="")

    places = [str(tmp_path / "pack"), str(tmp_path / "parts")]
    job = stopped(tmp_path / "runs", "extract", "writing images", 3, parts, places)
    os.utime(tmp_path / "pack" / "train.idx", (1, 1))
    with pytest.raises(DataError, match=r"train\.idx is not the file that it was") as refused:
        parts(job.again())
    assert refused.value.message.startswith("the data set changed since the run was made: ")
    assert f"`arcterm resume {job.id} --accept-changed-data`" in refused.value.hint
    assert "or start a new run" in refused.value.hint


def test_where_nothing_was_left_the_data_may_change(people: Path, tmp_path: Path) -> None:
    """Images that were refused are mended, and the job that had named them goes on."""
    (people / "p1" / "7.jpg").write_bytes(b"no image")
    run = make_run(tmp_path / "runs", "pack", [str(people), str(tmp_path / "pack")])
    with pytest.raises(DataError, match=r"p1/7\.jpg"):
        pack(JobContext(run, NullJournal(), threads=2), str(people), str(tmp_path / "pack"))
    (people / "p1" / "7.jpg").unlink()
    assert pack(JobContext(run, NullJournal(), threads=2), str(people), str(tmp_path / "pack")).data


class Beginning(NamedTuple):
    """A job, what makes of it and where, and a change of its data."""

    name: str
    phase: str
    begin: Callable[[JobContext, Path, Path], object]
    written: str
    change: Callable[[Path], object]


def _overwrite(file: Path) -> None:
    cv2.imwrite(str(file), np.zeros((112, 112, 3), np.uint8))


BEGINNINGS = [
    Beginning(
        "pack",
        "pack",
        lambda job, people, out: pack(job, str(people), str(out / "pack")),
        "pack/train.rec",
        lambda people: _overwrite(people / "p0" / "9.png"),
    ),
    Beginning(
        "bin",
        "reading images",
        lambda job, people, out: make_bin(
            job, str(people), str(out / "x.bin"), list="", pairs=20, seed=0, resize=False
        ),
        "x.bin",
        lambda people: _overwrite(people / "p0" / "1.png"),
    ),
]


@pytest.mark.parametrize("case", BEGINNINGS, ids=lambda case: case.name)
def test_where_changed_data_is_accepted_the_job_begins_again(
    people: Path, tmp_path: Path, case: Beginning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcterm.formats.recordio.packwriter._SAVE_SECONDS", 0)
    made = tmp_path / "parts" / case.written
    made.parent.parent.mkdir(exist_ok=True)

    def begin(job: JobContext) -> None:
        case.begin(job, people, tmp_path / "parts")

    job = stopped(tmp_path / "runs", case.name, case.phase, 9, begin, [str(people), str(made.parent)])
    case.change(people)
    with pytest.raises(DataError, match="changed since the run was made"):
        begin(job.again())
    with pytest.raises(DataError, match="changed since the run was made"):
        begin(JobContext(job.run, NullJournal(), threads=2))
    accept_changed_data(job.run)
    begin(JobContext(job.run, NullJournal(), threads=2))
    case.begin(make_job(case.name), people, tmp_path / "whole")
    assert made.read_bytes() == (tmp_path / "whole" / case.written).read_bytes()


@pytest.mark.parametrize("stop", [0, 1, 9, 15])
def test_bin(people: Path, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arcterm.formats.recordio.packwriter._SAVE_SECONDS", 0)

    def made(job: JobContext, name: str) -> dict[str, Any]:
        return make_bin(
            job, str(people), str(tmp_path / name), list="", pairs=20, seed=0, resize=False
        ).data | {"path": ""}

    job = stopped(tmp_path / "runs", "bin", "reading images", stop, lambda job: made(job, "parts.bin"))
    assert not (tmp_path / "parts.bin").exists()
    whole = made(make_job("bin"), "whole.bin")
    read = []
    really = Wanted.read

    def counted(self: Wanted, picture: Picture, look: bool = True) -> Stored:
        read.append(picture.path)
        return really(self, picture, look)

    monkeypatch.setattr(Wanted, "read", counted)
    assert made(job.again(), "parts.bin") == whole
    assert (tmp_path / "parts.bin").read_bytes() == (tmp_path / "whole.bin").read_bytes()
    assert len(read) == whole["images"] - stop


@pytest.mark.parametrize("stop", [0, 1, 2, 9, 25])
@pytest.mark.parametrize("tail", [b"", b"\x07" * 9, bytes(48)])
def test_index(people: Path, tmp_path: Path, stop: int, tail: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_people(people, tmp_path / "pack")
    whole = (tmp_path / "pack" / "train.idx").read_text().splitlines()
    (tmp_path / "pack" / "train.idx").unlink()

    def made(job: JobContext) -> None:
        make_index(job, str(tmp_path / "pack"))

    job = stopped(tmp_path / "runs", "index", "index", stop, made)
    assert not (tmp_path / "pack" / "train.idx").exists()
    (found,) = job.work.rglob("found")
    with found.open("ab") as file:  # as a crash leaves it
        file.write(tail)
    read = []
    monkeypatch.setattr("arcterm.formats.recordio.irheader.unpack", _counted(read))
    made(job.again())
    assert (tmp_path / "pack" / "train.idx").read_text().splitlines() == whole
    assert len(read) == len(whole) - max(0, stop - 1)


def _counted(read: list[str]) -> Callable[..., object]:
    from arcterm.formats.recordio import irheader

    really = irheader.unpack

    def unpack(payload: memoryview, source: str) -> irheader.ImageRecord:
        read.append(source)
        return really(payload, source)

    return unpack
