"""Screen 6: every job with its progress or report, what waits for what, and the way to a new one."""

from __future__ import annotations

import pytest

from arcterm.console.app import Console
from arcterm.console.jobruns import JobRuns
from arcterm.console.panels import jobtable
from arcterm.console.screens.boxes import Confirm, StopBox
from arcterm.console.screens.job import JobScreen
from arcterm.console.screens.jobruns import JobRunScreen
from arcterm.console.screens.jobs import JobList
from arcterm.runs import control
from arcterm.runs.state import Failure
from arcterm.show.lines import width_of

SMALL, WIDE = (80, 24), (160, 45)


@pytest.fixture
def several(make, job):
    """A job under way, two that wait, one that failed, one that is over; and a training."""
    make("plain-run").train(3)
    over = job("check", "/data/casia")
    over.progress(500, 500, "records")
    over.finish("500 records of 20 people", *(f"record {i}: odd" for i in range(90)), problems=3)
    failed = job("bin", "/data/lfw", "/data/lfw.bin")
    failure = Failure(rank=0, cause="3 images are missing", error="3 images are missing", hint="see it")
    failed.become("failed", reason=failure.cause, failure=failure)
    live = job("pack", "/data/faces", "/data/pack")
    for done in (0, 400, 800, 1200):
        live.progress(done, 4000, "pack", "images")
    for path in ("/first", "/second"):
        job("merge", path, "/b", "/c").become("queued", reason="after data pack faces")
    return {"over": over, "failed": failed, "live": live}


async def opened(pilot, app, until):
    await pilot.press("6")
    await until(pilot, lambda: isinstance(app.screen, JobRunScreen) and app.screen.jobs is not None)


def rows(text, *words):
    """The lines of the screen in which each word occurs first."""
    lines = text.splitlines()
    return [next(n for n, line in enumerate(lines) if word in line) for word in words]


@pytest.mark.long
async def test_jobs_are_listed_by_what_they_do_now(several, root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, until)
        await until(
            pilot, lambda: "1 running, 2 queued, 2 over" in shown(app) and "1,200/4,000" in shown(app)
        )
        text = shown(app)
        order = rows(
            text, "data pack faces", "data merge first", "data merge second", "data bin lfw", "check casia"
        )
        assert order == sorted(order) and "plain-run" not in text
        line = text.splitlines()[order[0]]
        assert "▶ running" in line and "30%" in line and "ETA 7 s" in line
        assert "3 !" in text.splitlines()[order[4]]
        await pilot.press("j")
        await until(pilot, lambda: "waits after data pack faces" in shown(app))
        await pilot.press("j", "j")
        await until(pilot, lambda: "→ see it" in shown(app))
        await pilot.press("G")
        await until(pilot, lambda: "500 records of 20 people" in shown(app))
        await pilot.press("pagedown")
        assert "500 records of 20 people" not in shown(app).split("report")[1]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))


@pytest.mark.long
async def test_a_job_is_followed_stopped_and_deleted(several, root, until, shown):
    app = Console(root)
    live = several["live"]
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, app, until)
        live.progress(2000, 4000, "pack", "images")
        await until(pilot, lambda: "2,000/4,000 images" in shown(app))
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, StopBox))
        await pilot.press("1")
        await until(pilot, lambda: control.pending(live.run) and "■ stopping" in shown(app))
        live.finish("packed", result="/data/pack")
        await until(pilot, lambda: "2 queued, 3 over" in shown(app) and "/data/pack" in shown(app))
        assert app.screen.chosen.run.id == live.run.id  # the cursor stays on its job
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Confirm) and "the data stays" in shown(app))
        await pilot.press("y")
        await until(pilot, lambda: "2 queued, 2 over" in shown(app))
    assert not live.run.path.exists()


async def test_without_a_job_the_next_step_is_said(root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, until)
        assert "No job yet." in shown(app) and "n to choose one" in shown(app)
        await pilot.press("S", "D", "enter")
        assert isinstance(app.screen, JobRunScreen)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, JobList) and "Pack a folder" in shown(app))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, JobRunScreen))


@pytest.mark.long
async def test_a_console_that_only_watches_offers_no_action(several, root, until, shown):
    app = Console(root, readonly=True)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, until)
        await until(pilot, lambda: "1,200/4,000" in shown(app))
        assert "S stop" not in shown(app) and "new job" not in shown(app)
        for key in ("S", "n", "f"):
            await pilot.press(key)
            await until(pilot, lambda: "this console only watches" in shown(app))
            await pilot.press("escape")


def test_a_job_is_read_again_only_while_it_can_change(several, root, monkeypatch):
    book = JobRuns(root)
    jobs, more = book.refresh()
    assert [job.word for job in jobs] == ["running", "queued", "queued", "failed", "done"] and not more
    assert jobs[-1].problems == 3
    read = []
    monkeypatch.setattr(JobRuns, "_read", lambda self, job: read.append(job.word))
    book.refresh()
    assert sorted(read) == ["queued", "queued", "running"]
    (several["over"].run.path / "state.json").write_text("{")
    several["live"].become("stopped", reason="on request")
    jobs, _ = book.refresh()
    assert {job.word for job in jobs} == {"stopped", "queued", "failed", "damaged"}


@pytest.mark.parametrize("size", [(30, 4), (58, 6), (80, 9), (200, 20)])
def test_nothing_is_wider_or_taller_than_its_place(several, root, size):
    width, height = size
    jobs, _ = JobRuns(root).refresh()
    for each in jobs:
        each.made, each.problems = "x\x1b[2J" * 99, 10**6
    for lines in (
        jobtable.title(jobs, "p" * 200, width),
        jobtable.table(jobs, 2, width, height),
        *(jobtable.detail(each, width) for each in jobs),
        jobtable.empty(width)[:height],
    ):
        assert len(lines) <= height
        assert all(width_of(line) <= width for line in lines if width >= 58)
