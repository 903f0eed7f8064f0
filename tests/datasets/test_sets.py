"""Verification sets before a launch: all are decoded, what can't be used is set aside, odd ones are named."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from arcterm_registry import get

from arcterm.datasets import verification
from arcterm.datasets.verification import VerificationSets, look
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs import usable
from arcterm.formats.pairs.binfile import write_pairs

from .conftest import make_folder, make_list, make_pack, quiet

SIZE = (112, 112)
MIXED = [True, False] * 10


@pytest.fixture
def images(faces: list[list[bytes]]) -> list[bytes]:
    """40 different faces."""
    return [person[0] for person in faces]


def cut(images: list[bytes]) -> bytes:
    return images[7][: len(images[7]) // 2]


def cut_png(images: list[bytes]) -> bytes:
    return cv2.imencode(".png", np.zeros((112, 112, 3), np.uint8))[1].tobytes()[:-20]


def small(images: list[bytes]) -> bytes:
    return encode_jpeg(np.zeros((112, 96, 3), np.uint8))


def text(images: list[bytes]) -> bytes:
    return b"not a picture at all"


@pytest.mark.parametrize("kind", ["recordio", "folder", "lst", "union"])
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (cut, "bad.bin image 7: these .* bytes aren't a whole image"),
        (cut_png, "bad.bin image 7: these .* bytes aren't a whole image"),
        (small, "bad.bin image 7: the image is 96×112, not 112×112"),
        (text, "bad.bin image 7: these 20 bytes aren't a whole image"),
    ],
)
def test_one_picture_sets_its_set_aside(
    kind: str,
    broken: Callable[[list[bytes]], bytes],
    said: str,
    faces: list[list[bytes]],
    images: list[bytes],
    tmp_path: Path,
) -> None:
    people = {0: faces[0][:3], 1: faces[1][:3]}
    place = tmp_path / "data"
    if kind == "lst":
        path = make_list(place, people)
    elif kind == "folder":
        path = make_folder(place, {str(label): own for label, own in people.items()})
    else:
        path = make_pack(place, list(people.values()))
        (place / "lfw.bin").unlink()
        (place / "train.crc").unlink(missing_ok=True)
    write_pairs(place / "good.bin", images, MIXED)
    write_pairs(place / "bad.bin", [*images[:7], broken(images), *images[8:]], MIXED)
    inspect = get("dataset", kind).make_facts
    facts = inspect(paths=str(path)) if kind == "union" else inspect(path)
    assert dict(facts.verification) == {"good": 20}
    assert list(facts.set_aside) == ["bad"]
    assert re.search(said, facts.set_aside["bad"])


def test_every_kind_of_damage_costs_its_set_alone(images: list[bytes], tmp_path: Path) -> None:
    write_pairs(tmp_path / "good.bin", images, MIXED)
    whole = (tmp_path / "good.bin").read_bytes()
    for name, data in {
        "empty": b"",
        "truncated": whole[:-50],
        "hostile": b"\x80\x02cos\nsystem\n.",
        "weights": bytes(1000),
        "nested": b"\x80\x02" + b"]" * 100_000,
    }.items():
        (tmp_path / f"{name}.bin").write_bytes(data)
    (tmp_path / "dangling.bin").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.bin")
    (tmp_path / "folder.bin").mkdir()
    found = look(VerificationSets(tmp_path), SIZE, quiet)
    assert found.pairs == {"good": 20}
    assert set(found.set_aside) >= {"empty", "truncated", "hostile", "weights", "nested", "dangling"}
    assert all(found.set_aside.values())


def test_a_name_that_is_no_text_stays_one_set(images: list[bytes], tmp_path: Path) -> None:
    write_pairs(tmp_path / "x.bin", images, MIXED)
    (tmp_path / "x.bin").rename(tmp_path / os.fsdecode(b"\xff.bin"))
    sets = VerificationSets(tmp_path)
    assert look(sets, SIZE, quiet).pairs == {"\\xff": 20} and len(sets["\\xff"].same) == 20


def test_where_all_are_set_aside_it_is_said(faces: list[list[bytes]], tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", [faces[0][:3], faces[1][:3]])
    (pack / "train.crc").unlink()
    (pack / "lfw.bin").write_bytes(b"nothing")
    facts = get("dataset", "recordio").make_facts(pack)
    assert dict(facts.verification) == {} and list(facts.set_aside) == ["lfw"]
    assert "no verification set (*.bin) that can be used" in facts.problems[0]


def test_a_set_is_decoded_once_for_as_long_as_its_file_is_as_it_was(
    images: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCTERM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verification, "_REMEMBERED_FROM", 0)
    decoded = []
    decode = usable.decode
    monkeypatch.setattr(usable, "decode", lambda image, **how: (decoded.append(1), decode(image, **how)))
    file = tmp_path / "x.bin"
    write_pairs(file, images, MIXED)
    told: list[tuple[int, int]] = []
    sets = VerificationSets(tmp_path)
    first = look(sets, SIZE, lambda *at: told.append(at))
    assert (len(decoded), told[-1]) == (40, (40, 40))
    assert look(sets, SIZE, quiet) == first and len(decoded) == 40
    assert look(sets, (96, 112), quiet).set_aside and len(decoded) == 80  # another size is another question
    times = file.stat()
    data = bytearray(file.read_bytes())
    data[data.index(images[3]) : data.index(images[3]) + 2] = b"\0\0"
    file.write_bytes(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    found = look(sets, SIZE, quiet)
    assert "image 3" in found.set_aside["x"] and found.digest != first.digest
    assert look(sets, SIZE, quiet) == found and len(decoded) == 160  # a bad one is looked at every time
    for kept in (tmp_path / "cache" / "sets").iterdir():
        kept.write_bytes(b"\xff{")
    file.write_bytes(data)
    assert look(sets, SIZE, quiet) == found


def test_an_image_in_many_pairs_is_decoded_once(images: list[bytes], tmp_path: Path) -> None:
    write_pairs(tmp_path / "x.bin", images[:2] * 20, MIXED)
    held = VerificationSets(tmp_path)["x"]
    told: list[tuple[int, int]] = []
    usable.check_usable("x", held, SIZE, lambda *at: told.append(at))
    assert told == [(2, 2)]


@pytest.mark.parametrize(
    ("same", "said"),
    [
        ([True] * 20, "only pairs of one person"),
        ([False] * 20, "only pairs of two people"),
        ([True] * 10 + [False] * 10, "in 10 of its 10 folds all pairs are of one kind"),
        ([True] * 12 + [False] * 8, "in 10 of its 10 folds"),
        ([True] * 4 + MIXED[4:], "in 2 of its 10 folds"),
        (MIXED, ""),
        ([True] * 9, ""),
    ],
)
def test_what_a_set_can_not_measure_is_named(same: list[bool], said: str) -> None:
    told = usable.unmeasured("x", np.array(same))
    assert (said in told[0] and "set x" in told[0]) if said else not told
