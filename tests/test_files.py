"""Files: whether they changed, and writing them whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from arcterm import files
from arcterm.errors import DataError, StopAskedError


def test_a_stamp_changes_with_size_and_time_and_says_what_is_absent(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    first = files.stamp([file, tmp_path / "b"])
    assert first[1] == [str(tmp_path / "b"), -1, 0]
    assert files.stamp([file, tmp_path / "b"]) == first
    os.utime(file, ns=(1, 1))
    assert files.stamp([file])[0][2] == 1
    file.write_bytes(b"more")
    assert files.stamp([file])[0][1] == 4


def test_a_copy_put_back_has_the_same_stamp_but_not_the_exact_one(tmp_path: Path) -> None:
    file, copy = tmp_path / "a", tmp_path / "b"
    file.write_bytes(b"one")
    shutil.copy2(file, copy)
    usual, exact = files.stamp([file]), files.stamp([file], exact=True)
    copy.replace(file)
    assert files.stamp([file]) == usual
    assert files.stamp([file], exact=True) != exact


def test_what_can_not_be_looked_at_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="file/below: Not a directory"):
        files.stamp([tmp_path / "file" / "below"])


def test_a_place_that_can_not_be_made_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    files.require_free(tmp_path / "new" / "out")
    with pytest.raises(DataError, match="file is no directory"):
        files.require_free(tmp_path / "file" / "out")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    with pytest.raises(DataError, match=f"{tmp_path} can't be written to"):
        files.require_free(tmp_path / "new" / "out")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_staged_directory_appears_whole_or_not_at_all(tmp_path: Path, error: BaseException) -> None:
    place = tmp_path / "pack"
    with pytest.raises((DataError, KeyboardInterrupt)), files.staged_directory(place) as stage:
        (stage / "a").write_bytes(b"")
        raise error
    assert not list(tmp_path.iterdir())
    with files.staged_directory(place) as stage:
        (stage / "a").write_bytes(b"")
        assert not place.exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["pack", "a"]
    with pytest.raises(DataError, match="already exists"), files.staged_directory(place):
        pass


def test_a_stop_leaves_what_is_resumed(tmp_path: Path) -> None:
    with pytest.raises(StopAskedError), files.staged_directory(tmp_path / "x", "job") as stage:
        (stage / "a").write_bytes(b"1")
        raise StopAskedError
    assert files.stage_of(tmp_path / "x", "job") == stage
    with files.staged_directory(tmp_path / "x", "job") as again:
        assert (again / "a").read_bytes() == b"1"
    assert (tmp_path / "x" / "a").exists() and not stage.exists()


def test_a_replaced_file_is_the_old_one_until_it_is_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    files.write_json(file, [1])
    files.write_json(file, [2])
    assert files.read_json(file, list[int]) == [2] and [p.name for p in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(FileExistsError):
        files.create_json(file, [3])
