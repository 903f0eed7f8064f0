"""TinyFace's lists and folders: what is read, and that all that doesn't fit is named at once."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from scipy.io import savemat

from arcterm.errors import DataError
from arcterm.formats.tinyface import SUBSETS, read_tinyface
from tests.evaluate.tinysets import LISTS, make_tinyface, write_list, write_lists


@pytest.fixture
def root(tmp_path):
    """Four people: eight probes, eight matches, nine distractors."""
    return make_tinyface(tmp_path / "tinyface", side=16)


def rewrite(root, change, which=0):
    """The list again, with its rows of name and identity changed."""
    found = read_tinyface(root)
    paths, people = [(found.probes, found.probe_people), (found.matches, found.match_people)][which]
    rows = change([(path.name, person) for path, person in zip(paths, people.tolist(), strict=True)])
    write_list(root / "Testing_Set" / LISTS[which], [name for name, _ in rows], [n for _, n in rows], which)


def test_a_set_is_read(root):
    found = read_tinyface(root)
    assert [path.name for path in found.probes[:3]] == ["1_1.jpg", "1_2.jpg", "2_1.jpg"]
    assert found.probe_people.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert found.match_people.tolist() == [1, 1, 2, 2, 2, 3, 4, 4]
    assert [path.parent.name for path in found.images] == [
        subset for subset, count in zip(SUBSETS, (8, 8, 9), strict=True) for _ in range(count)
    ]
    assert all(path.is_file() for path in found.images)
    assert found.notes == [
        "Probe has 8 images, 3,728 were published",
        "Gallery_Match has 8 images, 4,443 were published",
        "Gallery_Distractor has 9 images, 153,428 were published",
    ]


@pytest.mark.parametrize("given", [".", "Testing_Set", ".."])
def test_the_folder_may_be_any_of_three(root, given):
    assert len(read_tinyface((root / given).resolve()).probes) == 8


@pytest.mark.parametrize("options", [{"do_compression": True}, {"format": "5", "oned_as": "column"}])
def test_lists_of_other_writers(root, options):
    before = read_tinyface(root)
    probes = {path.name: person for path, person in zip(before.probes, before.probe_people, strict=True)}
    matches = {path.name: person for path, person in zip(before.matches, before.match_people, strict=True)}
    write_lists(root / "Testing_Set", probes, matches, **options)
    assert read_tinyface(root).match_people.tolist() == before.match_people.tolist()


def test_copies_with_other_endings_stand_for_the_images(root, tmp_path):
    for subset in SUBSETS:
        (tmp_path / "aligned" / subset).mkdir(parents=True)
        for path in (root / "Testing_Set" / subset).iterdir():
            shutil.copy(path, tmp_path / "aligned" / subset / f"{path.stem}.PNG")
    found = read_tinyface(root, tmp_path / "aligned")
    assert {path.suffix for path in found.images} == {".PNG"}
    assert {path.parent.parent.name for path in found.images} == {"aligned"}


def test_an_image_is_known_by_folder_and_stem(root):
    """A distractor of a probe's name is another image, and stands for none that is missing."""
    lost = root / "Testing_Set" / "Probe" / "1_1.jpg"
    lost.rename(root / "Testing_Set" / "Gallery_Distractor" / "1_1.jpg")
    with pytest.raises(DataError, match=r"Testing_Set lacks 1 image: Probe/1_1\.jpg"):
        read_tinyface(root)


def test_all_missing_images_are_named_at_once(root):
    for name in ("Probe/3_1.jpg", "Gallery_Match/2_4.jpg", "Gallery_Match/4_3.jpg"):
        (root / "Testing_Set" / name).unlink()
    with pytest.raises(DataError, match="lacks 3 images: ") as refused:
        read_tinyface(root)
    assert (
        "lacks 3 images: Probe/3_1.jpg, Gallery_Match/2_4.jpg, Gallery_Match/4_3.jpg" in refused.value.message
    )


def test_names_of_another_identity_are_named(root):
    rewrite(root, lambda rows: [(name, 3 if name in ("1_1.jpg", "2_2.jpg") else n) for name, n in rows])
    with pytest.raises(DataError, match=re.escape("1_1.jpg is listed as 3, 2_2.jpg is listed as 3")):
        read_tinyface(root)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [*rows, rows[0], ("1_1.png", 1)], "lists 1 name twice: 1_1"),
        (lambda rows: [("", 1), *rows], "no name stands at 1"),
        (lambda rows: [(name, n + 0.5) for name, n in rows], "numbers that are no identities"),
        (lambda rows: [(name, np.nan) for name, _ in rows], "numbers that are no identities"),
        (lambda rows: [("a_1.jpg", 1)], "a_1.jpg is listed as 1"),
        (lambda rows: [("9_1.jpg", 9)], "Probe/9_1.jpg"),
        (lambda rows: [("../Probe/1_1.jpg", 1)], "another identity"),
    ],
)
def test_lists_that_cannot_be_are_refused(root, change, words):
    rewrite(root, change)
    with pytest.raises(DataError, match=re.escape(words)):
        read_tinyface(root)


def test_both_lists_are_judged_at_once(root):
    folder = root / "Testing_Set"
    (folder / LISTS[0]).write_bytes(b"no list")
    write_list(folder / LISTS[1], ["1_3.jpg"], [2], 1)
    with pytest.raises(DataError, match=r"is no \.mat file .*; .* 1_3\.jpg is listed as 2") as refused:
        read_tinyface(root)
    assert "TinyFace" in refused.value.hint
    write_list(folder / LISTS[1], ["1_3.jpg"], [1], 1)
    with pytest.raises(DataError, match=r"is no \.mat file") as refused:
        read_tinyface(root)
    assert "TinyFace" in refused.value.hint


def test_a_probe_without_a_mate_is_named(root):
    rewrite(root, lambda rows: [row for row in rows if row[1] != 3], which=1)
    with pytest.raises(DataError, match=re.escape("no image of the people on 2 probes: 3_1.jpg, 3_2.jpg")):
        read_tinyface(root)


def test_other_files_and_folders_are_refused(root, tmp_path):
    with pytest.raises(DataError, match=r"has no probe_img_ID_pairs\.mat"):
        read_tinyface(tmp_path / "elsewhere")
    (root / "Testing_Set" / "Probe" / "1_1.png").touch()
    with pytest.raises(DataError, match=re.escape("images of one stem: 1_1.jpg and 1_1.png")):
        read_tinyface(root)
    savemat(root / "Testing_Set" / LISTS[0], {"probe_set": 3.0})
    with pytest.raises(DataError, match="has no variable `probe_ids`"):
        read_tinyface(root)
    savemat(root / "Testing_Set" / LISTS[0], {"probe_set": 3.0, "probe_ids": 3.0})
    with pytest.raises(DataError, match="has 0 names, `probe_ids` 1 numbers"):
        read_tinyface(root)
    shutil.rmtree(root / "Testing_Set" / "Gallery_Distractor")
    with pytest.raises(DataError):
        read_tinyface(root)
