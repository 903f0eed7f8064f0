"""The devkit's matrix file, its lists and the lists of noise: real ones, and what can be wrong with them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.formats.features.lists import read_path_list, tail
from arcterm.formats.features.matrix import (
    pack_feature,
    pack_matrices,
    parse_feature,
    parse_matrices,
    read_matrices,
)
from arcterm.formats.features.noises import read_facescrub_noises, read_megaface_noises

Locate = Callable[[str], Path]


def test_the_devkits_own_file_is_read_and_written_to_the_byte(test_data: Locate) -> None:
    path = test_data("megaface/jb_LBP.bin")
    found = read_matrices(path)
    assert [(m.shape, m.dtype) for m in found] == [
        ((1, 400), np.float32),
        ((257, 400), np.float32),
        ((223, 400), np.float32),
    ]
    assert found[0][0, 0] == struct.unpack_from("<f", path.read_bytes(), 16)[0]
    assert pack_matrices(found) == path.read_bytes()


def test_matrices_of_both_types_come_back() -> None:
    rng = np.random.default_rng(0)
    given = [rng.normal(size=(3, 5)), rng.normal(size=(1, 1)).astype(np.float32), rng.normal(size=(4, 2)).T]
    found = parse_matrices(pack_matrices(given), Path("x.bin"))
    assert [m.dtype for m in found] == [np.float64, np.float32, np.float64]
    assert all(np.array_equal(a, b) for a, b in zip(given, found, strict=True))


def test_a_feature_is_written_as_the_scripts_write_it() -> None:
    feature = np.array([0.5, -1.25, 3], np.float32)
    data = pack_feature(feature)
    assert data == struct.pack("4i", 3, 1, 4, 5) + struct.pack("3f", *feature)
    assert parse_feature(data, Path("x.bin")).tolist() == [0.5, -1.25, 3]
    assert parse_feature(pack_matrices([feature[None].astype(np.float64)]), Path("x.bin")).dtype == np.float32


def test_rows_may_be_padded() -> None:
    data = struct.pack("<4i", 2, 1, 8, 5) + struct.pack("<4f", 1, 9, 2, 9)
    assert parse_matrices(data, Path("x.bin"))[0].tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "within a header"),
        (struct.pack("<3i", 1, 1, 4), "within a header"),
        (pack_feature(np.zeros(4, np.float32))[:-1], "cut short: the matrix at byte 0 has 4 rows of 4 bytes"),
        (pack_feature(np.zeros(4, np.float32)) + b"\0\0", "ends at byte 34, within a header"),
        (struct.pack("<4i", 1, 1, 4, 7) + b"\0" * 4, "of type 7"),
        (struct.pack("<4i", -1, 1, 4, 5), "-1 × 1"),
        (struct.pack("<4i", 1, 2, 4, 5) + b"\0" * 8, "1 × 2 in rows of 4 bytes"),
        (struct.pack("<4i", 2**31 - 1, 2**29 - 1, 2**31 - 4, 5), "cut short"),
        (struct.pack("<4i", 1, 1, 0, 5), "in rows of 0 bytes"),
        (pack_matrices([np.zeros((1, 1), np.float32)]) * 1001, "more than 1,000 matrices"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ],
)
def test_a_damaged_matrix_is_refused_in_words(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(DataError, match=said) as caught:
        read_matrices(tmp_path / "x.bin")
    assert caught.value.hint


def test_a_feature_is_one_row_or_column() -> None:
    for matrices in ([np.zeros((2, 2), np.float32)], [np.zeros((2, 1), np.float32)] * 2):
        with pytest.raises(DataError, match="is no feature"):
            parse_feature(pack_matrices(matrices), Path("x.bin"))


def test_the_devkits_lists(test_data: Locate) -> None:
    probes = read_path_list(test_data("megaface/facescrub_features_list.json"))
    assert (len(probes.paths), len(set(probes.people)), probes.repeated) == (3530, 80, [])
    assert probes.paths[0] == "Michael_Landes/Michael_Landes_43667.png"
    for size in (10, 100, 1000):
        found = read_path_list(test_data(f"megaface/megaface_features_list.json_{size}_1"))
        assert (len(found.paths), found.people, found.repeated) == (size, [], [])


def test_the_published_noise_hits_what_it_is_said_to_hit(test_data: Locate) -> None:
    facescrub = read_facescrub_noises(test_data("megaface/facescrub_noises.txt"))
    megaface = read_megaface_noises(test_data("megaface/megaface_noises.txt"))
    assert (len(facescrub.names), facescrub.lines, facescrub.repeated) == (605, 605, [])
    assert (len(megaface.names), megaface.lines, len(megaface.repeated)) == (707, 719, 12)
    probes = read_path_list(test_data("megaface/facescrub_features_list.json")).paths
    distractors = read_path_list(test_data("megaface/megaface_features_list.json_1000_1")).paths
    assert sum(path in facescrub for path in probes) == 24
    assert sum(path in megaface for path in distractors) == 0


def test_lists_of_noise_with_all_that_they_may_have(tmp_path: Path) -> None:
    path = tmp_path / "noises.txt"
    path.write_bytes(b"\xef\xbb\xbf#rules\r\n1\ta/b/c.jpg\t0\r\n\r\n a/b/d.jpg \r\na/b/c.jpg\n/x/y/a/b/e.jpg")
    found = read_megaface_noises(path)
    assert (list(found.names), found.lines) == (["a/b/c.jpg", "a/b/d.jpg", "a/b/e.jpg"], 4)
    assert found.repeated == ["a/b/c.jpg"]
    assert "/far/away/a/b/d.jpg" in found and "a/d.jpg" not in found
    assert list(read_facescrub_noises(path).names) == ["c.jpg", "d.jpg", "e.jpg"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a_1.png\nb_2.png\n", r"line 1: 'a_1.png' is no folder / album / image; line 2"),
        ("<!DOCTYPE html>\n<html>\n", "line 1: '<!DOCTYPE html>' is no folder"),
        ("a/b/c.jpg\na/b/c.jpg.json\n", r"line 2: 'a/b/c.jpg.json' is no"),
    ],
)
def test_a_list_of_something_else_is_no_list_of_noise(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "noises.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        read_megaface_noises(tmp_path / "noises.txt")
    if "png" not in text:
        with pytest.raises(DataError, match="is no image"):
            read_facescrub_noises(tmp_path / "noises.txt")


def test_lists_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "lst"
    path.write_bytes("# ours\r\nÄ B/1.jpg\r\n/abs/b/2.png \n\nb/2.png\nb/2.png".encode())
    found = read_path_list(path)
    assert found.paths == ["Ä B/1.jpg", "/abs/b/2.png", "b/2.png", "b/2.png"]
    assert found.repeated == ["b/2.png"]
    path.write_bytes(b"1\t/data/a/1.png\t17\n0\tb 1/2.png\t1\t3\t4\t50\t60\n5\t2.0\tc/3.png\r\n")
    assert read_path_list(path).paths == ["/data/a/1.png", "b 1/2.png", "c/3.png"]
    assert tail("/data//x/./b/2.png", 2) == "b/2.png"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"# nothing\n\n", "has no image in it"),
        (b"a/1.jpg\n../b.jpg\na\x1b[2J.jpg\n", "line 2: '../b.jpg' leads out.*line 3: .* control characters"),
        (b"a\tb\tc\n", "line 1: .* has no path where one is expected"),
        (b"\xff\xfe1\0", "UTF-16"),
        (b"a/\xff.jpg\n", "line 1 isn't UTF-8"),
        (b'{"path": ["a/b.jpg"], "id": []}', "1 paths but 0 ids"),
        (b'{"paths": []}', "no list of the devkit"),
        (b'{"path": ["a/b.jpg", "c/", 4]}', "no list of the devkit"),
        (b'{"path": ["a/b.jpg", "c/"]}', "entry 2: 'c/' names no file"),
    ],
)
def test_a_list_that_is_none_is_refused_in_words(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "lst").write_bytes(text)
    with pytest.raises(DataError, match=said):
        read_path_list(tmp_path / "lst")


def test_what_an_editor_puts_before_json_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "lst").write_bytes(b'\xef\xbb\xbf {"path": ["a/b.png"], "id": ["a"]}')
    assert read_path_list(tmp_path / "lst") == (["a/b.png"], ["a"])


@pytest.mark.parametrize("text", [b'["a/b.png", "a/c.png"]', b"\xef\xbb\xbf[\n [1]]", b' [{"path": "a"}]'])
def test_json_of_another_kind_is_no_list_of_lines(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "lst").write_bytes(text)
    with pytest.raises(DataError, match="is no list of the devkit: Expected `object`, got `array`"):
        read_path_list(tmp_path / "lst")


def test_ids_may_be_numbers(tmp_path: Path) -> None:
    (tmp_path / "lst").write_text(json.dumps({"id": [3, "b"], "path": ["a/1.jpg", "b/2.jpg"]}))
    assert read_path_list(tmp_path / "lst").people == ["3", "b"]
