"""Records, labels, pixels and arrays: what MXNet writes we read, what we write it reads, to the byte."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.formats import images
from arcterm.formats.mxnet import operators, params
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import MAGIC_BYTES as M
from arcterm.formats.recordio.container import RecordFile, RecordWriter
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.recordindex import read_index
from tests.jobs import pack_people
from tests.mxnet.conftest import Oracle

pytestmark = pytest.mark.slow

PAYLOADS = [
    b"",
    b"abcde",
    b"abcd" + M + b"efgh",
    b"abc" + M + b"d",
    M,
    M + M,
    b"xxxx" + M,
    M + b"x",
    M * 3 + b"\0",
    M[:3],
    bytes(range(256)) + M + M[::-1],
]
LABELS = [7.0, 0.5, 16777216.0, [5.0, 1.0], [1.0], list(map(float, range(9)))]


def test_records_and_labels(oracle: Oracle, tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "ours.rec", tmp_path / "ours.idx") as writer:
        for key, payload in enumerate(PAYLOADS):
            writer.write(key, payload)
    packed = [irheader.pack(label, number, b"image") for number, label in enumerate(LABELS)]
    wanted = {
        "payloads": [payload.hex() for payload in PAYLOADS],
        "labels": LABELS,
        "packed": [payload.hex() for payload in packed],
    }
    (tmp_path / "wanted.json").write_text(json.dumps(wanted))
    oracle("records", tmp_path)
    answer = json.loads((tmp_path / "answer.json").read_text())

    assert answer["read"] == wanted["payloads"]
    assert answer["by_key"] == {str(key): payload.hex() for key, payload in enumerate(PAYLOADS)}
    for suffix in ("rec", "idx"):
        assert (tmp_path / f"ours.{suffix}").read_bytes() == (tmp_path / f"theirs.{suffix}").read_bytes()
    theirs = RecordFile(tmp_path / "theirs.rec")
    index = read_index(tmp_path / "theirs.idx", len(theirs))
    assert [bytes(theirs.at(index.offset(key))) for key in range(len(PAYLOADS))] == PAYLOADS

    assert answer["packed"] == wanted["packed"]
    for number, (label, payload, unpacked) in enumerate(zip(LABELS, packed, answer["unpacked"], strict=True)):
        flag = len(label) if isinstance(label, list) else 0
        assert unpacked == [flag, label, number, 0, b"image".hex()]
        ours = irheader.unpack(memoryview(payload), "it")
        assert list(ours.labels) == (label if isinstance(label, list) else [label])


def photo(seed: int, height: int = 112, width: int = 112) -> np.ndarray:
    """Smooth shapes with some noise, as JPEG files hold."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(smooth + random.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)


def test_a_pack_is_read_as_the_trainer_of_2018_reads_it(oracle: Oracle, tmp_path: Path) -> None:
    people = [0, 0, 1, 2, 2, 2]
    for number, label in enumerate(people):
        folder = tmp_path / "people" / f"p{label}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(images.encode_jpeg(photo(number)))
    pack_people(tmp_path / "people", tmp_path / "ours")
    oracle("pack", tmp_path)
    theirs, ours = np.load(tmp_path / "read.npz"), FacePack(tmp_path / "ours")
    assert theirs["labels"].tolist() == people == [ours[index].label for index in range(6)]
    assert theirs["ranges"].tolist() == [[1, 3], [3, 4], [4, 7]]
    for index, pixels in enumerate(theirs["images"]):
        decoded = images.decode(ours[index].image, size=(112, 112), source="it")
        np.testing.assert_array_equal(decoded, pixels, strict=True)
    for name in ("train.rec", "train.idx"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    again = FacePack(tmp_path / "theirs")
    assert [again[index].label for index in range(len(again))] == people
    assert [again.identity(number) for number in range(again.identities)] == [
        range(2),
        range(2, 3),
        range(3, 6),
    ]


JPEGS: dict[str, list[int]] = {
    "q95": [cv2.IMWRITE_JPEG_QUALITY, 95],
    "q50": [cv2.IMWRITE_JPEG_QUALITY, 50],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "444": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    "422": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 4],
}


def test_decoded_pixels(oracle: Oracle, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, (name, options) in enumerate(JPEGS.items()):
        for height, width in ((112, 112), (97, 113), (16, 250)):
            pixels = photo(seed, height, width)[:, :, ::-1]
            assert cv2.imwrite(str(folder / f"{name}-{height}x{width}.jpg"), pixels, options)
    assert cv2.imwrite(str(folder / "grey.jpg"), photo(20)[:, :, 0])
    assert cv2.imwrite(str(folder / "colour.png"), photo(21))
    assert cv2.imwrite(str(folder / "grey.png"), photo(22)[:, :, 1])
    (folder / "turned.jpg").write_bytes(turned(images.encode_jpeg(photo(23, 96, 112))))
    assert differing(oracle, tmp_path) == []


def test_decoded_pixels_of_a_photograph(
    oracle: Oracle, tmp_path: Path, test_data: Callable[[str], Path]
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "real.jpg").write_bytes(test_data("mtcnn/six_faces.jpg").read_bytes())
    assert differing(oracle, tmp_path) == []


def differing(oracle: Oracle, tmp_path: Path) -> list[tuple[str, int]]:
    """The names of `images` that MXNet decodes otherwise than we do, and by how much at most."""
    oracle("pixels", tmp_path)
    different = []
    for path in sorted((tmp_path / "images").iterdir()):
        ours = images.decode(path.read_bytes(), size=None, source=path.name)
        theirs = np.load(tmp_path / f"{path.name}.npy")
        assert ours.shape == theirs.shape, path.name
        if not np.array_equal(ours, theirs):
            different.append((path.name, int(np.abs(ours.astype(int) - theirs).max())))
    return different


def turned(jpeg: bytes) -> bytes:
    """`jpeg` with an EXIF note that says: turn me by 90 degrees."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def given() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "f4": random.normal(size=(3, 2, 1, 4)).astype("f4"),
        "f8": random.normal(size=(5,)),
        "f2": random.normal(size=(2, 3)).astype("f2"),
        "u1": np.arange(256, dtype="u1"),
        "i4": np.array([-(2**31), 2**31 - 1, 0], "i4"),
        "i1": np.arange(-128, 128, dtype="i1").reshape(16, 16),
        "i8": np.array([[2**62, -(2**62)]], "i8"),
        "bool": np.array([True, False]),
        "special": np.array([np.nan, np.inf, -0.0, 1e-45], "f4"),
    }
    return {**arrays, "scalar": np.array(1.5, "f4"), "empty": np.empty((0, 3), "f4")}


def old(word: bytes, side: str, shape: tuple[int, ...], values: np.ndarray) -> bytes:
    shape_bytes = struct.pack(f"<{len(shape)}{side}", *shape)
    return word + shape_bytes + struct.pack("<iii", 1, 0, 0) + values.astype("<f4").tobytes()


def file_of(*arrays: bytes, names: list[str]) -> bytes:
    named = b"".join(struct.pack("<Q", len(name)) + name.encode() for name in names)
    head = struct.pack("<QQQ", 0x112, 0, len(arrays))
    return head + b"".join(arrays) + struct.pack("<Q", len(names)) + named


def test_arrays_of_every_dtype_and_version(oracle: Oracle, tmp_path: Path) -> None:
    arrays, ours = given(), tmp_path / "ours"
    plain = {f"arg:{name}": each for name, each in arrays.items() if each.size and each.ndim}
    np.savez(tmp_path / "given.npz", **arrays)
    ours.mkdir()
    params.write(ours / "v2.params", plain)
    values = np.arange(6.0)
    v0 = old(struct.pack("<I", 2), "I", (2, 3), values)
    v1 = old(struct.pack("<II", 0xF993FAC8, 3), "q", (1, 2, 3), values)
    (ours / "v0.params").write_bytes(file_of(v0, v0, names=[]))
    (ours / "v0named.params").write_bytes(file_of(v0, v1, names=["arg:a", "aux:b"]))
    zero = old(struct.pack("<I", 2), "I", (0, 3), values[:0])
    (ours / "v0zero.params").write_bytes(file_of(zero, names=["a"]))
    v3 = old(struct.pack("<Iii", 0xF993FACA, 0, 1), "q", (6,), values)
    (ours / "v3.params").write_bytes(file_of(v3, names=["a"]))
    oracle("arrays", tmp_path)

    for path in ours.iterdir():
        same(params.read(path), dict(np.load(tmp_path / f"{path.stem}.npz")))
    same(params.read(tmp_path / "named.params"), plain)
    assert (tmp_path / "named.params").read_bytes() == (ours / "v2.params").read_bytes()
    unnamed = {str(number): each for number, each in enumerate(plain.values())}
    same(params.read(tmp_path / "unnamed.params"), unnamed)
    same(params.read(tmp_path / "v3.params"), {f"arg:{name}": each for name, each in arrays.items()})
    with pytest.raises(DataError, match="row-sparse"):
        params.read(tmp_path / "sparse.params")


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert list(ours) == list(theirs)
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, strict=True)


def test_defaults_of_attributes_are_those_of_the_operators(oracle: Oracle, tmp_path: Path) -> None:
    (tmp_path / "wanted.json").write_text(json.dumps(list(operators._DEFAULTS)))
    oracle("defaults", tmp_path)
    described = json.loads((tmp_path / "answer.json").read_text())
    compared = 0
    for op, values in operators._DEFAULTS.items():
        for name, value in values.items():
            line = re.search(rf"^{name} : .*?(required|optional, default=(.*))$", described[op], re.M)
            assert line, f"{op} has no attribute {name}"
            if line[1] == "required" or (name, line[2]) == ("count_include_pad", "None"):
                continue  # None there makes averages count padding: the networks show it
            stated = operators.attributes(op, {name: line[2].strip("'")})[name]
            assert stated == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value)
            compared += 1
    assert compared >= 25
