"""Features on disk in both layouts, read through one door; and damage to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.megaface.store import Facts, SetFacts, open_features, write_facts, write_names
from tests.megaface.folders import FACESCRUB, MEGAFACE, unit_rows, write_packed, write_tree

F, M = unit_rows(len(FACESCRUB), 8), unit_rows(len(MEGAFACE), 8, 1)


def packed(tmp_path: Path) -> Path:
    return write_packed(tmp_path / "packed", {"facescrub": (FACESCRUB, F), "megaface": (MEGAFACE, M)})


def test_a_packed_folder(tmp_path: Path) -> None:
    found = open_features(packed(tmp_path))
    assert (found.layout, found.facts is not None and found.facts.algo) == ("packed", "r100")
    megaface = found.require("megaface")
    assert (megaface.names, megaface.width, len(megaface)) == (MEGAFACE, 8, 40)
    assert np.array_equal(megaface.rows(slice(3, 9)), M[3:9])
    assert not megaface.rows(slice(3, 9)).flags.owndata
    asked = [MEGAFACE[7], "no/such/one.jpg", MEGAFACE[0]]
    assert megaface.find(asked).tolist() == [7, -1, 0]
    assert np.array_equal(megaface.rows(np.array([7, 0])), M[[7, 0]])


@pytest.mark.parametrize("ending", ["_r100.bin", "_a.b c_112x112.bin"])
def test_a_devkits_folder_of_others_is_the_same_features(tmp_path: Path, ending: str) -> None:
    write_tree(tmp_path / "facescrub", FACESCRUB, F, ending)
    write_tree(tmp_path / "megaface", MEGAFACE, M, ending)
    (tmp_path / "megaface" / "notes.txt").touch()
    found = open_features(tmp_path)
    assert (found.layout, found.facts) == ("devkit", None)
    for which, names, rows in (("facescrub", FACESCRUB, F), ("megaface", MEGAFACE, M)):
        opened = found.require(which)
        assert opened.names == sorted(names) and opened.width == 8
        assert np.array_equal(opened.rows(opened.find(names)), rows)
        assert np.array_equal(opened.rows(slice(0, 5)), rows[[names.index(n) for n in sorted(names)[:5]]])


@pytest.mark.parametrize("which", ["facescrub", "megaface"])
def test_a_tree_itself_is_taken_for_what_it_is(tmp_path: Path, which: str) -> None:
    names, rows = (FACESCRUB, F) if which == "facescrub" else (MEGAFACE, M)
    found = open_features(write_tree(tmp_path / "Some_Features", names, rows))
    assert np.array_equal(found.require(which).rows(found.require(which).find(names)), rows)
    other = "megaface" if which == "facescrub" else "facescrub"
    assert found.get(other) is None
    with pytest.raises(DataError, match="has no features of"):
        found.require(other)


def test_a_tree_that_is_neither_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path / "x", ["a.jpg", "b/c.jpg"], F[:2])
    with pytest.raises(DataError, match="files lie 1, 2 levels deep"):
        open_features(tmp_path / "x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no feature in it"):
        open_features(tmp_path / "empty")
    with pytest.raises(DataError, match="is no folder"):
        open_features(tmp_path / "absent")


def test_two_endings_are_refused_by_name_unless_one_is_given(tmp_path: Path) -> None:
    write_tree(tmp_path, FACESCRUB, F, "_a.bin")
    write_tree(tmp_path, FACESCRUB[:2], F[2:4], "_a_112x112.bin")
    with pytest.raises(DataError, match=r"12 \*_a.bin, 2 \*_a_112x112.bin"):
        open_features(tmp_path)
    found = open_features(tmp_path, "_a_112x112.bin").require("facescrub")
    assert np.array_equal(found.rows(found.find(FACESCRUB[:2])), F[2:4])


def test_the_order_of_a_devkits_folder_that_has_a_list(tmp_path: Path) -> None:
    write_tree(tmp_path / "megaface", MEGAFACE[:-1], M[:-1])
    write_names(tmp_path, "megaface", MEGAFACE)
    facts = Facts(algo="r100", width=8, ending="_r100.bin")
    facts.sets = {"megaface": SetFacts(count=40, refused={MEGAFACE[-1]: "it is no image"})}
    write_facts(tmp_path, facts)
    found = open_features(tmp_path).require("megaface")
    assert found.names == MEGAFACE
    assert found.find(MEGAFACE[-2:]).tolist() == [38, -1]
    assert np.array_equal(found.rows(slice(0, 40))[:-1], M[:-1]) and not found.rows(slice(39, 40)).any()


def test_all_damaged_files_are_named_at_once(tmp_path: Path) -> None:
    write_tree(tmp_path, MEGAFACE, M)
    names = sorted(MEGAFACE)
    cut, gone = (tmp_path / f"{names[n]}_r100.bin" for n in (0, 9))
    cut.write_bytes(cut.read_bytes()[:-1])
    write_tree(tmp_path, [names[5]], np.zeros((1, 9), np.float32))
    found = open_features(tmp_path).require("megaface")
    gone.unlink()
    with pytest.raises(
        DataError, match=r"3 features can't be read: .* is cut short.*9 numbers, not 8.*No such"
    ):
        found.rows(slice(0, 40))
    faults: dict[int, str] = {}
    rows = found.rows(np.array([4, 5, 0, 9]), faults)
    assert sorted(faults) == [0, 5, 9]
    assert rows[0].any() and not rows[1:].any()


def test_damage_to_a_packed_folder_is_refused_in_words(tmp_path: Path) -> None:
    place = packed(tmp_path)
    whole = (place / "facescrub.npy").read_bytes()
    for data, said in (
        (whole[:-4], "12 × 8 numbers by its header, in 380 bytes"),
        (b"", "is empty"),
        (whole[:11], "cut short"),
        (whole.replace(b"(12, 8)", b"(9, 99)"), "9 × 99 numbers"),
    ):
        (place / "facescrub.npy").write_bytes(data)
        with pytest.raises(DataError, match=said):
            open_features(place).require("facescrub")
    for array in (
        np.zeros((12, 8)),
        np.zeros(12, np.float32),
        np.zeros((0, 8), np.float32),
        np.asfortranarray(np.zeros((12, 8), np.float32)),
    ):
        np.save(place / "facescrub.npy", array)
        with pytest.raises(DataError, match="no rows of float32 numbers"):
            open_features(place).require("facescrub")
    (place / "megaface.txt").write_text("".join(f"{name}\n" for name in MEGAFACE[:-1]))
    with pytest.raises(DataError, match=r"has 40 rows, but .* has 39 names"):
        open_features(place).require("megaface")
    (place / "megaface.txt").write_text("".join(f"{name}\n" for name in [*MEGAFACE[:-1], MEGAFACE[0]]))
    with pytest.raises(DataError, match=r"1 names more than once: 000/0@N00/0_0.jpg"):
        open_features(place).require("megaface")


def test_pickles_are_not_read(tmp_path: Path) -> None:
    place = packed(tmp_path)
    np.save(place / "facescrub.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match="no rows of float32 numbers"):
        open_features(place).require("facescrub")


@pytest.mark.parametrize(
    "name", ["../x/y.jpg", "/etc/x.jpg", "a//b.jpg", "a/./b.jpg", "a/..", "", "a/b/", "a\x1b/b.jpg"]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    place = packed(tmp_path)
    names = [*MEGAFACE[:3], name, *MEGAFACE[4:]]
    (place / "megaface.txt").write_text("".join(f"{name}\n" for name in names))
    with pytest.raises(DataError, match="line 4 is no relative path"):
        open_features(place).require("megaface")


def test_facts_that_can_not_be_are_refused(tmp_path: Path) -> None:
    place = packed(tmp_path)
    facts = (place / "features.json").read_text()
    for was, becomes in (
        ('"width": 8', '"width": 99999999999'),
        ('"format": 1', '"format": 2'),
        ('"ending": ""', '"ending": "/../../x.bin"'),
        ('"extra": 0', '"extra": 9'),
        ("{", ""),
    ):
        assert was in facts
        (place / "features.json").write_text(facts.replace(was, becomes))
        with pytest.raises(DataError, match=r"features\.json") as error:
            open_features(place)
        assert "remove the run" not in str(error.value)
