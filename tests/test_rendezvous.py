"""The folder in which the processes of an attempt meet."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from arcterm.processes.hosts import rendezvous


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The folder for temporary files."""
    monkeypatch.setattr(rendezvous.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_it_is_ours_alone_and_goes_with_what_is_in_it(place):
    before = os.umask(0)
    try:
        with rendezvous.folder() as made, rendezvous.folder() as other:
            assert made != other
            assert made.parent == place
            assert stat.S_IMODE(made.stat().st_mode) == 0o700
            (made / rendezvous.RANKS).write_text("x")
    finally:
        os.umask(before)
    assert list(place.iterdir()) == []


def test_it_goes_after_an_error_too(place):
    with pytest.raises(OSError, match="no"), rendezvous.folder():
        raise OSError("no")
    assert list(place.iterdir()) == []


def test_what_a_killed_supervisor_left_is_swept_and_what_is_held_is_not(place):
    left = place / f"{rendezvous._PREFIX}left"
    left.mkdir()
    (left / "agent").write_text("x")
    with rendezvous.folder() as held:
        for path in (left, held):
            os.utime(path, (0, 0))
        with rendezvous.folder():
            assert held.exists()
            assert not left.exists()


def test_a_network_disk_is_no_place(place, monkeypatch):
    mounts = [
        SimpleNamespace(mountpoint="/", fstype="ext4"),
        SimpleNamespace(mountpoint=str(place), fstype="nfs4"),
    ]
    monkeypatch.setattr(rendezvous.psutil, "disk_partitions", lambda all: mounts)
    with rendezvous.folder() as made:
        assert place not in made.parents
        assert str(made.parent) in rendezvous._PLACES


def test_a_place_that_can_not_be_written_is_passed_over(monkeypatch):
    monkeypatch.setattr(rendezvous.tempfile, "gettempdir", lambda: "/no/such/folder")
    with rendezvous.folder() as made:
        assert made.parent in map(Path, rendezvous._PLACES)
