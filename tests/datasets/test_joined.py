"""Several data sets as one, the size that a pack promises, and how --dataset names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from arcterm_registry import get
from arcterm_registry.conformance import check
from arcterm_registry.contracts import LabelledDataset

from arcterm.errors import ConfigError, DataError
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.inputs.sources import find

from .conftest import counts, make_folder, make_list, make_pack, pixels

Locate = Callable[[str], Path]
OPEN, INSPECT = get("dataset", "union").make, get("dataset", "union").make_facts


@pytest.fixture
def places(faces: list[list[bytes]], tmp_path: Path) -> list[Path]:
    """A pack of 3 people, a folder of 2, a list of 2 whose labels have a gap."""
    pack = make_pack(tmp_path / "pack", [faces[0], faces[1][:4], faces[2][:2]])
    folder = make_folder(tmp_path / "people", {"x": faces[3][:3], "y": faces[4][:1]})
    return [pack, folder, make_list(tmp_path / "list", {4: faces[5][:2], 9: faces[6][:5]})]


def paths(places: list[Path]) -> str:
    return ",".join(map(str, places))


def test_labels_move_up(places: list[Path], faces: list[list[bytes]]) -> None:
    opened, facts = OPEN(paths=paths(places)), INSPECT(paths=paths(places))
    assert isinstance(opened, LabelledDataset)
    assert counts(opened) == [10, 4, 2, 3, 1, 2, 5]
    assert (facts.images, facts.classes, facts.image_size) == (27, 7, (112, 112))
    assert [bytes(opened[n].image) for n in (0, 16, 19, 20, 26)] == [
        faces[0][0],
        faces[3][0],
        faces[4][0],
        faces[5][0],
        faces[6][4],
    ]
    assert opened[0].source.startswith(f"{places[0]}: train.rec key 1 at byte ")
    assert opened[16].source == f"{places[1]}/x/0.jpg"
    told: list[tuple[int, int]] = []
    opened.labels(lambda *at: told.append(at))
    assert told == sorted(told) and {total for _, total in told} == {27}
    assert any("renumbered 0 to 1" in problem for problem in facts.problems)
    assert not any("no verification set" in problem for problem in facts.problems)
    assert INSPECT(paths=paths(places[::-1])).fingerprint != facts.fingerprint
    for index in (27, -1):
        with pytest.raises(IndexError):
            opened[index]


def test_people_are_left_out_of_all(places: list[Path], tmp_path: Path) -> None:
    (tmp_path / "drop.txt").write_text("6\n1\n")
    options = {"paths": paths(places), "min_images": 3, "drop": str(tmp_path / "drop.txt")}
    assert counts(OPEN(**options)) == [10, 3]
    assert "3 of 7 people with fewer than 3 images are left out (5 images)" in INSPECT(**options).problems


def test_verification_sets_of_all(places: list[Path], faces: list[list[bytes]]) -> None:
    pack, folder, lst = places
    (folder / "lfw.bin").write_bytes((pack / "lfw.bin").read_bytes())
    write_pairs(lst.parent / "lfw.bin", [faces[9][0], faces[9][1]], [True])
    write_pairs(lst.parent / "cfp.bin", [faces[9][0], faces[8][1]], [False])
    opened, facts = OPEN(paths=paths(places)), INSPECT(paths=paths(places))
    assert dict(facts.verification) == {"lfw": 2, "cfp": 1, "lfw@3": 1}
    assert list(opened.verification) == list(facts.verification)
    assert bytes(opened.verification["lfw@3"].images[0]) == faces[9][0]
    assert bytes(opened.verification["lfw"].images[0]) == faces[0][0]
    with pytest.raises(KeyError):
        opened.verification["agedb"]


def test_without_verification_sets_it_is_said_once(places: list[Path]) -> None:
    (places[0] / "lfw.bin").unlink()
    told = [problem for problem in INSPECT(paths=paths(places)).problems if "no verification set" in problem]
    assert len(told) == 1


def test_images_of_another_size(places: list[Path], faces: list[list[bytes]], tmp_path: Path) -> None:
    narrow = encode_jpeg(pixels(faces[0][0])[:, 8:104])
    other = make_pack(tmp_path / "narrow", [[narrow], [narrow]], (112, 96))
    with pytest.raises(DataError, match=r"narrow has images of 96×112, .*pack of 112×112"):
        INSPECT(paths=paths([places[0], other]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "none is named"),
        (" , ", "none is named"),
        ("{0},{1}x", "peoplex is not there"),
        ("{0},{0}/", "named twice"),
    ],
)
def test_what_is_no_union(text: str, said: str, places: list[Path]) -> None:
    with pytest.raises(DataError, match=said):
        OPEN(paths=text.format(*places))


def test_it_is_as_a_plug_in_should_be(places: list[Path], faces: list[list[bytes]]) -> None:
    found = list(check("dataset", "union", paths=paths(places)))
    assert [f for f in found if f.outcome == "failed"] == []


def test_a_pack_resizes_what_is_not_its_size(faces: list[list[bytes]], tmp_path: Path) -> None:
    face = pixels(faces[0][0])
    large, grey = (
        cv2.resize(face, (200, 150)),
        cv2.imencode(".jpg", cv2.resize(face[:, :, 0], (64, 64)))[1].tobytes(),
    )
    png = cv2.imencode(".png", face[:, :, ::-1])[1].tobytes()
    place = make_pack(tmp_path / "pack", [[faces[0][0], encode_jpeg(large)], [grey, png]])
    declared = get("dataset", "recordio")
    with pytest.raises(DataError, match="the image is 200×150, not 112×112"):
        declared.make_facts(place)
    assert bytes(declared.make(place)[1].image) == encode_jpeg(large)
    opened = declared.make(place, resize=True)
    assert opened.pack[1].image == declared.make(place)[1].image
    assert bytes(opened[0].image) == faces[0][0]  # not decoded
    for index in (1, 2, 3):
        image = opened[index].image
        assert isinstance(image, np.ndarray) and image.shape == (112, 112, 3)
        assert np.abs(image.astype(int) - face).mean() < 8
    assert np.array_equal(opened[3].image, face)
    assert declared.make_facts(place, resize=True).images == 4
    assert counts(declared.make(place, resize=True, min_images=2)) == [2, 2]


def test_a_damaged_image_is_named_when_it_is_resized(faces: list[list[bytes]], tmp_path: Path) -> None:
    place = make_pack(tmp_path / "pack", [[b"\xff\xd8\xffnothing"], [faces[0][0]]])
    with pytest.raises(DataError, match=r"pack: train.rec key 1 at byte 0"):
        get("dataset", "recordio").make(place, resize=True)[0]


def test_the_golden_pack_alone_and_joined(test_data: Locate) -> None:
    """The original packer's toy pack: three people with 3, 2 and 1 images."""
    place = test_data("mxnet/golden_1_1_0/pack/train.rec").parent
    opened = get("dataset", "recordio").make(place)
    assert counts(opened) == [3, 2, 1]
    assert counts(get("dataset", "recordio").make(place, min_images=2)) == [3, 2]


def test_dataset_names_a_list_or_several(places: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    pack, folder, lst = places
    assert find(str(pack)).name == "recordio"
    found = find(str(lst))
    name, values = found.name, found.options
    assert (name, values["path"], values["root"]) == ("lst", str(lst), "")
    monkeypatch.chdir(pack.parent)
    (pack.parent / "drop.txt").write_text("")
    found = find("list/train.lst", {"root": "people", "drop": "drop.txt"})
    name, values = found.name, found.options
    assert [values[key] for key in ("path", "root", "drop")] == [
        str(lst),
        str(folder),
        str(folder.parent / "drop.txt"),
    ]
    found = find("pack, people,list/train.lst", {"min_images": 2})
    name, values = found.name, found.options
    assert (name, values["paths"], values["min_images"]) == ("union", paths(places), 2)
    assert "path" not in values
    assert found.inspect().classes == 6
    assert found.open().classes == 6
    assert find("union", {"paths": "pack,people"}).options["paths"] == paths(places[:2])
    assert find("lst", {"path": "list/train.lst"}).options["path"] == str(lst)
    assert find("synthetic").options["classes"] == 1000


def test_a_directory_with_a_comma(
    faces: list[list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_pack(tmp_path / "a,b", [faces[0], faces[1]])
    make_pack(tmp_path / "c", [faces[0], faces[1]])
    found = find(str(place))
    name, values = found.name, found.options
    assert (name, values["path"]) == ("recordio", str(place))
    with pytest.raises(DataError, match=r"a is not there"):
        find(f"{place},{tmp_path / 'c'}")
    monkeypatch.chdir(place)
    with pytest.raises(DataError, match="a,b has a comma") as caught:
        find("union", {"paths": f".,{tmp_path / 'c'}"})
    assert "make a link" in caught.value.hint
    (tmp_path / "link").symlink_to(place)
    values = find(f"{tmp_path / 'link'},{tmp_path / 'c'}").options
    assert INSPECT(**values).classes == 4


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("{}/none", DataError, "is not a directory or a file"),
        ("{}/notes.txt", DataError, "no file that a data set is read from"),
        ("{0}/pack,{0}/none", DataError, "none is not there"),
        ("lst", ConfigError, "needs a path"),
        ("/x" * 5000, DataError, "is not a directory or a file"),
        ("x," * 5000, DataError, "x is not there"),
        (",", DataError, "none is named"),
    ],
)
def test_what_dataset_can_not_mean(text: str, error: type[Exception], said: str, places: list[Path]) -> None:
    (places[0].parent / "notes.txt").write_text("")
    with pytest.raises(error, match=said):
        find(text.format(places[0].parent)).inspect()
