"""Places where a run can't be made or saved: a clear message, and nothing outside them is touched."""

from __future__ import annotations

import os
import subprocess

import pytest

from arcterm.errors import DataError, RunError, TrainingError
from arcterm.runs import checkpoints, store
from arcterm.runs.store import Run
from tests.faults.conftest import small_disk
from tests.faults.saving import save
from tests.runs.conftest import config

__all__ = ["small_disk"]


def create(root):
    return store.create(root, config(), label="x", argv=[], host="h")


def everything(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def test_a_disk_that_can_only_be_read(small_disk):
    run = create(small_disk)
    save(run, 1, "")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(TrainingError, match="step 2 could not be written: Read-only file system") as error:
        save(run, 2, "")
    assert "arcterm resume" in error.value.hint
    with pytest.raises(RunError, match=r"can't make a run in .*: Read-only file system"):
        create(small_disk)
    assert checkpoints.newest(run).manifest.step == 1


def test_a_folder_of_another_user(tmp_path):
    run = create(tmp_path / "runs")
    own = os.geteuid()
    if own:
        pytest.skip("another user's files can be had as root alone")
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(RunError, match="Permission denied"):
            create(tmp_path / "others")
        with pytest.raises(TrainingError, match="Permission denied"):
            save(run, 1, "")
    finally:
        os.seteuid(own)
    assert list(run.checkpoints.iterdir()) == []


def test_a_run_behind_a_link(tmp_path):
    run = create(tmp_path / "disk")
    (tmp_path / "runs").mkdir()
    link = tmp_path / "runs" / run.id
    link.symlink_to(run.path)
    save(Run(link), 1, "")
    assert checkpoints.newest(run).manifest.step == 1
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "runs"]


@pytest.mark.parametrize("name", ["x" * 300, b"r\xff\xfens"])
def test_names_that_a_run_can_not_have(tmp_path, name):
    root = tmp_path / os.fsdecode(name)
    before = everything(tmp_path)
    with pytest.raises((RunError, DataError), match=r"File name too long|not UTF-8") as error:
        create(root)
    assert error.value.hint
    assert everything(tmp_path) == before


def test_a_long_path_and_one_of_many_letters(tmp_path):
    root = tmp_path.joinpath(*(f"{letter}" * 60 for letter in "aбç中"))
    run = create(root)
    save(run, 1, "")
    assert len(os.fsencode(run.path)) > 255
    assert checkpoints.newest(run).manifest.step == 1
