"""The data set lst, by the registry's door."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from arcterm_registry import get
from arcterm_registry.conformance import checks
from arcterm_registry.contracts import LabelledDataset

from arcterm.errors import DataError
from arcterm.faces import similarity
from arcterm.formats.images import decode, encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs

from .conftest import counts, make_folder, make_list, pixels

Locate = Callable[[str], Path]
OPEN, INSPECT = get("dataset", "lst").make, get("dataset", "lst").make_facts


def test_aligned_images_are_their_files(faces: list[list[bytes]], tmp_path: Path) -> None:
    path = make_list(tmp_path, {0: faces[0], 1: faces[1][:4]})
    write_pairs(tmp_path / "lfw.bin", [faces[0][0], faces[1][0]], [False])
    opened = OPEN(str(path))
    assert isinstance(opened, LabelledDataset)
    assert (len(opened), opened.classes, list(opened.verification), counts(opened)) == (
        14,
        2,
        ["lfw"],
        [10, 4],
    )
    assert opened[12].image == faces[1][2]
    assert opened[12].source == f"{tmp_path}/1/2.jpg (train.lst line 13)"
    facts = INSPECT(path)
    assert (facts.images, facts.classes, facts.image_size) == (14, 2, (112, 112))
    assert (facts.problems, dict(facts.verification)) == ((), {"lfw": 1})
    path.write_text(path.read_text().replace("1/3.jpg\t1", "1/3.jpg\t0"))
    assert INSPECT(path).fingerprint != facts.fingerprint
    with pytest.raises(IndexError):
        opened[14]


def test_a_list_by_im2rec_has_the_labels_of_its_pack(test_data: Locate, tmp_path: Path) -> None:
    """MXNet's own tool made the pack of this list; the images are not here, so they are taken out of it."""
    folder = test_data("recordio/popkorn/train.lst").parent
    pack = get("dataset", "recordio").make(folder)
    rows = [line.split("\t") for line in (folder / "train.lst").read_text().splitlines()]
    records = [pack[int(key)] for key, _, _ in rows]  # a pack of im2rec has the list's numbers for keys
    for (key, _, name), record in zip(rows, records, strict=True):
        assert record.source.startswith(f"train.rec key {key} ")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(record.image))
    listed = OPEN(folder / "train.lst", root=str(tmp_path))
    assert counts(listed) == np.bincount([record.label for record in records]).tolist()
    assert [(faces.label, faces.image) for faces in (listed[n] for n in range(8))] == [
        (record.label, bytes(record.image)) for record in records
    ]


def test_labels_with_gaps_are_renumbered_and_it_is_said(faces: list[list[bytes]], tmp_path: Path) -> None:
    path = make_list(tmp_path, {7: faces[0][:2], 3: faces[1][:3], 900: faces[2][:1]})
    assert counts(OPEN(path)) == [3, 2, 1]
    problem = INSPECT(path).problems[1]
    assert "go up to 900 and 898 of them have no image; they are renumbered 0 to 2" in problem
    drop = tmp_path / "drop.txt"
    drop.write_text("7\n")
    assert counts(OPEN(path, drop=str(drop))) == [3, 1]
    drop.write_text("8\n")
    with pytest.raises(DataError, match=r"drop.txt line 1: there is nobody called '8'"):
        OPEN(path, drop=str(drop))


def test_landmarks_bring_a_face_to_its_place(faces: list[list[bytes]], tmp_path: Path) -> None:
    face = cv2.GaussianBlur(pixels(faces[0][0]), (0, 0), 1.5)
    matrix = np.array([[1.2, -0.7, 120], [0.7, 1.2, 30]])
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(cv2.warpAffine(face, matrix, (300, 300)), 100))
    marks = similarity.template() @ matrix[:, :2].T + matrix[:, 2]
    numbers = "\t".join(f"{n:.3f}" for n in marks.T.ravel())
    (tmp_path / "t.lst").write_text(
        f"0\ta.jpg\t0\t0\t0\t9\t9\t{numbers}\n0\ta.jpg\t1\t100\t60\t220\t200\n1\ta.jpg\t1\n"
    )
    opened = OPEN(tmp_path / "t.lst", resize=True)
    inside = np.s_[8:-8, 8:-8]
    assert np.abs(opened[0].image[inside].astype(int) - face[inside]).mean() < 2.5
    whole = decode((tmp_path / "a.jpg").read_bytes(), size=None, source="")
    assert np.array_equal(opened[1].image, cv2.resize(whole[38:222, 78:242], (112, 112)))
    assert np.array_equal(opened[2].image, cv2.resize(whole, (112, 112)))
    assert INSPECT(tmp_path / "t.lst", resize=True).images == 3
    with pytest.raises(DataError, match=r"t.lst line 3\): the image is 300×300, not 112×112"):
        INSPECT(tmp_path / "t.lst")
    (tmp_path / "t.lst").write_text("0\ta.jpg\t0\t0\t0\t9\t9" + 10 * "\t5")
    with pytest.raises(DataError, match=r"a.jpg \(t.lst line 1\): its landmarks are in one place"):
        OPEN(tmp_path / "t.lst")[0]


def test_landmarks_that_can_not_be_right_are_told_before_a_launch(
    faces: list[list[bytes]], tmp_path: Path
) -> None:
    path = make_list(tmp_path, {0: faces[0], 1: faces[1]})
    marks = similarity.template()
    for order, told in ((marks.T, False), (marks, True)):
        numbers = "\t".join(f"{n:.2f}" for n in order.ravel())
        lines = [f"0{line[1:]}\t0\t0\t112\t112\t{numbers}" for line in path.read_text().splitlines()]
        (tmp_path / "marked.lst").write_text("\n".join(lines))
        problems = [each for each in INSPECT(tmp_path / "marked.lst").problems if "landmarks" in each]
        assert bool(problems) is told
    assert problems[0].startswith("the landmarks of 20 of 20 lines looked at are x and y by turns: write")


def test_what_can_not_be_aligned_is_refused_before_a_launch(faces: list[list[bytes]], tmp_path: Path) -> None:
    path = make_list(tmp_path, {n: faces[n] for n in range(20)})
    lines = path.read_text().splitlines()
    lines[77] = "0" + lines[77][1:]
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"line 78\) is not aligned, and the list has neither landmarks nor"):
        INSPECT(path)
    opened = OPEN(path)
    with pytest.raises(DataError, match="is not aligned"):
        opened[77]
    assert opened[76].image == faces[7][6]


def test_a_list_can_not_name_what_never_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "a").mkdir()
    (tmp_path / "t.lst").write_text(
        "1\tpipe.jpg\t0\n1\t/dev/zero\t0\n1\ta\t1\n1\tgone.jpg\t1\n1\t" + 300 * "x" + "\t1"
    )
    opened = OPEN(tmp_path / "t.lst")
    for index in range(3):
        with pytest.raises(DataError, match=rf"\(t.lst line {index + 1}\) is not a file"):
            opened[index]
    with pytest.raises(DataError, match=r"gone.jpg \(t.lst line 4\) can't be read: No such file"):
        opened[3]
    with pytest.raises(DataError, match="File name too long"):
        opened[4]
    with (tmp_path / "big.jpg").open("wb") as file:
        file.truncate(1 << 27)
    (tmp_path / "t.lst").write_text("1\tbig.jpg\t0\n")
    with pytest.raises(DataError, match="has 134,217,728 bytes"):
        OPEN(tmp_path / "t.lst")[0]


def test_paths_may_start_elsewhere(faces: list[list[bytes]], tmp_path: Path) -> None:
    make_folder(tmp_path / "images", {"a": faces[0][:1], "b": faces[1][:1]})
    (tmp_path / "t.lst").write_text("1\ta/0.jpg\t0\n1\tb/0.jpg\t1\n")
    with pytest.raises(DataError, match="can't be read"):
        INSPECT(tmp_path / "t.lst")
    assert INSPECT(tmp_path / "t.lst", root=str(tmp_path / "images")).images == 2


def test_it_is_as_a_plug_in_should_be(faces: list[list[bytes]], tmp_path: Path) -> None:
    path = make_list(tmp_path, {0: faces[0], 1: faces[1]})
    # all but the check of the path, which may want a directory of every data set
    made = [one.find() for one in checks("dataset", "lst", path=str(path)) if one.name != "path"]
    assert len(made) > 8
    assert [finding for finding in made if finding.outcome == "failed"] == []
