"""FaceScrub and MegaFace: the face that is meant is known, and stays even where a detector sees none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.faces import similarity
from tests.align.conftest import photo, read, write
from tests.align.marks import PLACES, Marks

HEADER = "name\timage_id\tface_id\turl\tbbox\tsha256\n"


def line(person, number, box):
    return f"{person}\t1\t{number}\thttp://x\t{','.join(map(str, box))}\tff\n"


@pytest.fixture
def facescrub(tmp_path):
    """Two faces that aren't the one in the box, one that is, and photos without faces."""
    root = tmp_path / "facescrub"
    meant = photo((5, 5, 30), (60, 50, 26), size=(100, 100))
    write(root / "downloaded" / "Ann Lee" / "Ann Lee_1.png", meant)
    seen = photo(size=(100, 100), shade=120)
    write(root / "downloaded" / "Ann Lee" / "Ann Lee_2.png", seen)
    unseen = photo(size=(100, 100), shade=60)
    unseen[40:80, 30:60] = 61, 62, 63
    write(root / "downloaded" / "Bo" / "Bo_7.png", unseen)
    write(root / "downloaded" / "Bo" / "Bo_8.png", unseen)
    write(root / "downloaded" / "Bo" / "cover.png", unseen)
    lines = line("Ann Lee", 1, (58, 49, 86, 76)) + line("Ann Lee", 2, (20, 20, 60, 60))
    (root / "facescrub_actresses.txt").write_text(HEADER + lines)
    (root / "facescrub_actors.txt").write_text(HEADER + line("Bo", 7, (30, 40, 60, 80)))
    return root


def test_facescrub_takes_the_face_in_the_box_or_the_box(facescrub, run, tmp_path):
    report, rows = run(facescrub / "downloaded", preset="facescrub", detector="boxed", size=112)
    assert {name: row["treated"] for name, row in rows.items()} == {
        "Ann Lee/Ann Lee_1.png": "detected",
        "Ann Lee/Ann Lee_2.png": "forced",
        "Bo/Bo_7.png": "box crop",
        "Bo/Bo_8.png": "skipped",
        "Bo/cover.png": "skipped",
    }
    first = rows["Ann Lee/Ann Lee_1.png"]
    assert (first["faces"], first["face"], first["files"]) == (2, 1, ["Ann_Lee/Ann_Lee_1.png"])
    assert Marks.asked[0][1] == [25, 25, 25]  # a quarter of the height
    assert rows["Ann Lee/Ann Lee_2.png"]["scores"] == [pytest.approx(120 / 255, abs=1e-4)]
    made = read(tmp_path / "out" / "Bo" / "Bo_7.png")
    # the box is 30 wide and 40 high: 5 more on either side
    wanted = similarity.crop(
        read(facescrub / "downloaded" / "Bo" / "Bo_7.png"), (25, 40, 65, 80), (112, 112), 0
    )
    assert (made == wanted).all()
    assert "passed over 2 photos that the lists don't have" in report.lines
    assert report.problems == 0


def test_a_detector_that_takes_no_box_leaves_the_forced_step_out_and_says_so(facescrub, run):
    report, rows = run(facescrub / "downloaded", preset="facescrub", size=112)
    assert rows["Ann Lee/Ann Lee_2.png"]["treated"] == "box crop"
    assert any("marks can't look into a given box" in line for line in report.lines)


def test_the_devkits_list_chooses(facescrub, run):
    listed = {"path": ["Ann Lee/Ann Lee_2.jpeg"], "id": ["Ann Lee"]}
    (facescrub / "facescrub_uncropped_features_list.json").write_text(json.dumps(listed))
    _, rows = run(facescrub / "downloaded", preset="facescrub", boxes=str(facescrub))
    assert [name for name, row in rows.items() if row["files"]] == ["Ann Lee/Ann Lee_2.png"]
    assert rows["Bo/Bo_7.png"]["reason"] == "it isn't in the devkit's list"


def test_lists_that_are_missing_or_wrong_are_named(facescrub, run):
    (facescrub / "facescrub_actors.txt").write_text(HEADER + "Bo\t1\n")
    with pytest.raises(DataError, match=r"facescrub_actors\.txt line 2 is no line of FaceScrub's"):
        run(facescrub / "downloaded", preset="facescrub")
    for name in ("facescrub_actors.txt", "facescrub_actresses.txt"):
        (facescrub / name).unlink()
    with pytest.raises(DataError, match=r"2 files are missing: .*facescrub_actors\.txt, .*actresses\.txt"):
        run(facescrub / "downloaded", preset="facescrub")


def megaface(root, name, pixels, data):
    write(root / name, pixels)
    (root / f"{name}.json").write_text(json.dumps(data))


def marked(points):
    """MegaFace's landmarks, which begin with the eye on the right."""
    return {
        n: {"x": float(points[i][0]), "y": float(points[i][1])} for n, i in (("1", 0), ("0", 1), ("2", 2))
    }


@pytest.fixture
def distractors(tmp_path):
    """A face with landmarks, one with a box, and photos in which nothing is found."""
    root = tmp_path / "megaface"
    places = np.array([80, 60]) + PLACES * 120
    data = {"bounding_box": {"x": 80, "y": 60, "width": 120, "height": 120}, "landmarks": marked(places)}
    megaface(root, "001/1@N00/1_0.jpg", photo((80, 60, 120), size=(300, 300)), data)
    box = {"bounding_box": {"x": 10, "y": 10, "width": 40, "height": 40}}
    megaface(root, "001/1@N00/2_0.jpg", photo((8, 12, 40), size=(100, 100)), box)
    megaface(root, "002/2@N00/3_0.jpg", photo(size=(100, 100)), {"bounding_box": {}, "landmarks": None})
    megaface(root, "002/2@N00/3_1.jpg", photo(size=(100, 100), shade=50), box)
    return root


def test_megaface_keeps_every_photo(distractors, run, tmp_path):
    _, rows = run(distractors, preset="megaface", detector="boxed", size=112)
    assert {name: row["treated"] for name, row in rows.items()} == {
        "001/1@N00/1_0.jpg": "pre-aligned",
        "001/1@N00/2_0.jpg": "detected",
        "002/2@N00/3_0.jpg": "centre crop",
        "002/2@N00/3_1.jpg": "box crop",
    }
    assert Marks.asked[0] == (1, [112])
    first = rows["001/1@N00/1_0.jpg"]
    assert np.allclose(first["boxes"], [[80, 60, 200, 180]], atol=2)
    assert np.allclose(first["points"], np.array([80, 60]) + PLACES * 120, atol=2)
    direct = similarity.warp(read(distractors / "001/1@N00/1_0.jpg"), first["points"][0])
    assert np.abs(read(tmp_path / "out" / "001/1@N00/1_0.jpg").astype(int) - direct).mean() < 6
    assert all(row["files"] == [name] for name, row in rows.items())


def test_files_missing_beside_photos_are_named_all_at_once(distractors, run):
    (distractors / "001/1@N00/1_0.jpg.json").unlink()
    (distractors / "002/2@N00/3_1.jpg.json").unlink()
    with pytest.raises(DataError, match=r"2 files are missing: .*1_0\.jpg\.json, .*3_1\.jpg\.json"):
        run(distractors, preset="megaface")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"bounding_box": {"x": 1}}',
        '{"bounding_box": {"x": null, "y": 1}}',
        '{"landmarks": 3}',
        '{"bounding_box": {"x": 1e300, "y": 1, "width": 9, "height": 9}}',
        '{"bounding_box": {"x": 1000000000000000000000000000000, "y": 1, "width": 9, "height": 9}}',
    ],
)
def test_a_file_of_landmarks_that_is_none_is_told_of_its_photo(distractors, run, text):
    (distractors / "001/1@N00/1_0.jpg.json").write_text(text)
    report, rows = run(distractors, preset="megaface")
    assert rows["001/1@N00/1_0.jpg"]["treated"] == "unreadable"
    assert report.problems == 1
