"""Lists against the csv module, a list by others, and any bytes at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from arcterm.errors import DataError
from arcterm.formats import lists
from arcterm.formats.lists import ListedImage, read_list

Locate = Callable[[str], Path]

BOX = "10\t-20\t110\t120"
FACE = "38.5\t73.5\t56\t41.25\t70.5\t51.5\t51.25\t71.5\t92.5\t92.25"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "train.lst"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def by_csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_a_list_of_2018(tmp_path: Path) -> None:
    path = written(
        tmp_path, f"1\ta/1.jpg\t0\n0\t/b/2.jpg\t3\t{BOX}\n0\tc é.jpg\t1\t{BOX}\t{FACE}\n0\td.jpg\t1\n"
    )
    found = read_list(path)
    assert (found.shape, len(found)) == ("2018", 4)
    assert found[0] == ListedImage(1, tmp_path / "a/1.jpg", 0, True, None, None)
    assert found[1] == ListedImage(2, Path("/b/2.jpg"), 3, False, (10, -20, 110, 120), None)
    assert found[3] == ListedImage(4, tmp_path / "d.jpg", 1, False, None, None)
    face = found[2].landmarks
    assert face is not None
    assert face.tolist() == [[38.5, 51.5], [73.5, 51.25], [56, 71.5], [41.25, 92.5], [70.5, 92.25]]
    assert (found[2].path, found[2].box) == (tmp_path / "c é.jpg", (10, -20, 110, 120))
    assert found.labels.tolist() == [0, 3, 1, 1]
    assert found.aligned.tolist() == [True, False, False, False]
    assert found.fields.tolist() == [3, 7, 17, 3]
    assert [item.line for item in found] == [1, 2, 3, 4]
    with pytest.raises(IndexError):
        found[4]
    with pytest.raises(IndexError):
        found[-1]


def test_paths_start_from_a_root(tmp_path: Path) -> None:
    found = read_list(written(tmp_path, "1\ta.jpg\t0\n1\t/a.jpg\t0\n"), Path("/faces"))
    assert [str(item.path) for item in found] == ["/faces/a.jpg", "/a.jpg"]


def test_a_list_by_im2rec(test_data: Locate) -> None:
    path = test_data("recordio/popkorn/train.lst")
    found = read_list(path)
    rows = by_csv(path)
    assert found.shape == "im2rec"
    assert found.labels.tolist() == [int(label) for _, label, _ in rows]
    assert [item.path for item in found] == [path.parent / name for _, _, name in rows]
    assert found.aligned.all() and len(found) == 8 and sorted(set(found.labels.tolist())) == [0, 1]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("0\t17\ta.jpg\n1\t3.000000\tb.jpg\n", "im2rec"),
        ("0\t17\ta.jpg\n1\t3\t5\n", "im2rec"),
        ("0\t17\t4\n1\t3\t5\n", "2018"),
        ("0\t17\t4\n2\t3\t5\n", "im2rec"),
        ("1\ta.jpg\t0\r\n1\tb.jpg\t1\r\n\r\n", "2018"),
        (f"0\ta.jpg\t0\t{BOX}\t\n", "2018"),
        ("1\ta.jpg\t0", "2018"),
    ],
)
def test_the_whole_list_says_what_it_is(tmp_path: Path, text: str, shape: str) -> None:
    found = read_list(written(tmp_path, text))
    assert found.shape == shape
    assert len(found) == len(text.strip().splitlines())
    assert all(item.path.suffix in (".jpg", "") and "\r" not in str(item.path) for item in found)


GOOD = "1\tgood.jpg\t0\n"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("1\tb.jpg", "it has 2 fields, not 3, 7 or 17"),
        ("word", "it has 1 field, not"),
        ("", "it has 1 field, not"),
        (f"1\tb.jpg\t0\t{BOX}\t1", "it has 8 fields"),
        (f"1\tb.jpg\t0\t{BOX}\t{FACE}\t1", "it has 18 fields"),
        ("2\tb.jpg\t0", "the first field is '2', not 0 or 1"),
        ("1\tb.jpg\t-1", "the label '-1' is no whole number"),
        ("1\tb.jpg\t1.5", "the label '1.5' is no whole number"),
        ("1\tb.jpg\t1e3", "the label '1e3' is no whole number"),
        ("1\tb.jpg\t٣", r"the label '\u0663' is no whole number"),
        ("1\tb.jpg\t" + "9" * 19, "no whole number from 0 to 10^18 - 1"),
        ("1\t\t1", "the path is empty"),
        ("1\ta\x1b[2Jb.jpg\t1", r"the path 'a\x1b[2Jb.jpg' has control characters"),
        ("1\ta\x00b.jpg\t1", "has control characters"),
        ("1\ta\x7fb.jpg\t1", "has control characters"),
        ("1\ta\x85b.jpg\t1", r"the path 'a\x85b.jpg' has control characters"),
        (f"1\tb.jpg\t1\t{BOX.replace('110', '1.5')}", "the box '10 -20 1.5 120' is not four whole numbers"),
        (f"1\tb.jpg\t1\t{BOX.replace('110', '1_1')}", "is not four whole numbers"),
        (f"1\tb.jpg\t1\t{BOX.replace('110', '9' * 5000)}", "is not four whole numbers"),
        (f"1\tb.jpg\t1\t{BOX}\t{FACE.replace('56', 'nan')}", "are not ten numbers"),
        (f"1\tb.jpg\t1\t{BOX}\t{FACE.replace('56', '1e999')}", "are not ten numbers"),
        (f"1\tb.jpg\t1\t{BOX}\t{FACE.replace('56', 'x')}", "are not ten numbers"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, bad: str, reason: str) -> None:
    path = written(tmp_path, f"{GOOD}{GOOD}{bad}\n{GOOD}")
    with pytest.raises(DataError) as caught:
        read_list(path)
    assert f"{path} line 3: " in caught.value.message and reason in caught.value.message
    assert "aligned (0 or 1), path, label" in caught.value.hint
    assert caught.value.message.isprintable()


def test_a_bad_line_of_im2rec_is_named_as_such(tmp_path: Path) -> None:
    path = written(tmp_path, "0\t0\ta.jpg\n1\tx\tb.jpg\n")
    with pytest.raises(DataError, match="line 2: the label 'x' is no whole") as caught:
        read_list(path)
    assert "number, label, path" in caught.value.hint
    with pytest.raises(DataError, match="line 2: it has 4 fields, not 3"):
        read_list(written(tmp_path, "0\t0\ta.jpg\n1\t1\t2\tb.jpg\n"))
    with pytest.raises(DataError, match="line 3: the number '-5' is no whole"):
        read_list(written(tmp_path, "0\t0\ta.jpg\n1\t1\tb.jpg\n-5\t1\tb.jpg\n"))


def test_what_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no line in it"):
        read_list(written(tmp_path, "\n\r\n\n"))
    with pytest.raises(DataError, match="is empty"):
        read_list(written(tmp_path, ""))
    with pytest.raises(DataError, match="No such file"):
        read_list(tmp_path / "none.lst")
    with pytest.raises(DataError, match="is not a file"):
        read_list(tmp_path)
    os.mkfifo(tmp_path / "pipe.lst")
    with pytest.raises(DataError, match="is not a file"):
        read_list(tmp_path / "pipe.lst")
    with pytest.raises(DataError, match=r"line 1: the path '\\\\xff.jpg' is not UTF-8"):
        read_list(written(tmp_path, b"1\t\xff.jpg\t0\n"))


def test_a_line_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_BLOCK", 1 << 10)
    with pytest.raises(DataError, match="has a line of more than"):
        read_list(written(tmp_path, GOOD + "1\t" + "x" * 5000 + "\t0\n" + GOOD))


LINES = st.one_of(
    st.builds("1\tp{}.jpg\t{}".format, st.integers(0, 9), st.integers(0, 10**17)),
    st.builds("0\tp é {}\t{}\t1\t2\t3\t4".format, st.integers(0, 9), st.integers(0, 99)),
    st.builds(
        lambda n, face: f"0\tq{n}\t{n}\t1\t2\t3\t4\t" + "\t".join(map(repr, face)),
        st.integers(0, 9),
        st.lists(st.floats(-1e5, 1e5), min_size=10, max_size=10),
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(LINES, min_size=1, max_size=30),
    block=st.integers(400, 2000),
    ending=st.sampled_from(["", "\n"]),
)
def test_it_reads_what_csv_reads(
    tmp_path: Path, rows: list[str], block: int, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the blocks' borders, and whether a block is read at once or line by line."""
    monkeypatch.setattr(lists, "_BLOCK", block)
    path = written(tmp_path, "\n".join(rows) + ending)
    found, expected = read_list(path), by_csv(path)
    assert found.labels.tolist() == [int(row[2]) for row in expected] == [item.label for item in found]
    assert found.fields.tolist() == [len(row) for row in expected]
    assert found.aligned.tolist() == [row[0] == "1" for row in expected]
    for item, row in zip(found, expected, strict=True):
        assert item.path == tmp_path / row[1]
        if len(row) > 7:
            assert item.landmarks is not None
            assert item.landmarks.T.ravel().tolist() == [float(text) for text in row[7:]]


BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            [b"0", b"1", b"\t", b"\n", b"\r", b"a.jpg", b"7", b"1.0", b"-3", b"\x00", b"\xc2\x85", b" "]
        ),
        max_size=60,
    ).map(b"".join),
)


@pytest.mark.long
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=BYTES)
@example(data=b"1\ta\t1\n\x001\tb\t2")
@example(data=b"0\t1\x7f.jpg\t2")
@example(data=b"1\t1.\ta")
def test_any_bytes_are_a_list_or_refused(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    try:
        found = read_list(path)
    except DataError:
        return
    assert [item.label for item in found] == found.labels.tolist()
    assert len(found) == len(data.rstrip(b"\r\n").split(b"\n"))


@settings(max_examples=200, deadline=None)
@given(data=BYTES, shape=st.sampled_from(["2018", "im2rec"]))
@example(data=b"1\ta\t1\n1\tb\t22", shape="2018")
@example(data=b"12\t1.0\ta\n1\t3\tb", shape="im2rec")
def test_lines_read_at_once_are_as_read_one_by_one(data: bytes, shape: lists.Shape) -> None:
    quick = lists._parse_plain_lines(data, shape)
    if quick is not None:
        slow = lists._parse_lines(data, shape, 1)
        assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(quick, slow, strict=True))


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("blank", [b"", b" ", b"  "])
def test_what_editors_and_spreadsheets_add(tmp_path: Path, bom: bytes, end: bytes, blank: bytes) -> None:
    """A byte order mark, Windows' line ends, blanks around the tabs and after the last line."""
    tab = blank + b"\t" + blank
    rows = (
        [b"1", b"a b.jpg", b"17"],
        [b"0", b"c.jpg", b"4", *BOX.encode().split(b"\t"), *FACE.encode().split(b"\t")],
    )
    found = read_list(written(tmp_path, bom + end.join(tab.join(row) + blank for row in rows) + end + blank))
    assert [line.path.name for line in found] == ["a b.jpg", "c.jpg"] and found.labels.tolist() == [17, 4]
    assert found.aligned.tolist() == [True, False] and found[1].box == (10, -20, 110, 120)
    marks = found[1].landmarks
    assert marks is not None and marks[0].tolist() == [38.5, 51.5]
    rows = [b"0", b"17.000000", b"a b.jpg"], [b"1", b"4", b"c.jpg"]
    found = read_list(written(tmp_path, bom + end.join(tab.join(row) + blank for row in rows) + end))
    assert found.shape == "im2rec" and [line.path.name for line in found] == ["a b.jpg", "c.jpg"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_called_so(tmp_path: Path, encoding: str) -> None:
    text = ("" if encoding == "utf-16" else "\ufeff") + "1\ta.jpg\t0\n"
    with pytest.raises(DataError, match="says that it is UTF-16") as caught:
        read_list(written(tmp_path, text.encode(encoding)))
    assert caught.value.hint == "save it as UTF-8"


def test_bad_lines_are_named_at_once(tmp_path: Path) -> None:
    good = "1\ta.jpg\t0\n"
    with pytest.raises(DataError) as caught:
        read_list(written(tmp_path, f"{good}1\tb.jpg\n{good}2\tc.jpg\t1\n{good}\n1\td.jpg\t1\n"))
    assert caught.value.message.endswith(
        "line 2: it has 2 fields, not 3, 7 or 17; lines 4, 6 can't be read either"
    )
    with pytest.raises(
        DataError, match=r"17; lines 2, 3, .*, 21 can't be read either, nor may others after them"
    ):
        read_list(written(tmp_path, "x\n" * 100))
