"""Packs made of packs, and packs as folders: every image keeps its bytes and its person."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from arcterm.config import job_config
from arcterm.data.reshape.packs import extract, merge, split
from arcterm.errors import DataError, StopAskedError
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.pairs.groupfile import write_groups
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import RecordWriter
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.ranges import numbers_below
from arcterm.runs import store
from arcterm.runs.context import JobContext
from arcterm.runs.journal import NullJournal

Locate = Callable[[str], Path]
People = dict[str, list[str]]


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobContext]:
    """A job each time it is asked."""

    def make() -> Iterator[JobContext]:
        while True:
            config = job_config("check", ["src"], {})
            run = store.create(tmp_path / "runs", config, label="data", argv=[], host="h")
            yield JobContext(run, NullJournal())

    return make()


@pytest.fixture
def job(jobs: Iterator[JobContext]) -> JobContext:
    return next(jobs)


def image(seed: int) -> bytes:
    return encode_jpeg(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8))


def pack(
    place: Path, counts: list[int], seed: int, names: bool = True, size: tuple[int, int] = (16, 16)
) -> Path:
    with write_pack(place, size) as writer:
        for label, count in enumerate(counts):
            for n in range(count):
                writer.add(image(seed + 100 * label + n), label, f"{place.name}{label}" if names else "")
    return place


def unsorted(place: Path, labels: list[float]) -> Path:
    """A pack as face2rec2 makes it of an unsorted list: an identity record for each run."""
    place.mkdir()
    runs = [n for n in range(len(labels)) if n == 0 or labels[n] != labels[n - 1]]
    end = len(labels) + 1
    with RecordWriter(place / "train.rec", place / "train.idx") as records:
        for key, label in enumerate(labels, 1):
            records.write(key, irheader.pack((label, 1), key, image(key)))
        records.write(0, irheader.pack((end, end + len(runs)), 0))
        for n, start in enumerate(runs):
            stop = runs[n + 1] if n + 1 < len(runs) else len(labels)
            records.write(end + n, irheader.pack((start + 1, stop + 1), end + n))
    (place / "property").write_text(f"{int(max(labels)) + 1},16,16")
    return place


def people(place: Path) -> list[list[str]]:
    """Digests of everybody's images, read record by record as it lies there, by class."""
    read = FacePack(place)
    found: list[list[str]] = [[] for _ in range(read.classes)]
    for n in range(len(read)):
        found[read[n].label].append(hashlib.sha256(read[n].image).hexdigest())
    return found


def test_merged(job: JobContext, tmp_path: Path) -> None:
    a, b = pack(tmp_path / "a", [3, 1], 0), pack(tmp_path / "b", [2, 2, 1], 1000)
    write_pairs(a / "x.bin", [b"1", b"2"], [True])
    write_pairs(b / "x.bin", [b"1", b"2"], [True])
    write_pairs(b / "y.bin", [b"3", b"2"], [True])
    (b / "train.crc").unlink()  # y.bin is new to it
    (a / "train.crc").unlink()
    report = merge(job, str(a), str(b), str(tmp_path / "ab"))
    assert people(tmp_path / "ab") == people(a) + people(b)
    assert (tmp_path / "ab" / "labels.txt").read_text().split() == ["a0", "a1", "b0", "b1", "b2"]
    assert [(tmp_path / "ab" / f"{n}.bin").read_bytes() for n in "xy"] == [
        (b / f"{n}.bin").read_bytes() for n in "xy"
    ]
    assert (report.data["images"], report.data["classes"]) == (9, 5)
    merged = FacePack(tmp_path / "ab")
    assert merged.checksums is not None and {"x.bin", "y.bin"} <= set(merged.checksums.files)
    assert [merged.identity(n) for n in range(5)] == [
        range(0, 3), range(3, 4), range(4, 6), range(6, 8), range(8, 9)
    ]  # fmt: skip


def test_a_person_in_several_places_comes_together(job: JobContext, tmp_path: Path) -> None:
    loose = unsorted(tmp_path / "loose", [1, 0, 1, 2, 0, 2])
    assert FacePack(loose).identities == 6
    other = pack(tmp_path / "other", [1, 1], 500, names=False)
    merge(job, str(loose), str(other), str(tmp_path / "all"))
    merged = FacePack(tmp_path / "all")
    assert people(tmp_path / "all") == people(loose) + people(other)
    assert [merged[n].label for n in range(8)] == [0, 0, 1, 1, 2, 2, 3, 4]
    assert merged.identities == 5 and not (tmp_path / "all" / "labels.txt").exists()


def test_classes_without_an_image_lose_their_numbers(job: JobContext, tmp_path: Path) -> None:
    a, b = unsorted(tmp_path / "a", [0, 0, 3]), pack(tmp_path / "b", [1], 50)
    report = merge(job, str(a), str(b), str(tmp_path / "ab"))
    assert people(tmp_path / "ab") == [people(a)[0], people(a)[3], *people(b)]
    assert any("2 of the 4 classes" in line for line in report.lines)


def test_packs_of_others(job: JobContext, test_data: Locate, tmp_path: Path) -> None:
    golden = test_data("mxnet/golden_1_1_0/pack/train.rec").parent
    plain = test_data("recordio/popkorn/train.rec").parent
    merge(job, str(golden), str(plain), str(tmp_path / "both"))
    assert people(tmp_path / "both") == people(golden) + people(plain)


def test_merges_that_are_refused(job: JobContext, tmp_path: Path) -> None:
    a, b = pack(tmp_path / "a", [2], 0), pack(tmp_path / "b", [2], 9)

    def refused(message: str, *paths: Path) -> None:
        before = sorted(tmp_path.iterdir())
        with pytest.raises(DataError, match=message):
            merge(job, *map(str, paths))
        assert sorted(tmp_path.iterdir()) == before

    refused("is given twice", a, tmp_path / "b" / ".." / "a", tmp_path / "new")
    refused("isn't empty", a, b)
    write_pairs(a / "x.bin", [b"1", b"2"], [True])
    write_pairs(b / "x.bin", [b"1", b"2"], [False])
    refused(r"a/x.bin and .*b/x.bin differ", a, b, tmp_path / "new")
    refused(
        "images of 16×16 and .* of 20×18", a, pack(tmp_path / "c", [1], 0, size=(18, 20)), tmp_path / "new"
    )


@pytest.mark.parametrize("seed", [None, 0, 5])
def test_split_and_merged_again(jobs: Iterator[JobContext], tmp_path: Path, seed: int | None) -> None:
    whole = pack(tmp_path / "whole", [1, 2, 3, 1, 2, 3, 1], 0)
    paths = [str(tmp_path / name) for name in ("whole", "one", "two", "again")]
    report = split(next(jobs), *paths[:3], people=3, seed=seed)
    one, two = people(tmp_path / "one"), people(tmp_path / "two")
    assert [people(whole)[n] for n in report.data["moved"]] == two
    assert [p for n, p in enumerate(people(whole)) if n not in report.data["moved"]] == one
    assert (report.data["moved"] == [4, 5, 6]) == (seed is None)
    names = (tmp_path / "two" / "labels.txt").read_text().split()
    assert names == [f"whole{n}" for n in report.data["moved"]]
    merge(next(jobs), *paths[1:])
    assert Counter(map(tuple, people(tmp_path / "again"))) == Counter(map(tuple, people(whole)))
    if seed is None:
        for name in ("train.rec", "train.idx", "property", "labels.txt"):
            assert (tmp_path / "again" / name).read_bytes() == (whole / name).read_bytes()


def test_a_tenth_goes_by_default_and_sets_stay(job: JobContext, tmp_path: Path) -> None:
    with write_pack(tmp_path / "whole", (16, 16)) as writer:
        for label in range(25):
            writer.add(image(label), label)
        write_pairs(writer.directory / "x.bin", [b"1", b"2"], [True])
    paths = [str(tmp_path / name) for name in ("whole", "one", "two")]
    report = split(job, *paths, people=None, seed=None)
    assert report.data["moved"] == [23, 24]
    assert (tmp_path / "one" / "x.bin").exists() and not (tmp_path / "two" / "x.bin").exists()


def test_splits_that_are_refused(job: JobContext, tmp_path: Path) -> None:
    whole = str(pack(tmp_path / "whole", [1, 1], 0))

    def refused(message: str, first: str, second: str, count: int | None = 1) -> None:
        before = sorted(tmp_path.iterdir())
        with pytest.raises(DataError, match=message):
            split(job, whole, str(tmp_path / first), str(tmp_path / second), people=count, seed=None)
        assert sorted(tmp_path.iterdir()) == before

    refused("2 of 2 people leave nobody", "one", "two", 2)
    refused("are one place", "one", "whole/../one")
    refused("whole already exists", "one", "whole")
    refused("whole already exists", "whole", "two")


def test_no_half_a_split(job: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second pack goes again where the first can't appear."""
    pack(tmp_path / "whole", [1, 1, 1], 0)
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target.name == "one":
            assert (tmp_path / "two" / "property").exists()
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(DataError, match="No space left"):
        split(job, *(str(tmp_path / name) for name in ("whole", "one", "two")), people=1, seed=None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "whole"]


class StoppingJob(JobContext):
    """Always has time to save, and is asked to stop after so many images; the first attempt's id stays."""

    def __init__(self, job: JobContext, stop: int | None) -> None:
        self.__dict__.update(job.__dict__)
        self.stop = stop
        self.copied = 0

    def progress(self, done: int, total: int, phase: str, detail: str = "") -> bool:
        self.copied += phase == "copying"
        if phase == "copying" and done == self.stop:
            raise StopAskedError
        return True


@pytest.mark.parametrize("stop", [1, 4, 5, 8, 9])
def test_what_was_stopped_goes_on(
    job: JobContext, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcterm.formats.recordio.packwriter._SAVE_SECONDS", 0)
    a, b = pack(tmp_path / "a", [3, 1], 0), pack(tmp_path / "b", [2, 2, 1], 1000)
    paths = str(a), str(b), str(tmp_path / "ab")
    with pytest.raises(StopAskedError):
        merge(StoppingJob(job, stop), *paths)
    assert not (tmp_path / "ab").exists()
    merge(StoppingJob(job, None), *paths)
    assert people(tmp_path / "ab") == people(a) + people(b)
    parts = str(tmp_path / "ab"), str(tmp_path / "one"), str(tmp_path / "two")
    shutil.rmtree(job.work)
    job.work.mkdir()
    with pytest.raises(StopAskedError):
        split(StoppingJob(job, stop), *parts, people=2, seed=None)
    assert not (tmp_path / "one").exists() and not (tmp_path / "two").exists()
    split(StoppingJob(job, None), *parts, people=2, seed=None)
    assert people(tmp_path / "one") + people(tmp_path / "two") == people(tmp_path / "ab")
    assert not list(tmp_path.glob(".*"))


def test_killed_between_the_two_appearances(
    job: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pack(tmp_path / "whole", [1, 2, 3], 0)
    paths = [str(tmp_path / name) for name in ("whole", "one", "two")]
    replace = Path.replace

    def die(self: Path, target: Path) -> Path:
        if target.name == "one":
            raise KeyboardInterrupt  # as sudden as a kill: nothing of ours catches it
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        split(job, *paths, people=1, seed=None)
    assert (tmp_path / "two").exists() and not (tmp_path / "one").exists()
    monkeypatch.undo()
    split(job, *paths, people=1, seed=None)
    assert people(tmp_path / "one") + people(tmp_path / "two") == people(whole)


def test_a_source_that_changed_meanwhile(tmp_path: Path) -> None:
    a, b = pack(tmp_path / "a", [3, 1], 0), pack(tmp_path / "b", [2], 9)
    config = job_config("merge", [a, b, tmp_path / "ab"], {})
    job = JobContext(store.create(tmp_path / "runs", config, label="data", argv=[], host="h"), NullJournal())
    with pytest.raises(StopAskedError):
        merge(StoppingJob(job, 2), str(a), str(b), str(tmp_path / "ab"))
    os.utime(a / "train.rec", (1, 1))
    with pytest.raises(DataError, match=r"changed since the run was made: .*a/train.rec is not the file"):
        merge(job, str(a), str(b), str(tmp_path / "ab"))


def test_extracted(job: JobContext, tmp_path: Path) -> None:
    source = pack(tmp_path / "p", [2, 3], 0)
    extract(job, str(source), str(tmp_path / "out"), people="")
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.jpg"))
    assert files == ["p0/1.jpg", "p0/2.jpg", "p1/3.jpg", "p1/4.jpg", "p1/5.jpg"]
    read = FacePack(source)
    for n, file in enumerate(files):
        assert (tmp_path / "out" / file).read_bytes() == bytes(read[n].image)


def test_extracted_and_packed_again(jobs: Iterator[JobContext], test_data: Locate, tmp_path: Path) -> None:
    """The golden pack of 2018's packer, by way of a folder, is the same records again."""
    golden = test_data("mxnet/golden_1_1_0/pack/train.rec").parent
    extract(next(jobs), str(golden), str(tmp_path / "out"), people="")
    with write_pack(tmp_path / "again") as writer:
        for label, folder in enumerate(sorted((tmp_path / "out").iterdir())):
            for file in sorted(folder.iterdir()):
                writer.add(file.read_bytes(), label)
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["0000000", "0000001", "0000002"]
    assert (tmp_path / "again" / "train.rec").read_bytes() == (golden / "train.rec").read_bytes()


def test_some_people(job: JobContext, tmp_path: Path) -> None:
    source = pack(tmp_path / "p", [1, 1, 1, 1], 0, names=False)
    report = extract(job, str(source), str(tmp_path / "out"), people="0, 2-3")
    assert report.data["folders"] == ["0000000", "0000002", "0000003"]
    assert [path.name for path in (tmp_path / "out" / "0000002").iterdir()] == ["3.jpg"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("4", "no number 4 among the classes"), ("0-99999999999999", "no number"), ("x", "neither a number"),
     ("3-1", "neither"), ("1,,2", "neither"), ("-1", "neither")],
)  # fmt: skip
def test_people_who_are_not_there(job: JobContext, tmp_path: Path, wanted: str, message: str) -> None:
    source = pack(tmp_path / "p", [1, 1, 1, 1], 0)
    with pytest.raises(DataError, match=message):
        extract(job, str(source), str(tmp_path / "out"), people=wanted)
    assert not (tmp_path / "out").exists()


def test_ranges() -> None:
    assert numbers_below(20, "5,0,10-12,11", "x") == [0, 5, 10, 11, 12]


def test_a_class_without_an_image(job: JobContext, tmp_path: Path) -> None:
    source = unsorted(tmp_path / "p", [0, 2])
    with pytest.raises(DataError, match="no image of class 1"):
        extract(job, str(source), str(tmp_path / "out"), people="0-2")


def test_names_are_made_safe_and_stay_apart(job: JobContext, tmp_path: Path) -> None:
    names = ["../../etc", ".hidden", "a/b", "a\\b", "A_b", "\x1b[31m", "", "-rf", "é" * 300, "x" * 300]
    with write_pack(tmp_path / "p", (16, 16)) as writer:
        for label in range(len(names)):
            writer.add(image(label), label)
        (writer.directory / "labels.txt").write_text("\n".join(names) + "\n")
    report = extract(job, str(tmp_path / "p"), str(tmp_path / "out"), people="")
    assert report.data["folders"] == [
        "_.._etc", "hidden", "a_b", "a_b-0000003", "A_b-0000004", "_31m", "0000006", "rf", "_", "x" * 100
    ]  # fmt: skip
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == len(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "p", "runs"]


def test_endings_by_the_first_bytes(jobs: Iterator[JobContext], tmp_path: Path) -> None:
    heads = [b"\x89PNG\r\n\x1a\n", b"BM", b"P5 1 1", b"RIFF....WEBP", b"\xff\xd8\xff\xe0"]
    write_pairs(tmp_path / "x.bin", [*heads, b"P3 1 1"], [True, False, True])
    extract(next(jobs), str(tmp_path / "x.bin"), str(tmp_path / "out"), people="")
    names = [path.name for path in sorted((tmp_path / "out" / "images").iterdir())]
    assert names == ["000001.png", "000002.bmp", "000003.pgm", "000004.webp", "000005.jpg", "000006.ppm"]
    assert (tmp_path / "out" / "pairs.txt").read_text().splitlines()[1] == (
        "images/000003.pgm images/000004.webp 0"
    )
    write_pairs(tmp_path / "x.bin", [b"#!/bin/sh", b"BM"], [True])
    with pytest.raises(DataError, match="image 0 begins with 23 21") as caught:
        extract(next(jobs), str(tmp_path / "x.bin"), str(tmp_path / "out2"), people="")
    assert "arcterm data check" in caught.value.hint and not (tmp_path / "out2").exists()
    with pytest.raises(DataError, match="have no class numbers"):
        extract(next(jobs), str(tmp_path / "x.bin"), str(tmp_path / "out2"), people="1")


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("verb", ["merge", "split", "extract"])
def test_a_broken_record_is_named(job: JobContext, tmp_path: Path, verb: str, sealed: bool) -> None:
    source = pack(tmp_path / "p", [2, 2, 2], 0)
    whole = FacePack(source)
    broken = whole[2].source
    offset = int(broken.rsplit(" ", 1)[1])
    data = bytearray((source / "train.rec").read_bytes())
    data[offset] ^= 1
    (source / "train.rec").write_bytes(data)
    if not sealed:
        (source / "train.crc").unlink()
    with pytest.raises(DataError, match="key 3") as caught:
        match verb:
            case "merge":
                merge(job, str(source), str(tmp_path / "out"))
            case "split":
                split(job, str(source), str(tmp_path / "out"), str(tmp_path / "b"), people=1, seed=None)
            case _:
                extract(job, str(source), str(tmp_path / "out"), people="")
    assert f"arcterm data check {source}" in caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "runs"]


def test_a_changed_set_is_not_passed_on(job: JobContext, tmp_path: Path) -> None:
    with write_pack(tmp_path / "p", (16, 16)) as writer:
        writer.add(image(0), 0)
        write_pairs(writer.directory / "x.bin", [b"1", b"2"], [True])
    write_pairs(tmp_path / "p" / "x.bin", [b"1", b"2"], [False])
    with pytest.raises(DataError, match=r"x.bin is damaged or was changed"):
        merge(job, str(tmp_path / "p"), str(tmp_path / "out"))


@pytest.mark.slow
def test_by_the_front_door(test_data: Locate, tmp_path: Path) -> None:
    """From the ORL faces to packs, folders and sets and back, each a job of its own."""
    people_at = test_data("faces/orl/s1").parent

    def arcterm(*arguments: str, code: int = 0) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, "-m", "arcterm", "data", *arguments, "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if code == 0 else {"error": done.stderr}

    arcterm("pack", str(people_at), "orl", "--resize")
    assert arcterm("split", "orl", "one", "two", "--people", "8")["first"]["classes"] == 32  # type: ignore[index]
    assert arcterm("merge", "one", "two", "again")["images"] == 400
    assert people(tmp_path / "again") == people(tmp_path / "orl")
    assert arcterm("extract", "again", "out", "--people", "0-9")["images"] == 100
    assert arcterm("bin", "out", "x.bin", "--pairs", "100", "--seed", "3")["copied"] > 0  # type: ignore[operator]
    arcterm("extract", "x.bin", "pairs")
    arcterm("bin", "pairs", "y.bin", "--list", "pairs/pairs.txt")
    assert (tmp_path / "x.bin").read_bytes() == (tmp_path / "y.bin").read_bytes()
    assert pickle.loads((tmp_path / "y.bin").read_bytes(), encoding="bytes")[1].count(True) == 50
    assert "Traceback" not in str(arcterm("bin", "pairs", "y.bin", code=3)["error"])


def test_groups_go_along_with_their_sets(jobs: Iterator[JobContext], tmp_path: Path) -> None:
    a, b = pack(tmp_path / "a", [3, 1], 0), pack(tmp_path / "b", [2, 2, 1], 1000)
    for place in (a, b):
        write_pairs(place / "x.bin", [b"1", b"2"], [True])
        write_groups(place / "x.bin", ["one"])
        (place / "train.crc").unlink()
    merge(next(jobs), str(a), str(b), str(tmp_path / "ab"))
    assert (tmp_path / "ab" / "x.groups").read_text() == "one\n"
    merged = FacePack(tmp_path / "ab")
    assert merged.checksums is not None and "x.groups" in merged.checksums.files
    split(next(jobs), str(tmp_path / "ab"), str(tmp_path / "c"), str(tmp_path / "d"), people=2, seed=None)
    assert (tmp_path / "c" / "x.groups").read_text() == "one\n"
    assert not (tmp_path / "d" / "x.groups").exists()
    write_groups(b / "x.bin", ["two"])
    with pytest.raises(DataError, match=r"x\.bin differ and have one name"):
        merge(next(jobs), str(a), str(b), str(tmp_path / "no"))
