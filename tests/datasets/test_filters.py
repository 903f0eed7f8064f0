"""Who is left out of a data set, counted by brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from arcterm_registry import get
from arcterm_registry.conformance import check
from arcterm_registry.contracts import LabelledDataset
from hypothesis import given, settings
from hypothesis import strategies as st

from arcterm.datasets import filters
from arcterm.datasets.drawn.synthesized import SyntheticFaces
from arcterm.errors import DataError

from .conftest import counts, make_folder, make_list, make_pack

SIZES = [3, 1, 5, 2, 5]


@pytest.fixture
def people(faces: list[list[bytes]]) -> list[list[bytes]]:
    return [faces[n][:size] for n, size in enumerate(SIZES)]


def place(kind: str, folder: Path, people: list[list[bytes]]) -> Path:
    """The people as a data set of each kind; their directories' names aren't their labels."""
    if kind == "recordio":
        return make_pack(folder / "pack", people)
    if kind == "folder":
        return make_folder(folder / "people", {f"p{n:02d}": images for n, images in enumerate(people)})
    return make_list(folder / "list", dict(enumerate(people)))


NAMES = {"recordio": "{}", "folder": "p{:02d}", "lst": "{}"}


@pytest.mark.parametrize("kind", ["recordio", "folder", "lst"])
def test_the_same_options_for_all(kind: str, people: list[list[bytes]], tmp_path: Path) -> None:
    path, declared = place(kind, tmp_path, people), get("dataset", kind)
    drop = tmp_path / "drop.txt"
    drop.write_text(f"\n{NAMES[kind].format(2)}\r\n  {NAMES[kind].format(0)} \n\n")
    for options, sizes in (
        ({}, SIZES),
        ({"min_images": 1}, SIZES),
        ({"min_images": 3}, [3, 5, 5]),
        ({"drop": str(drop)}, [1, 2, 5]),
        ({"drop": str(drop), "min_images": 2}, [2, 5]),
        ({"min_images": 5}, [5, 5]),
    ):
        opened, facts = declared.make(path, **options), declared.make_facts(path, **options)
        assert isinstance(opened, LabelledDataset)
        assert counts(opened) == sizes
        assert (facts.images, facts.classes) == (sum(sizes), len(sizes)) == (len(opened), opened.classes)
    last = declared.make(path, drop=str(drop), min_images=2)
    assert [bytes(last[n].image) for n in range(7)] == people[3] + people[4]
    with pytest.raises(IndexError):
        last[7]
    with pytest.raises(IndexError):
        last[-1]


def test_who_is_left_out_is_said(people: list[list[bytes]], tmp_path: Path) -> None:
    path, inspect = place("recordio", tmp_path, people), get("dataset", "recordio").make_facts
    drop = tmp_path / "drop.txt"
    drop.write_text("1\n4")
    told: list[tuple[int, int]] = []
    facts = inspect(path, min_images=3, drop=str(drop), progress=lambda *at: told.append(at))
    assert facts.problems == (
        "2 of 5 people named in drop.txt are left out (6 images)",
        "1 of 5 people with fewer than 3 images are left out (2 images)",
    )
    assert told[-1] == (16, 16)
    assert dict(facts.verification) == {"lfw": 2}
    prints = {
        inspect(path, **o).fingerprint
        for o in ({}, {"min_images": 1}, {"min_images": 3}, {"drop": str(drop)})
    }
    assert len(prints) == 4
    drop.write_text("4\n1\n")
    assert inspect(path, min_images=3, drop=str(drop)).fingerprint == facts.fingerprint


def test_nobody_is_left(people: list[list[bytes]], tmp_path: Path) -> None:
    path, load = place("recordio", tmp_path, people), get("dataset", "recordio").make
    with pytest.raises(DataError, match="nobody is left: 5 of 5 people with fewer than 6 images") as caught:
        load(path, min_images=6)
    assert caught.value.hint == "change --set dataset.min_images"
    drop = tmp_path / "drop.txt"
    drop.write_text("0\n1\n2\n3\n4\n")
    with pytest.raises(DataError, match=r"nobody is left: 5 of 5 people named in drop\.txt") as caught:
        load(path, drop=str(drop))
    assert caught.value.hint == "change --set dataset.drop"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"1\nnobody", r"drop.txt line 2: there is nobody called 'nobody'"),
        (b"5", r"line 1: there is nobody called '5'"),
        (b"-1", "nobody called '-1'"),
        (b"1 2", "nobody called '1 2'"),
        ("٣".encode(), r"nobody called '\\u0663'"),
        (b"\x1b[2J", r"nobody called '\\x1b\[2J'"),
        (b"9" * 5000, "nobody called"),
        (b"\xff\xfe", "is not a text in UTF-8"),
    ],
)
def test_an_unknown_person_is_named(
    text: bytes, said: str, people: list[list[bytes]], tmp_path: Path
) -> None:
    path = place("recordio", tmp_path, people)
    (tmp_path / "drop.txt").write_bytes(text)
    with pytest.raises(DataError, match=said) as caught:
        get("dataset", "recordio").make(path, drop=str(tmp_path / "drop.txt"))
    assert len(caught.value.message) < 300


def test_a_file_that_is_not_there(people: list[list[bytes]], tmp_path: Path) -> None:
    path = place("folder", tmp_path, people)
    for drop in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(DataError, match="is not a file"):
            get("dataset", "folder").make(path, drop=str(drop))


def test_a_folders_people_are_named_by_their_directories(people: list[list[bytes]], tmp_path: Path) -> None:
    path = make_folder(tmp_path / "f", {"10": people[0], "2": people[1], "x": people[2]})
    (tmp_path / "drop.txt").write_text("10")
    assert counts(get("dataset", "folder").make(path, drop=str(tmp_path / "drop.txt"))) == [1, 5]
    (tmp_path / "drop.txt").write_text("0")
    with pytest.raises(DataError, match="nobody called '0'"):
        get("dataset", "folder").make(path, drop=str(tmp_path / "drop.txt"))


def test_a_packs_people_are_named_by_number_or_as_in_labels_txt(
    people: list[list[bytes]], tmp_path: Path
) -> None:
    path = place("recordio", tmp_path, people)
    (path / "train.crc").unlink()
    (path / "labels.txt").write_text("Ann\nel Al\n\n1\nAnn\n", encoding="utf-8")
    drop = tmp_path / "drop.txt"
    drop.write_text("el Al\n2\n")
    assert counts(get("dataset", "recordio").make(path, drop=str(drop))) == [3, 2, 5]
    drop.write_text("1")  # a number, though somebody is called so
    assert counts(get("dataset", "recordio").make(path, drop=str(drop))) == [3, 5, 2, 5]
    drop.write_text("Ann")
    with pytest.raises(DataError, match="2 people are called 'Ann', labels 0 and 4"):
        get("dataset", "recordio").make(path, drop=str(drop))
    (path / "labels.txt").write_text("Ann\nsomebody else's file\n", encoding="utf-8")
    with pytest.raises(DataError, match="nobody called 'Ann'"):
        get("dataset", "recordio").make(path, drop=str(drop))


def test_people_without_images_are_left_out_by_one(people: list[list[bytes]], tmp_path: Path) -> None:
    """An im2rec-like pack whose property promises more people than it has."""
    path = place("recordio", tmp_path, people)
    (path / "train.crc").unlink(missing_ok=True)
    (path / "property").write_text("9,112,112")
    assert get("dataset", "recordio").make(path).classes == 9
    opened = get("dataset", "recordio").make(path, min_images=1)
    assert counts(opened) == SIZES
    facts = get("dataset", "recordio").make_facts(path, min_images=1)
    assert "4 of 9 people with fewer than 1 images are left out (0 images)" in facts.problems


class Lying(SyntheticFaces):
    """One record has another label than labels() says."""

    def class_of(self, identity: str) -> int | None:
        return filters.number_of(identity, self.classes)

    def labels(self, progress: object) -> np.ndarray:
        found = super().labels(progress)
        found[5] = 0
        return found


def test_a_record_that_is_not_what_its_label_said_is_named() -> None:
    opened = filters.choose(Lying(4, 40, 0, False), 1, "")
    with pytest.raises(DataError, match="synthetic image 5 has label 1, which its identity record"):
        [opened[n] for n in range(40)]


@pytest.mark.long
@settings(max_examples=20, deadline=None)
@given(
    classes=st.integers(2, 9),
    images=st.integers(1, 60),
    least=st.integers(0, 9),
)
def test_brute_force(classes: int, images: int, least: int) -> None:
    source = SyntheticFaces(classes, images, 0, False)
    of_each = [len(range(label, images, classes)) for label in range(classes)]
    kept = [label for label in range(classes) if of_each[label] >= least]
    if least and not sum(of_each[label] for label in kept):
        with pytest.raises(DataError, match="nobody is left"):
            filters.choose(source, least, "")
        return
    opened = filters.choose(source, least, "")
    records = [(n, kept.index(n % classes)) for n in range(images) if n % classes in kept]
    assert opened.classes == len(kept)
    assert [(opened[n].source, opened[n].label) for n in range(len(opened))] == [
        (f"synthetic image {n}", label) for n, label in records
    ]
    assert opened.labels(lambda *_: None).tolist() == [label for _, label in records]


@pytest.mark.parametrize("kind", ["recordio", "folder"])
def test_filtered_it_is_as_a_plug_in_should_be(kind: str, people: list[list[bytes]], tmp_path: Path) -> None:
    path = place(kind, tmp_path, people)
    found = list(check("dataset", kind, path=str(path), min_images=3))
    assert [f for f in found if f.outcome == "failed"] == []
