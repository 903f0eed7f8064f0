"""RecordIO against files that MXNet 1.1.0 and dmlc-core wrote, and against damage."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arcterm.errors import DataError
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import MAGIC_BYTES as M
from arcterm.formats.recordio.container import RecordFile, RecordWriter, framed
from arcterm.formats.recordio.recordindex import read_index

GOLDEN = [b"", b"abcde", b"abcd" + M + b"efgh", b"abc" + M + b"d", M, M + M, b"xxxx" + M]
LABELLED = [irheader.pack(7.0, 100, b"JPEGDATA"), irheader.pack((5.0, 1.0), 101, b"JPEGDATA")]

Locate = Callable[[str], Path]


def write(path: Path, payloads: list[bytes], keys: list[int] | None = None) -> Path:
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        for key, payload in zip(keys or range(len(payloads)), payloads, strict=True):
            writer.write(key, payload)
    return path


def test_reads_what_mxnet_wrote(test_data: Locate) -> None:
    records = RecordFile(test_data("mxnet/golden_1_1_0/t.rec"))
    index = read_index(test_data("mxnet/golden_1_1_0/t.idx"), len(records))
    assert index.keys.tolist() == [0, 1, 2, 3, 4, 5, 6, 100, 101]
    assert [bytes(records.at(index.offset(int(key)))) for key in index.keys] == GOLDEN + LABELLED
    assert [bytes(payload) for _, payload in records.scan()] == GOLDEN + LABELLED
    scalar, vector = (irheader.unpack(memoryview(payload), "it") for payload in LABELLED)
    assert (scalar.flag, scalar.labels, scalar.id, bytes(scalar.image)) == (0, (7.0,), 100, b"JPEGDATA")
    assert (vector.flag, vector.labels, vector.id, bytes(vector.image)) == (2, (5.0, 1.0), 101, b"JPEGDATA")


def test_writes_what_mxnet_wrote(test_data: Locate, tmp_path: Path) -> None:
    ours = write(tmp_path / "t.rec", GOLDEN + LABELLED, [0, 1, 2, 3, 4, 5, 6, 100, 101])
    assert ours.read_bytes() == test_data("mxnet/golden_1_1_0/t.rec").read_bytes()
    assert ours.with_suffix(".idx").read_bytes() == test_data("mxnet/golden_1_1_0/t.idx").read_bytes()


def test_scans_a_file_without_an_index(test_data: Locate) -> None:
    found = list(RecordFile(test_data("recordio/dmlc/sample.rec")).scan())
    assert len(found) == 10
    assert [offset for offset, _ in found] == sorted(offset for offset, _ in found)


PIECES = st.lists(
    st.sampled_from([M, b"a", b"bc", b"\0\0\0\0", M[:2], M[2:], b"wxyz"]) | st.binary(max_size=9)
)


@settings(deadline=None)
@given(st.lists(PIECES.map(b"".join), max_size=6))
@example([M * 3, b"x" + M + b"yyy" + M])
def test_any_payload_comes_back(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    path = write(tmp_path_factory.mktemp("rec") / "x.rec", [*payloads, b"end"])
    records = RecordFile(path)
    found = list(records.scan())
    assert [bytes(payload) for _, payload in found] == [*payloads, b"end"]
    assert [bytes(records.at(offset)) for offset, _ in found] == [*payloads, b"end"]
    aligned = np.frombuffer(path.read_bytes(), "<u4")
    parts = sum(1 + len(p) for p in (aligned_magics(payload) for payload in [*payloads, b"end"]))
    assert (aligned == int.from_bytes(M, "little")).sum() == parts


def aligned_magics(payload: bytes) -> list[int]:
    return [at for at in range(0, len(payload) - 3, 4) if payload[at : at + 4] == M]


def test_every_truncation_is_a_data_error(tmp_path: Path) -> None:
    data = b"".join(framed(payload) for payload in (b"abcd" + M + b"efgh", b"hello world"))
    whole = {0, len(framed(b"abcd" + M + b"efgh"))}
    for length in range(len(data) - 1):  # the last byte is padding
        path = tmp_path / "cut.rec"
        path.write_bytes(data[:length])
        if length in whole - {0}:
            assert len(list(RecordFile(path).scan())) == 1
            continue
        with pytest.raises(DataError):
            list(RecordFile(path).scan())


@pytest.mark.parametrize(
    ("offset", "byte", "message"),
    [
        (0, 0xFF, "at byte 0 doesn't begin with the RecordIO magic"),
        (7, 0x40, "begins in the middle of a split record"),
        (7, 0x20, "is split and its last part is missing"),
        (6, 0x10, "after the file's end"),
    ],
)
def test_damage_is_named_with_its_place(tmp_path: Path, offset: int, byte: int, message: str) -> None:
    data = bytearray(framed(b"abcdefgh") * 2)
    assert len(list(RecordFile(_file(tmp_path, data)).scan())) == 2
    data[offset] = byte
    with pytest.raises(DataError, match=message) as caught:
        RecordFile(_file(tmp_path, data)).at(0, "key 3")
    assert "x.rec: key 3 at byte 0" in caught.value.message
    assert caught.value.hint


def _file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "x.rec"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("offset", [-4, 16, 1 << 40])
def test_offsets_outside_are_refused(tmp_path: Path, offset: int) -> None:
    with pytest.raises(DataError, match="lies outside the file of 16 bytes"):
        RecordFile(_file(tmp_path, framed(b"abcdefgh"))).at(offset)


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read: No such file"):
        RecordFile(tmp_path / "none.rec")
    with pytest.raises(DataError, match="is empty"):
        RecordFile(_file(tmp_path, b""))


def test_index_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "x.idx"
    path.write_bytes(b"5\t40\r\n1\t0\n3\t20")
    index = read_index(path, 44)
    assert index.keys.tolist() == [1, 3, 5]
    assert index.offset(3) == 20
    assert 3 in index and 4 not in index and 6 not in index
    with pytest.raises(DataError, match="lacks key 4"):
        index.offset(4)
    with pytest.raises(DataError, match="lacks key 2"):
        index.dense(1, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"1\t0\n2 20\n", "line 2 isn't"),
        (b"1\t0\n2\t20\nx\t30\n", "line 3 isn't"),
        (b"1\t0\n2\n", "line 2 isn't"),
        (b"1\t-4\n", "line 1 isn't"),
        (b"1\t" + b"9" * 30, "line 1 isn't"),
        (b"1\t0\n2\t100\n", "line 2: byte 100 of key 2 is outside the record file of 44 bytes"),
        (b"1\t0\n1\t20\n", "lists key 1 twice"),
    ],
)
def test_bad_index_is_named_with_its_line(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "x.idx"
    path.write_bytes(text)
    with pytest.raises(DataError, match=message):
        read_index(path, 44)


def test_header_that_promises_more_labels_than_fit() -> None:
    payload = struct.pack("<IfQQ", 1 << 31, 0, 0, 0) + bytes(8)
    with pytest.raises(DataError, match="key 4 promises 2147483648 labels and has room for 2"):
        irheader.unpack(memoryview(payload), "key 4")
    with pytest.raises(DataError, match="key 4 has 20 bytes"):
        irheader.unpack(memoryview(payload)[:20], "key 4")
