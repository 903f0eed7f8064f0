"""The console through its keys: list, dashboard, stop, resume, sizes and plain terminals."""

from __future__ import annotations

import itertools
import json
import time

import msgspec
import pytest
import textual.timer
from arcterm_registry.contracts import DatasetFacts

from arcterm.console.app import Console
from arcterm.console.forms.launch import LaunchForm
from arcterm.console.habits.help import Help
from arcterm.console.screens.boxes import Confirm, Problem, StopBox, TooSmall
from arcterm.console.screens.dashboard import Dashboard
from arcterm.console.screens.job import JobScreen
from arcterm.console.screens.runs import RunList
from arcterm.errors import RunError
from arcterm.launch import engine, samedata
from arcterm.runs import control, state, store
from arcterm.runs.checkpoints import Manifest
from arcterm.runs.events import Gpu, Gpus, Message, Phase, Skipped, Start, Step, encode
from arcterm.runs.journal import Journal
from arcterm.runs.reader import CHUNK
from arcterm.runs.state import Failure
from tests.calls import calls
from tests.jobs import verification

SMALL, LARGE = (80, 24), (160, 45)


@pytest.fixture
def busy(make):
    """A live run with everything that a dashboard shows."""
    made = make("smoke-run")
    made.train(150)
    made.verify(lfw=0.913)
    made.train(50)
    made.verify(lfw=0.902)
    made.save()
    made.ranks()
    made.output("the ranks are up")
    return made


def dashboard(app):
    return app.screen_stack[-1] if isinstance(app.screen, Dashboard) else None


def said(app):
    return [each.message for each in app._notifications]


@pytest.mark.long
async def test_an_empty_root_says_the_next_step(root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "No runs in" in shown(app))
        assert "Press N for a new run" in shown(app)
        assert "arcterm train tiny arcface" in shown(app)
        assert "? help" in shown(app).splitlines()[-1]
        await pilot.press("enter", "S", "R", "D", "f", "j")  # nothing to act on, nothing fails
        await pilot.press("q")
    assert app.return_code == 0


@pytest.mark.long
async def test_the_list_shows_runs_newest_first_and_filters(make, root, until, shown):
    first, second = make("alpha", loss="cosface"), make("beta")
    first.train(40)
    first.verify(lfw=0.93)
    first.become("done")
    second.train(20)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "lfw 93.00" in shown(app))
        lines = shown(app).splitlines()
        assert "beta" in lines[3]
        assert "▶ running" in lines[3]
        assert "alpha" in lines[4]
        assert "✓ done" in lines[4]
        assert "40/400" in lines[4]
        assert "2 runs, 1 live" in lines[1]
        await pilot.press("slash", *"cosface")
        await until(pilot, lambda: "beta" not in shown(app))
        assert "1 of 2 shown" in shown(app)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: dashboard(app))
        assert dashboard(app).view.run.name == "alpha"
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, RunList))
        await pilot.press("escape")
        await until(pilot, lambda: "beta" in shown(app))


@pytest.mark.long
async def test_the_list_follows_a_live_run_and_its_end(make, root, until, shown):
    made = make("moving")
    made.train(3)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "3/400" in shown(app))
        made.train(5)
        app.screen.look()
        await until(pilot, lambda: "8/400" in shown(app))
        made.become("failed", failure=Failure(rank=1, cause="the GPU is out of memory"))
        app.screen.look()
        await until(pilot, lambda: "✗ failed" in shown(app))
        assert "rank 1: the GPU is out of memory" in shown(app)


@pytest.mark.long
async def test_a_lost_run_says_why(make, root, until, shown, monkeypatch):
    make("gone")
    monkeypatch.setattr("arcterm.runs.state.owner_alive", lambda run: False)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "? lost" in shown(app))
        assert "the supervisor is gone" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: dashboard(app) and "the supervisor is gone" in shown(app))


def resumed(made, step):
    """Attempt 2 of a canned run, which goes on from `step` and has said nothing yet."""
    return type(made)(made.run, Journal(made.run.events, 2, 0), made.steps, made=step, clock=made.clock + 60)


@pytest.mark.long
@pytest.mark.parametrize("share", [1.0, 0.25])
async def test_a_displayed_run_may_be_resumed_from_an_older_checkpoint(busy, root, until, shown, share):
    app = Console(root, "smoke-run")
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "step 200/400" in shown(app))
        if share < 1:
            await pilot.press("plus", "plus")
        again = resumed(busy, 50)
        again.write(Phase(t=again.clock, phase="loading"))
        app.screen.look()
        await until(pilot, lambda: dashboard(app).view.summary.attempt == 2)
        again.write(Start(rank=0, world_size=1, host="box", pid=1, device="cpu", step=50, steps=400))
        app.screen.look()
        await until(pilot, lambda: len(dashboard(app).view.history.steps) == 50)
        again.train(5)
        app.screen.look()
        await until(pilot, lambda: "step 55/400" in shown(app))
        again.train(300)
        app.screen.look()
        await until(pilot, lambda: "step 355/400" in shown(app))
        for key in "mmmmmmmsssyM":
            await pilot.press(key)
        assert dashboard(app).is_running
        again.journal.close()


@pytest.mark.parametrize("size", [SMALL, (120, 35), LARGE])
async def test_the_dashboard_pins_what_matters(busy, root, until, shown, size):
    app = Console(root, "smoke-run")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "the ranks are up" in shown(app) and "no NVIDIA driver here" in shown(app))
        text = shown(app)
        for pinned in ("smoke-run", "▶ running", "2 CPU ranks", "detached", "ETA", "step 200/400", "50%"):
            assert pinned in text
        assert "best lfw 91.30 @150" in text
        assert "images/s" in text
        assert text.splitlines()[-1].startswith(" ? help")
        assert "q back" in text.splitlines()[-1]
        if size == LARGE:
            assert "learning rate" in text
            assert "verification %" in text
            assert "TAR@1e-3" in text


async def test_the_dashboard_draws_what_is_appended(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "step 200/400" in shown(app))
        busy.train(100)
        busy.verify(lfw=0.95)
        busy.say("warning", "rank 1 is slow")
        app.screen.look()
        await until(pilot, lambda: "step 300/400" in shown(app))
        assert "best lfw 95.00 @300" in shown(app)
        assert "rank 1 is slow" in shown(app)
        busy.become("done")
        app.screen.look()
        await until(pilot, lambda: "✓ done" in shown(app))
        assert "all steps made" in shown(app)


async def test_a_long_run_is_read_in_bites(make, root, until, shown, monkeypatch):
    monkeypatch.setattr("arcterm.runs.reader.CHUNK", 50)
    monkeypatch.setattr("arcterm.runs.reader.Reader.limit", 50)
    made = make("long", steps=1000)
    made.train(501)
    app = Console(root, "last")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: dashboard(app) and not dashboard(app).view.loading)
        assert "step 501/1,000" in shown(app)
        assert len(dashboard(app).view.history.steps) == 501


@pytest.mark.long
async def test_no_look_is_lost_on_a_busy_machine(make, root, until, monkeypatch):
    """Textual drops a tick that comes late; time leaps here at every second glance at the clock."""
    monkeypatch.setattr("arcterm.runs.reader.CHUNK", 50)
    leaps = itertools.count()
    clock = textual.timer._time.get_time
    monkeypatch.setattr(textual.timer._time, "get_time", lambda: clock() + next(leaps) // 2 * 0.01)
    make("long", steps=2000).train(2000)
    app = Console(root, "last")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: dashboard(app) and not dashboard(app).view.loading)


@pytest.mark.long
async def test_the_keys_of_the_dashboard(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "smooth 0.9" in shown(app))
        await pilot.press("s")
        assert "smooth 0.99" in shown(app)
        await pilot.press("s")
        assert "smooth" not in shown(app).splitlines()[4]
        await pilot.press("y")
        assert "  log" in shown(app).splitlines()[4]
        await pilot.press("m")
        assert "verify %" in shown(app)
        await pilot.press("z")
        await pilot.pause()
        assert "lfw 90.20 best 91.30 @150" in shown(app)
        await pilot.press("escape", "M", "plus", "minus", "0", "z")
        await pilot.pause()
        assert "metrics" not in shown(app)
        await pilot.press("escape", "p")
        assert "paused" in shown(app)
        busy.train(1)
        app.screen.look()
        await until(pilot, lambda: dashboard(app).view.step == 201)
        assert "step 200/400" in shown(app)
        await pilot.press("p")
        assert "step 201/400" in shown(app)


async def test_leaving_says_that_the_run_goes_on(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: "step 200" in shown(app))
        await pilot.press("q")
        await until(pilot, lambda: "smoke-run keeps training (pid" in shown(app))


@pytest.mark.long
async def test_requests_are_dropped_for_the_run(busy, root, until):
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: dashboard(app))
        for count, (key, verb) in enumerate({"C": "checkpoint", "v": "verify"}.items(), 1):
            await pilot.press(key)
            await until(pilot, lambda n=count: len(control.pending(busy.run)) == n)
            assert verb in {request.verb for _, request in control.pending(busy.run)}


@pytest.mark.long
async def test_stop_asks_how_and_drops_a_request(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "step 200" in shown(app))
        await pilot.press("S")
        await until(pilot, lambda: "stop smoke-run?" in shown(app))
        assert "nothing is lost" in shown(app)
        assert "up to 200 steps are lost" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: dashboard(app))
        assert not control.pending(busy.run)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, StopBox))
        await pilot.press("1")
        await until(pilot, lambda: control.pending(busy.run))
        assert [path.suffix for path in (busy.run.path / "control").glob("*.json")] == [".json"]
        app.screen.look()
        await until(pilot, lambda: "■ stopping" in shown(app))


async def test_stop_at_once_signals_the_supervisor(busy, root, until, monkeypatch):
    asked = []
    monkeypatch.setattr("arcterm.launch.start.stop", lambda run, now: asked.append((run.name, now)))
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.screen.chosen)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, StopBox))
        await pilot.press("2")
        await until(pilot, lambda: asked)
    assert asked == [("smoke-run", True)]


async def test_resume_submits_the_run(busy, root, until, shown, monkeypatch):
    submitted = []
    monkeypatch.setattr(engine, "submit", lambda run: submitted.append(run.name))
    monkeypatch.setattr(samedata, "facts_of", data_of("f"))
    busy.become("stopped")
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: "■ stopped" in shown(app))
        assert "R resume" in shown(app)
        assert "S stop" not in shown(app)
        await pilot.press("R")
        await until(pilot, lambda: submitted)
        await until(pilot, lambda: "begins again" in shown(app))
    assert submitted == ["smoke-run"]


@pytest.mark.long
async def test_resuming_on_other_data_is_refused_with_both_choices(busy, root, until, shown, monkeypatch):
    monkeypatch.setattr(engine, "submit", lambda run: pytest.fail("it was started"))
    monkeypatch.setattr(samedata, "facts_of", data_of("g"))
    busy.become("stopped")
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "■ stopped" in shown(app))
        await pilot.press("R")
        await until(pilot, lambda: "the data set changed" in shown(app))
        assert "--accept-changed-data" in shown(app) and "start a new run" in shown(app)


def data_of(fingerprint):
    """What a data set is found to be before a resume."""
    return lambda *_: DatasetFacts(
        images=6400, classes=100, image_size=(112, 112), fingerprint=fingerprint, set_aside={}
    )


async def test_an_error_is_shown_with_the_next_step(busy, root, until, shown, monkeypatch):
    def refuse(run):
        raise RunError("can't start [a] supervisor", "look at the limits")

    monkeypatch.setattr(engine, "submit", refuse)
    monkeypatch.setattr(samedata, "facts_of", data_of("f"))
    busy.become("failed", failure=Failure(cause="x"))
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "✗ failed" in shown(app))
        await pilot.press("R")
        await until(pilot, lambda: "can't start [a] supervisor" in shown(app))
        assert "→ look at the limits" in shown(app)


async def test_a_failed_run_shows_its_account(busy, root, until, shown):
    busy.become(
        "failed",
        failure=Failure(rank=1, cause="the loss is NaN since step 190", traceback="a\nTrainingError: NaN"),
    )
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "TrainingError: NaN" in shown(app))
        assert "rank 1 first" in shown(app)
        assert "the loss is NaN since step 190" in shown(app)
        assert "step 200/400" in shown(app)


@pytest.mark.long
async def test_a_verification_is_a_run_like_others(make, root, until, shown):
    made = make("trained")
    config = verification(made.run.config, str(made.run.path), 400)
    run = store.create(root, config, label="verify", name="check", argv=[], host="box")
    state.write_state(run, "done", attempt=1)
    app = Console(root)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "arcface verify" in shown(app))
        assert f"verify {made.run.path} --checkpoint 400" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen) and "✓ done" in shown(app))
        assert "f fork" in shown(app) and "v pictures" not in shown(app)


async def test_a_damaged_run_is_told_and_stops_nothing(make, root, until, shown):
    made = make("torn")
    (made.run.path / "state.json").write_text("{")
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "is not what arcterm wrote" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Problem))
    app = Console(root, "torn")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: any(isinstance(screen, RunList) for screen in app.screen_stack))


@pytest.mark.long
@pytest.mark.parametrize("name", ["smoke-run", None])
async def test_a_run_that_is_removed_while_it_is_shown_is_told_and_left(
    busy, make, root, until, shown, name, monkeypatch
):
    make("other")
    submitted = []
    monkeypatch.setattr(engine, "submit", submitted.append)
    app = Console(root, name)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        if name is None:
            await until(pilot, lambda: "other" in shown(app))
            await pilot.press("j", "enter")
        await until(pilot, lambda: "step 200" in shown(app))
        store.remove(busy.run)
        await pilot.press("R")
        await until(pilot, lambda: "smoke-run was removed" in shown(app))
        await until(pilot, lambda: isinstance(app.screen, Problem | RunList))
        if isinstance(app.screen, Problem):
            await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunList) and "1 run" in shown(app))
        assert "R resume" not in shown(app)
    assert not submitted


async def test_a_run_that_is_removed_under_a_box_is_left_when_the_box_is_closed(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "step 200" in shown(app))
        screen = app.screen
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, StopBox))
        store.remove(busy.run)
        screen.look()
        await until(pilot, lambda: screen._removed)
        await pilot.pause()
        assert isinstance(app.screen, StopBox)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunList))
        assert said(app).count("smoke-run was removed") == 1


@pytest.mark.long
async def test_the_cursor_stays_on_its_run(make, root, until, shown):
    for name in ("first", "second", "third"):
        make(name)
        time.sleep(0.002)  # their order is that of their creation
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:

        async def listed(count):
            app.screen.look()
            await until(
                pilot,
                lambda: len(app.screen._runs or []) == count and all(run.known for run in app.screen._runs),
            )
            return app.screen.chosen.run.name

        assert await listed(3) == "third"
        make("fourth")
        assert await listed(4) == "third"  # also before the cursor was moved
        assert "▸ third" in shown(app)
        await pilot.press("j")
        make("fifth")
        assert await listed(5) == "second"
        store.remove(app.screen.chosen.run)
        assert await listed(4) == "first"
        store.remove(app.screen.chosen.run)  # the last row
        assert await listed(3) == "third"
        await pilot.press("slash", *"fourth")
        assert app.screen.chosen.run.name == "fourth"
        make("fourth-too")
        assert await listed(4) == "fourth"
        await pilot.press("escape")
        await until(pilot, lambda: "third" in shown(app))
        assert app.screen.chosen.run.name == "fourth"


def checkpoint_at(run, step):
    """A checkpoint that can be listed."""
    folder = run.checkpoints / f"step-{step:010d}"
    folder.mkdir()
    manifest = Manifest(
        format_version=1,
        step=step,
        epoch=1,
        samples=step,
        seed=0,
        world_size=1,
        classes=1,
        embedding_size=1,
        backbone="tiny",
        loss="arcface",
        files={},
        head=[],
    )
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))


@pytest.mark.long
@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize(
    ("saved", "made", "said"),
    [
        (1500, 0, "the last checkpoint is of step 1,500"),
        (1500, 300, "the last checkpoint is of step 1,500"),
        (0, 0, "no checkpoint exists yet"),
        (100, 101, "up to 1 step is lost"),
        (100, 180, "up to 80 steps are lost, 40 s of work (the last checkpoint is of step 100)"),
    ],
)
async def test_the_stop_box_never_promises_negative_steps(
    make, root, until, shown, opened, saved, made, said
):
    run = make("resumed", steps=2000)
    if saved:
        checkpoint_at(run.run, saved)
    run.train(made)
    app = Console(root, "resumed" if opened else None)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "running" in shown(app) and f"{made}/2" in shown(app))
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, StopBox))
        text = " ".join(line.strip("│ ") for line in shown(app).splitlines())
        assert said in " ".join(text.split())
        assert "-" not in text.split("at once")[1].split("esc")[0]


async def test_a_verification_is_not_promised_a_checkpoint(make, root, until, shown):
    config = verification(make("trained").run.config)
    run = store.create(root, config, label="verify", name="check", argv=[], host="box")
    state.take_ownership(run, 1, "local")
    state.write_state(run, "running", attempt=1)
    app = Console(root, "check")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, StopBox))
        assert "before its next verification set" in shown(app)


@pytest.mark.long
@pytest.mark.parametrize("size", [(80, 16), SMALL, LARGE])
async def test_the_hint_of_a_failure_is_shown(busy, root, until, shown, size):
    cause = "the GPU is out of memory while it made the head of 93,431 people and their momentum " * 3
    failure = Failure(
        rank=1, cause=cause, hint="try --batch-size 64", error="CUDA error", traceback="a\n" * 30
    )
    busy.become("failed", failure=failure)
    app = Console(root, "smoke-run")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "→ try --batch-size 64" in shown(app))
        assert "the GPU is out of memory" in shown(app)


async def test_the_list_shows_the_hint_of_a_failure(busy, root, until, shown):
    busy.become("failed", failure=Failure(rank=1, cause="out of memory", hint="try --batch-size 64"))
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "rank 1: out of memory → try --batch-size 64" in shown(app))


@pytest.mark.long
async def test_delete_asks_first_and_spares_live_runs(make, root, until, shown):
    made = make("old")
    made.become("done")
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "✓ done" in shown(app))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, RunList))
        assert made.run.path.exists()
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: "No runs in" in shown(app))
    assert not made.run.path.exists()


@pytest.mark.long
async def test_a_live_run_can_not_be_deleted(busy, root, until):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.screen.chosen)
        await pilot.press("D")
        assert isinstance(app.screen, RunList)
        assert "the run is live; S stops it first" in said(app)


@pytest.mark.long
async def test_a_key_that_a_run_does_not_allow_says_why(busy, make, root, until):
    made = make("over")
    made.become("done")
    app = Console(root, "over")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: dashboard(app))
        for key, why in (
            ("S", "the run is done: only a live one takes this"),
            ("R", "there is nothing left to do; ^r goes on with more"),
            ("left", "c shows a crosshair, which this moves"),
        ):
            await pilot.press(key)
            assert why in said(app)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, RunList) and app.screen.chosen)
        await pilot.press("c")
        assert "no run is marked; space marks the one under the cursor" in said(app)
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: dashboard(app))
        await pilot.press("ctrl+r")
        assert "the run is live; S stops it first" in said(app)


@pytest.mark.long
@pytest.mark.parametrize("run", [None, "smoke-run"])
async def test_fork_fills_the_form(busy, root, until, run):
    app = Console(root, run)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, app.screen.target)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, LaunchForm) and app.screen.draft)
        settings = app.screen.draft.settings()
        assert settings["steps"] == 400
        assert settings["nproc"] == 2
        assert settings["dataset"] == "demo"
        assert "loss_options" not in settings  # all as declared


@pytest.mark.long
async def test_help_lists_the_screen_s_keys(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "step 200" in shown(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help) and "logarithmic" in shown(app))
        assert "smoothing 0, 0.6" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: dashboard(app))


async def test_too_small_a_terminal_takes_no_action_keys(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=(50, 12)) as pilot:
        await until(pilot, lambda: "need 60×16, have 50×12" in shown(app))
        await pilot.press("S", "1", "q", "c", "question_mark", "ctrl+p")
        assert isinstance(app.screen, TooSmall)
        assert not control.pending(busy.run)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "▶ running" in shown(app))


@pytest.mark.long
async def test_a_resize_draws_everything_anew(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "step 200" in shown(app))
        await pilot.resize_terminal(*LARGE)
        await until(pilot, lambda: "TAR@1e-3" in shown(app))
        await pilot.resize_terminal(60, 16)
        await until(pilot, lambda: "TAR@1e-3" not in shown(app))
        assert all(len(line) <= 60 for line in shown(app).splitlines())
        assert "▶ running" in shown(app)


async def test_ascii_terminals_get_ascii(busy, root, until, shown, monkeypatch):
    monkeypatch.setenv("ARCTERM_ASCII", "1")
    app = Console(root, "smoke-run")
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "step 200" in shown(app))
        assert shown(app).isascii()
        assert "> running" in shown(app)
        await pilot.press("S")
        await until(pilot, lambda: "stop smoke-run?" in shown(app))
        assert shown(app).isascii()


@pytest.mark.long
async def test_no_colour_is_readable_and_does_not_crash(busy, root, until, shown, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "▸ smoke-run" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: "step 200" in shown(app))
        await pilot.press("m")
        assert "o lfw" in shown(app)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help))


async def test_nothing_from_a_run_is_taken_for_markup(make, root, until, shown):
    made = make("markup")
    made.train(3)
    made.say("error", "[red]not markup[/] [/bold]")
    made.become("failed", failure=Failure(cause="cause [link=x]y[/] [/]", traceback="[/b]"))
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "cause [link=x]y[/] [/]" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: dashboard(app) and "[/b]" in shown(app))


@pytest.mark.long
@pytest.mark.parametrize("theme", ["textual-light", "ansi-dark"])
async def test_themes_change_every_colour(busy, root, until, shown, theme):
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "step 200" in shown(app))
        app.theme = theme
        await pilot.pause()
        assert "step 200" in shown(app)


@pytest.mark.long
async def test_the_palette_knows_every_key(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "step 200" in shown(app))
        names = {command.title for command in app.get_system_commands(app.screen)}
        assert {"stop (S)", "log-y (y)", "smooth (s)", "next field (tab)"} <= names
        assert not [name for name in names if name[0].isupper()]  # as Textual writes them


@pytest.mark.long
async def test_a_long_run_does_not_hold_the_screen_up(make, root, until, shown, monkeypatch):
    """Each bite of 20,000 steps is taken in and drawn in far less than what a person notices."""
    made = make("huge", steps=20_000)
    step = Step(
        step=0,
        epoch=1,
        loss=5.0,
        accuracy=0.5,
        angle=60.0,
        lr=0.1,
        images_per_second=900.0,
        samples=1,
        data_wait=0.1,
    )
    lines = []
    for i in range(1, 20_001):
        step.step, step.t, step.loss = i, i * 0.1, 5.0 + i % 7
        lines.append(encode(step))
    with next(made.run.events.iterdir()).open("ab") as file:
        file.writelines(lines)
    spent, take = [], Dashboard.take

    def timed(screen, message):
        spent.append(calls(lambda: take(screen, message)))

    monkeypatch.setattr(Dashboard, "take", timed)
    app = Console(root, "huge")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: dashboard(app).view.step == 20_000, turns=2000)
    assert max(spent) < 30 * CHUNK  # calls of a look that takes in a chunk of events


@pytest.mark.long
@pytest.mark.parametrize("file", ["run.json", "state.json", "owner.json"])
async def test_damaged_runs_are_rows_among_the_others(make, root, until, shown, file):
    whole, torn = make("whole"), make("torn")
    whole.become("done")
    (torn.run.path / file).write_text("[]")
    (root / "notes").mkdir()
    app = Console(root)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "! damaged" in shown(app) and "✓ done" in shown(app))
        assert "2 runs, 1 damaged, 1 no run" in shown(app)
        if "is not what arcterm wrote" not in shown(app):  # without run.json its time is but the id's second
            await pilot.press("j")
        await until(pilot, lambda: f"{file} is not what arcterm wrote" in shown(app))
        await pilot.press(*(["f"] if file == "run.json" else []), "D")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: not torn.run.path.exists() and isinstance(app.screen, RunList))
        await until(pilot, lambda: "1 run, 1 no run" in shown(app))


async def test_a_run_with_events_that_cannot_be_read_is_a_row(make, root, until, shown):
    make("torn").become("done")
    (root / store.list_runs(root)[0].id / "events" / "0002-r00000.jsonl").mkdir()
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "! damaged" in shown(app))
        assert "events/0002-r00000.jsonl is not what arcterm wrote: it is no file" in shown(app)


def copied(app):
    """What ctrl+c put on the clipboard."""
    return app.clipboard


@pytest.mark.long
async def test_ctrl_c_copies_what_is_selected_and_nothing_else(busy, root, until, shown):
    app = Console(root, "smoke-run")
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: "the ranks are up" in shown(app))
        await pilot.press("p")  # nothing moves now
        lines = shown(app).splitlines()
        row = next(i for i, line in enumerate(lines) if "the ranks are up" in line)
        at = lines[row].index("ranks")
        await pilot.mouse_down(offset=(at, row))
        await pilot.hover(offset=(at + 4, row))
        await pilot.mouse_up(offset=(at + 4, row))
        await until(pilot, lambda: app.screen.selections)
        await pilot.press("ctrl+c")
        assert copied(app).strip() in ("ranks", "rank")
        top = next(i for i, line in enumerate(lines) if "smoke-run" in line)
        await pilot.mouse_down(offset=(0, top))
        await pilot.hover(offset=(60, top + 2))
        await pilot.mouse_up(offset=(60, top + 2))
        await until(pilot, lambda: len(app.screen.selections) > 1)
        await pilot.press("ctrl+c")
        assert "smoke-run" in copied(app)
        assert "step 200/400" in copied(app)
        assert "Rows" not in copied(app)
        assert all(line in shown(app) for line in copied(app).splitlines())
        app._clipboard = "before"
        app.screen.clear_selection()
        await pilot.press("ctrl+c")
        assert copied(app) == "before"
        await until(pilot, lambda: "press ctrl+c again to leave" in shown(app))


async def test_ctrl_c_in_the_form_and_in_boxes(make, root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "No runs in" in shown(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: "this list of keys" in shown(app))
        row = next(i for i, line in enumerate(shown(app).splitlines()) if "this list of keys" in line)
        at = shown(app).splitlines()[row].index("this")
        await pilot.mouse_down(offset=(at, row))
        await pilot.hover(offset=(at + 16, row))
        await pilot.mouse_up(offset=(at + 16, row))
        await pilot.press("ctrl+c")
        assert "this list of key" in copied(app)


EVIL = "\x1b]0;pwned\x07\x1b[31m[red]x[/red][link=http://e]\x9b31m\u202eevil\x00\n\tend"
"""An OSC and a CSI sequence, markup, C1, a bidirectional override, NUL, a line feed and a tab."""


def harmless(app):
    """Assert that nothing on the screen is more than text, and give that."""
    text = screen_of(app)
    for sign in ("\x1b", "\x07", "\x9b", "\u202e", "\x00", "\t"):
        assert sign not in text, repr(sign)
    for strip in app.screen._compositor.render_strips():
        assert not any(style and (style.link or "click" in style.meta) for _, style, _ in strip)
    return text


def screen_of(app):
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def renamed(run, **fields):
    """Change what ``run.json`` says, as a stranger might in a copied directory."""
    path = run.path / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, **fields, "config": record["config"] | fields.get("config", {})}))
    run.__dict__.pop("record", None)


@pytest.mark.long
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_what_strangers_wrote_is_shown_as_text(make, root, until, size):
    made = make("copied", gpus=[0], nproc=1)
    made.gpus(1)
    made.write(
        Gpus(host=EVIL, note=EVIL, gpus=[Gpu(index=0, name=EVIL, utilisation=1.0)]),
        Message(level="warning", text=EVIL),
        Skipped(rank=0, index=1, source=EVIL, reason=EVIL, count=1, total=9),
        Phase(phase=EVIL, detail=EVIL, done=1, total=2),
    )
    made.train(4)
    made.verify(**{EVIL: 0.9, "lfw": 0.8})
    made.output(EVIL, "the end")
    path = made.run.path
    renamed(
        made.run,
        name=EVIL,
        argv=["arcterm", EVIL],
        git=EVIL,
        config={"backbone": EVIL, "loss": EVIL, "dataset": EVIL, "schedule": "poly"},
    )
    app = Console(root)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: "4/400" in screen_of(app))
        assert "[red]x[/red]" in harmless(app)
        await pilot.press("enter")
        await until(pilot, lambda: dashboard(app) and "step 4/400" in screen_of(app))
        assert "[red]x[/red]" in harmless(app)
        for key in "mmz":
            await pilot.press(key)
            harmless(app)
        await pilot.press("escape", "o")
        await until(pilot, lambda: "the end" in screen_of(app))
        harmless(app)
        await pilot.press("escape", "S")
        await until(pilot, lambda: isinstance(app.screen, StopBox) and "[red]x" in screen_of(app))
        harmless(app)
        await pilot.press("escape")
        made.become(
            "failed",
            reason=EVIL,
            failure=Failure(cause=EVIL, hint=EVIL, error=EVIL, traceback=EVIL, log=EVIL),
        )
        app.screen.look()
        await until(pilot, lambda: "failed" in screen_of(app))
        assert "[red]x[/red]" in harmless(app)
        app.show_error(RunError(EVIL, EVIL))
        await until(pilot, lambda: isinstance(app.screen, Problem) and "[red]x[/red]" in screen_of(app))
        harmless(app)
        await pilot.press("escape", "q")
        await until(pilot, lambda: isinstance(app.screen, RunList))
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, LaunchForm) and "problem" in screen_of(app))
        assert "[red]x[/red]" in harmless(app)
    assert path.exists()
