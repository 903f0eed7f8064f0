"""Jobs on data in the console: the list, the screen of one, the form that starts one."""

from __future__ import annotations

import re
import shlex
import threading

import numpy as np
import pytest
from arcterm_registry import get
from arcterm_registry.contracts import Curve, JobReport
from textual import events
from textual.widgets import Input, Select

from arcterm.config import JobConfig, job_config
from arcterm.console.app import Console
from arcterm.console.forms.fields import FieldRow
from arcterm.console.forms.job import AFTER, JobDraft, judge_job
from arcterm.console.forms.jobscreen import JobForm
from arcterm.console.panels import job as panels
from arcterm.console.panels import log
from arcterm.console.paths import complete
from arcterm.console.screens.boxes import Confirm, StopBox
from arcterm.console.screens.job import JobScreen
from arcterm.console.screens.jobruns import JobRunScreen
from arcterm.console.screens.jobs import JobList
from arcterm.console.screens.pictures import PictureScreen
from arcterm.console.screens.runs import RunList
from arcterm.console.view import View
from arcterm.errors import DataError
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.jobs import offered
from arcterm.launch import engine, start
from arcterm.runs import control, store
from arcterm.runs.reader import Reader
from arcterm.runs.report import write_report
from arcterm.runs.state import Failure, read_state
from arcterm.show.lines import width_of
from arcterm.show.pages import Page, PageDrawer, PageRequest, _draw

SMALL, LARGE = (80, 24), (160, 45)


def view_of(made):
    view = View(run=made.run, record=made.run.record, state=read_state(made.run))
    view.take(Reader(made.run).look())
    return view


def said(lines):
    return "\n".join("".join(text for text, _ in line) for line in lines)


def row(text, word):
    return next(line for line in text.splitlines() if word in line)


@pytest.fixture
def live(job):
    """A job under way: 1,200 of 4,000 images in 3 seconds."""
    made = job("pack", "/data/faces", "/data/pack", hold_out=4)
    for done in (0, 400, 800, 1200):
        made.progress(done, 4000, "pack", "images")
    return made


@pytest.fixture
def over(job):
    """A check that has ended with more lines than a screen has."""
    made = job("check", "/data/casia", html="/tmp/report.html")
    made.progress(500, 500, "records")
    made.finish("500 records of 20 people", *(f"record {i}: odd" for i in range(90)), problems=3)
    return made


CMC = Curve(title="CMC", x="rank", y="share", lines={"raw": [(1, 0.5), (10, 0.8), (1000, 0.95)]}, log_x=True)
ROC = Curve(title="ROC\x1b[2J", x="FAR", y="TAR", lines={"raw": [(0, 0.1), (1e-6, 0.5), (1, 1)]}, log_x=True)


@pytest.mark.long
async def test_curves_stand_beside_the_report_or_in_its_place(job, root, until, shown):
    made = job("check", "/data/casia")
    made.finish("rank 1 is 0.5", curves=[CMC, ROC])
    app = Console(root, made.run.id)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "rank 1 is 0.5" in shown(app) and "share by rank" in shown(app))
        assert "1000" in shown(app) and " raw" in shown(app)
        await pilot.press("c")
        await until(pilot, lambda: "TAR by FAR" in shown(app))
        assert "1e-6" in shown(app) and "rank 1 is 0.5" in shown(app)
        await pilot.press("c")
        await until(pilot, lambda: "TAR by FAR" not in shown(app))
        await pilot.press("c")
        await until(pilot, lambda: "share by rank" in shown(app))


async def test_in_a_narrow_terminal_a_curve_takes_the_place_of_the_report(job, root, until, shown):
    made = job("check", "/data/casia")
    made.finish("rank 1 is 0.5", curves=[CMC])
    app = Console(root, made.run.id)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "rank 1 is 0.5" in shown(app))
        assert "CMC" not in shown(app)
        await pilot.press("c")
        await until(pilot, lambda: "share by rank" in shown(app))
        assert "rank 1 is 0.5" not in shown(app)
        await pilot.press("c")
        await until(pilot, lambda: "rank 1 is 0.5" in shown(app))


async def test_every_line_of_a_curve_has_its_name_in_a_narrow_title(job, root, until, shown):
    made = job("check", "/data/casia")
    points = [(1.0, 0.5), (1000.0, 0.9)]
    lines = {f"{kind}, 1,000,000 distractors": points for kind in ("raw", "cleaned")}
    made.finish("over", curves=[Curve(title="MegaFace: identification", x="rank", y="share", lines=lines)])
    app = Console(root, made.run.id)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "over" in shown(app))
        await pilot.press("c")
        await until(pilot, lambda: "MegaFace: identification" in shown(app))
        heading = row(shown(app), "MegaFace: identification")
        assert "o raw  + cleaned  share by rank" in heading


async def test_without_curves_the_key_is_not_offered(over, root, until, shown):
    app = Console(root, over.run.id)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "500 records of 20 people" in shown(app))
        await pilot.press("c")
        assert "curves" not in shown(app)


# --- the list


async def test_the_list_tells_jobs_from_trainings(make, live, over, root, until, shown):
    make("plain-run").train(3)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "3 problems" in shown(app))
        text = shown(app)
        assert "1200/4000" in row(text, "data pack faces")
        assert "▶ running" in row(text, "data pack faces")
        assert "✓ done" in row(text, "data check casia")
        assert "3 runs, 2 live" in text
        await pilot.press("slash", *"pack")
        await until(pilot, lambda: "1 of 3 shown" in shown(app))
        assert "data pack /data/faces /data/pack --hold-out 4" in shown(app)
        assert "pack 1,200/4,000 images" in shown(app)


@pytest.mark.long
async def test_the_list_is_whole_when_wide(live, over, root, until, shown):
    app = Console(root)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "3 problems" in shown(app))
        assert "faces" in row(shown(app), "data pack")
        assert "1 × CPU" in row(shown(app), "data pack")


async def test_a_failed_job_is_told_in_the_list(job, root, until, shown):
    made = job("bin", "/data/lfw", "/data/lfw.bin", list="/x/pairs.txt")
    failure = Failure(rank=0, cause="3 images are missing", hint="see\x1b[2J /x/pairs.txt", exit_code=3)
    made.become("failed", reason=failure.cause, failure=failure)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "✗ failed" in shown(app))
        assert "3 images are missing → see /x/pairs.txt" in shown(app)
        assert "rank 0" not in shown(app)


@pytest.mark.long
async def test_delete_spares_the_data(over, root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "✓ done" in shown(app))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Confirm) and "delete data check" in shown(app))
        assert "the data stays" in shown(app)
        await pilot.press("y")
        await until(pilot, lambda: "No runs in" in shown(app))
    assert not over.run.path.exists()


# --- the screen of a job


@pytest.mark.parametrize("size", [(60, 16), SMALL, LARGE])
async def test_a_live_job_shows_how_far_it_is(live, root, until, shown, size):
    app = Console(root, live.run.id)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, JobScreen) and "1,200/4,000" in shown(app))
        text = shown(app)
        for pinned in ("data pack faces", "▶ running", "ETA 7 s", "30%"):
            assert pinned in text
        assert text.splitlines()[-1].startswith(" ? help")
        assert "q back" in text.splitlines()[-1]
        if size != (60, 16):
            assert "400/s" in text
            assert "7 s left" in text
            assert "arcterm data pack /data/faces /data/pack --hold-out 4" in text


async def test_a_job_is_followed_to_its_report(live, root, until, shown):
    app = Console(root, "last")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "30%" in shown(app))
        live.progress(4000, 4000, "pack", "images")
        live.finish("packed 4,000 images", "[red]not markup[/]", result="/data/pack")
        app.screen.look()
        await until(pilot, lambda: "packed 4,000 images" in shown(app))
        text = shown(app)
        assert "✓ done" in text
        assert "100%" in text
        assert "made /data/pack" in text
        assert "[red]not markup[/]" in text
        assert "ETA" not in text
        assert "S stop" not in text
        assert "R resume" not in text


async def test_a_long_report_scrolls(over, root, until, shown):
    app = Console(root, "last")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "report: 3 problems" in shown(app))
        assert "3 problems found" in shown(app)
        assert "500 records of 20 people" in shown(app)
        await pilot.press("G")
        assert "record 89: odd" in shown(app)
        assert "of 91" in shown(app)
        await pilot.press("k", "pagedown", "j", "home")
        assert "500 records of 20 people" in shown(app)
        await pilot.press("pagedown")
        assert "500 records of 20 people" not in shown(app)


async def test_a_failure_is_told_with_its_hint(job, root, until, shown):
    made = job("merge", "/a", "/b", "/c")
    text = "/a/train.rec key 17 at byte 40216: not a whole image\nand 3 more"
    failure = Failure(
        rank=0, cause=text.splitlines()[0], error=text, hint="`arcterm data check /a` names all"
    )
    made.become("failed", reason=failure.cause, failure=failure)
    app = Console(root, "last")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "✗ failed" in shown(app))
        assert "and 3 more" in shown(app)
        assert "→ `arcterm data check /a` names all" in shown(app)
        assert "R resume" in shown(app)


async def test_a_job_that_has_told_nothing_says_what_it_waits_for(job, root, until, shown):
    job()
    app = Console(root, "last")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "its process is yet to say" in shown(app))


async def test_stop_and_resume(live, root, until, shown, monkeypatch):
    submitted = []
    monkeypatch.setattr(engine, "submit", lambda run: submitted.append(run.id))
    app = Console(root, "last")
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: "30%" in shown(app))
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, StopBox) and "stop data pack faces?" in shown(app))
        assert "what is done is kept" in shown(app)
        assert "checkpoint" not in shown(app)
        await pilot.press("1")
        await until(pilot, lambda: control.pending(live.run))
        app.screen.look()
        await until(pilot, lambda: "■ stopping" in shown(app))
        assert "stop asked for" in shown(app)
        control.clear(live.run)
        live.become("stopped", reason="on request; what was done is kept")
        app.screen.look()
        await until(pilot, lambda: "R resume" in shown(app))
        await pilot.press("R")
        await until(pilot, lambda: "data pack faces goes on" in shown(app))
    assert submitted == [live.run.id]


@pytest.mark.long
async def test_leaving_says_that_the_job_goes_on(live, root, until, shown):
    app = Console(root, "last")
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: "30%" in shown(app))
        await pilot.press("o")
        await pilot.pause()
        assert "─ command" not in shown(app)
        await pilot.press("q", "q")
        await until(pilot, lambda: isinstance(app.screen, RunList) and "the job goes on (pid" in shown(app))


async def test_a_resumed_job_counts_from_where_it_was(live, root):
    live.clock += 100
    from arcterm.runs.journal import Journal

    live.journal.close()
    live.journal = Journal(live.run.events, 2, 0)
    for done in (1000, 2000, 3000):
        live.progress(done, 4000, "pack", "images")
    view = view_of(live)
    assert [stage.attempt for stage in view.stages] == [1, 2]
    assert "1,000/s" in said(panels.progress(view, 100, 1))
    assert "1 s left" in said(panels.progress(view, 100, 1))


@pytest.mark.parametrize("ended", ["live", "done", "failed", "lost"])
@pytest.mark.parametrize(
    "panel",
    [panels.status, panels.progress, panels.notice, panels.command, panels.account, log.log],
)
def test_no_panel_is_wider_or_taller_than_its_place(job, panel, ended):
    made = job("merge", *("/data/" + "long/" * 30 for _ in range(3)))
    made.progress(10**9, 2 * 10**9, "a phase with a long name", "x" * 300)
    made.progress(10**9 + 5, 2 * 10**9, "a phase with a long name", "y" * 300)
    made.say("warning", "z" * 300)
    if ended == "done":
        made.finish("w " * 300, "\x1b[31mred\x1b[0m", "", problems=10**6, result="/r" * 200)
    if ended == "failed":
        failure = Failure(cause="c" * 200, error="e\nf " * 90, hint="h" * 300, traceback="t\n" * 50, log="/l")
        made.become("failed", failure=failure)
    if ended == "lost":
        made.become("lost", reason="gone " * 60)
    view = view_of(made)
    for width, height in ((58, 3), (80, 9), (200, 20)):
        lines = panel(view, width, height)
        assert len(lines) <= height
        assert all(width_of(line) <= width for line in lines), (width, said(lines))
        assert "\x1b" not in said(lines)


# --- records skipped in training


@pytest.mark.long
async def test_skipped_records_are_counted_and_named(make, root, until, shown):
    made = make("skips")
    made.train(20)
    made.skip(17, "train.rec key 17 at byte 40216", "not a whole \x1b[2Jimage", 1)
    made.skip(99, "train.rec key 99 at byte 50000", "a label of 90 in 85 classes", 3)
    app = Console(root, "skips")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "3 of 4,000 records skipped" in shown(app))
        await pilot.resize_terminal(120, 35)
        await until(pilot, lambda: "train.rec key 17 at byte 40216: not a whole image" in shown(app))
        assert "train.rec key 99 at byte 50000: a label of 90" in shown(app)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, RunList) and "records skipped" in shown(app))


def test_a_run_that_skips_nothing_says_nothing_of_it(make):
    from arcterm.console.panels import metrics, status

    made = make("whole")
    made.train(5)
    view = view_of(made)
    panes = [metrics.metrics(view, 40, 20), status.notice(view, 80, 1), log.log(view, 80, 9)]
    assert not any("skipped" in said(lines) for lines in panes)


# --- starting one


@pytest.fixture
def faces(tmp_path):
    """A folder of two people."""
    for person in ("ann", "bob"):
        (tmp_path / "faces" / person).mkdir(parents=True)
    return tmp_path / "faces"


@pytest.fixture
def quick(monkeypatch, make):
    """Checks follow typing at once, and nothing is started."""
    submitted = []
    monkeypatch.setattr("arcterm.console.forms.screen.DEBOUNCE_SECONDS", 0.02)
    monkeypatch.setattr(engine, "submit", lambda run: submitted.append(run.id))
    return submitted


def write(app, key, text):
    app.screen.query_one(f"#field-{key.replace('.', '-')} Input", Input).value = text


def note(app, key):
    return str(app.screen.query_one(f"#field-{key.replace('.', '-')} .note").render())


async def test_a_job_that_hangs_on_import_does_not_hold_the_console_up(root, until, shown, monkeypatch):
    """The list is made in another thread: keys work meanwhile, and it comes when it is known."""
    known = threading.Event()
    found = offered()
    monkeypatch.setattr(
        "arcterm.console.screens.jobs.offered", lambda: found if known.wait(60) else pytest.fail("it waits")
    )
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "d data" in shown(app))
        await pilot.press("d", "n")
        await until(pilot, lambda: "looking for installed jobs" in shown(app))
        await pilot.press("enter", "j")
        assert isinstance(app.screen, JobList)
        known.set()
        await until(pilot, lambda: "Pack a folder" in shown(app))


@pytest.mark.long
async def test_a_job_is_chosen_filled_in_and_started(quick, faces, root, until, shown, tmp_path):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "d data" in shown(app))
        await pilot.press("d", "n")
        await until(pilot, lambda: isinstance(app.screen, JobList) and "Pack a folder" in shown(app))
        seen = shown(app)
        await pilot.press("G")
        seen += shown(app)
        assert "of 1" in seen
        for name in offered():
            assert f" {name} " in seen
        await pilot.press("g")
        await pilot.press("j", "k", "enter")
        await until(pilot, lambda: isinstance(app.screen, JobForm) and "2 problems" in shown(app))
        assert "give src" in note(app, "path.src")
        write(app, "path.src", str(faces))
        write(app, "path.dst", str(tmp_path / "my pack"))
        write(app, "hold_out", "4")
        await until(pilot, lambda: "ready: ^g or F5 starts it" in shown(app))
        assert app.screen.draft.command().endswith("my pack' --hold-out 4")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        run = app.screen.view.run
        assert quick == [run.id]
        assert run.record.config == job_config("pack", [faces, tmp_path / "my pack"], {"hold_out": 4})
        assert run.record.argv[:3] == ["arcterm", "data", "pack"]
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, JobRunScreen))


@pytest.mark.long
async def test_a_form_names_what_is_wrong_beside_the_field(quick, faces, root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        app.open_job("pack", {"path.src": "/nowhere/at all", "path.dst": str(faces)})
        await until(pilot, lambda: isinstance(app.screen, JobForm) and app.screen.query(".note"))
        await until(pilot, lambda: "there is no /nowhere/at all" in note(app, "path.src"))
        assert "is already there" in note(app, "path.dst")
        write(app, "pairs", "3")
        await until(pilot, lambda: "20 ≤ pairs" in note(app, "pairs"))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.screen.query_one("#field-pairs").has_focus_within)
        write(app, "path.src", "~nobody-here/x")
        write(app, "pairs", "")
        await until(pilot, lambda: "no home directory ~nobody-here" in note(app, "path.src"))
        assert not store.list_runs(root)


@pytest.mark.long
async def test_several_packs_are_given_in_one_field(quick, faces, root, until, shown, tmp_path):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        app.open_job("merge", {})
        await until(pilot, lambda: isinstance(app.screen, JobForm) and app.screen.query("Input"))
        from textual import events

        app.screen.query_one("#field-path-src Input").post_message(
            events.Paste(f"{faces}/ann\n{faces}/bob\n")
        )
        write(app, "path.dst", str(tmp_path / "both"))
        await until(pilot, lambda: "ready" in shown(app))
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        wanted = [str(faces / "ann"), str(faces / "bob"), str(tmp_path / "both")]
        assert app.screen.view.record.config.paths == wanted


@pytest.mark.long
async def test_a_path_is_completed(quick, faces, root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        app.open_job("check", {})
        await until(pilot, lambda: isinstance(app.screen, JobForm) and app.screen.query("Input"))
        field = app.screen.query_one("#field-path-src Input", Input)
        field.value = f"{faces}/"
        await pilot.press("end", "a")
        await until(pilot, lambda: field._suggestion)
        await pilot.press("right")
        assert field.value == f"{faces}/ann/"


async def test_fork_asks_for_the_same_job_again(quick, over, root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "✓ done" in shown(app))
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, JobForm) and app.screen.query("Select"))
        assert over.run.record.config.command == app.screen.draft.command()
        app.screen.query_one("#field-duplicates Select", Select).value = "no"
        await until(pilot, lambda: "--no-duplicates" in shown(app))


def test_paths_complete_as_a_shell_would(faces, tmp_path, monkeypatch):
    (faces / ".hidden").mkdir()
    (faces / "bad\nname").touch()
    assert complete(f"{faces}/") == "ann/"
    assert complete(f"{faces}/b") == "ob/"
    assert complete(f"{faces}/.h") == "idden/"
    assert complete(f"{faces}/bob") == "/"
    assert complete(f"{faces}/x") == ""
    assert complete("/nowhere/x") == ""
    assert complete("~nobody-here/x") == ""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert complete("~/fa") == "ces/"
    monkeypatch.chdir(tmp_path)
    assert complete("fa") == "ces/"


EXAMPLES = [
    ("pack", ["/a b", "/it's"], {"hold_out": 4, "resize": True}),
    ("check", ["/p"], {"duplicates": False, "html": "/r e.html", "seal": True}),
    ("merge", ["/a", "/b", "/c"], {}),
    ("split", ["/a", "/b", "/c"], {"people": 10, "seed": 0}),
    ("bench", ["/p"], {"seconds": 0.5, "threads": 3}),
    ("extract", ["/p", "/q"], {"people": "0,5-9"}),
    ("align", ["/photos", "/faces"], {"preset": "lfw", "set": "minsize=40,factor=0.8", "weights": "/w"}),
]


@pytest.mark.parametrize(("name", "paths", "options"), EXAMPLES)
def test_the_command_asks_for_the_same_job(name, paths, options, monkeypatch):
    """What the command line makes of the words is the config that the form makes of its fields."""
    from typer.testing import CliRunner

    from arcterm.cli.app import build

    asked = []
    monkeypatch.setattr("arcterm.launch.start.job", lambda config, root, **_: asked.append(config) or NAMED)
    config = job_config(name, paths, options)
    words = shlex.split(config.command)
    assert words[1:].index(name) == len(config.group.split())
    done = CliRunner().invoke(build(words[1:]), [*words[1:], "--detach"])
    assert done.exit_code == 0, done.output
    assert asked == [config]
    draft = JobDraft(name, get("job", name), config.form[1])
    assert not draft.problems()
    assert job_config(name, draft.paths(), draft.options()) == config


class _Named:
    id = "some-id"


NAMED = _Named()


def test_a_command_of_a_job_that_is_not_known_here_is_still_told():
    config = JobConfig(
        name="later", group="data", paths=["-odd"], options={"some_thing": True, "off": False, "x": 1.5}
    )
    assert config.command == "arcterm data later ./-odd --some-thing --no-off --x 1.5"
    known = JobConfig(name="pack", group="data", paths=["a", "b"], options={"hold_out": 0, "pairs": 20})
    assert known.command == "arcterm data pack a b --pairs 20"


# --- pictures


@pytest.fixture
def album(monkeypatch):
    """The pages that the console asks for, drawn without a process."""
    asked = []

    def draw(drawer, request, progress):
        asked.append(request)
        progress(3, 4)
        if request.source == "/nowhere":
            raise DataError("/nowhere is not there", f"give a pack, {'or a folder ' * 9}of people")
        face = [[("▀▀▀▀", (9, 8, 7), (1, 2, 3), "")]]
        return Page([[("0  ann\x1b[2J  8 images", None, None, "bold")], *face], 0 if request.pairs else 8)

    monkeypatch.setattr(PageDrawer, "draw", draw)
    return asked


@pytest.mark.long
async def test_pictures_of_people_and_pairs(album, live, root, until, shown):
    app = Console(root, "last")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "30%" in shown(app))
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, PictureScreen) and "▀▀▀▀" in shown(app))
        assert "people 0–5 of 8" in shown(app)
        assert "/data/faces" in shown(app)
        assert "ann  8 images" in shown(app)
        assert (album[-1].width, album[-1].page) == (76, 0)
        await pilot.press("n")
        await until(pilot, lambda: "people 6–7 of 8" in shown(app))
        assert album[-1].page == 1
        await pilot.press("n", "v")
        await until(pilot, lambda: "pairs" in shown(app).splitlines()[1])
        assert album[-1].pairs
        await pilot.press("e", "ctrl+u", *"/nowhere", "enter")
        await until(pilot, lambda: "/nowhere is not there" in shown(app))
        assert "→ give a pack" in shown(app) and "of people" in shown(app)  # to its end
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))


@pytest.mark.long
async def test_pairs_are_sorted_by_their_scores(job, root, tmp_path, until, shown, monkeypatch):
    monkeypatch.setattr(PageDrawer, "draw", lambda drawer, request, progress: _draw(request, progress))
    place, same = tmp_path / "lfw.bin", [True, True, True, False, False, False]
    write_pairs(place, [encode_jpeg(np.full((8, 8, 3), 20 * n, np.uint8)) for n in range(12)], same)
    app = Console(root)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        app.open_pictures(str(place))
        await until(pilot, lambda: "6 pairs, 3 same" in shown(app) and "o order" in shown(app))
        await pilot.press("o")
        await until(pilot, lambda: "no verification has scored the pairs" in shown(app))
        assert "arcterm verify MODEL" in shown(app)
        done = job("verify", "/runs/a-model", str(place))
        scores = done.run.path / "verify" / "step-0000000400-distances.npz"
        scores.parent.mkdir(exist_ok=True)
        np.savez(scores, lfw=np.array([0.1, 0.9, 0.5, 1.8, 0.2, 1.1]))
        data = {"model": "mine", "step": 400, "distances": str(scores)}
        write_report(done.run, JobReport(lines=[], data=data))
        await pilot.press("escape", "o")
        await until(pilot, lambda: "pairs hardest first by mine @400" in shown(app))
        captions = re.findall(r"(\d) (same|different) (\d\.\d\d)", shown(app))
        assert [int(number) for number, *_ in captions] == [1, 4, 2, 5, 0, 3]
        assert captions[1] == ("4", "different", "0.20")
        await pilot.press("o")
        await until(pilot, lambda: "nearest first" in shown(app))
        assert [int(n) for n, *_ in re.findall(r"(\d) (same|different) 0", shown(app))] == [0, 4, 2, 1]
        await pilot.press("o", "o")
        await until(pilot, lambda: "6 pairs, 3 same" in shown(app) and "first" not in shown(app))


@pytest.mark.long
async def test_pictures_are_reached_from_the_choice_of_jobs(album, root, until, shown, make):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "d data" in shown(app))
        await pilot.press("d", "n")
        await until(pilot, lambda: isinstance(app.screen, JobList) and "Pack a folder" in shown(app))
        await pilot.press("G", "enter")
        await until(pilot, lambda: isinstance(app.screen, PictureScreen) and app.screen.focused)
        await pilot.press(*"demo", "enter")
        await until(pilot, lambda: "people 0–5 of 8" in shown(app))


@pytest.mark.long
async def test_pictures_show_their_progress_and_end_with_their_screen(monkeypatch, root, until, shown):
    """A data set that hangs holds up neither the console nor another data set."""
    ends = {}

    def draw(drawer, request, progress):
        ends[drawer] = threading.Event()
        progress(3, 4)
        assert ends[drawer].wait(60)
        raise DataError("the process was ended")

    monkeypatch.setattr(PageDrawer, "draw", draw)
    monkeypatch.setattr(PageDrawer, "end", lambda drawer: ends[drawer].set() if drawer in ends else None)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        app.open_pictures("slow")
        await until(pilot, lambda: "reading 3 of 4" in shown(app))
        await pilot.press("e", "ctrl+u", *"other", "enter")
        await until(pilot, lambda: "other" in shown(app).splitlines()[1] and len(ends) == 2)
        first, second = ends.values()
        assert first.is_set()
        assert not second.is_set()
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, RunList) and second.is_set())


@pytest.mark.slow
def test_pictures_of_a_real_pack(test_data):
    """The process answers with coloured text; a path that is none is refused in its words."""
    pack = test_data("mxnet/golden_1_1_0/pack")
    heard = []
    page = PageDrawer().draw(PageRequest(source=str(pack), width=76), lambda *words: heard.append(words))
    assert page.classes > 1
    assert heard
    pieces = [piece for line in page.lines for piece in line]
    assert any("▀" in text and front and back for text, front, back, _ in pieces)
    page = PageDrawer().draw(PageRequest(source=str(pack), width=76, mode="ascii"))
    assert all(text.isascii() for line in page.lines for text, *_ in line)
    with pytest.raises(DataError, match="-no such is not"):
        PageDrawer().draw(PageRequest(source=str(pack) + "-no such", width=76))
    ended = PageDrawer()
    ended.end()
    with pytest.raises(DataError, match="ended before it started"):
        ended.draw(PageRequest(source=str(pack), width=76))


# --- plain terminals, and a real job


@pytest.mark.long
@pytest.mark.parametrize("variable", ["NO_COLOR", "ARCTERM_ASCII"])
async def test_every_screen_is_drawn_on_a_plain_terminal(
    album, live, root, until, shown, monkeypatch, variable
):
    monkeypatch.setenv(variable, "1")
    app = Console(root, "last")
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "30%" in shown(app))
        screens = [shown(app)]
        await pilot.press("v")
        await until(pilot, lambda: "people 0" in shown(app))
        await pilot.press("q", "f")
        await until(pilot, lambda: isinstance(app.screen, JobForm) and "hold out" in shown(app))
        screens.append(shown(app))
        app.push_screen(JobList(root))
        await until(pilot, lambda: isinstance(app.screen, JobList) and "Pack a folder" in shown(app))
        screens.append(shown(app))
        if variable == "ARCTERM_ASCII":
            assert all(screen.isascii() for screen in screens)


@pytest.mark.long
@pytest.mark.parametrize("size", [(60, 16), SMALL, LARGE])
async def test_every_form_fits(quick, root, until, shown, size):
    app = Console(root)
    async with app.run_test(size=size) as pilot:
        for name, spec in offered().items():
            app.open_job(name)
            await until(pilot, lambda: isinstance(app.screen, JobForm) and "problem" in shown(app))
            assert all(len(line) <= size[0] for line in shown(app).splitlines())
            assert {row.key for row in app.screen.query(FieldRow)} == {
                *(f"path.{place.name}" for place in spec.paths),
                *(option.name for option in spec.options),
                *(("run.gpus", "run.nproc", "run.launcher", "run.launcher_set") if spec.ranks else ()),
                AFTER.key,
            }
            app.pop_screen()


@pytest.mark.slow
async def test_a_real_job_from_the_form_to_its_report(make, root, until, shown, tmp_path):
    """A supervisor and a worker of its own: started by the form, followed to its report, looked at."""
    import cv2
    import numpy as np

    for person in range(3):
        folder = tmp_path / "faces" / f"p{person}"
        folder.mkdir(parents=True)
        for image in range(4):
            pixels = np.random.default_rng(4 * person + image).integers(0, 255, (112, 112, 3), np.uint8)
            cv2.imwrite(str(folder / f"{image}.jpg"), pixels)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        app.open_job("pack", {"path.src": str(tmp_path / "faces"), "path.dst": str(tmp_path / "out")})
        await until(pilot, lambda: "ready" in shown(app))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        await until(pilot, lambda: "✓ done" in shown(app), turns=6000)
        assert "12/12 images" in shown(app)
        assert "packed 12 images of 3 people" in shown(app)
        await pilot.press("v")
        await until(pilot, lambda: "people 0–2 of 3" in shown(app), turns=6000)
        await until(pilot, lambda: "▀" in shown(app))
    assert (tmp_path / "out" / "train.rec").stat().st_size


def test_an_option_that_names_a_file_which_is_read_is_looked_at_early(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04 weights")
    options = {"aligned": "nope", "out": "made-by-it"}
    verdict = judge_job("tinyface", ["net.pth", "."], options, root)
    assert verdict.problems == {"aligned": f"there is no {tmp_path}/nope"}
    with pytest.raises(DataError, match=f"{tmp_path}/nope does not exist") as refused:
        start.job(job_config("tinyface", ["net.pth", "."], options), root)
    assert "--aligned: folder of aligned copies" in refused.value.hint and not root.exists()
    (tmp_path / "nope").mkdir()
    assert judge_job("tinyface", ["net.pth", "."], options, root).job is not None


def test_the_form_of_a_verification_says_what_is_missing_before_it_starts(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04 weights")
    assert "verify" in offered() and JobDraft("verify", get("job", "verify")).problem("path.sets") == ""
    (said,) = judge_job("verify", ["net.pth"], {}, root).problems.values()
    assert "the verification sets have to be given" in said
    (said,) = judge_job("verify", ["net.pth", "lfw.bin"], {}, root).problems.values()
    assert "lfw.bin" in said
    write_pairs(tmp_path / "lfw.bin", [b"x", b"y"], [True])
    verdict = judge_job("verify", ["net.pth", "lfw.bin"], {"channels": "bgr"}, root)
    assert verdict.job is not None
    assert verdict.job.command == f"arcterm verify net.pth {tmp_path}/lfw.bin --channels bgr"
    assert verdict.job.form == ("verify", {
        "path.model": "net.pth", "path.sets": f"{tmp_path}/lfw.bin", "channels": "bgr",
    })  # fmt: skip


async def test_keys_that_come_as_a_form_opens_are_the_first_fields(root):
    app = Console(root)
    async with app.run_test() as pilot:
        app.open_job("clean")
        for letter in "abc":
            app.post_message(events.Key(letter, letter))
        await pilot.pause()
        await pilot.pause()
        assert app.screen.draft.texts["path.features"] == "abc"
