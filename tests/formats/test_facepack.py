"""Face packs: read as MXNet's packer left them, written byte for byte alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.formats.images import decode, encode_jpeg
from arcterm.formats.labelnames import read_names
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import RecordWriter
from arcterm.formats.recordio.facepack import FacePack, exact_boundary, read_property
from arcterm.formats.recordio.packwriter import write_pack

Locate = Callable[[str], Path]
FILES = ("train.rec", "train.idx", "property")


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Five images of two people, 20×16."""
    with write_pack(tmp_path / "pack", (16, 20)) as writer:
        for number, label in enumerate((0, 0, 1, 1, 1)):
            writer.add(encode_jpeg(np.full((16, 20, 3), 40 * number, np.uint8)), label)
    return tmp_path / "pack"


def test_reads_the_packer_of_2018(test_data: Locate) -> None:
    golden = FacePack(test_data("mxnet/golden_1_1_0/pack/train.rec").parent)
    assert (len(golden), golden.classes, golden.image_size, golden.identities) == (6, 3, (112, 112), 3)
    assert [golden[n].label for n in range(6)] == [0, 0, 0, 1, 1, 2]
    assert [golden.identity(n) for n in range(3)] == [range(0, 3), range(3, 5), range(5, 6)]
    assert golden[1].source == "train.rec key 2 at byte 15436"
    assert decode(golden[1].image, size=golden.image_size, source="").dtype == np.uint8


def test_writes_as_the_packer_of_2018(test_data: Locate, tmp_path: Path) -> None:
    place = test_data("mxnet/golden_1_1_0/pack/train.rec").parent
    golden = FacePack(place)
    with write_pack(tmp_path / "ours") as writer:
        for record in (golden[n] for n in range(len(golden))):
            writer.add(bytes(record.image), record.label)
    for name in FILES:
        assert (tmp_path / "ours" / name).read_bytes() == (place / name).read_bytes()


def test_reads_plain_im2rec(test_data: Locate) -> None:
    plain = FacePack(test_data("recordio/popkorn/train.rec").parent)
    assert (len(plain), plain.classes, plain.image_size, plain.identities) == (8, 2, (112, 112), 0)
    assert [plain[n].label for n in range(8)] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_round_trip(pack: Path) -> None:
    read = FacePack(pack)
    assert (len(read), read.classes, read.image_size) == (5, 2, (16, 20))
    means = [decode(read[n].image, size=(16, 20), source="").mean() for n in range(5)]
    assert np.allclose(means, [0, 40, 80, 120, 160], atol=2)
    (pack / "train.crc").unlink()
    (pack / "property").unlink()
    assert (FacePack(pack).classes, FacePack(pack).image_size) == (2, (16, 20))


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), write_pack(tmp_path / "pack") as writer:
        writer.add(b"image", 0)
        raise KeyError
    with pytest.raises(DataError, match="a pack of no images"), write_pack(tmp_path / "pack"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_taken_place_is_refused(pack: Path) -> None:
    before = (pack / "train.rec").read_bytes()
    with pytest.raises(DataError, match="isn't empty"), write_pack(pack):
        pytest.fail("entered")
    assert (pack / "train.rec").read_bytes() == before
    assert [path.name for path in pack.parent.iterdir()] == ["pack"]


@pytest.mark.parametrize("labels", [(1,), (0, 2), (0, 1, 0), (-1,)])
def test_labels_come_in_order(tmp_path: Path, labels: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="must come together"), write_pack(tmp_path / "pack") as writer:
        for label in labels:
            writer.add(b"image", label)


def test_every_truncation_is_a_data_error(pack: Path) -> None:
    data = (pack / "train.rec").read_bytes()
    for length in [*range(0, len(data) - 1, 97), *range(len(data) - 120, len(data) - 1)]:
        (pack / "train.rec").write_bytes(data[:length])
        with pytest.raises(DataError):
            FacePack(pack)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "holds '', not 'classes,height,width'"),
        (b"2,112", "not 'classes,height,width'"),
        (b"2,112,112,3", "not 'classes,height,width'"),
        (b"2,x,112", "not 'classes,height,width'"),
        (b"0,112,112", "out of bounds"),
        (b"2,112,99999", "out of bounds"),
        (b"99999999999,112,112", "out of bounds"),
    ],
)
def test_bad_property(pack: Path, text: bytes, message: str) -> None:
    (pack / "train.crc").unlink()
    (pack / "property").write_bytes(text)
    with pytest.raises(DataError, match=message):
        FacePack(pack)


def test_property_may_have_a_newline(pack: Path) -> None:
    (pack / "property").write_bytes(b"85742, 112, 112\r\n")
    assert read_property(pack / "property") == (85742, (112, 112))


def test_a_label_outside_the_classes_is_refused(pack: Path) -> None:
    (pack / "train.crc").unlink()
    (pack / "property").write_text("1,16,20")
    read = FacePack(pack)
    assert read[1].label == 0
    with pytest.raises(DataError, match=r"train.rec key 3 at byte \d+ has label 1; the classes are 0 to 0"):
        read[2]


@pytest.mark.parametrize("label", [float("nan"), float("inf"), 0.5, -1.0])
def test_odd_labels_are_refused(tmp_path: Path, label: float) -> None:
    _records(tmp_path, {0: irheader.pack(label, 0, b"image")})
    with pytest.raises(DataError, match="has label"):
        FacePack(tmp_path)[0]


def test_damaged_headers_are_refused(tmp_path: Path, pack: Path) -> None:
    image = irheader.pack((0.0, 1.0), 1, b"image")
    for labels in ((1e9, 1e9 + 1), (float("nan"), 2.0), (3.0, 2.0), (0.0, 0.0), (2.0,)):
        _records(tmp_path, {0: irheader.pack(labels, 0), 1: image})
        with pytest.raises(DataError, match="header record"):
            FacePack(tmp_path)
    _records(tmp_path, {0: irheader.pack((4.0, 5.0), 0), 1: image})
    with pytest.raises(DataError, match="lacks key 2; the header record promises images 1 to 3"):
        FacePack(tmp_path)


def test_broken_identities_are_refused(tmp_path: Path) -> None:
    image = irheader.pack((0.0, 1.0), 1, b"image")
    for labels in ((0.0, 2.0), (1.0, 9.0), (float("nan"), 2.0), (2.0, 2.0), (1.0,)):
        _records(tmp_path, {0: irheader.pack((2.0, 3.0), 0), 1: image, 2: irheader.pack(labels, 2)})
        with pytest.raises(DataError, match="identity 0 names images"):
            FacePack(tmp_path).identity(0)


def _records(directory: Path, payloads: dict[int, bytes]) -> None:
    (directory / "property").write_text("1,112,112")
    with RecordWriter(directory / "train.rec", directory / "train.idx") as writer:
        for key, payload in payloads.items():
            writer.write(key, payload)


@pytest.mark.parametrize("first", [5, 2**24 - 1, 2**24 + 1, 2**24 + 3, 2**25 + 1, 2**25 + 3])
def test_rounded_keys_of_a_huge_pack(first: int) -> None:
    stored = int(np.float32(first))
    assert exact_boundary(stored, lambda key: key < first) == first


def test_a_pack_that_was_moved_apart(pack: Path, tmp_path: Path) -> None:
    for name in FILES[:2]:
        copy = tmp_path / f"without-{name}"
        shutil.copytree(pack, copy)
        (copy / name).unlink()
        with pytest.raises(DataError, match=f"{name} can't be read"):
            FacePack(copy)


@pytest.mark.parametrize(
    "identities",
    [
        [(1, 3), (3, 6)],
        [(1, 3), (3, 5), (5, 6)],  # one label twice
        [(1, 4), (4, 6)],  # two labels in one
        [(3, 6), (1, 3)],
        [(1, 3)],
        [(1, 3), (3, 60)],
        [(3, 1), (0, 0)],
    ],
)
def test_labels_are_the_images_own_whatever_the_identities_say(
    tmp_path: Path, identities: list[tuple[int, int]]
) -> None:
    image = encode_jpeg(np.zeros((16, 20, 3), np.uint8))
    with RecordWriter(tmp_path / "train.rec", tmp_path / "train.idx") as records:
        records.write(0, irheader.pack((6, 6 + len(identities)), 0))
        for key, label in enumerate((0, 0, 1, 1, 1), start=1):
            records.write(key, irheader.pack((label, 1), key, image))
        for key, ends in enumerate(identities, start=6):
            records.write(key, irheader.pack(ends, key))
    (tmp_path / "property").write_text("2,16,20")
    told: list[tuple[int, int]] = []
    labels = FacePack(tmp_path).labels(lambda *at: told.append(at))
    assert labels.tolist() == [0, 0, 1, 1, 1]
    assert told[-1] == (5, 5)


def test_a_pack_may_have_no_identity_records(tmp_path: Path) -> None:
    """As those that were shuffled after packing; with some of them it is a damaged one."""
    for kept, place in ((0, tmp_path / "none"), (1, tmp_path / "some")):
        place.mkdir()
        with RecordWriter(place / "train.rec", place / "train.idx") as records:
            records.write(0, irheader.pack((5, 7), 0))
            for key in range(1, 5):
                image = encode_jpeg(np.full((16, 20, 3), key, np.uint8))
                records.write(key, irheader.pack(float(key % 2), key, image))
            for key in range(5, 5 + kept):
                records.write(key, irheader.pack((1, 3), key))
    read = FacePack(tmp_path / "none")
    assert (len(read), read.identities) == (4, 0)
    assert [read[n].label for n in range(4)] == [1, 0, 1, 0]
    with pytest.raises(DataError, match="lacks key 6"):
        FacePack(tmp_path / "some")


def test_a_byte_order_mark_is_no_digit(tmp_path: Path) -> None:
    (tmp_path / "property").write_bytes(b"\xef\xbb\xbf12,112,96\r\n")
    assert read_property(tmp_path / "property") == (12, (112, 96))
    (tmp_path / "labels.txt").write_bytes("\ufeffann\nbob\n".encode())
    assert read_names(tmp_path, 2) == ["ann", "bob"]
