"""Each value reaches a tracker once and in order, over failures and resumes."""

from __future__ import annotations

import json
import os
import threading

import pytest

from arcterm.runs import trackers
from arcterm.runs.events import Gpu, Gpus, Rank
from tests.trackers.conftest import Kept, Story, change_config, saved, step, verified


def losses() -> list[tuple[int, float]]:
    return [(number, value) for number, name, value in Kept.points if name == "train/loss"]


def test_every_number_of_every_event_comes_under_its_name(story: Story) -> None:
    gpus = Gpus(host="here", gpus=[Gpu(index=3, name="H", utilisation=50.0, power=None)])
    story.attempt(1, step(1), gpus, Rank(rank=0, cpu=80.0, memory=5), step(2, "nan"), verified(2, 0.75))
    story.state("done", step=2)
    story.feed("kept")
    values = {(number, name): value for number, name, value in Kept.points}
    assert values[1, "train/loss"] == 1.5
    assert values[1, "train/lr"] == 0.1
    assert values[1, "time/forward"] == 2.0
    assert values[1, "gpu/3/utilisation"] == 50.0
    assert values[1, "rank/0/cpu"] == 80.0
    assert values[2, "train/loss"] != values[2, "train/loss"]
    assert values[2, "verify/lfw/accuracy"] == 0.75
    assert (1, "gpu/3/power") not in values
    assert len(values) == len(Kept.points)


def test_a_resume_goes_on_in_the_same_tracker_and_no_value_comes_twice(story: Story) -> None:
    story.attempt(1, *map(step, (1, 2, 3, 4)))
    story.state("stopped", step=2)
    story.feed("kept")
    assert losses() == [(n, 1.5 / n) for n in (1, 2, 3, 4)]
    story.attempt(2, verified(2, 0.7), *[step(n, 1.5) for n in (3, 4, 5)], begins=2)
    story.state("done", step=5, attempt=2)
    story.feed("kept")
    assert losses() == [(n, 1.5 / n) for n in (1, 2, 3, 4, 5)]
    assert [p for p in Kept.points if p[1] == "verify/lfw/accuracy"] == [(2, "verify/lfw/accuracy", 0.7)]
    assert Kept.calls == ["start -1", "close stopped", "start 4", "close done"]
    assert story.feed("kept").at.state == "done"
    assert len(losses()) == 5


def test_one_that_can_rewind_has_the_numbers_of_the_attempt_that_counts(story: Story) -> None:
    story.attempt(1, *map(step, (1, 2, 3, 4)))
    story.attempt(2, step(3, 9.0), step(4, 9.0), begins=2)
    story.state("done", step=4, attempt=2)
    story.feed("rewound")
    assert losses() == [(1, 1.5), (2, 0.75), (3, 3.0), (4, 2.25)]
    assert "rewind 2" in Kept.calls


@pytest.mark.parametrize("where", ["start", "log", "notify", "close"])
def test_what_a_tracker_raises_is_tried_again_and_nothing_is_lost_or_doubled(
    story: Story, where: str
) -> None:
    failed: list[str] = []

    def fail_twice(what: str, number: int) -> None:
        if what == where and (what != "log" or number == 3) and len(failed) < 2:
            failed.append(what)
            raise ConnectionError("the service is away")

    Kept.raises = staticmethod(fail_twice)
    story.attempt(1, *map(step, (1, 2, 3, 4)))
    story.state("done", step=4)
    waited: list[float] = []
    at = story.feed("rewound", pause=waited.append).at
    assert failed == [where, where]
    assert (at.state, at.error) == ("done", "")
    assert losses() == [(n, 1.5 / n) for n in (1, 2, 3, 4)]
    assert [notice.kind for notice in Kept.notices] == ["done"]
    assert waited[:2] == [5.0, 10.0]


def test_one_that_always_raises_is_given_up_and_its_record_says_why(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abcdef123456")

    def fail(what: str, number: int) -> None:
        raise ValueError("no such project for abcdef123456")

    Kept.raises = staticmethod(fail)
    story.attempt(1, step(1))
    story.state("done", step=1)
    assert story.feed("kept").at.state == "failed"
    described = trackers.describe(story.run)[0]
    assert described["state"] == "failed"
    assert described["error"] == "start: ValueError: no such project for ***"
    Kept.raises = staticmethod(lambda what, number: None)
    assert story.feed("kept").at.state == "done"  # a resume tries again
    assert losses() == [(1, 1.5)]


def test_one_that_hangs_ends_its_process_and_its_record_says_where(story: Story) -> None:
    ended, woken = threading.Event(), []

    def hang(what: str, number: int) -> None:
        if what == "start" and not ended.is_set():
            assert ended.wait(30)
            raise SystemExit

    def leave(code: int) -> None:
        woken.append(trackers.read(story.run, "kept"))
        ended.set()

    Kept.raises = staticmethod(hang)
    story.attempt(1, step(1))
    story.state("done", step=1)
    story.feed("kept", patience=0.05, hung=leave)
    assert (woken[0].state, woken[0].error) == ("failed", "start did not return for 0.05 s")


def test_what_was_not_flushed_when_the_process_was_killed_is_given_again(story: Story) -> None:
    story.attempt(1, step(1), step(2))
    story.state("done", step=2)

    class Killed(BaseException):
        pass

    def kill(what: str, number: int) -> None:
        if what == "log" and number == 2:
            raise Killed

    Kept.raises = staticmethod(kill)
    with pytest.raises(Killed):
        story.feed("rewound")
    assert losses() == [(1, 1.5)]
    Kept.raises = staticmethod(lambda what, number: None)
    story.feed("rewound")
    assert losses() == [(1, 1.5), (2, 0.75)]


def test_events_of_many_batches_and_files_are_all_given(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcterm.tracking.feeder.BATCH", 7)
    monkeypatch.setattr("arcterm.runs.journal.SEGMENT_BYTES", 2000)
    story.attempt(1, *map(step, range(1, 41)))
    story.state("done", step=40)
    story.feed("kept")
    assert [number for number, _ in losses()] == list(range(1, 41))


def test_a_tracker_that_a_resume_left_out_ends(story: Story) -> None:
    story.attempt(1, step(1))
    story.state("queued")
    change_config(story.run, track="rewound")
    story.feed("kept")
    assert Kept.calls[-1] == "close queued"


def test_one_that_nothing_was_started_for_needs_no_tracker(story: Story) -> None:
    story.state("stopped", reason="stopped while it waited")
    story.feed("kept")
    assert [call.split()[0] for call in Kept.calls] == ["start", "close"]  # for the notice alone
    assert [notice.text for notice in Kept.notices] == ["stopped while it waited"]


def test_a_removed_run_is_left(story: Story) -> None:
    import shutil

    story.attempt(1, step(1))
    story.state("running")

    def remove(seconds: float) -> None:
        shutil.rmtree(story.run.path, ignore_errors=True)

    story.feed("kept", pause=remove)
    assert not story.run.path.exists()


def test_the_record_is_json_that_a_person_can_read(story: Story) -> None:
    story.attempt(1, step(1), saved(1))
    story.state("done", step=1)
    story.feed("kept")
    record = json.loads((trackers.folder(story.run, "kept") / "state.json").read_text())
    assert (record["tracker"], record["state"], record["step"]) == ("kept", "done", 1)
    assert record["values"] == len(Kept.points)


def test_a_process_that_is_gone_is_said(story: Story) -> None:
    story.attempt(1, step(1))
    place = trackers.folder(story.run, "kept")
    place.mkdir(parents=True)
    assert trackers.describe(story.run)[0]["state"] == "starting"
    trackers.write(story.run, trackers.Tracking(tracker="kept", state="running", step=1, since=1.0))
    assert trackers.describe(story.run)[0]["state"] == "gone"
    with trackers.lock(story.run, "kept"):
        assert trackers.describe(story.run)[0]["state"] == "running"


def test_one_that_was_done_before_a_resume_is_waited_for(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short resume may be over before the process is up that feeds the tracker on."""
    monkeypatch.setattr(trackers, "_LOOK_SECONDS", 0.0)
    change_config(story.run, track="kept")
    story.attempt(1, step(1))
    story.state("done", step=1)
    story.feed("kept")
    assert trackers.describe(story.run)[0]["state"] == "done"
    for file in story.run.events.glob("*.jsonl"):
        with file.open("ab") as lines:
            lines.write(b'{"k":"step","st')  # which a kill has cut is nothing to wait for
    assert trackers.describe(story.run)[0]["state"] == "done"
    story.attempt(2, step(2))
    story.state("done", step=2)
    assert trackers.describe(story.run)[0]["state"] == "starting"
    with trackers.lock(story.run, "kept"):
        assert trackers.describe(story.run)[0]["state"] == "running"
    looks = iter(range(3))
    described = trackers.describe

    def start_late(run: object) -> list[dict[str, object]]:
        if next(looks, None) is None:
            story.feed("kept")
        return described(story.run)

    monkeypatch.setattr(trackers, "describe", start_late)
    assert trackers.wait_for(story.run, patience=0.0) == []
    assert [number for number, _ in losses()] == [1, 2]
    story.attempt(3, step(3))
    for file in story.run.events.iterdir():
        os.utime(file, (1.0, 1.0))
    assert described(story.run)[0]["state"] == "gone"


def test_the_feeder_needs_neither_torch_nor_numpy() -> None:
    import subprocess
    import sys

    code = "import sys, arcterm.processes.tracker; print({'torch', 'numpy', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_command_waits_for_a_tracker_as_long_as_it_gets_on(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "_LOOK_SECONDS", 0.0)
    change_config(story.run, track="kept")
    trackers.folder(story.run, "kept").mkdir(parents=True)
    looks = iter([("running", 1), ("running", 2), ("done", 3)])

    def get_on(run: object) -> list[dict[str, object]]:
        word, number = next(looks)
        trackers.write(story.run, trackers.Tracking(tracker="kept", state=word, step=number, since=1))
        return described(story.run)

    described = trackers.describe
    monkeypatch.setattr(trackers, "describe", get_on)
    with trackers.lock(story.run, "kept"):
        assert trackers.wait_for(story.run, patience=30) == []
        trackers.write(story.run, trackers.Tracking(tracker="kept", state="running", step=3, since=1))
        monkeypatch.setattr(trackers, "describe", described)
        assert [left["name"] for left in trackers.wait_for(story.run, patience=0.0)] == ["kept"]
    assert trackers.wait_for(story.run, patience=30) == []  # its process is gone
