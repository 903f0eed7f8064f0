"""Protocols in folders and in MATLAB's files, which SciPy writes here."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from arcterm.errors import DataError
from arcterm.formats.pairs import matfile
from arcterm.formats.pairs.matfile import read_mat
from arcterm.formats.pairs.protocols import read_protocol


def cells(rows):
    """Lists as MATLAB's cells."""
    array = np.empty((len(rows), len(rows[0])), object)
    for i, row in enumerate(rows):
        for j, item in enumerate(row):
            array[i, j] = item
    return array


def agedb(path, folds=10, pairs=6, **options):
    """The shape of AgeDB's protocol: a cell a fold, of a structure with 2×N images and N labels."""
    splits, expected = [], []
    for fold in range(folds):
        names = [[f"{fold}_A_{n}_m", f"{fold}_{'AB'[n % 2]}_{n + 30}_f"] for n in range(pairs)]
        labels = [1 if n % 2 == 0 else -1 for n in range(pairs)]
        images = cells([[{"name": names[n][side], "age": 30.0} for n in range(pairs)] for side in (0, 1)])
        splits.append([{"pairs": images, "labels": np.array([labels], np.float64)}])
        expected += [(*names[n], labels[n] == 1) for n in range(pairs)]
    savemat(path, {"splits": cells(splits), "note": "text"}, **options)
    return expected


@pytest.mark.parametrize("packed", [True, False])
def test_agedb(tmp_path, packed):
    path = tmp_path / "04_FINAL_protocol_30_years.mat"
    expected = agedb(path, do_compression=packed)
    listed = read_protocol(path, tmp_path)
    assert [(pair.a, pair.b, pair.same) for pair in listed.pairs] == expected
    assert (listed.by_name, listed.folds, listed.pairs[7].place) == (True, 10, "fold 2 line 2")
    # as the published scripts take it apart
    fold = loadmat(path)["splits"][3][0][0][0]
    assert (fold[0][1, 4][0][0][0][0], fold[1][0][4]) == (listed.pairs[22].b, 1)


def test_numbers_and_text_of_every_kind(tmp_path):
    values = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([[1, -2]], np.int16),
        "c": "Grüße",
        "d": cells([["x", np.eye(2)], [7.0, "yz"]]),
        "e": np.array([[True, False]]),
    }
    savemat(tmp_path / "x.mat", values)
    found = read_mat(tmp_path / "x.mat")
    assert found["a"].numbers.reshape(3, 2).T.tolist() == values["a"].tolist()
    assert found["b"].numbers.tolist() == [1, -2] and found["e"].numbers.tolist() == [1, 0]
    assert found["c"].text == "Grüße" and found["d"].shape == (2, 2)
    assert [found["d"].items[i].text for i in (0, 3)] == ["x", "yz"]
    assert found["d"].items[1].numbers.tolist() == [7.0]


def test_no_damage_goes_unnoticed_or_raises_anything_else(tmp_path):
    path = tmp_path / "x.mat"
    agedb(path, folds=2, pairs=2, do_compression=False)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(data[: rng.integers(100, len(data) + 1)])
        broken[rng.integers(0, len(broken))] = rng.integers(256)
        path.write_bytes(bytes(broken))
        try:
            read_protocol(path, tmp_path)
        except DataError as error:
            assert "x.mat" in error.message


@pytest.mark.parametrize("other", [7, 9, 13, 16])
def test_an_element_of_another_type_is_refused_or_read(tmp_path, other):
    """Fractions, or numbers beyond all characters, where whole ones, sides or text should be."""
    path = tmp_path / "x.mat"
    agedb(path, folds=1, pairs=2, do_compression=False)
    data = bytearray(path.read_bytes())
    for at in range(128, len(data) - 4, 4):
        for size in (4, 2):  # of an element's tag, and of a small element's
            if int.from_bytes(data[at : at + size], "little") not in (1, 2, 4, 5, 9, 16):
                continue
            changed = data.copy()
            changed[at : at + size] = other.to_bytes(size, "little")
            path.write_bytes(bytes(changed))
            try:
                read_protocol(path, tmp_path)
            except DataError as error:
                assert "x.mat" in error.message


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(matfile, "MAX_BYTES", 1 << 20)
    packed = zlib.compress(bytes(2 << 20))
    header = b"MATLAB 5.0".ljust(124) + b"\0\1IM"
    path = tmp_path / "x.mat"
    path.write_bytes(header + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
    with pytest.raises(DataError, match="more than 1048576 bytes are packed"):
        read_mat(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no .mat file of MATLAB's level 5"),
        (b"\x89HDF\r\n" + bytes(200), "format 7.3"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "LFS"),
    ],
)
def test_other_files_are_named(tmp_path, content, words):
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_protocol(path, tmp_path)


@pytest.mark.parametrize(
    "variables",
    [
        {"other": 1.0},
        {"splits": 1.0},
        {"splits": cells([["a", "b"]])},
        {"splits": cells([[{"pairs": cells([["a"], ["b"]]), "labels": np.array([[2.0]])}]])},
        {"splits": cells([[{"pairs": cells([["a"], ["../b"]]), "labels": np.array([[1.0]])}]])},
        {"splits": cells([[{"pairs": cells([["a", "b"]]), "labels": np.array([[1.0]])}]])},
    ],
)
def test_other_variables_are_no_protocol(tmp_path, variables):
    savemat(tmp_path / "x.mat", variables)
    with pytest.raises(DataError, match=r"x\.mat"):
        read_protocol(tmp_path / "x.mat", tmp_path)


def cfp(root: Path) -> Path:
    """Two folds of CFP: two people, images of each numbered."""
    protocol = root / "Protocol"
    protocol.mkdir(parents=True)
    for kind, folder in (("F", "frontal"), ("P", "profile")):
        lines = [
            f"{2 * person + n - 2} ../Data/Images/{person:03d}/{folder}/{n:02d}.jpg\n"
            for person in (1, 2)
            for n in (1, 2)
        ]
        (protocol / f"Pair_list_{kind}.txt").write_text("".join(lines))
    for part in ("FF", "FP"):
        for fold in ("01", "02"):
            (protocol / "Split" / part / fold).mkdir(parents=True)
            (protocol / "Split" / part / fold / "same.txt").write_text("1,2\n")
            (protocol / "Split" / part / fold / "diff.txt").write_text(f"1,{int(fold) + 2}\r\n")
    return protocol


def test_cfp(tmp_path):
    protocol = cfp(tmp_path)
    root = "/Data/Images/"
    listed = read_protocol(protocol / "Split" / "FP", tmp_path)
    assert [(pair.a, pair.b, pair.same) for pair in listed.pairs] == [
        (f"{root}001/frontal/01.jpg", f"{root}001/profile/02.jpg", True),
        (f"{root}001/frontal/01.jpg", f"{root}002/profile/01.jpg", False),
        (f"{root}001/frontal/01.jpg", f"{root}001/profile/02.jpg", True),
        (f"{root}001/frontal/01.jpg", f"{root}002/profile/02.jpg", False),
    ]
    assert (listed.folds, listed.pairs[1].place) == (2, "01/diff.txt line 1")
    assert read_protocol(protocol / "Split" / "FF", tmp_path).pairs[0].b == f"{root}001/frontal/02.jpg"
    with pytest.raises(DataError, match="several protocols") as caught:
        read_protocol(protocol, tmp_path)
    assert "Split/FF or --list" in caught.value.hint
    (protocol / "Split" / "FP" / "02" / "diff.txt").write_text("1,9\n")
    with pytest.raises(DataError, match=r"02/diff.txt line 1: '1,9'"):
        read_protocol(protocol / "Split" / "FP", tmp_path)


def test_rfw(tmp_path):
    """Four lists without headers; each tenth of the set has a tenth of every list."""
    for race in ("African", "Asian", "Caucasian", "Indian"):
        (tmp_path / "txts" / race).mkdir(parents=True)
        (tmp_path / "data" / race).mkdir(parents=True)
        lines = [f"m.0{n}\t1\t2\n" if n % 2 else f"m.0{n}\t1\tm.1{n}\t3\n" for n in range(20)]
        (tmp_path / "txts" / race / f"{race}_pairs.txt").write_text("".join(lines))
    listed = read_protocol(tmp_path / "txts", tmp_path / "data")
    assert len(listed.pairs) == 80 and listed.by_name and listed.folds == 10
    assert [pair.group for pair in listed.pairs[:8]] == [
        race for race in ("African", "Asian", "Caucasian", "Indian") for _ in range(2)
    ]
    assert listed.pairs[2].a == "Asian/m.00/m.00_0001"
    assert listed.pairs[8].place == "African_pairs.txt line 3"
    assert "one set" in listed.note


def test_a_folder_without_a_protocol(tmp_path):
    with pytest.raises(DataError, match="without a protocol"):
        read_protocol(tmp_path, tmp_path)
