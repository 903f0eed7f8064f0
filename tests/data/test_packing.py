"""From folders to packs: order, held-out people, refusals, and the same bytes every time."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcterm.data.make.pack import pack
from arcterm.errors import DataError
from arcterm.faces.similarity import TEMPLATE
from arcterm.formats.images import decode, encode_jpeg, resize
from arcterm.formats.pairs.binfile import read_pairs
from arcterm.formats.pairs.pairing import different_pairs, make_pairs, same_pairs
from arcterm.formats.people import find_people
from arcterm.formats.recordio.facepack import FacePack
from tests.conftest import little_room
from tests.jobs import make_job, pack_people

Locate = Callable[[str], Path]


def brute_force(counts: list[int], limit: int | None = None) -> list[tuple[int, int, bool]]:
    """The rule of `pairing`, every list written out."""
    owner = [person for person, count in enumerate(counts) for _ in range(count)]
    every = [(a, b) for a in range(len(owner)) for b in range(a + 1, len(owner))]
    same = [(a, b) for a, b in every if owner[a] == owner[b]]
    cross = [(a, b) for a, b in every if owner[a] != owner[b]]
    half = limit // 2 if limit else min(len(same), len(cross))
    same = [same[len(same) * n // half] for n in range(half)]
    different = random.Random(0).sample(cross, half)
    blocks = []
    for k in range(10):
        low, high = half * k // 10, half * (k + 1) // 10
        blocks += [(a, b, True) for a, b in same[low:high]] + [(a, b, False) for a, b in different[low:high]]
    return blocks


@pytest.mark.parametrize("counts", [[10] * 10, [3, 1, 4, 1, 5], [1, 10], [2, 2], [7, 3]])
def test_pairs_are_those_of_the_rule(counts: list[int]) -> None:
    assert make_pairs(counts) == brute_force(counts)
    assert make_pairs(counts, 2) == brute_force(counts, 2)


def test_sixty_pairs() -> None:
    pairs = make_pairs([10] * 10, 60)
    assert pairs == brute_force([10] * 10, 60)
    assert [sum(pair.same for pair in pairs[n : n + 6]) for n in range(0, 60, 6)] == [3] * 10
    assert len({pair.a // 10 for pair in pairs if pair.same}) == 10


def test_different_pairs_by_position() -> None:
    lazy = different_pairs([3, 1, 2])
    assert [(p.a, p.b) for p in lazy] == [
        (0, 3), (0, 4), (0, 5), (1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5), (3, 4), (3, 5)
    ]  # fmt: skip
    assert len(different_pairs([40] * 2000)) == 40 * 40 * 2000 * 1999 // 2
    assert [(p.a, p.b) for p in same_pairs([3, 1, 2])] == [(0, 1), (0, 2), (1, 2), (4, 5)]


@pytest.mark.parametrize("limit", [0, -2, 3, 902])
def test_pairs_that_cannot_be_made(limit: int) -> None:
    with pytest.raises(DataError, match=f"{limit} pairs can't be made") as caught:
        make_pairs([10] * 10, limit)
    assert "from 2 to 900" in caught.value.hint


def test_the_olivetti_faces(test_data: Locate, tmp_path: Path) -> None:
    people = test_data("faces/orl/s1").parent
    report = pack_people(people, tmp_path / "orl", hold_out=10, resize=True)
    counts = ("classes", "train_images", "held_out_people", "held_out_images", "pairs", "copied", "ignored")
    assert [report[count] for count in counts] == [30, 300, 10, 100, 900, 0, 1]
    pack = FacePack(tmp_path / "orl")
    assert (len(pack), pack.classes, pack.identities, pack.image_size) == (300, 30, 30, (112, 112))
    assert [pack[n].label for n in range(300)] == [n // 10 for n in range(300)]
    # s2 comes before s10, 10.pgm after 9.pgm: image 19 is s2/10.pgm.
    grey = cv2.imread(str(people / "s2" / "10.pgm"), cv2.IMREAD_GRAYSCALE)
    expected = resize(np.repeat(grey[:, :, None], 3, axis=2), (112, 112))
    assert bytes(pack[19].image) == encode_jpeg(expected)

    pairs = read_pairs(tmp_path / "orl" / "heldout.bin")
    order = brute_force([10] * 10)
    assert pairs.same.tolist() == [same for *_, same in order]
    assert pairs.same.sum() == 450 and pairs.same[:90].tolist() == [True] * 45 + [False] * 45
    assert len({id(image) for image in pairs.images}) == 100
    for pair in (0, 1, 44, 45, 89, 90, 450, 899):
        for side in (0, 1):
            number = order[pair][side]
            file = people / f"s{31 + number // 10}" / f"{1 + number % 10}.pgm"
            pixels = decode(file.read_bytes(), size=None, source="")
            assert bytes(pairs.images[2 * pair + side]) == encode_jpeg(resize(pixels, (112, 112)))


def test_the_same_bytes_again(test_data: Locate, tmp_path: Path) -> None:
    people = test_data("faces/orl/s1").parent
    for place in ("a", "b"):
        pack_people(people, tmp_path / place, hold_out=3, resize=True, pairs=60)
    for name in ("train.rec", "train.idx", "property", "heldout.bin"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """p1 … p12, two 8×8 images each: a JPEG and a PNG."""
    for person in range(1, 13):
        folder = tmp_path / "people" / f"p{person}"
        folder.mkdir(parents=True)
        for image, suffix in enumerate((".jpg", ".png")):
            pixels = np.full((8, 8, 3), 10 * person + image, np.uint8)
            (folder / f"{image}{suffix}").write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())
    return tmp_path / "people"


def test_jpeg_files_are_copied(people: Path, tmp_path: Path) -> None:
    (people / "p2" / "notes.txt").write_text("hello")
    (people / ".hidden").mkdir()
    report = pack_people(people, tmp_path / "pack", image_size=(8, 8))
    pack = FacePack(tmp_path / "pack")
    assert (report["copied"], report["ignored"], report["pairs"], len(pack)) == (12, 1, 0, 24)
    assert bytes(pack[2].image) == (people / "p2" / "0.jpg").read_bytes()
    assert bytes(pack[3].image) == encode_jpeg(np.full((8, 8, 3), 21, np.uint8))
    assert bytes(pack[18].image) == (people / "p10" / "0.jpg").read_bytes()
    assert sorted(path.name for path in (tmp_path / "pack").iterdir()) == [
        "labels.txt",
        "property",
        "train.crc",
        "train.idx",
        "train.rec",
    ]


def test_another_size_is_refused_by_name(people: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"p1/0.jpg: the image is 8×8, not 112×112") as caught:
        pack_people(people, tmp_path / "pack")
    assert "24 of 24 images can't be packed" in caught.value.message and "and 14 more" in caught.value.message
    assert "--resize" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


@pytest.mark.parametrize(
    ("hold_out", "message"),
    [
        (11, "holding out 11 of 12 people leaves fewer than two"),
        (100, "holding out 100 of 12"),
        (1, "allow 1 same and 0 different pairs"),
    ],
)
def test_hold_outs_that_cannot_be(people: Path, tmp_path: Path, hold_out: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pack_people(people, tmp_path / "pack", hold_out=hold_out, image_size=(8, 8))
    assert not (tmp_path / "pack").exists()


def test_what_cannot_be_packed(people: Path, tmp_path: Path) -> None:
    def refused(message: str, source: Path = people, place: Path = tmp_path / "pack", **more: int) -> None:
        with pytest.raises(DataError, match=message):
            pack_people(source, place, image_size=(8, 8), **more)

    refused("can't be listed: No such file", tmp_path / "none")
    refused("has no directory in it", people / "p1")
    refused("lies inside", place=people / "pack")
    refused("10 pairs of nobody", pairs=10)
    refused("isn't empty", place=people / "p1")
    (people / "p3" / "1.png").write_bytes(b"not an image")
    refused("p3/1.png: these 12 bytes aren't a whole image")
    (people / "p4").joinpath("0.jpg").unlink()
    (people / "p4").joinpath("1.png").unlink()
    refused("p4 has no image")
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


def test_an_empty_directory_may_be_filled(people: Path, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    pack_people(people, tmp_path / "pack", hold_out=2, image_size=(8, 8))
    assert len(read_pairs(tmp_path / "pack" / "heldout.bin").same) == 4


def a_list_of_photos(test_data: Locate, folder: Path, change: Callable[..., object]) -> Path:
    """Faces in larger photos, and a list with their landmarks and boxes after `change`."""
    rows = []
    for person in range(1, 4):
        for number in range(1, 4):
            grey = cv2.imread(str(test_data(f"faces/orl/s{person}/{number}.pgm")))
            photo = np.full((300, 300, 3), 90, np.uint8)
            photo[90:202, 70:182] = cv2.resize(grey, (112, 112))
            name = f"p{person}_{number}.png"
            cv2.imwrite(str(folder / name), photo)
            points, box = change(np.array(TEMPLATE) + np.array([70, 90]), np.array([70, 90, 182, 202]))  # type: ignore[misc]
            fields = [0, name, person, *box.astype(int), *points[:, 0], *points[:, 1]]
            rows.append("\t".join(map(str, fields)))
    (folder / "photos.lst").write_text("\n".join(rows) + "\n")
    return folder / "photos.lst"


@pytest.mark.parametrize(
    ("change", "words", "hint"),
    [
        (lambda points, box: (points, box), "", ""),
        (lambda points, box: (points + 1, box + 1), "", ""),
        (
            lambda points, box: (points.reshape(-1).reshape(2, 5).T, box),
            "the landmarks of 9 of 9 images are x and y by turns",
            "write the x of left eye",
        ),
        (
            lambda points, box: (points / 300, box),
            "the landmarks of 9 of 9 images are fractions of the image",
            "multiply x by the image's width",
        ),
        (
            lambda points, box: (points * 0.5, box * 0.5),
            "9 of 9 aligned images that were looked at show no face where the landmarks put it",
            "of an image of another size",
        ),
        (
            lambda points, box: (
                (299, 0) + points[[1, 0, 2, 4, 3]] * (-1, 1),
                box[[2, 1, 0, 3]] * (-1, 1, -1, 1) + (299, 0, 299, 0),
            ),
            "aligned images that were looked at show no face where the landmarks put it",
            "of the mirrored image",
        ),
    ],
    ids=["as they are", "counted from 1", "interleaved", "fractions", "half the size", "mirrored"],
)
def test_what_alignment_made_is_looked_at(
    test_data: Locate, tmp_path: Path, change: Callable[..., object], words: str, hint: str
) -> None:
    report = pack(
        make_job(), str(a_list_of_photos(test_data, tmp_path, change)), str(tmp_path / "pack"), align=True
    )
    if not words:
        assert len(report.lines) == 1 and not report.data["landmarks"]
        return
    assert words in report.lines[1] and hint in report.lines[2]
    assert report.data["aligned"] == 9 and (report.data["landmarks"] or report.data["astray"])


def test_landmarks_in_one_place_are_refused_all_at_once(test_data: Locate, tmp_path: Path) -> None:
    photos = a_list_of_photos(test_data, tmp_path, lambda points, box: (points * 0 + 150, box))
    with pytest.raises(DataError, match="9 of 9 images can't be packed") as caught:
        pack(make_job(), str(photos), str(tmp_path / "pack"), align=True)
    assert caught.value.message.count("in one place or not like a face's") == 9


def test_natural_order(people: Path) -> None:
    found = find_people(people)
    assert [person.name for person in found.people] == [f"p{n}" for n in range(1, 13)]


@pytest.mark.parametrize(("size", "what"), [(100, "sources.json"), (1000, "pack")])
def test_a_full_disk_leaves_no_part_of_a_pack(people: Path, tmp_path: Path, size: int, what: str) -> None:
    job = make_job()
    with little_room(size), pytest.raises(DataError, match=rf"{what} can't be written: File too large"):
        pack(job, str(people), str(tmp_path / "pack"), resize=True)
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


def test_a_pack_has_the_modes_of_the_umask(people: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        pack_people(people, tmp_path / "pack", hold_out=2, resize=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "pack").stat().st_mode) == 0o750
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pack").iterdir()} == {0o640}
