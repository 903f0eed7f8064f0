"""Which data is the same data: fingerprints of packs, folders, lists and unions."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from arcterm_registry import get

from arcterm.datasets import packdigest
from arcterm.formats.pairs.binfile import write_pairs

from .conftest import make_folder, make_list, make_pack

KINDS = ("recordio", "folder", "lst", "union")


def make(kind: str, place: Path, faces: list[list[bytes]]) -> Path:
    """Data of `kind` in `place`; the path to open."""
    people = {0: faces[0], 1: faces[1][:4], 2: faces[2][:4]}
    if kind in ("recordio", "union"):
        return make_pack(place, list(people.values()))
    if kind == "lst":
        return make_list(place, people)
    return make_folder(place, {f"person {label}": images for label, images in people.items()})


def fingerprint(kind: str, path: Path, **options: object) -> str:
    inspect = get("dataset", kind).make_facts
    found = inspect(paths=str(path), **options) if kind == "union" else inspect(path, **options)
    return str(found.fingerprint)


@pytest.mark.parametrize("kind", KINDS)
def test_moved_and_touched_data_is_the_same_data(kind: str, faces: list[list[bytes]], tmp_path: Path) -> None:
    path = make(kind, tmp_path / "here", faces)
    before = fingerprint(kind, path)
    (tmp_path / "else" / "where").mkdir(parents=True)
    moved = shutil.copytree(tmp_path / "here", tmp_path / "else" / "where" / "data")
    for file in moved.rglob("*"):
        os.utime(file, (1e9, 1e9))
    assert fingerprint(kind, moved / path.relative_to(tmp_path / "here")) == before
    assert before.startswith("2:")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [False, True], ids=["new", "changed"])
def test_a_set_is_part_of_it(kind: str, before: bool, faces: list[list[bytes]], tmp_path: Path) -> None:
    path = make(kind, tmp_path / "data", faces)
    images = [faces[5][n % 10] for n in range(20)]
    if before:
        write_pairs(tmp_path / "data" / "x.bin", images, [True, False] * 5)
    first = fingerprint(kind, path).split(":")
    write_pairs(tmp_path / "data" / "x.bin", images, [False, True] * 5)
    second = fingerprint(kind, path).split(":")
    assert first[1] == second[1] and first[2] != second[2]


def swap_labels(pack: Path) -> None:
    """Exchange the labels of people 1 and 2, who have as many images, in the headers of their records."""
    data = bytearray((pack / "train.rec").read_bytes())
    for line in (pack / "train.idx").read_text().splitlines()[:18]:
        at = int(line.split("\t")[1]) + 8
        flag, label = struct.unpack_from("<If", data, at)
        where = at + 24 if flag else at + 4
        label = struct.unpack_from("<f", data, where)[0]
        if label in (1.0, 2.0):
            struct.pack_into("<f", data, where, 3.0 - label)
    (pack / "train.rec").write_bytes(data)


def other_pixels(pack: Path) -> None:
    """A byte in the middle of the last image."""
    data = bytearray((pack / "train.rec").read_bytes())
    at = int((pack / "train.idx").read_text().splitlines()[17].split("\t")[1])
    data[at + 900] ^= 1
    (pack / "train.rec").write_bytes(data)


def other_property(pack: Path) -> None:
    (pack / "property").write_text("4,112,112\n")


@pytest.mark.parametrize("change", [swap_labels, other_pixels, other_property])
def test_what_a_pack_holds_is_part_of_it(
    change: Callable[[Path], None], faces: list[list[bytes]], tmp_path: Path
) -> None:
    pack = make("recordio", tmp_path / "pack", faces)
    (pack / "train.crc").unlink()
    inspect = get("dataset", "recordio").make_facts
    before = inspect(pack)
    change(pack)
    after = inspect(pack)
    assert before.fingerprint != after.fingerprint
    assert before.earlier == after.earlier  # the index alone, by which version 0.1.0 went


def test_of_a_large_pack_the_first_image_of_each_person_is_read(
    faces: list[list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = make("recordio", tmp_path / "pack", faces)
    (pack / "train.crc").unlink()
    monkeypatch.setattr(packdigest, "_SMALL", 0)
    monkeypatch.setattr(packdigest, "LABELS", 3)
    monkeypatch.setattr(packdigest, "BYTES", 0)
    before = fingerprint("recordio", pack)
    swap_labels(pack)
    assert fingerprint("recordio", pack) != before


def rename_last_first(folder: Path) -> None:
    (folder / "person 2").rename(folder / "a person")


def exchange_people(folder: Path) -> None:
    (folder / "person 1").rename(folder / "x")
    (folder / "person 2").rename(folder / "person 1")
    (folder / "x").rename(folder / "person 2")


def same_size(folder: Path) -> None:
    file = folder / "person 1" / "2.jpg"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("change", [rename_last_first, exchange_people, same_size])
def test_what_a_folder_holds_is_part_of_it(
    change: Callable[[Path], None], faces: list[list[bytes]], tmp_path: Path
) -> None:
    folder = make("folder", tmp_path / "people", faces)
    before = fingerprint("folder", folder)
    change(folder)
    assert fingerprint("folder", folder) != before


def test_where_a_lists_images_lie_is_no_part_of_it(faces: list[list[bytes]], tmp_path: Path) -> None:
    path = make("lst", tmp_path / "list", faces)
    before = fingerprint("lst", path)
    (tmp_path / "lists").mkdir()
    told = "".join(line.replace("1\t", f"1\t{path.parent}/", 1) for line in path.read_text().splitlines(True))
    absolute = tmp_path / "lists" / "train.lst"
    absolute.write_text(told)
    assert fingerprint("lst", absolute) == before
    absolute.write_text(told.replace("\t1\n", "\tX\n").replace("\t2\n", "\t1\n").replace("\tX\n", "\t2\n"))
    assert fingerprint("lst", absolute) != before
    (path.parent / "1" / "2.jpg").write_bytes(faces[9][0])
    assert fingerprint("lst", path) != before


def test_who_is_left_out_is_part_of_it(faces: list[list[bytes]], tmp_path: Path) -> None:
    pack = make("recordio", tmp_path / "pack", faces)
    whole, chosen = fingerprint("recordio", pack), fingerprint("recordio", pack, min_images=5, drop="")
    assert chosen.split(":")[1] != whole.split(":")[1] and chosen.split(":")[2] == whole.split(":")[2]
