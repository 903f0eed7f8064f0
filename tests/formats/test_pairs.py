"""Verification files: every honest pickle is read, everything else is refused and never run."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import pickletools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcterm.errors import DataError
from arcterm.formats import opcodes, picklemachine
from arcterm.formats.images import decode
from arcterm.formats.pairs import read_items, read_pairs, write_pairs

Locate = Callable[[str], Path]
GOLDEN = ([b"\xff\xd8\xff\xe0abc", b"\0x"], [True, False])
IMAGES = [b"\xff\xd8\xff\xe0abc", b"\0x", b"y" * 300, bytes(range(256)) * 300]
SAME = [True, False]


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def contents(path: Path) -> tuple[list[bytes], list[bool]]:
    images, same = read_items(path)
    return [bytes(image) for image in images], same


@pytest.mark.parametrize("name", ["lfw_like.bin", "cfp_like.bin"])
def test_reads_python_2_pickles(test_data: Locate, name: str) -> None:
    path = test_data(f"mxnet/golden_1_1_0/{name}")
    assert contents(path) == GOLDEN
    with pytest.raises(DataError, match="holds 2 images for 2 pairs"):
        read_pairs(path)


def test_reads_a_real_file_of_numpy_arrays(test_data: Locate) -> None:
    pairs = read_pairs(test_data("pairs/small_lfw.bin"))
    assert pairs.name == "small_lfw"
    assert len(pairs.images) == 20 and pairs.same.dtype == np.bool_ and pairs.same.tolist() == [True] * 10
    assert {decode(image, size=None, source="").shape for image in pairs.images} == {(112, 112, 3)}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_python_3_pickles(tmp_path: Path, protocol: int) -> None:
    path = save(tmp_path / "x.bin", pickle.dumps((IMAGES, SAME), protocol=protocol))
    assert contents(path) == (IMAGES, SAME)
    save(path, pickle.dumps([tuple(IMAGES), SAME], protocol=protocol))
    assert contents(path) == (IMAGES, SAME)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("shape", [(-1, 1), (1, -1), (-1,)])
def test_reads_arrays(tmp_path: Path, protocol: int, shape: tuple[int, ...]) -> None:
    arrays = [np.frombuffer(image, np.uint8).reshape(shape) for image in IMAGES]
    data = pickle.dumps((arrays, SAME), protocol=protocol)
    assert contents(save(tmp_path / "x.bin", data)) == (IMAGES, SAME)
    old = data.replace(b"numpy._core", b"numpy.core")
    if protocol < 4:  # protocol 4 counts the name's length
        assert contents(save(tmp_path / "x.bin", old)) == (IMAGES, SAME)


def test_writes_as_python_2_did(test_data: Locate, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    write_pairs(path, IMAGES, SAME)
    assert pickle.loads(path.read_bytes(), encoding="bytes") == (IMAGES, SAME)
    assert contents(path) == (IMAGES, SAME)
    golden = test_data("mxnet/golden_1_1_0/lfw_like.bin").read_bytes()
    write_pairs(path, [*GOLDEN[0]] * 2, SAME)
    shared = b"h\x01h\x02"  # two pairs of the same two objects: stored once
    assert path.read_bytes().replace(shared, b"") == golden
    pickletools.dis(path.read_bytes(), out=io.StringIO())


def test_images_that_are_stored_once_are_one_object(tmp_path: Path) -> None:
    images = [bytes([n % 256, n // 256]) * 3 for n in range(700)]
    sides = [images[(11 * n) % 700] for n in range(2600)]
    write_pairs(tmp_path / "x.bin", sides, [n % 3 == 0 for n in range(1300)])
    read = read_pairs(tmp_path / "x.bin")
    assert [bytes(image) for image in read.images] == sides
    assert read.same.tolist() == [n % 3 == 0 for n in range(1300)]
    assert len({id(image) for image in read.images}) == 700
    assert pickle.loads((tmp_path / "x.bin").read_bytes(), encoding="bytes")[0] == sides


PAIRS = st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=20), st.booleans()), min_size=1)


@settings(deadline=None)
@given(PAIRS)
def test_any_set_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[bytes, bytes, bool]]
) -> None:
    path = tmp_path_factory.mktemp("bin") / "x.bin"
    images, same = [side for a, b, _ in pairs for side in (a, b)], [flag for *_, flag in pairs]
    write_pairs(path, images, same)
    assert contents(path) == (images, same)
    assert pickle.loads(path.read_bytes(), encoding="bytes") == (images, same)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    for images, same in (
        ([], []),
        ([b"a"], [True]),
        ([b"a", b"b"], []),
        ([b"a", bytes((16 << 20) + 1)], [True]),
    ):
        with pytest.raises(DataError):
            write_pairs(tmp_path / "x.bin", images, same)
    with pytest.raises(DataError, match="can't be written"):
        write_pairs(tmp_path / "no" / "x.bin", [b"a", b"b"], [True])
    assert list(tmp_path.iterdir()) == []


def test_every_truncation_is_a_data_error(tmp_path: Path, test_data: Locate) -> None:
    arrays = test_data("mxnet/golden_1_1_0/cfp_like.bin").read_bytes()
    for data in (arrays, *(pickle.dumps((IMAGES[:2], [True]), protocol=p) for p in (2, 3, 4))):
        for length in range(len(data)):
            with pytest.raises(DataError) as caught:
                read_items(save(tmp_path / "x.bin", data[:length]))
            assert "x.bin" in caught.value.message and caught.value.hint


def test_every_flipped_byte_is_data_or_a_data_error(tmp_path: Path, test_data: Locate) -> None:
    data = test_data("mxnet/golden_1_1_0/cfp_like.bin").read_bytes()
    for position in range(len(data)):
        for flip in (0xFF, 0x01):
            broken = bytearray(data)
            broken[position] ^= flip
            with contextlib.suppress(DataError):
                read_items(save(tmp_path / "x.bin", bytes(broken)))


class Evil:
    """What a stranger's file may hold: unpickling it makes a directory."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "mark"
    data = pickle.dumps(([b"a", Evil(mark)], [True]), protocol=protocol)
    with pytest.raises(DataError, match=r"posix.mkdir|opcode \w+ at byte \d+ isn't allowed"):
        read_items(save(tmp_path / "x.bin", data))
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists()  # the control: the file is live


REFUSED = {
    "os.system by name": (b"\x80\x02cos\nsystem\n(U\x02lstR.", r"GLOBAL at byte 2 names 'os.system'"),
    "os.system on the stack": (
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        r"STACK_GLOBAL at byte 14 names 'os.system'",
    ),
    "a call of nothing": (b"\x80\x02U\x01a)R.", "opcode EMPTY_TUPLE at byte 5"),
    "a call of bytes": (b"\x80\x02U\x01aU\x01bR.", "REDUCE at byte 8 calls something else"),
    "an old instance": (b"(ios\nsystem\n.", "opcode INST at byte 1"),
    "a new object": (b"\x80\x02cnumpy\nndarray\nU\x01a\x81.", "opcode NEWOBJ"),
    "an extension": (b"\x80\x02\x82\x01.", "opcode EXT1 at byte 2"),
    "a persistent id": (b"\x80\x02U\x01aQ.", "opcode BINPERSID at byte 5"),
    "a dict": (b"\x80\x02}.", "opcode EMPTY_DICT at byte 2"),
    "a number of any length": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "opcode LONG4 at byte 2"),
    "no opcode": (b"\x80\x02\xfe.", "opcode 0xfe at byte 2"),
    "an array of objects": (
        b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R.",
        "REDUCE at byte 24 calls something else",
    ),
    "codecs of another kind": (
        b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x03\0\0\0zip\x86R.",
        "calls something else",
    ),
    "a state for bytes": (b"\x80\x02U\x01aU\x01bb.", "BUILD at byte 8 sets the state"),
    "an item of 2 GiB": (b"\x80\x02T\xff\xff\xff\x7f", "BINSTRING at byte 2 has an item of 2147483647 bytes"),
    "an item of -1 bytes": (b"\x80\x02T\xff\xff\xff\xff", "has an item of -1 bytes"),
    "an item of 2^63 bytes": (b"\x80\x04\x8e" + b"\xff" * 8, "has an item of 18446744073709551615 bytes"),
    "a list that adds to a tuple": (b"\x80\x02N\x85Na.", "APPEND at byte 5 adds to something"),
    "a mark that isn't there": (b"\x80\x02t.", "TUPLE at byte 2 finds nothing"),
    "a mark above the stack": (b"\x80\x02NN(\x86\x85t.", "TUPLE at byte 7 finds nothing"),
    "a memo entry that isn't there": (b"\x80\x02h\x07.", "BINGET at byte 2 finds nothing"),
    "text that isn't UTF-8": (b"\x80\x02X\x01\0\0\0\xff.", "BINUNICODE at byte 2"),
    "an endless name": (b"\x80\x02c" + b"a" * 1000, "GLOBAL at byte 2 has a name too long"),
    "text as an image": (b"\x80\x02]X\x01\0\0\0aa]\x88a\x86.", "image 0 is of type str"),
    "a number as a truth": (b"\x80\x02]U\x01aa]K\x02a\x86.", "pair 0 is neither same nor different"),
    "a name of deep tuples": (b"\x80\x02N" + b"\x85" * 900 + b"N\x93.", "names something that isn't text"),
    "a list in itself": (b"\x80\x02]q\0h\0a]\x88a\x86.", "image 0 is of type list"),
    "one list": (b"\x80\x02].", "isn't a pair of lists"),
    "nothing": (b".", "isn't a pair of lists"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    data, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        read_items(save(tmp_path / "x.bin", data))


def test_pixels_are_refused(tmp_path: Path) -> None:
    data = pickle.dumps(([np.zeros((4, 5, 3), np.uint8)] * 2, [True]), protocol=2)
    with pytest.raises(DataError, match=r"an array of shape \(4, 5, 3\)"):
        read_items(save(tmp_path / "x.bin", data))


def test_a_memo_bomb_is_harmless(tmp_path: Path) -> None:
    bomb = b"\x80\x02]r\xff\xff\xff\x3f."
    started = time.perf_counter()
    with pytest.raises(DataError, match="isn't a pair of lists"):
        read_items(save(tmp_path / "x.bin", bomb))
    assert time.perf_counter() - started < 0.5


def test_too_many_opcodes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more opcodes than"):
        read_items(save(tmp_path / "x.bin", b"\x80\x02" + b"]" * 3000))


def test_too_many_items_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.bin", pickle.dumps(([b"a", b"b"] * 60, [True] * 60), protocol=2))
    assert len(read_pairs(path).same) == 60
    monkeypatch.setattr(picklemachine, "MAX_ITEMS", 100)
    with pytest.raises(DataError, match="more than 100 items"):
        read_pairs(path)


def test_no_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 0 images for 0 pairs"):
        read_pairs(save(tmp_path / "x.bin", pickle.dumps(([], []), protocol=2)))


def test_speed(tmp_path: Path) -> None:
    images = [os.urandom(2800)] * 2 + [os.urandom(2800) for _ in range(11998)]
    write_pairs(tmp_path / "lfw.bin", images, [True, False] * 3000)
    best = min(_seconds(lambda: read_pairs(tmp_path / "lfw.bin")) for _ in range(3))
    assert best < 0.2


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def test_the_whitelist_holds_what_it_should() -> None:
    names = set(opcodes._ALLOWED.values())
    assert len(names) == 17 + 9 + 7 + 1
    assert not names & {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"}
