"""Room on a disk: how much is needed, the reserve for last words, and the bytes of a run."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from arcterm import files
from arcterm.runs import space
from arcterm.runs.events import Message
from arcterm.runs.journal import Journal
from arcterm.runs.reading.follow import Follower

from .conftest import config


class FullDisk:
    """A disk that takes `room` more bytes of the files written by `os.write`, and no new file."""

    def __init__(self, room: int, number: int = errno.ENOSPC) -> None:
        self.room, self.number, self.write = room, number, os.write

    def __call__(self, fd, data):
        if not self.room:
            raise OSError(self.number, os.strerror(self.number))
        taken = self.write(fd, data[: self.room])
        self.room -= taken
        return taken


def test_what_checkpoints_need():
    sgd = space.checkpoint_bytes(config(), 1000, 10, 512)
    assert sgd - space.checkpoint_bytes(config(), 0, 0, 512) == 8 * (1000 + 5120)
    assert space.checkpoint_bytes(config(optimizer="adamw"), 1000, 10, 512) - sgd == 4 * (1000 + 5120)
    assert space.checkpoint_bytes(config(ema=0.9), 1000, 10, 512) - sgd == 4 * 1000
    room = space.of_training(Path("/no/such/folder"), config(keep_last=3, keep_best=1), 100)
    assert (room.needed, room.suffices) == (500, True)
    assert not space.DiskRoom(Path("/"), room.free + 1, room.free).suffices


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_still_takes_last_words(run, monkeypatch, number):
    def full(path, value):
        raise OSError(number, os.strerror(number), str(path))

    space.keep_reserve(run)
    place = run.path / "state.json"
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_json", full)
        for step in range(8):
            space.write_json(run, place, {"step": step})
            assert json.loads(place.read_text()) == {"step": step}
        with pytest.raises(OSError, match=os.strerror(number)):
            space.write_json(run, place, {"step": 8})
    assert json.loads(place.read_text()) == {"step": 7}
    assert not list(run.path.glob(".*"))
    space.keep_reserve(run)
    assert sum(spare.stat().st_size for spare in (run.path / "reserve").iterdir()) == 8 * 8192
    space.drop_reserve(run)
    assert not (run.path / "reserve").exists()


def test_another_error_is_no_full_disk(run, monkeypatch):
    def broken(path, value):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    space.keep_reserve(run)
    monkeypatch.setattr(files, "write_json", broken)
    with pytest.raises(OSError, match="Input/output"):
        space.write_json(run, run.path / "state.json", {})
    assert len(list((run.path / "reserve").iterdir())) == 8


@pytest.mark.parametrize("room", [0, 1, 40, 100, 230])
def test_events_wait_for_room_and_none_is_torn(run, monkeypatch, room):
    journal = Journal(run.events, 1, 0)
    disk = FullDisk(room)
    monkeypatch.setattr(os, "write", disk)
    for number in range(5):
        journal.write(Message(level="info", text=f"event {number}"))
    assert not journal.flush()
    journal.sync()
    seen = [event.text for _, event in Follower(run).poll(100)]
    assert seen == [f"event {number}" for number in range(len(seen))]
    assert len(seen) < 5
    with pytest.raises(OSError, match="No space left"):
        journal.close()
    disk.room = 10_000
    journal.write(Message(level="info", text="event 5"))
    assert journal.flush()
    journal.close()
    assert [event.text for _, event in Follower(run).poll(100)] == [f"event {number}" for number in range(6)]


def test_a_segment_grows_while_no_other_can_be_made(run, monkeypatch):
    monkeypatch.setattr("arcterm.runs.journal.SEGMENT_BYTES", 200)
    journal, opened = Journal(run.events, 1, 0), os.open

    def full(path, flags, *mode):
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return opened(path, flags, *mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        for number in range(5):
            journal.write(Message(level="info", text=f"event {number}"))
    assert len(list(run.events.glob("*.jsonl"))) == 1
    journal.write(Message(level="info", text="event 5"))
    assert len(list(run.events.glob("*.jsonl"))) == 2
    journal.close()
    assert [event.text for _, event in Follower(run).poll(100)] == [f"event {number}" for number in range(6)]


def test_a_run_is_measured_again_only_where_it_changed(run, monkeypatch):
    deep = run.path / "ckpt" / "step-0000000001"
    deep.mkdir()
    (deep / "weights").write_bytes(bytes(1000))
    log = run.path / "attempts" / "agent.log"
    log.write_bytes(bytes(10))
    before = space.used_bytes(run.path)
    assert before == sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or scandir(path))
    log.write_bytes(bytes(15))
    assert space.used_bytes(run.path) == before + 5
    assert not looked
    (deep / "more").write_bytes(bytes(7))
    os.utime(deep, ns=(0, 0))
    assert space.used_bytes(run.path) == before + 12
    assert looked == [deep]
    assert space.used_bytes(run.path / "gone") == 0
