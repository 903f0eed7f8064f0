"""Photos to aligned faces: names, rows, counts, and whatever can be wrong with a photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from arcterm.errors import ConfigError, DataError, FailedError
from arcterm.faces import similarity
from tests.align.conftest import photo, read, write
from tests.align.marks import Marks


@pytest.fixture
def photos(tmp_path):
    """Two people, one of them with photos that are odd in one way each."""
    folder = tmp_path / "photos"
    write(folder / "ann" / "1.png", photo((10, 10, 20)))
    write(folder / "ann" / "2.jpeg", photo((12, 8, 30)))
    write(folder / "ann" / "10.png", photo())
    write(folder / "bob" / "several.png", photo((0, 0, 12), (20, 25, 20), (40, 60, 20)))
    (folder / "bob" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (folder / "bob" / "empty.png").write_bytes(b"")
    (folder / "bob" / "notes.txt").write_text("none")
    (folder / "bob" / "Thumbs.db").write_text("none")
    return folder


def test_every_photo_has_a_row_and_what_is_wrong_is_named_at_once(photos, run, tmp_path):
    report, rows = run(photos, set="minsize=6")
    out = tmp_path / "out"
    assert list(rows) == [
        "ann/1.png", "ann/2.jpeg", "ann/10.png", "bob/empty.png", "bob/several.png", "bob/torn.jpg",
    ]  # fmt: skip
    assert {name: row["treated"] for name, row in rows.items()} == {
        "ann/1.png": "detected",
        "ann/2.jpeg": "detected",
        "ann/10.png": "dropped",
        "bob/several.png": "detected",
        "bob/torn.jpg": "unreadable",
        "bob/empty.png": "unreadable",
    }
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "align.jsonl", "ann/1.jpg", "ann/2.jpeg", "bob/several.jpg", "sheet.jpg",
    ]  # fmt: skip
    assert read(out / "ann" / "1.jpg").shape == (32, 32, 3)
    row = rows["ann/1.png"]
    assert (row["faces"], row["boxes"], row["face"]) == (1, [[10, 10, 30, 30]], 0)
    assert row["scores"] == [0.52]
    assert len(row["points"][0]) == 5
    assert "no face was found" in rows["ann/10.png"]["reason"]
    assert "aren't a whole image" in rows["bob/torn.jpg"]["reason"]
    assert "is an empty file" in rows["bob/empty.png"]["reason"]
    said = "\n".join(report.lines)
    assert report.problems == 3
    assert "aligned 3 of 6 photos by marks: 3 detected" in said
    assert "ann/10.png" in said and "bob/torn.jpg" in said and "bob/empty.png" in said
    assert "several faces in 1: bob/several.png (3)" in said
    assert "passed over 2 files" in said
    assert report.data["treated"] == {"detected": 3, "unreadable": 2, "dropped": 1}
    assert not list(tmp_path.glob(".out*"))


def test_the_face_is_large_and_near_the_middle_and_at_its_place(photos, run, tmp_path):
    _, rows = run(photos, size=112)
    assert rows["bob/several.png"]["boxes"][rows["bob/several.png"]["face"]] == [20, 25, 40, 45]
    points = np.array(rows["ann/2.jpeg"]["points"][0])
    wanted = similarity.warp(read(photos / "ann" / "2.jpeg"), points, (112, 112))
    assert np.abs(read(tmp_path / "out" / "ann" / "2.jpeg").astype(int) - wanted).mean() < 2


def test_all_faces_are_numbered(photos, run, tmp_path):
    report, rows = run(photos, faces="all", set="minsize=6")
    assert rows["bob/several.png"]["files"] == [f"bob/several_{n}.jpg" for n in range(3)]
    assert rows["ann/2.jpeg"]["files"] == ["ann/2_0.jpeg"]
    assert rows["bob/several.png"]["face"] is None
    assert report.data["files"] == 5


def test_forty_faces_are_found_and_one_is_taken(run, tmp_path):
    boxes = [(2 + 20 * (n % 8), 2 + 20 * (n // 8), 12) for n in range(40)]
    write(tmp_path / "photos" / "crowd.png", photo(*boxes, size=(110, 170)))
    report, rows = run(tmp_path / "photos", set="minsize=6")
    assert rows["crowd.png"]["faces"] == 40
    assert len(rows["crowd.png"]["files"]) == 1
    assert "crowd.png (40)" in "\n".join(report.lines)


def test_one_photo_and_a_flat_folder(run, tmp_path):
    write(tmp_path / "photos" / "a b.png", photo((10, 10, 20)))
    write(tmp_path / "photos" / "a b.jpg", photo((10, 10, 20)))
    write(tmp_path / "photos" / "sheet.jpg", photo((10, 10, 20)))
    _, rows = run(tmp_path / "photos")
    assert [row["files"] for row in rows.values()] == [["a b.jpg"], ["a b.png.jpg"], ["sheet.jpg.jpg"]]
    _, rows = run(tmp_path / "photos" / "a b.png", tmp_path / "one")
    assert list(rows) == ["a b.png"]
    assert (tmp_path / "one" / "a b.jpg").is_file()


def test_names_are_cut_where_they_could_get_too_long(run, tmp_path):
    long = ["é" * 125 + ".png", "é" * 125 + ".bmp", "a" * 251 + ".png"]
    for name in long:
        write(tmp_path / "photos" / name, photo((10, 10, 20)))
    _, rows = run(tmp_path / "photos", faces="all")
    files = [rows[name]["files"][0] for name in long]
    assert len({*files}) == 3
    assert all((tmp_path / "out" / file).is_file() for file in files)


def test_lfw_crops_the_middle_where_no_face_is_found(run, tmp_path):
    pixels = photo(size=(250, 250))
    pixels += np.linspace(0, 120, 250).astype(np.uint8)[:, None, None]
    write(tmp_path / "photos" / "x" / "0.png", pixels)
    report, rows = run(tmp_path / "photos", preset="lfw", size=112)
    assert (rows["x/0.png"]["treated"], report.problems) == ("centre crop", 0)
    wanted = cv2.resize(pixels, (112, 112), interpolation=cv2.INTER_LINEAR)  # 15 - 22 … 235 + 22, clipped
    assert np.abs(read(tmp_path / "out" / "x" / "0.jpg").astype(int) - wanted).mean() < 6


def test_a_preset_asks_the_detector_for_what_it_has(run, tmp_path):
    write(tmp_path / "photos" / "a.png", photo((10, 10, 15)))
    run(tmp_path / "photos", preset="lfw")
    assert Marks.made == ["", 20, {"factor": 0.85}]
    assert Marks.asked == [(1, None)]
    _, rows = run(tmp_path / "photos", tmp_path / "b", preset="celeb")
    assert Marks.asked[1:] == [(1, [12])]  # a fifth of 60
    assert rows["a.png"]["treated"] == "detected"
    run(tmp_path / "photos", tmp_path / "c", preset="celeb", set="minsize=40,factor=0.25")
    assert Marks.asked[2:] == [(1, None)]
    assert Marks.made == ["", 40, {"factor": 0.25}]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"set": "size=40"}, ConfigError, "detector marks has no option 'size'"),
        ({"set": "minsize"}, ConfigError, "has no '='"),
        ({"set": "minsize=0"}, ConfigError, "minsize"),
        ({"preset": "facescrub", "faces": "all"}, ConfigError, "--faces all is not for --preset facescrub"),
        ({"boxes": "x"}, DataError, "--boxes is for --preset facescrub"),
    ],
)
def test_options_that_do_not_fit_are_refused(run, tmp_path, options, error, said):
    write(tmp_path / "photos" / "a.png", photo((10, 10, 15)))
    with pytest.raises(error, match=said):
        run(tmp_path / "photos", **options)
    assert not (tmp_path / "out").exists()


def test_places_that_can_not_be_are_refused(run, tmp_path):
    source = write(tmp_path / "photos" / "a.png", photo((10, 10, 15))).parent
    with pytest.raises(DataError, match="lies inside"):
        run(source, source / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(DataError, match="already exists"):
        run(source, tmp_path / "full")
    (tmp_path / "none").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"notes\.txt is no image by its name"):
        run(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="has no image in it"):
        run(tmp_path / "none")
    (source / "deep").mkdir()
    (source / "deep" / "again").symlink_to(source)
    with pytest.raises(DataError, match="a link to a folder that it lies in"):
        run(source)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "none", "notes.txt", "photos"]


def test_what_a_detector_of_others_raises_is_named(run, tmp_path):
    pixels = photo((10, 10, 15))
    pixels[0, 0] = 1, 2, 3
    write(tmp_path / "photos" / "a.png", pixels)
    with pytest.raises(FailedError, match=r"detector marks of marks 1\.0 failed: RuntimeError: the author"):
        run(tmp_path / "photos")
