"""A training waits for room on its disk, and a stop is obeyed while it waits."""

from __future__ import annotations

import itertools

import pytest

from arcterm.errors import DiskFullError, StopAskedError
from arcterm.runs import control, pulse, state
from arcterm.runs.space import DiskRoom
from arcterm.train import pause as pauses
from arcterm.train.pause import Pause
from arcterm.train.world import World

from ..jobs import Heard
from ..runs.conftest import config, run

__all__ = ["run"]


class Disk:
    """A disk with `free` bytes at one look after the other; `written` are the states, `beats` the phases."""

    def __init__(self, monkeypatch, run, *free):
        self.free, self.written, self.beats, self.slept, self.now = list(free), [], [], 0, 0.0
        self.heard = Heard()
        self.pause = Pause(run, 1, config(), World(), self.heard, self.beats.append)
        monkeypatch.setattr(pauses.space, "to_write", self.look)
        monkeypatch.setattr(pauses.time, "sleep", self.sleep)
        monkeypatch.setattr(pauses.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(
            state,
            "write_state",
            lambda run, name, **told: self.written.append((name, told.get("reason") or None)),
        )

    def look(self, run, size):
        return DiskRoom(run.path, size, self.free.pop(0) if len(self.free) > 1 else self.free[0])

    def sleep(self, seconds):
        self.slept, self.now = self.slept + 1, self.now + seconds


def test_it_waits_until_there_is_room(run, monkeypatch):
    disk = Disk(monkeypatch, run, 5, 5, 5, 5, 2048)
    assert disk.pause.until_written(7, 1024, lambda: "saved") == "saved"
    words = f"the disk of {run.path} is full: 1.0 KiB are needed, 5 bytes are free"
    assert disk.written == [("paused", words), ("running", None)]
    assert [event.text for event in disk.heard] == [
        f"paused at step 7: {words}",
        "there is room on the disk again: it goes on",
    ]
    assert set(disk.beats) <= set(pulse.PHASES)
    assert disk.beats.count("paused") == disk.slept + 1 == 3


def test_with_room_nothing_is_said(run, monkeypatch):
    disk = Disk(monkeypatch, run, 2048)
    assert disk.pause.until_written(7, 1024, lambda: 1) == 1
    disk.pause.wait(7)
    assert (disk.written, disk.heard, disk.beats) == ([], [], [])


def test_a_quota_that_refuses_is_tried_again_less_and_less_often(run, monkeypatch):
    disk = Disk(monkeypatch, run, 1 << 30)
    tried = []

    def write():
        tried.append(disk.now)
        if len(tried) < 9:
            raise DiskFullError("Disk quota exceeded (/runs/x)")
        return len(tried)

    assert disk.pause.until_written(7, 1024, write) == 9
    assert [after - before for before, after in itertools.pairwise(tried)] == [
        1, 2, 4, 8, 16, 32, 60, 60,
    ]  # fmt: skip
    assert disk.written[0][1].endswith("1.0 GiB are free (Disk quota exceeded (/runs/x))")


def test_a_stop_is_obeyed_without_a_checkpoint(run, monkeypatch):
    disk = Disk(monkeypatch, run, 5)
    control.ask(run, "checkpoint")
    sleep, asked = disk.sleep, []

    def stop(seconds):
        sleep(seconds)
        asked.append(control.ask(run, "stop"))

    monkeypatch.setattr(pauses.time, "sleep", stop)
    with pytest.raises(
        StopAskedError, match=r"without another checkpoint: the disk .* nothing was saved yet"
    ):
        disk.pause.until_written(7, 1024, lambda: pytest.fail("it was written"))
    assert len(asked) == 1
    assert [request.verb for _, request in control.pending(run)] == ["checkpoint"]


def test_a_stop_that_finds_no_room_ends_at_once(run, monkeypatch):
    disk = Disk(monkeypatch, run, 5)
    with pytest.raises(StopAskedError, match="without another checkpoint"):
        disk.pause.until_written(7, 1024, lambda: pytest.fail("it was written"), stopping=True)
    assert disk.slept == 0


def test_events_that_are_held_back_pause_it_too(run, monkeypatch):
    disk, left = Disk(monkeypatch, run, 1 << 30), [False, False, False, True]
    monkeypatch.setattr(disk.heard, "flush", lambda: left.pop(0))
    disk.pause.wait(7)
    assert [name for name, _ in disk.written] == ["paused", "running"]


def test_what_the_next_save_would_delete_goes_first(run, monkeypatch):
    kept = []

    def retain(run, keep_last, keep_best):
        kept.append((keep_last, keep_best))
        return ["step-0000000001"]

    monkeypatch.setattr(pauses.checkpoints, "retain", retain)
    disk = Disk(monkeypatch, run, 5, 2048)
    disk.pause.until_written(7, 1024, lambda: None)
    assert kept == [(2, 1)]
    assert disk.written == []
    assert "step-0000000001 was removed before the next is written" in disk.heard[0].text


def test_for_events_alone_no_checkpoint_goes_that_is_to_be_kept(run, monkeypatch):
    kept = []
    monkeypatch.setattr(pauses.checkpoints, "retain", lambda run, *keep: kept.append(keep) or [])
    disk, left = Disk(monkeypatch, run, 1 << 30), [False, False, True]
    monkeypatch.setattr(disk.heard, "flush", lambda: left.pop(0))
    disk.pause.wait(7)
    assert kept == [(3, 1)]


def test_it_waits_also_where_not_even_its_state_can_be_written(run, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    disk = Disk(monkeypatch, run, 5, 5, 5, 2048)
    monkeypatch.setattr(state, "write_state", full)
    monkeypatch.setattr(pauses.checkpoints, "retain", full)
    disk.pause.wait(7, 1024)
    assert disk.beats.count("paused") == 2
