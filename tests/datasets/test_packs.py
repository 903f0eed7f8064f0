"""The data sets recordio and folder, by the registry's door."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arcterm_registry import get
from arcterm_registry.contracts import LabelledDataset

from arcterm.errors import DataError
from arcterm.formats.images import decode, encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.recordio.facepack import FacePack

from ..jobs import pack_people

Locate = Callable[[str], Path]


@pytest.fixture(scope="module")
def packed(test_data: Locate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("packs") / "orl"
    pack_people(test_data("faces/orl/s1").parent, place, hold_out=4, resize=True, pairs=60)
    return place


@pytest.fixture
def pack(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "pack"))


def test_recordio(pack: Path) -> None:
    a, b = FacePack(pack)[0].image, FacePack(pack)[1].image
    write_pairs(pack / "another.bin", [a, b], [True])
    declared = get("dataset", "recordio")
    faces = declared.make(str(pack))
    assert (len(faces), faces.classes, list(faces.verification)) == (360, 36, ["another", "heldout"])
    record = faces[17]
    assert (record.label, record.source.split(" at ")[0]) == (1, "train.rec key 18")
    assert decode(record.image, size=(112, 112), source=record.source).shape == (112, 112, 3)
    assert len(faces.verification["heldout"].same) == 60
    assert faces.verification["heldout"] is faces.verification["heldout"]
    facts = declared.make_facts(str(pack))
    assert (facts.images, facts.classes, facts.image_size, facts.problems) == (360, 36, (112, 112), ())
    assert dict(facts.verification) == {"another": 1, "heldout": 60}
    assert [len(part) for part in facts.fingerprint.split(":")] == [1, 64, 64]
    assert facts.set_aside == {}
    assert get("dataset", "recordio") is declared  # importing the implementation replaced nothing


def test_verification_sets_are_read_when_asked_for(pack: Path) -> None:
    (pack / "broken.bin").write_bytes(b"\x80\x02cos\nsystem\n.")
    faces = get("dataset", "recordio").make(pack)
    assert len(faces.verification["heldout"].images) == 120
    with pytest.raises(DataError, match=r"broken.bin: GLOBAL at byte 2 names 'os.system'"):
        faces.verification["broken"]
    facts = get("dataset", "recordio").make_facts(pack)
    assert list(facts.verification) == ["heldout"]
    assert list(facts.set_aside) == ["broken"] and "os.system" in facts.set_aside["broken"]


def test_problems_are_told(pack: Path) -> None:
    (pack / "heldout.bin").unlink()
    (pack / "train.crc").unlink()
    (pack / "property").write_text("40,112,112")
    facts = get("dataset", "recordio").make_facts(pack)
    assert facts.classes == 40
    assert "no verification set" in facts.problems[0]
    assert "40 classes and train.idx lists 36 identities" in facts.problems[1]


def test_inspection_finds_what_would_stop_training(pack: Path) -> None:
    inspect = get("dataset", "recordio").make_facts
    (pack / "train.crc").unlink()
    (pack / "property").write_text("20,112,112")
    with pytest.raises(DataError, match="the classes are 0 to 19"):
        inspect(pack)
    (pack / "property").write_text("36,112,96")
    with pytest.raises(DataError, match=r"train.rec key 1 at byte 0: the image is 112×112, not 96×112"):
        inspect(pack)
    (pack / "property").write_text("")
    with pytest.raises(DataError, match="property holds ''"):
        inspect(pack)
    (pack / "property").write_text("36,112,112")
    (pack / "train.rec").write_bytes((pack / "train.rec").read_bytes()[:-100])
    with pytest.raises(DataError, match="train"):
        inspect(pack)
    with pytest.raises(DataError, match="is not a directory"):
        inspect(pack / "train.rec")


def test_folder(test_data: Locate, tmp_path: Path) -> None:
    people = test_data("faces/orl/s1").parent
    for name in ("s2", "s10"):
        shutil.copytree(people / name, tmp_path / name)
    image = encode_jpeg(np.zeros((112, 112, 3), np.uint8))
    write_pairs(tmp_path / "some.bin", [image, image], [True])
    declared = get("dataset", "folder")
    faces = declared.make(str(tmp_path), resize=True)
    assert (len(faces), faces.classes, list(faces.verification)) == (20, 2, ["some"])
    assert [faces[n].label for n in range(20)] == [0] * 10 + [1] * 10
    assert faces[9].source == str(tmp_path / "s2" / "10.pgm")
    pixels = faces[10].image
    assert isinstance(pixels, np.ndarray) and pixels.shape == (112, 112, 3) and pixels.dtype == np.uint8
    facts = declared.make_facts(str(tmp_path), resize=True)
    assert (facts.images, facts.classes, dict(facts.verification), facts.problems) == (20, 2, {"some": 1}, ())
    with pytest.raises(IndexError):
        faces[20]
    (tmp_path / "s2" / "9.pgm").write_bytes(b"P5 1 1 255 a")
    again = declared.make_facts(str(tmp_path), resize=True)
    assert again.fingerprint != facts.fingerprint


def test_folder_refuses_another_size(test_data: Locate) -> None:
    people = test_data("faces/orl/s1").parent
    faces = get("dataset", "folder").make(people)
    with pytest.raises(DataError, match=r"s1/1.pgm: the image is 92×112, not 112×112") as caught:
        faces[0]
    assert "--resize" in caught.value.hint
    with pytest.raises(DataError, match="the image is 92×112"):
        get("dataset", "folder").make_facts(people)


def test_folder_of_one(test_data: Locate, tmp_path: Path) -> None:
    shutil.copytree(test_data("faces/orl/s1"), tmp_path / "s1")
    with pytest.raises(DataError, match="has one person in it"):
        get("dataset", "folder").make(tmp_path)


def test_declarations_import_nothing_heavy() -> None:
    code = "import sys, arcterm.datasets; print({'numpy', 'cv2', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_reading_imports_no_torch() -> None:
    code = (
        "import sys, arcterm.datasets.packs, arcterm.datasets.folders, arcterm.datasets.drawn.pack;"
        "print({'torch', 'textual', 'typer'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.long
def test_threads_read_alike(packed: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    pack = FacePack(packed)
    with ThreadPoolExecutor(8) as pool:
        many = list(pool.map(lambda n: bytes(pack[n % 360].image), range(1440)))
    assert many == [bytes(pack[n % 360].image) for n in range(1440)]


def test_labels_are_told_without_reading_images(packed: Path, test_data: Locate) -> None:
    told: list[tuple[int, int]] = []
    faces = get("dataset", "recordio").make(packed)
    assert isinstance(faces, LabelledDataset)
    labels = faces.labels(lambda *at: told.append(at))
    assert labels.dtype == np.int64
    assert labels.tolist() == [faces[index].label for index in range(len(faces))]
    assert told[-1] == (360, 360)
    folder = get("dataset", "folder").make(test_data("faces/orl/s1").parent, resize=True)
    assert folder.labels(lambda *_: None).tolist() == [n // 10 for n in range(400)]
