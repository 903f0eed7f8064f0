"""What a pack's ``property`` and header record say is held to its records, and said before a launch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from arcterm_registry import get

from arcterm.datasets import packdigest
from arcterm.errors import DataError
from arcterm.formats.images import encode_jpeg
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import RecordWriter
from arcterm.formats.recordio.facepack import FacePack

OPEN, INSPECT = get("dataset", "recordio").make, get("dataset", "recordio").make_facts
PICTURES = [encode_jpeg(np.full((112, 112, 3), 20 * n, np.uint8)) for n in range(12)]


def write(place: Path, records: dict[int, bytes], classes: int) -> Path:
    with RecordWriter(place / "train.rec", place / "train.idx") as writer:
        for key, payload in records.items():
            writer.write(key, payload)
    (place / "property").write_text(f"{classes},112,112\n")
    return place


def images(first: int = 1, people: int = 4) -> dict[int, bytes]:
    """Twelve images of `people` from key `first` on, person by person."""
    each = 12 // people
    return {first + n: irheader.pack(float(n // each), first + n, PICTURES[n]) for n in range(12)}


def identities(people: int = 4) -> dict[int, bytes]:
    each = 12 // people
    return {13 + n: irheader.pack((1.0 + each * n, 1.0 + each * (n + 1)), 13 + n) for n in range(people)}


def header(labels: float | Sequence[float]) -> dict[int, bytes]:
    return {0: irheader.pack(labels, 0)}


def problems(pack: Path) -> list[str]:
    return [problem for problem in INSPECT(pack).problems if "verification set" not in problem]


def test_a_whole_pack_has_no_problem(tmp_path: Path) -> None:
    assert problems(write(tmp_path, header((13.0, 17.0)) | images() | identities(), 4)) == []


@pytest.mark.parametrize("with_identities", [True, False])
def test_property_may_count_more_people_than_there_are(with_identities: bool, tmp_path: Path) -> None:
    records = header((13.0, 17.0)) | images() | identities() if with_identities else images(0)
    (told,) = problems(write(tmp_path, records, 9))
    of = "train.idx lists 4 identities" if with_identities else "the records have labels of 4"
    assert told.startswith(f"property says 9 classes and {of}: 9 are taken, 5 of them without an image")
    assert OPEN(tmp_path).classes == 9


def test_of_a_large_pack_it_is_said_by_what_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packdigest, "_SMALL", 0)
    monkeypatch.setattr(packdigest, "LABELS", 5)
    (told,) = problems(write(tmp_path, images(0), 9))
    assert told == "property says 9 classes and the largest label of 5 records looked at is 3: 9 are taken"


@pytest.mark.parametrize("label", [13.0, 0.0, 4.0])
@pytest.mark.parametrize("people", [0, 4])
def test_a_header_record_with_one_label(label: float, people: int, tmp_path: Path) -> None:
    records = header(label) | images() | (identities() if people else {})
    (told,) = problems(write(tmp_path, records, 4))
    assert told.startswith(f"the header record (key 0) has one label, {label:g}, where two belong")
    assert "images are taken to be keys 1 to 12" in told
    assert ("identities keys 13 to 16" in told) == bool(people)
    opened = OPEN(tmp_path)
    assert [opened[n].label for n in range(len(opened))] == [n // 3 for n in range(12)]
    assert FacePack(tmp_path).identities == people


def test_a_header_record_with_three_labels(tmp_path: Path) -> None:
    (told,) = problems(write(tmp_path, header((13.0, 17.0, 5.0)) | images() | identities(), 4))
    assert told == "the header record (key 0) has 3 labels, not two: the first two are taken"
    assert len(OPEN(tmp_path)) == 12


def test_one_label_behind_the_header_is_refused_for_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the header record has one label, 13, not two"):
        OPEN(write(tmp_path, header([13.0]) | images(), 4))


def test_a_header_alone_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no image behind its header"):
        OPEN(write(tmp_path, header(1.0), 4))


def test_labels_that_are_no_numbers_are_none(tmp_path: Path) -> None:
    records = images(0)
    records[5] = records[5][:4] + b"\x01\x00\x80\x7f" + records[5][8:]  # a NaN that arithmetic signals
    assert "1 of 12 records looked at can't be used" in problems(write(tmp_path, records, 4))[0]
    assert packdigest.digest(FacePack(tmp_path)).labels.tolist() == [0, 0, 0, 1, 1, -1, *[2] * 3, *[3] * 3]
