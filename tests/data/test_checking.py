"""`data check`: good data passes, and every planted fault is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcterm.data.check.check import check
from arcterm.data.check.survey import Survey
from arcterm.datasets.verification import VerificationSets
from arcterm.errors import DataError, StopAskedError
from arcterm.faces.similarity import template
from arcterm.formats.images import decode, encode_jpeg, resize
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.runs.context import JobContext, accept_changed_data
from arcterm.runs.journal import NullJournal
from tests.data.checks import (
    IMAGES,
    flip,
    kinds,
    make_pack,
    make_set,
    new_job,
    offsets,
    picture,
    pictures,
    raw_pack,
    run_check,
)

Data = Callable[[str], Path]
SORTED = [0, 0, 0, 1, 1, 2]
RANGES = [(1, 4), (4, 6), (6, 7)]


def named(report: Any, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = report.data["findings"][kind]["named"]
    return found


def test_the_original_packers_pack_passes(test_data: Data, tmp_path: Path) -> None:
    report = run_check(tmp_path, test_data("mxnet/golden_1_1_0/pack"))
    assert report.problems == 0
    assert report.data["people"] | {"histogram": None} == {
        "people": 3,
        "images": 6,
        "least": 1,
        "median": 2.0,
        "mean": 2.0,
        "most": 3,
        "histogram": None,
    }
    assert kinds(report, notes=True) == {"single": 1, "unsealed": 1}


def test_a_pack_of_im2rec_passes(test_data: Data, tmp_path: Path) -> None:
    report = run_check(tmp_path, test_data("recordio/popkorn"))
    assert report.problems == 0
    assert (report.data["people"]["people"], report.data["people"]["images"]) == (2, 8)


def test_a_set_of_same_pairs_only_is_a_problem(test_data: Data, tmp_path: Path) -> None:
    report = run_check(tmp_path, test_data("pairs/small_lfw.bin"))
    assert kinds(report) == {"one-class": 1}
    assert report.data["sets"] == [
        {"name": "small_lfw.bin", "pairs": 10, "same": 10, "images": 20, "damaged": 0}
    ]


def test_the_orl_faces_pass_as_a_pack(test_data: Data, tmp_path: Path) -> None:
    folder = test_data("faces/orl")
    people = [
        [
            resize(decode(file.read_bytes(), size=None, source=str(file)), (112, 112))
            for file in sorted(person.glob("*.pgm"))
        ]
        for person in sorted(folder.glob("s*"))
    ]
    report = run_check(tmp_path, make_pack(tmp_path / "pack", people))
    assert report.problems == 0
    assert [tuple(row) for row in report.data["people"]["histogram"]] == [(10, 10, 40)]
    # The control: the same folder as it is has images of another size, all named.
    assert kinds(run_check(tmp_path, folder)) == {"size": 400}


def test_what_is_not_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="doesn't exist"):
        run_check(tmp_path, tmp_path / "nothing")
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(DataError, match="no data set"):
        run_check(tmp_path, tmp_path / "text.txt")


@pytest.mark.parametrize("sealed", [True, False])
def test_a_good_pack_has_no_problem(tmp_path: Path, sealed: bool) -> None:
    report = run_check(tmp_path, make_pack(tmp_path / "pack", sealed=sealed))
    assert report.problems == 0
    assert kinds(report, notes=True).get("unsealed", 0) == (0 if sealed else 1)


def _no_magic(pack: Path) -> None:
    flip(pack / "train.rec", offsets(pack)[3])


def _zeros_in_a_jpeg(pack: Path) -> None:
    data = bytearray((pack / "train.rec").read_bytes())
    start = offsets(pack)[3] + 40
    data[start : start + 200] = bytes(200)
    (pack / "train.rec").write_bytes(data)


def _cut_off(pack: Path) -> None:
    data = (pack / "train.rec").read_bytes()
    (pack / "train.rec").write_bytes(data[: offsets(pack)[12] + 500])


def _no_line(pack: Path) -> None:
    lines = (pack / "train.idx").read_bytes().splitlines(keepends=True)
    (pack / "train.idx").write_bytes(b"".join(lines[:4] + lines[5:]))


def _bad_line(pack: Path) -> None:
    text = (pack / "train.idx").read_bytes()
    (pack / "train.idx").write_bytes(text.replace(b"\n5\t", b"\nx\t"))


def _no_index(pack: Path) -> None:
    (pack / "train.idx").write_bytes(b"")


def _wrong_offset(pack: Path) -> None:
    at = offsets(pack)
    text = (pack / "train.idx").read_bytes()
    (pack / "train.idx").write_bytes(text.replace(b"5\t%d\n" % at[5], b"5\t%d\n" % at[6]))


def _more_classes(pack: Path) -> None:
    (pack / "property").write_text("9,112,112")


def _fewer_classes(pack: Path) -> None:
    (pack / "property").write_text("3,112,112")


def _no_facts(pack: Path) -> None:
    (pack / "property").write_text("112,112")


def _other_size(pack: Path) -> None:
    (pack / "property").write_text("4,96,112")


def _broken_set(pack: Path) -> None:
    (pack / "set.bin").write_bytes(b"no pickle")


def _one_class(pack: Path) -> None:
    make_set(pack / "set.bin", same=[False] * 20)


def _broken_image_in_a_set(pack: Path) -> None:
    images = [encode_jpeg(picture(1000 + n)) for n in range(39)]
    write_pairs(pack / "set.bin", [*images, images[0][:900]], [n % 2 == 0 for n in range(20)])


def _extra_bytes(pack: Path) -> None:
    with (pack / "train.rec").open("ab") as file:
        file.write(b"left over")


STRUCTURE = [
    (_no_magic, "record", "key 3 at byte"),
    (_zeros_in_a_jpeg, "record", "key 3 at byte"),
    (_cut_off, "record", "key 12 at byte"),
    (_no_line, "index", "lacks key 5"),
    (_bad_line, "index", "line 5 isn't"),
    (_bad_line, "index", "1 records that train.idx doesn't name"),
    (_no_index, "index", "is empty"),
    (_wrong_offset, "index", "begins inside the record of key"),
    (_more_classes, "count", "9 classes, and the largest label is 3"),
    (_fewer_classes, "label", "label 3; the classes are 0 to 2"),
    (_no_facts, "file", "not 'classes,height,width'"),
    (_other_size, "size", "112×112, not 112×96"),
    (_broken_set, "file", "set.bin"),
    (_one_class, "one-class", "all 20 pairs are different"),
    (_broken_image_in_a_set, "record", "set.bin image 39 (pair 19)"),
    (_extra_bytes, "index", "hold what is no record"),
]


@pytest.mark.parametrize(("damage", "kind", "words"), STRUCTURE)
def test_structural_damage_is_named_without_checksums(
    tmp_path: Path, damage: Callable[[Path], None], kind: str, words: str
) -> None:
    pack = make_pack(tmp_path / "pack", sealed=False)
    damage(pack)
    report = run_check(tmp_path, pack)
    texts = [each["text"] for each in named(report, kind)]
    assert any(words in text for text in texts), texts
    assert report.problems > 0


@pytest.mark.parametrize(
    ("labels", "ranges", "expected"),
    [
        (SORTED, RANGES, {}),
        ([0, 1, 0, 1, 1, 2], [(1, 2), (2, 3), (3, 4), (4, 6), (6, 7)], {"doubled": 2, "count": 1}),
        (SORTED, [(1, 3), (3, 6), (6, 7)], {"range": 1, "doubled": 0}),
        (SORTED, [(1, 4), (4, 6)], {"range": 1, "count": 1}),
        (SORTED, [(1, 4), (5, 6), (6, 7)], {"range": 1}),
        (SORTED, [(1, 4), (3, 6), (6, 7)], {"range": 2}),
        (SORTED, [(1, 4), (4, 6), (6, 9)], {"range": 2}),
        ([0, 0, 0, 1.5, 1, 2], RANGES, {"label": 1}),
        ([0, 0, 0, -1, 1, 2], RANGES, {"label": 1}),
    ],
)
def test_labels_and_identity_ranges_are_held_to_one_another(
    tmp_path: Path, labels: list[float], ranges: list[tuple[float, float]], expected: dict[str, int]
) -> None:
    report = run_check(tmp_path, raw_pack(tmp_path / "pack", labels, ranges))
    assert kinds(report) == {kind: count for kind, count in expected.items() if count}


def test_rounded_keys_are_a_note(tmp_path: Path) -> None:
    first = (1 << 24) + 1
    ranges = [(float(np.float32(first)), float(np.float32(first + 3)))]
    pack = raw_pack(tmp_path / "pack", [0, 0, 0], ranges, first)
    found = kinds(run_check(tmp_path, pack), notes=True)
    assert found["rounded"] >= 1


def test_empty_records_and_classes(tmp_path: Path) -> None:
    report = run_check(tmp_path, raw_pack(tmp_path / "pack", [0, 0, 2], [(1, 3), (3, 4)]))
    assert named(report, "empty")[0]["text"] == "label 1 has no image"
    assert named(report, "single")[0]["text"] == "label 2 has one image"


def _warmer(image: Any) -> Any:
    return np.clip(image.astype(np.float32) * 1.1 + 5, 0, 255).astype(np.uint8)


def test_one_picture_of_two_people(tmp_path: Path) -> None:
    people = pictures()
    people[2][1] = people[0][0]
    people[3][0] = _warmer(people[1][1])
    report = run_check(tmp_path, make_pack(tmp_path / "pack", people))
    assert kinds(report) == {"duplicate": 1, "near": 1}
    assert "key 1 at byte 0 (label 0) is byte for byte" in named(report, "duplicate")[0]["text"]
    assert "(label 1) is nearly train.rec key 10" in named(report, "near")[0]["text"]
    unasked = run_check(tmp_path, tmp_path / "pack", duplicates=False)
    assert unasked.problems == 0


def test_one_picture_twice_of_one_person_is_a_note(tmp_path: Path) -> None:
    people = pictures()
    people[2][1] = people[2][0]
    people[1][1] = _warmer(people[1][0])
    report = run_check(tmp_path, make_pack(tmp_path / "pack", people))
    assert kinds(report, notes=True) | {"unaligned": 0} == {"repeated": 1, "unaligned": 0}


@pytest.mark.parametrize("change", [lambda image: image, _warmer])
def test_a_verification_image_that_is_trained_on(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    pack = make_pack(tmp_path / "pack", sealed=False)
    make_set(pack / "set.bin", first=change(pictures()[1][2]))
    report = run_check(tmp_path, pack)
    assert kinds(report) == {"leak": 1}
    assert "set.bin image 0 (pair 0) is" in named(report, "leak")[0]["text"]
    assert "key 6" in named(report, "leak")[0]["text"]


@pytest.mark.parametrize("change", [lambda image: image, _warmer])
def test_a_leaked_image_is_named_for_every_set_and_counted_once(
    tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    pack = make_pack(tmp_path / "pack", sealed=False)
    leaked = encode_jpeg(change(pictures()[1][2]))
    for name, place in (("a", 0), ("b", 5), ("set", 39)):
        images = [encode_jpeg(picture(2000 + ord(name[0]) * 50 + n)) for n in range(40)]
        images[place] = leaked
        images[7] = images[8] = leaked  # and in other pairs too
        write_pairs(pack / f"{name}.bin", images, [n % 2 == 0 for n in range(20)])
    report = run_check(tmp_path, pack)
    assert kinds(report) == {"leak": 1}
    told = [each["text"] for each in named(report, "leak")]
    assert len(told) == 3
    for text, place in zip(told, ("a.bin image 0 (", "b.bin image 5 (", "set.bin image 7 ("), strict=True):
        assert text.startswith(place) and "key 6" in text
    assert report.data["findings"]["leak"]["count"] == 1


def test_one_damaged_image_of_several_pairs_is_one_problem(tmp_path: Path) -> None:
    images = [encode_jpeg(picture(n)) for n in range(40)]
    images[4] = images[9] = images[30] = b"\xff\xd8\xff cut"
    write_pairs(tmp_path / "x.bin", images, [n % 2 == 0 for n in range(20)])
    report = run_check(tmp_path, tmp_path / "x.bin")
    assert kinds(report) == {"record": 1}
    assert named(report, "record")[0]["text"].startswith("x.bin image 4 (pair 2)")


@pytest.mark.parametrize("duplicates", [True, False])
def test_pairs_that_say_nothing_and_pairs_that_come_twice(tmp_path: Path, duplicates: bool) -> None:
    images = [encode_jpeg(picture(n)) for n in range(40)]
    images[1] = images[0]
    images[4:6] = images[6:8]
    images[8:10] = images[10:12][::-1]
    images[12:14] = images[18:20]
    write_pairs(
        tmp_path / "x.bin", images, [True, False, True, True, False, False, True, True, True, False] * 2
    )
    report = run_check(tmp_path, tmp_path / "x.bin", duplicates=duplicates)
    assert kinds(report) == {"alone": 1, "again": 2, "pair": 1}
    assert (
        named(report, "alone")[0]["text"]
        == "x.bin pair 0 is of an image with itself, which any model gets right"
    )
    assert [each["text"] for each in named(report, "again")] == [
        "x.bin pair 3 has the images of pair 2, and counts twice",
        "x.bin pair 5 has the images of pair 4, and counts twice",
    ]
    assert (
        named(report, "pair")[0]["text"]
        == "x.bin pairs 6 and 9 say same and different of the same two images"
    )


def test_what_macos_leaves_beside_sets_is_no_set(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", sealed=False)
    (pack / "._set.bin").write_bytes(b"\0\5\x16\7Mac OS X")
    report = run_check(tmp_path, pack)
    assert report.problems == 0 and [each["name"] for each in report.data["sets"]] == ["set.bin"]
    assert list(VerificationSets(pack)) == ["set"]


def test_pointers_in_the_place_of_a_packs_files_are_named(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", sealed=False)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for name in ("set.bin", "train.idx", "property"):
        (pack / name).write_bytes(pointer)
    report = run_check(tmp_path, pack)
    told = " ".join(each["text"] for kind in ("file", "index") for each in named(report, kind))
    for name in ("set.bin", "train.idx", "property"):
        assert f"{name} is a Git LFS pointer" in told
    (pack / "train.rec").write_bytes(pointer)
    with pytest.raises(
        DataError, match=r"train.rec is a Git LFS pointer.*so are property, set.bin, train.idx beside"
    ):
        run_check(tmp_path, pack)


def test_one_person_is_a_problem(tmp_path: Path) -> None:
    report = run_check(tmp_path, make_pack(tmp_path / "pack", pictures()[:1]))
    assert kinds(report) == {"lone": 1}
    (tmp_path / "people" / "ann").mkdir(parents=True)
    (tmp_path / "people" / "ann" / "1.jpg").write_bytes(encode_jpeg(picture(1)))
    assert kinds(run_check(tmp_path, tmp_path / "people")) == {"lone": 1}


def test_the_page_that_was_asked_for_is_said(tmp_path: Path) -> None:
    pack, page = make_pack(tmp_path / "pack"), tmp_path / "page.html"
    report = run_check(tmp_path, pack, html=str(page))
    assert report.lines[-1] == f"with pictures: {page}" and report.data["html"] == str(page)
    assert run_check(tmp_path, pack).lines[-1].endswith("report.html")


def test_folds_and_contradictions_of_a_set(tmp_path: Path) -> None:
    sets = tmp_path / "sets"
    sets.mkdir()
    images = [encode_jpeg(picture(n)) for n in range(40)]
    write_pairs(sets / "sorted.bin", images, [True] * 10 + [False] * 10)
    assert kinds(run_check(tmp_path, sets / "sorted.bin"), notes=True)["lopsided"] == 1
    images[3] = images[2]
    write_pairs(sets / "mixed.bin", images, [n % 2 == 0 for n in range(20)])
    report = run_check(tmp_path, sets / "mixed.bin")
    assert kinds(report) == {"pair": 1}
    assert "lopsided" not in kinds(report, notes=True)


@pytest.mark.long
def test_every_flipped_bit_is_named_where_there_are_checksums(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", [[picture(1), picture(2)], [picture(3)]])
    rng = np.random.default_rng(0)
    for path in sorted(pack.iterdir()):
        good = path.read_bytes()
        for offset in rng.integers(0, len(good), 5).tolist():
            flip(path, offset, 1 << int(rng.integers(8)))
            report = run_check(tmp_path, pack, duplicates=False)
            told = json.dumps(report.data["findings"])
            assert report.problems, (path.name, offset)
            assert path.name in told or (path.name == "train.rec" and "key" in told), (path.name, offset)
            path.write_bytes(good)
    assert run_check(tmp_path, pack).problems == 0


@pytest.mark.long
def test_every_truncation_is_named_without_checksums(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", [[picture(1), picture(2)], [picture(3)]], sealed=False)
    whole = (pack / "train.rec").read_bytes()
    rng = np.random.default_rng(1)
    for size in [*rng.integers(1, len(whole), 12).tolist(), len(whole) - 1]:
        (pack / "train.rec").write_bytes(whole[:size])
        assert run_check(tmp_path, pack, duplicates=False).problems, size
    (pack / "train.rec").write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        run_check(tmp_path, pack)


def test_sealing(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack")
    written_with_it = (pack / "train.crc").read_bytes()
    with pytest.raises(DataError, match=r"train\.crc is there already"):
        run_check(tmp_path, pack, seal=True)
    (pack / "train.crc").unlink()
    report = run_check(tmp_path, pack, seal=True)
    assert (report.problems, report.data["sealed"]) == (0, True)
    assert (pack / "train.crc").read_bytes() == written_with_it


def test_a_pack_with_problems_is_not_sealed(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", sealed=False)
    _more_classes(pack)
    report = run_check(tmp_path, pack, seal=True)
    assert "train.crc: not written: 2 problems" in report.lines
    assert not (pack / "train.crc").exists()
    (tmp_path / "a" / "p").mkdir(parents=True)
    with pytest.raises(DataError, match="is not a pack"):
        run_check(tmp_path, tmp_path / "a", seal=True)


def test_a_folder_of_people(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    for person, images in enumerate(pictures()):
        (folder / f"p{person}").mkdir(parents=True)
        for n, image in enumerate(images):
            (folder / f"p{person}" / f"{n}.jpg").write_bytes(encode_jpeg(image))
    assert run_check(tmp_path, folder).problems == 0
    (folder / "p0a").mkdir()
    report = run_check(tmp_path, folder)
    assert kinds(report) == {"absent": 1}
    assert named(report, "absent")[0]["text"] == f"{folder / 'p0a'} has no image"
    (folder / "p0a").rmdir()
    (tmp_path / "hollow" / "nobody").mkdir(parents=True)
    assert kinds(run_check(tmp_path, tmp_path / "hollow")) == {"absent": 1}
    (folder / "p2" / "1.jpg").write_bytes(encode_jpeg(picture(5))[:-300])
    (folder / "p3" / "9.jpg").write_bytes((folder / "p0" / "0.jpg").read_bytes())
    report = run_check(tmp_path, folder)
    assert kinds(report) == {"record": 1, "duplicate": 1}
    assert str(folder / "p2" / "1.jpg") in named(report, "record")[0]["text"]


def test_a_list_of_images(tmp_path: Path) -> None:
    lines = []
    for person, images in enumerate(pictures()):
        for n, image in enumerate(images):
            (tmp_path / f"{person}-{n}.jpg").write_bytes(encode_jpeg(image))
            lines.append(f"1\t{person}-{n}.jpg\t{person}\n")
    (tmp_path / "some.lst").write_text("".join(lines))
    good = run_check(tmp_path, tmp_path / "some.lst")
    assert (good.problems, good.data["people"]["people"], good.data["people"]["images"]) == (0, 4, 12)
    (tmp_path / "2-1.jpg").write_bytes(b"no image")
    (tmp_path / "3-0.jpg").write_bytes((tmp_path / "0-0.jpg").read_bytes())
    (tmp_path / "1-1.jpg").unlink()
    report = run_check(tmp_path, tmp_path / "some.lst")
    assert kinds(report) == {"record": 2, "duplicate": 1}
    assert "2-1.jpg" in "".join(each["text"] for each in named(report, "record"))


def test_landmarks_of_a_list_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "face.jpg").write_bytes(encode_jpeg(picture(1)))
    (tmp_path / "other.jpg").write_bytes(encode_jpeg(picture(2)))
    for marks, found in ((template().T, 0), (template(), 1)):
        numbers = "\t".join(f"{number:.2f}" for number in marks.ravel())
        rows = [
            f"0\t{name}.jpg\t{n}\t0\t0\t112\t112\t{numbers}\n" for n, name in enumerate(("face", "other"))
        ]
        (tmp_path / "x.lst").write_text("".join(rows))
        report = run_check(tmp_path, tmp_path / "x.lst")
        assert kinds(report).get("landmarks", 0) == found
    assert "of 2 of 2 lines looked at are x and y by turns" in named(report, "landmarks")[0]["text"]


def test_a_resumed_check_gives_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = pictures()
    people[2][1] = people[0][0]
    pack = make_pack(tmp_path / "pack", people, sealed=False)
    _no_magic(pack)
    whole = run_check(tmp_path, pack)
    job = new_job(tmp_path, pack)
    monkeypatch.setattr("arcterm.data.check.survey._BATCH", 4)
    progress, looked = job.progress, []

    def stop(done: int, total: int, phase: str, detail: str = "") -> bool:
        if done >= 8 and not looked:
            raise StopAskedError
        return progress(done, total, phase, detail)

    monkeypatch.setattr(job, "progress", stop)
    with pytest.raises(StopAskedError):
        check(job, str(pack), "", True, False)
    learn = Survey._learn

    def count(self: Survey, item: int) -> Any:
        looked.append(item)
        return learn(self, item)

    monkeypatch.setattr(Survey, "_learn", count)
    looked.append(-1)
    again = check(job, str(pack), "", True, False)
    assert sorted(looked) == [-1, *range(8, 4 * IMAGES + 5 + 40)]
    assert again.data["findings"] == whole.data["findings"]
    assert again.lines[:-1] == whole.lines[:-1]


def test_data_that_changed_since_the_stop_is_refused_and_looked_at_again_if_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = make_pack(tmp_path / "pack", sealed=False)
    job = new_job(tmp_path, pack)

    def stop(*_: object) -> bool:
        raise StopAskedError

    with monkeypatch.context() as patch:
        patch.setattr(job, "progress", stop)
        with pytest.raises(StopAskedError):
            check(job, str(pack), "", True, False)
    _no_magic(pack)
    os.utime(pack / "train.rec", ns=(1, 1))
    with pytest.raises(DataError, match=r"train\.rec is not the file that it was"):
        check(job, str(pack), "", True, False)
    accept_changed_data(job.run)
    job = JobContext(job.run, NullJournal(), threads=2)
    assert kinds(check(job, str(pack), "", True, False)) == {"record": 1}


@pytest.mark.slow
def test_through_the_command_line(test_data: Data, tmp_path: Path) -> None:
    def arcterm(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "ARCTERM_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "arcterm", "data", "check", *arguments, "--json"]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    good = arcterm(str(test_data("mxnet/golden_1_1_0/pack")), "--html", "page.html")
    assert good.returncode == 0, good.stderr
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(good.stdout)
    assert arcterm(str(test_data("pairs/small_lfw.bin"))).returncode == 3


def test_a_lost_index_is_a_finding_and_the_records_are_found(tmp_path: Path) -> None:
    make_pack(tmp_path / "pack", sealed=False)
    (tmp_path / "pack" / "train.idx").unlink()
    report = run_check(tmp_path, tmp_path / "pack")
    said = "\n".join(report.lines)
    assert report.problems == 1 and "train.idx can't be read" in said and "arcterm data index" in said
    assert "12 decode, 0 do not" in said
