"""Verification files: every honest pickle is read, everything else is refused and never run."""

from __future__ import annotations

import array
import collections
import contextlib
import datetime
import io
import lzma
import os
import pickle
import pickletools
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcterm.errors import DataError
from arcterm.formats.images import decode
from arcterm.formats.pairs import opcodes, picklemachine
from arcterm.formats.pairs.binfile import read_items, read_pairs, write_pairs
from fuzz.seeds import CORPUS
from tests.calls import calls

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


@pytest.mark.parametrize("protocol", range(6))
def test_reads_python_3_pickles(tmp_path: Path, protocol: int) -> None:
    path = save(tmp_path / "x.bin", pickle.dumps((IMAGES, SAME), protocol=protocol))
    assert contents(path) == (IMAGES, SAME)
    save(path, pickle.dumps([tuple(IMAGES), SAME], protocol=protocol))
    assert contents(path) == (IMAGES, SAME)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("shape", [(-1, 1), (1, -1), (-1,)])
def test_reads_arrays(tmp_path: Path, protocol: int, shape: tuple[int, ...]) -> None:
    arrays = [np.frombuffer(image, np.uint8).reshape(shape) for image in IMAGES]
    data = pickle.dumps((arrays, SAME), protocol=protocol)
    assert contents(save(tmp_path / "x.bin", data)) == (IMAGES, SAME)
    old = data.replace(b"numpy._core", b"numpy.core")
    if protocol < 4:  # protocol 4 counts the name's length
        assert contents(save(tmp_path / "x.bin", old)) == (IMAGES, SAME)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("made", [bytearray, np.bytes_, np.array])
def test_reads_byte_strings_of_other_kinds(tmp_path: Path, protocol: int, made: Any) -> None:
    images = [b"\xff\xd8\xff\xe0'\"\\\n\r\t\x01", b"", bytes(range(1, 256)), b"\\u0041\\x41"]
    for held in (images, [*images[:1] * 2, *images[1:3]]):
        given = [made(list(image), np.uint8) if made is np.array else made(image) for image in held]
        data = pickle.dumps((tuple(given), SAME), protocol=protocol)
        assert contents(save(tmp_path / "x.bin", data)) == (held, SAME)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["?", "u1", "i1", "<i4", ">i4", "i8", ">u2", "f4", "f8", "O"])
def test_reads_flags_of_numpy(tmp_path: Path, protocol: int, kind: str) -> None:
    flags = np.array(SAME).astype(kind)
    for held in (flags, list(flags), flags.reshape(-1, 1), tuple(SAME)):
        data = pickle.dumps((IMAGES, held), protocol=protocol)
        assert contents(save(tmp_path / "x.bin", data)) == (IMAGES, SAME)
    if kind != "?":
        for wrong in (flags + 1, [*SAME[:1], *(flags + 1)[:1]]):
            data = pickle.dumps((IMAGES, wrong), protocol=protocol)
            with pytest.raises(DataError, match=r"pair \d is neither same nor different"):
                read_items(save(tmp_path / "x.bin", data))


@pytest.mark.parametrize("protocol", range(6))
def test_reads_arrays_of_images(tmp_path: Path, protocol: int) -> None:
    objects = np.empty(len(IMAGES), object)
    objects[:] = IMAGES
    for held in (objects, np.array(IMAGES)):
        data = pickle.dumps([held, np.array(SAME)], protocol=protocol)
        assert contents(save(tmp_path / "x.bin", data)) == (IMAGES, SAME)


@pytest.mark.parametrize("made", [f"{module}{n}" for module in ("cPickle", "pickle") for n in range(3)])
def test_reads_what_python_2_wrote(made: str) -> None:
    """Python 2.7.18's pickles of a str twice, a bytearray, another str, True and 0L."""
    text, array = b"\xff\xd8\xff\xe0'\"\\\n\r\t\x00", b"\xff\xd8\x00a\\u0041"
    assert contents(CORPUS / "pairs" / f"python2-{made}") == ([text, array, text, b"it's"], [True, False])


def test_opcodes_that_no_set_needs_are_refused_at_protocol_0_too(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="opcode POP at byte 7"):
        read_items(save(tmp_path / "x.bin", b"((lI01\n0."))


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


@pytest.mark.long
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
    "a call of nothing": (b"\x80\x02U\x01a)R.", "REDUCE at byte 6 calls something else"),
    "a call of bytes": (b"\x80\x02U\x01aU\x01bR.", "REDUCE at byte 8 calls something else"),
    "an old instance": (b"(ios\nsystem\n.", "INST at byte 1 names 'os.system'"),
    "a new object": (b"\x80\x02cnumpy\nndarray\nU\x01a\x81.", "opcode NEWOBJ"),
    "an extension": (b"\x80\x02\x82\x01.", "opcode EXT1 at byte 2"),
    "a persistent id": (b"\x80\x02U\x01aQ.", "opcode BINPERSID at byte 5"),
    "a dict": (b"\x80\x02}.", "opcode EMPTY_DICT at byte 2"),
    "a number of any length": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "opcode LONG4 at byte 2"),
    "no opcode": (b"\x80\x02\xfe.", "opcode 0xfe at byte 2"),
    "a dtype of two fields": (
        b"\x80\x02cnumpy\ndtype\nU\x02V8K\x00K\x01\x87R(K\x03U\x01|NU\x01aNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb.",
        "BUILD at byte 49 makes a dtype of several fields",
    ),
    "a dtype by another name": (b"\x80\x02cnumpy\ndtype\nU\x03os.K\x00K\x01\x87R.", "makes a dtype of other"),
    "an array of other data": (
        b"\x80\x02cnumpy.core.numeric\n_frombuffer\n(U\x02abcnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"K\x03\x85U\x01CtR.",
        "gives other data than a u1 array",
    ),
    "an array of endless sides": (
        b"\x80\x02cnumpy.core.numeric\n_frombuffer\n(U\x02abcnumpy\ndtype\nU\x02u1K\x00K\x01\x87R("
        + b"K\x01" * 40
        + b"tU\x01CtR.",
        "gives an array without a shape",
    ),
    "a line without an end": (b"(lS'" + b"a" * 2000, "ends at byte 2004, inside its pickle"),
    "a string without quotes": (b"(lSabc\n.", "STRING at byte 2 isn't followed by a quoted"),
    "a string of other escapes": (b"(lS'\\z'\n.", "STRING at byte 2 isn't followed by a quoted"),
    "a number that isn't one": (b"(lI0x10\n.", "INT at byte 2 isn't followed by a whole"),
    "a long number": (b"(lL" + b"1" * 5000 + b"L\n.", "LONG at byte 2 isn't followed by a whole"),
    "a cut escape": (b"(lV\\u00\n.", "UNICODE at byte 2"),
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


RAW_PIXELS = {
    "colour": ([np.zeros((4, 5, 3), np.uint8)] * 2, "image 0 is a u1 array of 4×5×3: raw pixels"),
    "grey": ([b"a", np.zeros((4, 5), np.uint8)], "image 1 is a u1 array of 4×5: raw pixels"),
    "floats": ([np.zeros((3, 4, 5), np.float32)] * 2, "image 0 is a f4 array of 3×4×5: raw pixels"),
    "all in one": (np.zeros((2, 4, 5, 3), np.uint8), "its images are one u1 array of 2×4×5×3: raw pixels"),
    "many in one": (
        np.zeros((20, 160, 112, 3), np.uint8),
        "its images are one u1 array of 20×160×112×3: raw",
    ),
    "large": ([np.zeros((2400, 2400, 3), np.uint8)], "has an item of 17280000 bytes"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", RAW_PIXELS)
def test_pixels_are_refused_in_words_that_fit(tmp_path: Path, name: str, protocol: int) -> None:
    images, message = RAW_PIXELS[name]
    if name == "large" and protocol < 3:
        pytest.skip("text of 17 MB")
    path = save(tmp_path / "x.bin", pickle.dumps((images, [True]), protocol=protocol))
    with pytest.raises(DataError, match=message) as caught:
        read_items(path)
    assert "encode each image" in caught.value.hint and "makers" not in str(caught.value)


@pytest.mark.parametrize(
    ("held", "dangerous"),
    [
        ({"bins": [b"a", b"b"], "same": [True]}, False),
        ((collections.OrderedDict(a=1), [True]), False),
        (([datetime.date(2020, 1, 1)], [True]), False),
        (({b"a"}, [True]), False),
        (([array.array("B", b"a")], [True]), False),
        (([Evil(Path("/nowhere"))], [True]), True),
        (([eval], [True]), True),
        (([np.load], [True]), True),
        (([b"a", np.testing.assert_equal], [True]), True),
    ],
)
@pytest.mark.parametrize("protocol", range(6))
def test_what_is_only_another_kind_of_data_is_no_attack(
    tmp_path: Path, held: object, dangerous: bool, protocol: int
) -> None:
    with pytest.raises(DataError) as caught:
        read_items(save(tmp_path / "x.bin", pickle.dumps(held, protocol=protocol)))
    assert ("run code" in caught.value.hint) is dangerous
    assert dangerous or "arcterm data bin" in caught.value.hint


def test_another_file_is_not_called_a_damaged_pickle(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no verification set: it doesn't begin as a pickle does"):
        read_items(save(tmp_path / "x.bin", b"7z\xbc\xaf\x27\x1c"))


def test_text_that_is_encoded_again_and_again_takes_no_memory(tmp_path: Path) -> None:
    text = b"X" + (1 << 20).to_bytes(4, "little") + b"a" * (1 << 20)
    head = b"\x80\x02c_codecs\nencode\nq\x00" + text + b"q\x01X\x06\0\0\0latin1q\x02]"
    bomb = head + b"h\x00h\x01h\x02\x86R" * 1000 + b"."
    with pytest.raises(DataError, match="encodes more text than the file has"):
        read_items(save(tmp_path / "x.bin", bomb))


def test_a_memo_bomb_is_harmless(tmp_path: Path) -> None:
    bomb = b"\x80\x02]r\xff\xff\xff\x3f."
    path = save(tmp_path / "x.bin", bomb)
    tracemalloc.start()
    with pytest.raises(DataError, match="isn't a pair of lists"):
        read_items(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


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


def test_an_image_takes_few_calls(tmp_path: Path) -> None:
    images = [os.urandom(2800)] * 2 + [os.urandom(2800) for _ in range(11998)]
    write_pairs(tmp_path / "lfw.bin", images, [True, False] * 3000)
    assert calls(lambda: read_pairs(tmp_path / "lfw.bin")) < 30 * 12_000


def test_the_whitelist_holds_what_it_should() -> None:
    names = set(opcodes._ALLOWED.values())
    assert len(names) == 18 + 9 + 1 + 9 + 6 + 2
    assert not names & {"OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"}


def test_a_compressed_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, packed = tmp_path / "a.bin", tmp_path / "b.xz"
    write_pairs(plain, [bytes(5000), b"x" * 4000], [True])
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    found = read_pairs(packed)
    assert (found.name, [bytes(image) for image in found.images]) == ("b", [bytes(5000), b"x" * 4000])
    packed.write_bytes(lzma.compress(plain.read_bytes())[:-20])
    with pytest.raises(DataError, match=r"b\.xz ends early"):
        read_pairs(packed)
    packed.write_bytes(lzma.compress(plain.read_bytes())[:60] + b"damage" * 9)
    with pytest.raises(DataError, match=r"b\.xz (can't be decompressed|ends early)"):
        read_pairs(packed)
    packed.write_bytes(lzma.compress(bytes(1 << 20)))
    monkeypatch.setattr("arcterm.formats.pairs.binfile.MAX_FILE", 1 << 16)
    with pytest.raises(DataError, match=r"b\.xz holds more than 65536 bytes"):
        read_pairs(packed)
