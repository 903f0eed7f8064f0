"""The data set folder, by the registry's door: what is said of it before a launch."""

from __future__ import annotations

from pathlib import Path

import pytest
from arcterm_registry import get

from arcterm.errors import DataError

from .conftest import make_folder

INSPECT = get("dataset", "folder").make_facts


def test_leftovers_and_files_without_an_image_are_told_once(faces: list[list[bytes]], tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "people", {f"p{n}": faces[n] for n in range(3)})
    before = INSPECT(folder).problems
    (folder / "__MACOSX").mkdir()
    (folder / "p0" / "._0.jpg").write_bytes(b"Mac OS X")
    (folder / "p0" / "Thumbs.db").touch()
    (folder / "p0" / "00.jpg").touch()
    (folder / "p1" / "00.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 1\n")
    hollow, leftovers = (said for said in INSPECT(folder).problems if said not in before)
    assert hollow.startswith("2 image files hold no image, being empty or Git LFS pointers")
    assert f"{folder / 'p0' / '00.jpg'}, {folder / 'p1' / '00.jpg'};" in hollow
    assert leftovers == f"{folder} has 3 files that aren't images of anybody; they are passed over"


def test_everybody_without_an_image_is_named_at_once(faces: list[list[bytes]], tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "people", {"a": faces[0], "b": faces[1]})
    for name in ("c", "d"):
        (folder / name).mkdir()
    with pytest.raises(DataError, match=f"2 folders have no image: {folder / 'c'}, {folder / 'd'}"):
        INSPECT(folder)
