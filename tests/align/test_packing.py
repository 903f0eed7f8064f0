"""`data pack --align` and `data bin --align` find the faces of photos by the door of `align`."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from arcterm.data.make.bin import make_bin
from arcterm.data.make.pack import pack
from arcterm.errors import ConfigError, DataError
from arcterm.faces import similarity
from arcterm.formats import images
from arcterm.formats.pairs.binfile import read_pairs
from arcterm.formats.recordio.facepack import FacePack
from tests.align.conftest import photo, read, write
from tests.align.marks import PLACES, absent
from tests.jobs import make_job


@pytest.fixture
def people(tmp_path):
    """Three people of three photos each, in which the face is at another place each time."""
    for number in range(9):
        where = (5 + 2 * number, 30 - 2 * number, 30 + number)
        write(tmp_path / "people" / f"p{number // 3}" / f"{number}.png", photo(where, shade=20 + 9 * number))
    return tmp_path / "people"


def packed(src, dst, **options):
    return pack(make_job(), str(src), str(dst), align=True, detector="marks", **options)


def wanted(path, box):
    pixels = read(path)
    points = np.array(box[:2]) + PLACES * box[2]
    return images.encode_jpeg(similarity.warp(pixels, points))


def test_a_folder_of_photos_becomes_an_aligned_pack(people, tmp_path):
    report = packed(people, tmp_path / "pack")
    assert (report.data["found"], report.data["aligned"], report.data["encoded"]) == (9, 0, 9)
    assert "found and aligned the faces of 9 images" in report.lines
    records = FacePack(tmp_path / "pack")
    assert bytes(records[0].image) == wanted(people / "p0" / "0.png", (5, 30, 30))
    assert bytes(records[8].image) == wanted(people / "p2" / "8.png", (21, 14, 38))
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as bundle:
        for path in sorted(people.rglob("*.png")):
            bundle.write(path, path.relative_to(people))
    packed(tmp_path / "people.zip", tmp_path / "again")
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "pack" / name).read_bytes()


def test_photos_without_a_face_are_named_all_at_once(people, tmp_path):
    write(people / "p0" / "a.png", photo())
    write(people / "p2" / "b.png", photo())
    (people / "p1" / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match="3 of 12 images can't be packed") as error:
        packed(people, tmp_path / "pack")
    assert "a.png: no face was found" in error.value.message
    assert "b.png: no face was found" in error.value.message
    assert "c.png: these 8 bytes" in error.value.message
    assert "`arcterm align SRC DST`" in error.value.hint
    assert not (tmp_path / "pack").exists()


def test_a_list_is_aligned_by_its_landmarks_and_else_the_face_is_found(people, tmp_path, detectors):
    points = (np.array([5, 30]) + PLACES * 30).T.ravel()
    rows = [f"0\tp0/0.png\t0\t5\t30\t35\t60\t{chr(9).join(map(str, points))}\n"]
    rows += [f"0\tp{n // 3}/{n}.png\t{n // 3}\n" for n in range(1, 9)]
    (people / "train.lst").write_text("".join(rows))
    report = packed(people / "train.lst", tmp_path / "pack")
    assert (report.data["found"], report.data["aligned"]) == (8, 1)
    records = FacePack(tmp_path / "pack")
    assert bytes(records[0].image) == wanted(people / "p0" / "0.png", (5, 30, 30))
    detectors["marks"] = absent
    with pytest.raises(
        DataError, match="no landmarks and no box to align by, and there are no weights"
    ) as error:
        packed(people / "train.lst", tmp_path / "other")
    assert "get some" in error.value.hint


def test_pairs_of_photos_are_aligned(people, tmp_path):
    (tmp_path / "pairs.txt").write_text("".join(f"p0/{n % 3}.png p2/{6 + n % 3}.png 0\n" for n in range(3)))
    options = {"list": str(tmp_path / "pairs.txt"), "pairs": None, "seed": 0, "resize": False}
    make_bin(
        make_job("bin"),
        str(people),
        str(tmp_path / "a.bin"),
        **options,
        align=True,
        detector="marks",
        weights="",
    )
    pairs = read_pairs(tmp_path / "a.bin")
    assert bytes(pairs.images[1]) == wanted(people / "p2" / "6.png", (17, 18, 36))
    with pytest.raises(ConfigError, match="--detector is for finding faces"):
        make_bin(
            make_job("bin"), str(people), str(tmp_path / "b.bin"), **options, detector="marks", weights=""
        )
