"""Verification sets of lists and of drawn pairs, read back by Python's own pickle."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from arcterm_registry.contracts import JobReport

from arcterm.config import job_config
from arcterm.data.make.bin import make_bin
from arcterm.data.reshape.packs import extract
from arcterm.errors import DataError
from arcterm.formats.images import encode_jpeg, is_jpeg
from arcterm.formats.pairs.binfile import read_pairs, write_pairs
from arcterm.formats.pairs.pairing import different_pairs, make_pairs, same_pairs
from arcterm.runs import store
from arcterm.runs.context import JobContext
from arcterm.runs.journal import NullJournal
from tests.formats.test_protocols import cfp
from tests.jobs import make_job

Locate = Callable[[str], Path]

# As verification.py of 2018 reads a set, in a process that knows nothing of ours.
READER = """
import hashlib, json, pickle, sys
bins, issame = pickle.load(open(sys.argv[1], "rb"), encoding="bytes")
digests = [hashlib.sha256(bytes(b)).hexdigest() for b in bins]
print(json.dumps([digests, [type(b).__name__ for b in bins], issame]))
"""


@pytest.fixture
def job(tmp_path: Path) -> JobContext:
    config = job_config("bin", ["src", "dst"], {})
    run = store.create(tmp_path / "runs", config, label="data", argv=[], host="h")
    return JobContext(run, NullJournal(), threads=2)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Ann, Bob el Al and c: three images of 112×112 each, JPEG, PNG and JPEG."""
    root = tmp_path / "people"
    for person, name in enumerate(("Ann", "Bob el Al", "c")):
        (root / name).mkdir(parents=True)
        for number, ending in ((1, ".jpg"), (2, ".PNG"), (3, ".JPEG")):
            picture(root / name / f"{name}_{number:04d}{ending}", 10 * person + number)
    return root


def picture(path: Path, seed: int, size: tuple[int, int] = (112, 112)) -> None:
    coarse = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), np.uint8)
    pixels = cv2.resize(coarse, size[::-1])
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def made(job: JobContext, src: Path, dst: Path, **options: Any) -> JobReport:
    given = {"list": "", "pairs": None, "seed": 0, "resize": False} | options
    report = make_bin(job, str(src), str(dst), **given)
    shutil.rmtree(job.work)  # as when a job is done
    job.work.mkdir()
    return report


def listed(job: JobContext, src: Path, text: str, **options: Any) -> JobReport:
    path = src.parent / "pairs.txt"
    path.write_text(text, encoding="utf-8")
    return made(job, src, src.parent / "x.bin", list=str(path), **options)


def contents(path: Path) -> tuple[list[bytes], list[bool]]:
    bins, same = pickle.loads(path.read_bytes(), encoding="bytes")
    return bins, same


LIST = "Ann\t1\t3\nBob el Al\t1\t2\nAnn\t1\tc\t3\nBob el Al\t2\tc\t2\n"


def test_a_list(job: JobContext, people: Path, tmp_path: Path) -> None:
    report = listed(job, people, LIST)
    images, same = contents(tmp_path / "x.bin")
    assert same == [True, True, False, False]
    names = ["Ann 1", "Ann 3", "Bob el Al 1", "Bob el Al 2", "Ann 1", "c 3", "Bob el Al 2", "c 2"]
    for name, image in zip(names, images, strict=True):
        who, number = name.rsplit(" ", 1)
        (file,) = (people / who).glob(f"{who}_000{number}.*")
        if file.suffix == ".PNG":
            assert image == encode_jpeg(cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB))
        else:
            assert image == file.read_bytes()
    told = {key: report.data[key] for key in ("pairs", "same", "images", "folds", "copied", "encoded")}
    assert told == {"pairs": 4, "same": 2, "images": 6, "folds": None, "copied": 4, "encoded": 2}
    assert report.result == str(tmp_path / "x.bin")
    assert len({id(image) for image in read_pairs(tmp_path / "x.bin").images}) == 6


def test_python_reads_it_in_a_process_of_its_own(job: JobContext, people: Path, tmp_path: Path) -> None:
    listed(job, people, LIST)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "x.bin")], capture_output=True, text=True, check=True
    )
    digests, kinds, same = json.loads(done.stdout)
    ours = read_pairs(tmp_path / "x.bin")
    assert kinds == ["bytes"] * 8 and same == ours.same.tolist()
    assert digests[0] == digests[4] and len(set(digests)) == 6
    write_pairs(tmp_path / "y.bin", ours.images[::-1], ours.same.tolist())  # the oracle would notice
    done = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "y.bin")], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)[0] == digests[::-1] != digests


def test_missing_images_are_named_and_nothing_is_dropped(
    job: JobContext, people: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        listed(job, people, LIST + "Ann\t1\t9\nNobody\t2\tc\t1\nAnn\t9\tc\t7\n")
    assert "lacks 3 of the 10 images" in caught.value.message
    assert "Ann/Ann_0009 (line 5), Nobody/Nobody_0002 (line 6), c/c_0007 (line 7)" in caught.value.message
    assert (job.work / "missing.txt").read_text().splitlines()[1] == "Nobody/Nobody_0002\tline 6"
    assert str(job.work / "missing.txt") in caught.value.hint
    assert not (tmp_path / "x.bin").exists()


def test_twenty_are_named_and_all_are_kept(job: JobContext, people: Path) -> None:
    with pytest.raises(DataError, match=r"lacks 25 of the 26 images.* and 5 more") as caught:
        listed(job, people, "".join(f"Ann 1 {n}\n" for n in range(100, 125)))
    assert caught.value.message.count("(line ") == 20
    assert len((job.work / "missing.txt").read_text().splitlines()) == 25


def test_paths_below_the_folder(job: JobContext, people: Path, tmp_path: Path) -> None:
    text = "1,Ann/Ann_0001.jpg,Ann/./Ann_0003.JPEG\n0,Ann/Ann_0001.jpg,c/c_0002.PNG\n"
    assert listed(job, people, text).data["images"] == 3
    assert contents(tmp_path / "x.bin")[1] == [True, False]


@pytest.mark.parametrize("by_name", [True, False])
def test_links_that_lead_out(job: JobContext, people: Path, tmp_path: Path, by_name: bool) -> None:
    picture(tmp_path / "secret.jpg", 99)
    (people / "Ann" / "Ann_0004.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(DataError, match=r"Ann_0004.jpg is a link that leads out of"):
        listed(job, people, "Ann 1 4\n" if by_name else "Ann/Ann_0001.jpg Ann/Ann_0004.jpg 1\n")
    (people / "Ann" / "Ann_0004.jpg").unlink()
    (people / "Ann" / "Ann_0004.jpg").symlink_to("Ann_0003.JPEG")
    assert listed(job, people, "Ann 3 4\n").data["images"] == 1


def test_a_folder_that_leads_out(job: JobContext, people: Path, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    picture(tmp_path / "away" / "d_0001.jpg", 5)
    (people / "d").symlink_to(tmp_path / "away")
    with pytest.raises(DataError, match=r"d_0001.jpg is a link that leads out"):
        listed(job, people, "d 1 Ann 1\n")
    with pytest.raises(DataError, match=r"d_0001.jpg is a link that leads out"):
        made(job, people, tmp_path / "x.bin")


def test_two_files_that_could_be_meant(job: JobContext, people: Path) -> None:
    picture(people / "Ann" / "Ann_0001.bmp", 5)
    with pytest.raises(DataError, match=r"Ann_0001.bmp and Ann_0001.jpg could both be meant"):
        listed(job, people, "Ann 1 2\n")


def test_another_size_is_refused_by_name_unless_resized(
    job: JobContext, people: Path, tmp_path: Path
) -> None:
    picture(people / "c" / "c_0004.jpg", 7, (60, 50))
    with pytest.raises(DataError, match=r"c_0004.jpg: the image is 50×60, not 112×112") as caught:
        listed(job, people, "c 1 4\n")
    assert "--resize" in caught.value.hint
    report = listed(job, people, "c 1 4\n", resize=True)
    assert (report.data["copied"], report.data["encoded"]) == (1, 1)
    image = cv2.imdecode(np.frombuffer(contents(tmp_path / "x.bin")[0][1], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (112, 112, 3)


def test_what_is_no_image(job: JobContext, people: Path, tmp_path: Path) -> None:
    (people / "c" / "c_0004.jpg").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"c_0004.jpg"):
        listed(job, people, "c 1 4\n")
    assert not list(tmp_path.glob("*.bin")) and not list(tmp_path.glob(".*"))


def test_all_images_that_can_not_go_in_are_named_at_once(job: JobContext, people: Path) -> None:
    (people / "c" / "c_0004.jpg").write_bytes(b"<html>")
    (people / "c" / "c_0005.jpg").touch()
    picture(people / "c" / "c_0006.jpg", 7, (60, 50))
    with pytest.raises(DataError, match="3 of 4 images can't be stored") as caught:
        listed(job, people, "c 1 4\nc 5 6\n")
    for words in (
        "c_0004.jpg: these 6 bytes",
        "c_0005.jpg is an empty file",
        "c_0006.jpg: the image is 50×60",
    ):
        assert words in caught.value.message


def test_drawn_pairs(job: JobContext, people: Path, tmp_path: Path) -> None:
    report = made(job, people, tmp_path / "x.bin")
    images, same = contents(tmp_path / "x.bin")
    assert report.data["pairs"] == 18 and sum(same) == 9 and report.data["folds"] == 10
    assert all(is_jpeg(image) for image in images)
    expected = make_pairs([3, 3, 3])
    assert same == [pair.same for pair in expected]
    assert images[0] == (people / "Ann" / "Ann_0001.jpg").read_bytes()


def test_another_seed_draws_others(job: JobContext, test_data: Locate, tmp_path: Path) -> None:
    people = test_data("faces/orl/s1").parent
    for name, seed in (("a", 0), ("b", 0), ("c", 1), ("d", 1)):
        report = made(job, people, tmp_path / f"{name}.bin", pairs=200, seed=seed, resize=True)
        assert (report.data["pairs"], report.data["same"]) == (200, 100)
    files = {name: (tmp_path / f"{name}.bin").read_bytes() for name in "abcd"}
    assert files["a"] == files["b"] != files["c"] == files["d"]
    for fold in range(10):
        assert contents(tmp_path / "c.bin")[1][20 * fold : 20 * (fold + 1)] == [True] * 10 + [False] * 10


@pytest.mark.parametrize("seed", [0, 1, 7, 2**31 - 1])
@pytest.mark.parametrize(("counts", "limit"), [([3, 1, 4, 1, 5], None), ([10] * 10, 60), ([2, 2], 2)])
def test_pairs_of_any_seed_are_balanced_and_none_comes_twice(
    counts: list[int], limit: int | None, seed: int
) -> None:
    pairs = make_pairs(counts, limit, seed)
    owner = [person for person, count in enumerate(counts) for _ in range(count)]
    assert max(Counter(pairs).values()) == 1 and 2 * sum(pair.same for pair in pairs) == len(pairs)
    assert all(pair.a < pair.b and (owner[pair.a] == owner[pair.b]) == pair.same for pair in pairs)


def test_the_choice_of_seed_0_is_the_old_one() -> None:
    same, cross = list(same_pairs([10] * 10)), list(different_pairs([10] * 10))
    pairs = make_pairs([10] * 10, 60)
    assert [pair for pair in pairs if pair.same] == [same[len(same) * n // 30] for n in range(30)]
    assert [pair for pair in pairs if not pair.same] == random.Random(0).sample(cross, 30)


def test_the_same_pairs_of_many_are_never_listed() -> None:
    assert len(same_pairs([1000] * 2000)) == 2000 * 1000 * 999 // 2
    with pytest.raises(DataError, match=r"pairs that balance are too many") as caught:
        make_pairs([1000] * 20)
    assert "--pairs 500000" in caught.value.hint
    assert len(make_pairs([1000] * 20, 100)) == 100


def test_a_pack_is_no_folder_to_draw_from(job: JobContext, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "train.rec").touch()
    with pytest.raises(DataError, match="pack is a pack") as caught:
        made(job, tmp_path / "pack", tmp_path / "x.bin")
    assert "--hold-out" in caught.value.hint


def test_places_that_are_refused(job: JobContext, people: Path, tmp_path: Path) -> None:
    def refused(message: str, place: Path, source: Path = people, **options: Any) -> None:
        with pytest.raises(DataError, match=message):
            made(job, source, place, **options)

    (tmp_path / "old.bin").write_bytes(b"mine")
    (job.work / "list").write_text("Ann 1 3\n")
    refused("already exists", tmp_path / "old.bin")
    refused("doesn't end in .bin", tmp_path / "pairs")
    refused("is not a directory", tmp_path / "x.bin", tmp_path / "old.bin", list=str(job.work / "list"))
    refused("can't be made", tmp_path / "old.bin" / "x.bin")
    refused("--pairs is for drawn pairs", tmp_path / "x.bin", list="pairs.txt", pairs=20)
    refused("20 pairs can't be made", tmp_path / "x.bin", pairs=20)
    (people / "c" / "\x1b[2J.jpg").write_bytes(b"")
    refused("control characters", tmp_path / "x.bin")
    assert (tmp_path / "old.bin").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.bin", "people", "runs"]


def test_pairs_that_say_nothing_or_count_twice_are_named_by_line(job: JobContext, people: Path) -> None:
    (people / "Ann" / "Ann_0004.jpg").write_bytes((people / "Ann" / "Ann_0001.jpg").read_bytes())
    report = listed(
        job, people, "2 2\n\nAnn 1 1\nAnn 1 3\nAnn 3 1\nAnn 1 4\nAnn 1 c 3\nAnn 4 c 3\nAnn 1 c 1\nAnn 2 c 2\n"
    )
    assert report.lines[-2:] == [
        "note: pairs of an image with itself, which any model gets right: 2 (line 3, line 6)",
        "note: pairs listed twice, which count twice: 3 "
        "(line 5 as line 4, line 6 as line 3, line 8 as line 7)",
    ]
    assert report.data["odd_pairs"] == {"alone": 2, "torn": 0, "again": 3, "against": 0}
    assert not any("itself" in line for line in made(job, people, people.parent / "y.bin", pairs=2).lines)


def test_copies_that_a_list_calls_two_persons_are_noted(job: JobContext, people: Path) -> None:
    """Who uses a list of others' can't change it: only what contradicts itself is refused."""
    (people / "c" / "c_0009.jpg").write_bytes((people / "Ann" / "Ann_0001.jpg").read_bytes())
    report = listed(job, people, "Ann 1 c 9\nAnn 1 3\nAnn 3 c 9\n")
    assert report.lines[-2:] == [
        "note: pairs of an image and its copy as two persons: 1 (line 1)",
        "note: pairs that say the opposite of another: 1 (line 3 of line 2)",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Ann/Ann_0001.jpg c/c_0001.jpg 1\nAnn/Ann_0001.jpg Ann/Ann_0003.JPEG 1\n"
            "c/c_0001.jpg Ann/Ann_0001.jpg 0\n",
            "line 1 and line 3 say same and different of the same two images",
        ),
        ("Ann/Ann_0001.jpg Ann/Ann_0001.jpg 0\n", "line 1 calls an image and itself two persons"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused(
    job: JobContext, people: Path, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        listed(job, people, text)
    assert not (tmp_path / "x.bin").exists()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Ann_0001.jpg\t1\nAnn_0003.JPEG\t1\nc_0001.jpg\t0\nAnn_0001.jpg\t0\n", [True, False]),
        ("ABS/Ann/Ann_0001.jpg ABS/c/c_0001.jpg 0\n", [False]),
        ("Ann\\Ann_0001.jpg;c\\c_0001.jpg;False\nAnn/Ann_0001.jpg;Ann/Ann_0003.JPEG;True\n", [False, True]),
        ('"Ann/Ann_0001.jpg","c/c_0001.jpg","-1"\n', [False]),
        ("name\tpicID1\tpicID2\nAnn\t1\t2\nname1\tpicID1\tname2\tpicID2\nAnn\t1\tc\t2\n", [True, False]),
    ],
)
def test_lists_of_other_makers(
    job: JobContext, people: Path, tmp_path: Path, text: str, same: list[bool]
) -> None:
    listed(job, people, text.replace("ABS", str(people)))
    assert contents(tmp_path / "x.bin")[1] == same


def test_a_list_that_counts_from_0_is_told_so(job: JobContext, people: Path) -> None:
    with pytest.raises(DataError, match=r"Ann/Ann_0000 \(line 1\)") as caught:
        listed(job, people, "Ann 0 1\nAnn 1 c 0\n")
    assert "counts images from 0" in caught.value.hint and "add 1" in caught.value.hint


def test_blocks_of_one_kind_are_noted(job: JobContext, people: Path) -> None:
    text = "".join(f"Ann 1 {n % 2 + 2}\n" for n in range(20)) + "".join("Ann 1 c 2\n" for _ in range(20))
    assert any(
        "in 10 of them all are same or all different" in line for line in listed(job, people, text).lines
    )
    text = "Ann 1 2\nAnn 1 c 2\n" * 20
    (people.parent / "x.bin").unlink()
    assert not any("blocks" in line for line in listed(job, people, text).lines)


def test_out_and_back_again(job: JobContext, people: Path, tmp_path: Path) -> None:
    made(job, people, tmp_path / "x.bin")
    extract(make_job("extract"), str(tmp_path / "x.bin"), str(tmp_path / "out"), people="")
    made(job, tmp_path / "out", tmp_path / "y.bin", list=str(tmp_path / "out" / "pairs.txt"))
    assert (tmp_path / "x.bin").read_bytes() == (tmp_path / "y.bin").read_bytes()
    assert len(list((tmp_path / "out" / "images").iterdir())) == 9


def test_a_foreign_set_out_and_back_again(job: JobContext, test_data: Locate, tmp_path: Path) -> None:
    foreign = test_data("pairs/small_lfw.bin")
    report = extract(make_job("extract"), str(foreign), str(tmp_path / "out"), people="")
    assert report.data["pairs"] == report.data["same"] == 10
    made(job, tmp_path / "out", tmp_path / "y.bin", list=str(tmp_path / "out" / "pairs.txt"))
    ours, theirs = read_pairs(tmp_path / "y.bin"), pickle.loads(foreign.read_bytes(), encoding="bytes")
    assert [bytes(image) for image in ours.images] == [image.tobytes() for image in theirs[0]]
    assert ours.same.tolist() == theirs[1]


@pytest.mark.parametrize("root", ["/home/u/data/lfw/", "C:\\data\\lfw\\", "D:/lfw/"])
def test_paths_of_another_machine_are_found_by_their_ends(job: JobContext, people: Path, root: str) -> None:
    names = ["Ann/Ann_0001.jpg", "Ann/Ann_0003.JPEG", "c/c_0001.jpg"]
    paths = [root + (name.replace("/", "\\") if "\\" in root else name) for name in names]
    report = listed(job, people, f"{paths[0]};{paths[1]};1\n{paths[0]};{paths[2]};0\n")
    dropped = "/" + root.partition(":")[2].replace("\\", "/").strip("/") if ":" in root else root[:-1]
    assert any(f"were taken without {dropped}" in line for line in report.lines)
    expected = [(people / names[i]).read_bytes() for i in (0, 1, 0, 2)]
    assert [bytes(image) for image in read_pairs(people.parent / "x.bin").images] == expected


def test_two_beginnings_are_not_clear(job: JobContext, people: Path) -> None:
    with pytest.raises(DataError, match=r"without /one.*without /two"):
        listed(job, people, "/one/Ann/Ann_0001.jpg /two/c/c_0001.jpg 0\n")


def test_a_path_of_another_machine_never_leads_out(job: JobContext, people: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes((people / "c" / "c_0001.jpg").read_bytes())
    with pytest.raises(DataError, match=r"lacks 1 .*secret\.jpg \(line 1\)"):
        listed(job, people, f"{tmp_path / 'secret.jpg'} c/c_0001.jpg 0\n")


def test_names_without_an_ending_and_too_long_ones(job: JobContext, people: Path) -> None:
    listed(job, people, "Ann/Ann_0001 Ann/Ann_0002 1\nAnn/Ann_0001 c/c_0003 -1\n")
    (people.parent / "x.bin").unlink()
    with pytest.raises(DataError, match="lacks 1"):
        listed(job, people, f"Ann/Ann_0001 {'x' * 300} 0\n")


def test_groups_stand_beside_the_set(job: JobContext, people: Path, tmp_path: Path) -> None:
    report = listed(job, people, "name\tn1\tn2\trace\nAnn\t1\t2\tone\nAnn\t1\tc\t1\ttwo\nc\t1\t3\tone\n")
    assert report.data["groups"] == {"one": 2, "two": 1}
    assert "groups: one 2, two 1" in report.lines
    assert read_pairs(tmp_path / "x.bin").groups == ["one", "two", "one"]
    place = tmp_path / "x.groups"
    assert place.read_text() == "one\ntwo\none\n"
    for text, words in (("one\ntwo\n", "groups of 2 pairs, the set has 3"), ("a\n\nb\n", "line 2: ''")):
        place.write_text(text)
        with pytest.raises(DataError, match=rf"x\.groups.*{words}"):
            read_pairs(tmp_path / "x.bin")
    (tmp_path / "x.bin").unlink()
    with pytest.raises(DataError, match=r"x\.groups has the groups of another set"):
        listed(job, people, "Ann 1 2\nAnn 1 c 1\n")
    place.unlink()
    listed(job, people, "Ann 1 2\nAnn 1 c 1\n")
    assert read_pairs(tmp_path / "x.bin").groups is None and not place.exists()


def test_four_lists_are_one_set_with_groups(job: JobContext, people: Path, tmp_path: Path) -> None:
    for group in ("X", "Y"):
        shutil.copytree(people, tmp_path / "data" / group)
        (tmp_path / "txts" / group).mkdir(parents=True)
        (tmp_path / "txts" / group / f"{group}_pairs.txt").write_text("Ann\t1\t2\nAnn\t1\tc\t3\n")
    report = made(job, tmp_path / "data", tmp_path / "x.bin", list=str(tmp_path / "txts"))
    found = read_pairs(tmp_path / "x.bin")
    assert (found.groups, found.same.tolist()) == (["X", "Y"] * 2, [True, True, False, False])
    assert any("one set" in line for line in report.lines)


def test_groups_come_out_and_back_again(job: JobContext, people: Path, tmp_path: Path) -> None:
    listed(job, people, "name\tn1\tn2\trace\nAnn\t1\t2\tone two\nAnn\t1\tc\t1\tÄ\nc\t1\t3\tone two\n")
    extract(make_job("extract"), str(tmp_path / "x.bin"), str(tmp_path / "out"), people="")
    made(job, tmp_path / "out", tmp_path / "y.bin", list=str(tmp_path / "out" / "pairs.txt"))
    for ending in ("bin", "groups"):
        assert (tmp_path / f"x.{ending}").read_bytes() == (tmp_path / f"y.{ending}").read_bytes()


@pytest.mark.parametrize("folder", ["", "Data", "Data/Images"])
def test_cfp_is_found_below_any_of_its_folders(job: JobContext, tmp_path: Path, folder: str) -> None:
    protocol = cfp(tmp_path / "cfp")
    for person in (1, 2):
        for kind in ("frontal", "profile"):
            place = tmp_path / "cfp" / "Data" / "Images" / f"{person:03d}" / kind
            place.mkdir(parents=True)
            for number in (1, 2):
                picture(place / f"{number:02d}.jpg", 10 * person + number + len(kind))
    report = made(job, tmp_path / "cfp" / folder, tmp_path / "x.bin", list=str(protocol / "Split" / "FP"))
    assert report.data["folds"] == 2 and read_pairs(tmp_path / "x.bin").same.tolist() == [True, False] * 2
    (tmp_path / "cfp" / "Data" / "Images" / "002" / "profile" / "02.jpg").unlink()
    with pytest.raises(DataError, match=r"lacks 1 .*002/profile/02\.jpg \(02/diff\.txt line 1\)"):
        made(job, tmp_path / "cfp" / folder, tmp_path / "y.bin", list=str(protocol / "Split" / "FP"))
