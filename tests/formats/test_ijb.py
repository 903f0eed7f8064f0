"""IJB's text files: what is read, and that whatever does not match is named, all at once."""

from __future__ import annotations

import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.formats.ijb import lines
from arcterm.formats.ijb.database import find_missing, odd_sizes, read_faces, read_protocol
from arcterm.formats.ijb.pairs import read_pairs
from arcterm.formats.ijb.places import locate
from arcterm.formats.ijb.problems import Problems
from tests.evaluate.ijbsets import InventedIjb


@pytest.fixture
def made(tmp_path):
    return InventedIjb(tmp_path)


def read(made):
    places = locate(made.folder)
    faces = read_faces(places)
    return faces, read_protocol(places, faces)


def edit(made, name, number, line):
    """Put `line` in the place of a file's line, numbered from 1."""
    found = made.lines(name)
    found[number - 1] = line
    made.write_lines(name, found)


@pytest.mark.parametrize("letter", ["B", "C"])
def test_a_set_is_read_as_it_was_made(tmp_path, letter):
    made = InventedIjb(tmp_path, letter)
    faces, protocol = read(made)
    assert faces.names == made.names
    assert faces.templates.tolist() == made.templates
    assert faces.media.tolist() == made.media
    assert faces.scores.tolist() == made.scores
    assert (faces.points == np.array(made.points, np.float32)).all()
    rows = zip(protocol.pairs.left, protocol.pairs.right, protocol.pairs.same.astype(int), strict=True)
    assert [tuple(map(int, row)) for row in rows] == made.pairs
    assert dict(zip(*protocol.probes[:2], strict=True)) == {i: 200 + p for i, p in made.probes.items()}
    first, second = (dict(zip(*g[:2], strict=True)) for g in protocol.galleries.values())
    assert first | second == {i: 200 + p for i, p in made.enrolled.items()}
    assert set(first.values()) == {200, 202, 204}
    assert find_missing(faces) == []
    assert f"{len(made.names):,} images ({227_630 if letter == 'B' else 469_375:,} in the whole one)" in (
        odd_sizes(letter, faces, protocol)
    )


def test_the_root_may_hold_the_folder_or_be_it(tmp_path):
    made = InventedIjb(tmp_path, "B")
    assert locate(tmp_path).pairs == locate(made.folder, "B").pairs == made.path("template_pair_label.txt")
    with pytest.raises(DataError, match="is not IJBC: there is no meta/ijbc_face_tid_mid"):
        locate(tmp_path, "C")
    InventedIjb(tmp_path, "C")
    assert locate(tmp_path, "C").letter == "C"
    with pytest.raises(DataError, match="holds IJBB and IJBC"):
        locate(tmp_path)
    made.path("template_pair_label.txt").unlink()
    with pytest.raises(DataError, match="ijbb_template_pair_label"):
        locate(tmp_path, "B")


def test_without_files_of_identification_there_are_pairs_alone(made):
    made.path("1N_gallery_G2.csv").unlink()
    places = locate(made.folder)
    assert (places.absent, places.galleries, places.probes) == (("ijbc_1N_gallery_G2.csv",), {}, None)
    assert read(made)[1].probes is None


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("face_tid_mid.txt", "3.jpg 5", "face_tid_mid.txt line 3: it has 2 fields, not 3"),
        ("face_tid_mid.txt", "3.jpg 5x 1", "line 3: the template id '5x' is no whole number"),
        ("face_tid_mid.txt", "3.jpg 5 -1", "line 3: the media id '-1' is no whole number"),
        ("face_tid_mid.txt", "../3.jpg 5 1", "line 3: '../3.jpg' is no name of an image in loose_crop"),
        ("face_tid_mid.txt", "", "line 3: it has 0 fields"),
        ("name_5pts_score.txt", "3.jpg 1 2 3 4 5 6 7 8 9 0.5", "line 3: it has 11 fields, not 12"),
        (
            "name_5pts_score.txt",
            "3.jpg 1 2 3 4 5 nan 7 8 9 10 0.5",
            "line 3: .* has a number that is not fin",
        ),
        ("name_5pts_score.txt", "3.jpg 1 2 3 4 5 6 7 8 9 10 inf", "line 3: .* has a number that is not fin"),
        ("name_5pts_score.txt", "3.jpg 1 2 3 4 5 6 7 8 9 1_0 1", "line 3: .* are not ten coordinates"),
        ("name_5pts_score.txt", "4.jpg 1 2 3 4 5 6 7 8 9 10 1", "line 3: ijbc_face_tid_mid.txt has '3.jpg'"),
        ("template_pair_label.txt", "7 500000 2", "line 3: the label '2' is not 0 or 1"),
        ("template_pair_label.txt", "7 500000", "line 3: it has 2 fields, not 3"),
        ("template_pair_label.txt", "7 500000 1 1", "line 3: it has 4 fields, not 3"),
        ("template_pair_label.txt", "7 1234567890 1", "line 3: the template id '1234567890' is no whole"),
        ("template_pair_label.txt", "7 31337 1", "line 3: no image is of template 31337"),
        ("template_pair_label.txt", "1 2 1", "line 3: no image is of template 1 or 2"),
        ("1N_gallery_G1.csv", "7", "line 3: it has 1 field"),
        ("1N_gallery_G1.csv", "7,x,", "line 3: the subject id 'x' is no whole"),
        (
            "name_5pts_score.txt",
            "3.jpg 1 2 3 4 5 6 7 8 9 10 -0.1",
            "line 3: the detector score '-0.1' is below",
        ),
        ("1N_gallery_G1.csv", "31337,2,", "gallery_G1.csv: no image is of template 31337"),
        ("1N_probe_mixed.csv", "7,900,", "line 3: template 7 is of subject 900 here, of 200 above"),
    ],
)
def test_a_bad_line_is_named(made, name, line, said):
    edit(made, name, 3, line)
    with pytest.raises(DataError, match=said):
        read(made)


def test_all_problems_are_named_at_once(made):
    edit(made, "face_tid_mid.txt", 2, "2.jpg 5")
    edit(made, "face_tid_mid.txt", 4, "4.jpg 5 6 7")
    edit(made, "name_5pts_score.txt", 3, "3.jpg 1")
    with pytest.raises(DataError) as raised:
        read(made)
    for said in ("tid_mid.txt line 2", "tid_mid.txt line 4", "5pts_score.txt line 3"):
        assert said in raised.value.message
    edit(made, "template_pair_label.txt", 2, "7 500000")
    edit(made, "1N_probe_mixed.csv", 2, "x,1")
    with pytest.raises(DataError, match=r"tid_mid.txt line 2.*pair_label.txt line 2.*probe_mixed.csv line 2"):
        read(made)
    made.write()
    edit(made, "template_pair_label.txt", 2, "7 31337 0")
    edit(made, "1N_probe_mixed.csv", 2, "x,1")
    edit(made, "1N_gallery_G2.csv", 2, "31338,1")
    with pytest.raises(DataError) as raised:
        read(made)
    for said in ("pair_label.txt line 2", "probe_mixed.csv line 2", "of template 31338"):
        assert said in raised.value.message


def test_files_that_give_a_template_two_subjects_are_refused(made):
    row = made.lines("1N_gallery_G1.csv")[1]
    for name in ("1N_gallery_G2.csv", "1N_probe_mixed.csv"):
        made.write_lines(name, [*made.lines(name), f"{row.split(',')[0]},999"])
    with pytest.raises(
        DataError,
        match=r"of subject 204 in ijbc_1N_gallery_G1\.csv, of 999 in .*_G2.csv; .* of 999 in .*_mixed",
    ):
        read(made)


def test_many_problems_are_counted(made):
    made.write_lines("template_pair_label.txt", ["1 2 1"] * 500)
    with pytest.raises(DataError, match=r"line 5: .*; and 495 more like these"):
        read(made)
    made.write()
    made.write_lines("face_tid_mid.txt", [f"{n}.png 1 1" for n in range(500)])
    with pytest.raises(DataError, match=r"has 500 lines, ijbc_name_5pts_score\.txt has"):
        read(made)
    made.write_lines("face_tid_mid.txt", ["x"] * 500)
    with pytest.raises(DataError, match=r"line 5: .*; .*lines after these were not looked at"):
        read(made)


def test_a_message_is_one_line_of_no_more_than_a_screen(made):
    made.write_lines("face_tid_mid.txt", [f"{'y' * 200} 1 {'2' * 200}"] * 50)
    made.write_lines("name_5pts_score.txt", [f"{'z' * 200} {'1 ' * 10} {'x' * 200}"] * 50)
    with pytest.raises(DataError, match="; and there is more") as raised:
        read(made)
    assert raised.value.message.isprintable() and len(raised.value.message) < 1000


def test_bytes_that_are_no_text_take_no_more_room_than_others(made):
    path = made.folder / "meta" / "ijbc_1N_gallery_G1.csv"
    path.write_bytes((b"/" + b"\x00\x7f" * 200 + b",2\n") * 9)
    with pytest.raises(DataError, match="is no whole number") as raised:
        read(made)
    assert raised.value.message.isprintable() and len(raised.value.message) < 1000


def test_long_names_that_differ_are_shortened(made):
    edit(made, "face_tid_mid.txt", 1, f"{'y' * 3000} {made.templates[0]} 1")
    with pytest.raises(DataError, match=r"yyy\.\.\.', ijbc_name_5pts_score\.txt has '1\.jpg'") as raised:
        read(made)
    assert len(raised.value.message) < 300


def test_the_mark_of_utf_8_is_passed_over(made):
    wanted = read(made)
    for path in locate(made.folder).files:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = read(made)
    assert found[0].names == wanted[0].names
    assert [column.tolist() for column in found[1].pairs] == [column.tolist() for column in wanted[1].pairs]


@pytest.mark.parametrize("first", ["{}", " {}", '"{}"', "\ufeff{}"])
def test_a_first_row_without_names_of_columns_is_no_header(made, first):
    _, wanted = read(made)
    rows = made.lines("1N_gallery_G1.csv")[1:]
    id_, rest = rows[0].split(",", 1)
    made.write_lines("1N_gallery_G1.csv", [f"{first.format(id_)},{rest}", *rows[1:]])
    _, found = read(made)
    assert found.galleries["G1"].rows == wanted.galleries["G1"].rows == len(rows)
    made.write_lines("1N_gallery_G1.csv", [f"x{id_},{rest}", *rows[1:]])
    with pytest.raises(DataError, match=rf"line 1: the template id 'x{id_}' is no whole number"):
        read(made)


def test_other_separators_and_ends_of_lines_are_read(made):
    made.write_lines("template_pair_label.txt", ["500000\t7\t1\r", "  500017   7  0  "])
    made.path("1N_probe_mixed.csv").write_text('TEMPLATE_ID,SUBJECT_ID\r\n"7",3\r\n7,3\r\n38, 4')
    _, protocol = read(made)
    assert [column.tolist() for column in protocol.pairs] == [[500000, 500017], [7, 7], [True, False]]
    assert [protocol.probes.templates.tolist(), protocol.probes.subjects.tolist()] == [[7, 38], [3, 4]]
    assert protocol.probes.rows == 3


def test_missing_images_are_found(made):
    gone = [made.names[4], made.names[2]]
    for name in gone:
        (made.folder / "loose_crop" / name).unlink()
    edit(made, "face_tid_mid.txt", 1, f"deep/1.jpg {made.templates[0]} 1")
    edit(made, "name_5pts_score.txt", 1, "deep/1.jpg 1 2 3 4 5 6 7 8 9 10 1")
    faces, _ = read(made)
    assert find_missing(faces) == ["deep/1.jpg", *sorted(gone)]


@pytest.mark.parametrize("name", ["face_tid_mid.txt", "template_pair_label.txt", "1N_gallery_G1.csv"])
def test_an_empty_file_is_named(made, name):
    made.path(name).write_text("")
    with pytest.raises(DataError, match=f"{name} (is empty|has 0 lines)"):
        read(made)


def test_a_file_of_many_blocks_is_read_as_one(made, monkeypatch):
    rows = np.random.default_rng(0).integers(0, 10**9, (5000, 3))
    rows[:, 2] %= 2
    made.write_lines("template_pair_label.txt", ["{} {} {}".format(*row) for row in rows.tolist()])
    monkeypatch.setattr(lines, "_BLOCK", 1000)
    problems = Problems()
    found = read_pairs(made.path("template_pair_label.txt"), problems)
    assert not problems
    assert (np.column_stack(found) == rows).all()
    edit(made, "template_pair_label.txt", 3000, "1 1")
    read_pairs(made.path("template_pair_label.txt"), problems)
    with pytest.raises(DataError, match="line 3000: it has 2 fields"):
        problems.require_none(made.folder, "")


def test_what_is_no_text_is_refused(made):
    made.path("template_pair_label.txt").write_bytes(b"\0" * 300_000)
    with pytest.raises(DataError, match="a line of more than 64 KiB"):
        read(made)
