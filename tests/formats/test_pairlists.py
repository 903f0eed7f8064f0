"""Lists of pairs: LFW's own list, the shapes that go round, and lists that nobody should trust."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from arcterm.errors import DataError
from arcterm.formats.pairs.pairlists import read_pair_list

Locate = Callable[[str], Path]
TWO = [("Al_Bo/Al_Bo_0001", "Al_Bo/Al_Bo_0004", True), ("Al_Bo/Al_Bo_0002", "C/C_0010", False)]


def read(tmp_path: Path, text: str | bytes) -> tuple[list[tuple[str, str, bool]], bool, int | None]:
    path = tmp_path / "pairs.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    listed = read_pair_list(path)
    return [(pair.a, pair.b, pair.same) for pair in listed.pairs], listed.by_name, listed.folds


def naive(path: Path) -> list[tuple[str, str, bool]]:
    """As 2018's lfw.py reads the list: no header, three fields or four."""
    found = []
    for line in path.read_text().splitlines()[1:]:
        match line.split():
            case [name, a, b]:
                found.append((f"{name}/{name}_{int(a):04d}", f"{name}/{name}_{int(b):04d}", True))
            case [one, a, other, b]:
                found.append((f"{one}/{one}_{int(a):04d}", f"{other}/{other}_{int(b):04d}", False))
    return found


@pytest.mark.long
def test_the_list_of_lfw(test_data: Locate) -> None:
    path = test_data("pairs/lfw_pairs.txt")
    listed = read_pair_list(path)
    assert (len(listed.pairs), listed.by_name, listed.folds) == (6000, True, 10)
    assert [(pair.a, pair.b, pair.same) for pair in listed.pairs] == naive(path)
    for fold in range(10):
        same = [pair.same for pair in listed.pairs[600 * fold : 600 * (fold + 1)]]
        assert same == [True] * 300 + [False] * 300
    assert (listed.pairs[0].a, listed.pairs[0].b, listed.pairs[0].line) == (
        "Abel_Pacheco/Abel_Pacheco_0001",
        "Abel_Pacheco/Abel_Pacheco_0004",
        2,
    )


@pytest.mark.parametrize("gone", [1, 300, 6000])
def test_a_list_of_lfw_that_lost_a_line_is_refused(test_data: Locate, tmp_path: Path, gone: int) -> None:
    lines = test_data("pairs/lfw_pairs.txt").read_text().splitlines(keepends=True)
    del lines[gone]
    with pytest.raises(DataError, match=r"line 1 promises 6000 pairs.*the list has 5999"):
        read(tmp_path, "".join(lines))


@pytest.mark.parametrize(
    ("text", "folds"),
    [
        ("1\t1\nAl_Bo\t1\t4\nAl_Bo\t2\tC\t10\n", 1),
        ("1\nAl_Bo\t1\t4\nAl_Bo\t2\tC\t10", None),
        ("Al_Bo 1 4\nAl_Bo   2 C 10\n", None),
        ("\ufeffAl_Bo 1 4\r\n\r\nAl_Bo 2 C 0010\r\n", None),
        ("name,imagenum1,imagenum2,\nAl_Bo,1,4,\nAl_Bo,2,C,10\n", None),
        ("name,imagenum1,name,imagenum2\nAl_Bo,1,4\nAl_Bo,2,C,10\n,,,\n", None),
    ],
)
def test_the_shapes_of_lfw(tmp_path: Path, text: str, folds: int | None) -> None:
    assert read(tmp_path, text) == (TWO, True, folds)


def test_names_with_blanks_and_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, "Al el Bo\t1\t4\n007\t2\t3\n007\t2\t008\t1\n")[0] == [
        ("Al el Bo/Al el Bo_0001", "Al el Bo/Al el Bo_0004", True),
        ("007/007_0002", "007/007_0003", True),
        ("007/007_0002", "008/008_0001", False),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a/1.jpg b/2.png 1\nc.jpg d.jpg 0\n",
        "1\ta/1.jpg\tb/2.png\n0\tc.jpg\td.jpg\n",
        "path1,path2,label\na/1.jpg,b/2.png,1\n./c.jpg,d.jpg,0\n",
        "1\na/1.jpg b/2.png 1\nc.jpg d.jpg 0\n",
    ],
)
def test_paths(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == ([("a/1.jpg", "b/2.png", True), ("c.jpg", "d.jpg", False)], False, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pair in it"),
        ("\n \n", "no pair in it"),
        ("10\t300\n", "no pair in it"),
        ("2\nA 1 2\nA 1 B 1\n", "line 1 promises 4 pairs"),
        ("A 1 2\nA 1\n", "line 2: 2 fields that make no pair: 'A | 1'"),
        ("A 1 x\n", "line 1: 3 fields"),
        ("a/1.jpg b/1.jpg alike\n", "line 1: 3 fields"),
        ("a/1.jpg b/1.jpg 2\n", "line 1: 3 fields"),
        ("A 1 B 2 1\n", "line 1: 5 fields"),
        ("A 1 A 2\n", "line 1: calls 'A' and 'A' two persons"),
        ("A 1 2\na.jpg b.jpg 1\n", "line 2: has another shape"),
        ("../etc 1 2\n", "line 1: '../etc' leaves"),
        ("a/b 1 2\n", "line 1: 'a/b' can't be the name"),
        (". 1 2\n", "line 1: '.' leaves"),
        ("../x.jpg a.jpg 1\n", "line 1: '../x.jpg' leaves"),
        ("a.jpg b/../../x.jpg 1\n", "line 1: 'b/../../x.jpg' leaves"),
        ("A 1 2\n/../etc/passwd a.jpg 0\n", "line 2: '/../etc/passwd' leaves"),
        ("A 1 2\nC:\\..\\passwd a.jpg 0\n", "line 2: 'C:\\\\..\\\\passwd' leaves"),
        ("/ a.jpg 0\n", "line 1: '/' leaves"),
        ("a\x1b[31m.jpg b.jpg 1\n", "line 1 has control characters"),
        ("a\x85.jpg b.jpg 1\n", "line 1 has control characters"),
        ("a\r.jpg b.jpg 1\n", "line 1 has control characters"),
        ("a\0.jpg b.jpg 1\n", "line 1 has control characters"),
        ("a.jpg b.jpg -1\nc.jpg d.jpg 0\n", "line 2: 0 and -1 are both used"),
        ("a.jpg 1\nb.jpg 0\n", "line 1: with line 2 it makes no pair: one says 1, the other 0"),
        ("a.jpg 2\nb.jpg 3\n", "line 1: with line 2 it makes no pair: one says 2, the other 3"),
        ("A_0001.jpg 1\nB_0001.jpg 1\n", "A_0001.jpg and B_0001.jpg are called one person"),
        ("A_0001.jpg 0\nA_0002.jpg 0\n", "A_0001.jpg and A_0002.jpg are called two persons"),
        ("name,a,race\nA,1,2\n", "line 1: 3 fields"),
        ("name,n1,n2,race\nA,1,2\n", "line 2"),
        ("a.jpg 1\nb.jpg 1\nc.jpg 0\n", "line 3 is half a pair"),
        (
            "who,a,b\nA,1,x\n",
            "2 lines are no pairs: line 1: 3 fields that make no pair: 'who | a | b'; line 2",
        ),
        (b"\xff\xfeA 1 2\n", "isn't text: byte 0"),
    ],
)
def test_lists_that_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=r"pairs.txt") as caught:
        read(tmp_path, text)
    assert message in caught.value.message and caught.value.hint


def test_no_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read: No such file"):
        read_pair_list(tmp_path / "none.txt")


@pytest.mark.parametrize(
    "flags", [("True", "False"), ("1", "-1"), ("1", "−1"), ("same", "diff"), ("TRUE", "0")]
)
@pytest.mark.parametrize("separator", [" ", "\t", ",", ";"])
def test_flags_of_every_kind(tmp_path: Path, flags: tuple[str, str], separator: str) -> None:
    lines = [("a/1.jpg", "b/2.png", flags[0]), ("c.jpg", "d.jpg", flags[1])]
    found = read(tmp_path, "".join(separator.join(line) + "\n" for line in lines))[0]
    assert found == [("a/1.jpg", "b/2.png", True), ("c.jpg", "d.jpg", False)]


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("Al el Bo 1 4", ("Al el Bo/Al el Bo_0001", "Al el Bo/Al el Bo_0004", True)),
        ("Al Bo 1 C 10", ("Al Bo/Al Bo_0001", "C/C_0010", False)),
        ("C 10 Al el Bo 3", ("C/C_0010", "Al el Bo/Al el Bo_0003", False)),
        ("a b/1.jpg c d/2.PNG 1", ("a b/1.jpg", "c d/2.PNG", True)),
    ],
)
def test_blanks_in_names_are_joined_where_there_is_one_way(
    tmp_path: Path, line: str, pair: tuple[str, str, bool]
) -> None:
    assert read(tmp_path, line)[0] == [pair]


def test_two_lines_a_pair_are_put_into_ten_blocks(tmp_path: Path) -> None:
    """As CALFW's: same ones first, with the number of the fold, then the different ones."""
    names = [(f"P{n}_0001.jpg", f"P{n}_0002.jpg", n % 10 + 1) for n in range(40)]
    names += [(f"P{n}_0001.jpg", f"Q{n}_0001.jpg", 0) for n in range(30)]
    path = tmp_path / "pairs_CALFW.txt"
    path.write_text("".join(f"{a} {token}\n{b} {token}\n" for a, b, token in names))
    listed = read_pair_list(path)
    assert sorted(pair.a for pair in listed.pairs) == sorted(a for a, _, _ in names)
    for block in range(10):
        pairs = listed.pairs[7 * block : 7 * block + 7]
        assert [pair.same for pair in pairs] == [True] * 4 + [False] * 3
        assert [pair.line for pair in pairs[:4]] == [2 * (4 * block + n) + 1 for n in range(4)]
    assert "10 blocks" in listed.note
    path.write_text(
        "".join(f"{pair.a} {int(pair.same)}\n{pair.b} {int(pair.same)}\n" for pair in listed.pairs)
    )
    assert not read_pair_list(path).note


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("name\tn1\tn2\trace\nA\t1\t2\tx y\nA\t1\tB\t1\tz\n", ["x y", "z"]),
        ("race,path1,path2,label\nx,a.jpg,b.jpg,1\nz,a.jpg,c.jpg,0\n", ["x", "z"]),
        ("path1;Gender;path2;label\na.jpg;x;b.jpg;1\na.jpg;z;c.jpg;0\n", ["x", "z"]),
        ("file label group\na.jpg 1 x\nb.jpg 1 x\nc.jpg 0 z\nd.jpg 0 z\n", ["x", "z"]),
        ("path1,path2,label\na.jpg,b.jpg,1\na.jpg,c.jpg,0\n", ["", ""]),
    ],
)
def test_a_column_of_groups(tmp_path: Path, text: str, groups: list[str]) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    listed = read_pair_list(path)
    assert [(pair.same, pair.group) for pair in listed.pairs] == [(True, groups[0]), (False, groups[1])]


def test_paths_of_other_machines_begin_with_a_slash(tmp_path: Path) -> None:
    text = "C:\\data\\x\\1.jpg;/home/u/x/2.jpg;1\nx\\1.jpg;x/2.jpg;1\n"
    assert read(tmp_path, text)[0] == [
        ("/data/x/1.jpg", "/home/u/x/2.jpg", True),
        ("x/1.jpg", "x/2.jpg", True),
    ]
