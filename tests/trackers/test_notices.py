"""What a person hears of a run: each thing once, whatever happens in between."""

from __future__ import annotations

import time

import pytest

from arcterm.runs import diagnosis
from arcterm.runs.diagnosis import AttemptEnd
from arcterm.runs.state import Failure
from tests.trackers.conftest import Kept, Story, saved, step, verified


def told() -> list[tuple[str, str]]:
    return [(notice.kind, notice.text) for notice in Kept.notices]


def kinds() -> list[str]:
    return [notice.kind for notice in Kept.notices]


def test_the_best_verification_is_that_of_the_mean_over_all_sets(story: Story) -> None:
    story.attempt(
        1,
        *[step(2), saved(2), verified(2, 0.8), verified(2, 0.6, "cfp"), step(3)],
        *[saved(4), verified(4, 0.9), verified(4, 0.4, "cfp"), step(5)],  # a lower mean
        *[saved(6), verified(6, 0.81), verified(6, 0.7, "cfp")],
    )
    story.state("done", step=6)
    story.feed("kept")
    assert told() == [
        ("best", "the best so far at step 2: lfw 0.8000, cfp 0.6000"),
        ("best", "the best so far at step 6: lfw 0.8100, cfp 0.7000, after 0.7000"),
        ("done", "all steps are made"),
    ]
    story.feed("kept")
    assert len(Kept.notices) == 3


def test_a_collapsed_network_is_never_the_best(story: Story) -> None:
    story.attempt(1, verified(2, 0.9, collapse="all alike"), verified(4, None))
    story.state("stopped")
    story.feed("kept")
    assert kinds() == ["stopped"]


def test_a_notice_that_could_not_be_sent_comes_again(story: Story) -> None:
    fails = iter([True, True, False, False, False])

    def fail(what: str, number: int) -> None:
        if what == "notify" and next(fails):
            raise ConnectionError("away")

    Kept.raises = staticmethod(fail)
    story.attempt(1, verified(2, 0.8), verified(2, 0.7, "cfp"), step(3), verified(4, 0.9), step(5))
    story.state("done", step=5)
    story.feed("kept")
    assert kinds() == ["best", "best", "done"]
    assert "lfw 0.8000, cfp 0.7000" in Kept.notices[0].text


def test_numbers_that_are_none_are_told_once_an_attempt(story: Story) -> None:
    words = "the loss became nan at step 3"
    story.attempt(1, step(1, "inf", overflow=True), step(2, "inf"), step(3, "nan", skipped=True))
    story.attempt(2, step(3, skipped=True), begins=2)
    failure = Failure(cause=words, hint="`arcterm resume last --lr 0.05` goes on")
    story.state("failed", attempt=2, step=3, failure=failure)
    story.feed("kept")
    assert kinds() == ["nan", "nan", "failed"]
    assert Kept.notices[0].text == "the loss is inf at step 2"
    assert Kept.notices[1].text == "a gradient is no number at step 3; nothing was updated"
    assert Kept.notices[2].text.endswith("`arcterm resume last --lr 0.05` goes on")


def test_a_run_without_progress_a_full_disk_and_a_relaunch_are_told(story: Story) -> None:
    from arcterm.runs import state

    begun = time.time()
    story.attempt(1, step(1, t=begun - 400), t=begun - 500)
    state.take_ownership(story.run, 1, "local")
    story.run.attempt_dir(1).mkdir(parents=True)
    looks = iter(["paused", "paused", "running", "relaunched", "done"])

    def go_on(seconds: float) -> None:
        look = next(looks)
        if look == "paused":
            story.state("paused", step=1, reason="/data is full")
        elif look == "running":
            story.state("running", step=1)
        elif look == "relaunched":
            failure = Failure(cause="rank 1 hangs: no step for 60 s")
            diagnosis.write_end(
                story.run,
                AttemptEnd(attempt=1, state="failed", reason=failure.cause, failure=failure, t=time.time()),
            )
            story.state("running", attempt=2, step=1)
        else:
            story.state("done", attempt=2, step=1)

    story.state("starting")
    story.feed("kept", pause=go_on)
    assert kinds() == ["paused", "stalled", "stalled", "done"]
    assert told()[0][1] == "/data is full"
    assert "rank 1 hangs" in told()[2][1]


def test_a_run_whose_supervisor_is_gone_is_stalled(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arcterm.tracking.feeder._LOST_SECONDS", 0.0)
    story.attempt(1, step(1))
    story.state("running", step=1)
    (story.run.path / "owner.json").write_text(
        '{"host": "gone", "boot_id": "", "pid": 1, "pid_start": 1, "launcher": "", "attempt": 1, "since": 0}'
    )
    story.feed("kept")
    assert kinds()[0] == "stalled"


def test_what_happened_before_a_tracker_was_taken_on_is_no_news(story: Story) -> None:
    old = time.time() - 3600
    story.attempt(1, step(1, "nan", t=old), verified(2, 0.8, t=old), step(3, t=old))
    story.state("done", step=3)
    story.feed("kept")
    assert kinds() == ["done"]


def test_a_resume_of_what_failed_is_no_relaunch(story: Story) -> None:
    from arcterm.runs import state

    story.attempt(1, step(1))
    failure = Failure(cause="it ended")
    story.run.attempt_dir(1).mkdir(parents=True)
    ended = AttemptEnd(attempt=1, state="failed", reason="it ended", failure=failure, t=time.time())
    diagnosis.write_end(story.run, ended)
    story.state("failed", step=1, failure=failure)
    story.feed("kept")
    story.attempt(2, step(2), begins=1)
    state.take_ownership(story.run, 2, "local")
    story.state("running", attempt=2, step=1)
    story.feed("kept", pause=lambda seconds: story.state("done", attempt=2, step=2))
    assert kinds() == ["failed", "done"]
