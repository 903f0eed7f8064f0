"""Launchers in the launch form, and runs that wait at an engine in the console."""

from __future__ import annotations

import threading

import pytest
from arcterm_registry import get
from arcterm_registry.contracts import EngineState

from arcterm.config import job_config
from arcterm.console.app import Console
from arcterm.console.forms import sections
from arcterm.console.forms.job import JobDraft, judge_job
from arcterm.console.forms.judging import judge
from arcterm.console.forms.resuming import ResumeDraft
from arcterm.console.forms.training import Draft, installed
from arcterm.console.panels.answer import help_lines
from arcterm.launch import start
from arcterm.launch.launchers import chosen
from arcterm.launch.plan import make_plan
from arcterm.runs import store

from ..console.conftest import screen_text, until

__all__ = ["until"]
ASKED = {"backbone": "tiny", "loss": "arcface", "dataset": "demo", "launcher": "farm"}


def test_a_launcher_brings_its_own_options_into_the_form(farm):
    draft = Draft(installed(), {"backbone": "tiny", "loss": "arcface"})
    assert sections.section_of("launcher.hosts", sections.titles()) == "devices"
    assert {name for _, name in draft.choices("launcher")} >= {"local", "farm", "barn"}
    assert draft.options("launcher") == []
    draft.texts |= {"launcher": "farm", "launcher.hosts": "4", "launcher.gpus": "many"}
    assert [field.key for field in draft.options("launcher")] == [
        "launcher.hosts",
        "launcher.gpus",
        "launcher.field",
    ]
    assert "gpus is a whole number" in draft.problem("launcher.gpus")
    assert draft.note("launcher") == "machines of others"
    assert draft.settings()["launcher_options"] == {"hosts": 4}
    assert "--launcher farm --set launcher.hosts=4" in draft.command()
    draft.texts["launcher"] = "frm"
    assert draft.problem("launcher") == "there is no launcher frm"
    assert draft.fix("launcher").texts == {"launcher": "farm"}


def test_what_a_launcher_finds_stands_beside_its_field(farm, tmp_path):
    farm.problems.append("there is no field 'x' → give launcher.field")
    verdict = judge(ASKED, tmp_path)
    assert verdict.problems == {"launcher": "farm: there is no field 'x': give launcher.field"}
    farm.problems.clear()
    assert judge(ASKED, tmp_path).problems == {}
    verdict = judge(ASKED | {"launcher_options": {"hosts": 0}}, tmp_path)
    assert "launcher farm: hosts 0 is outside its range" in "".join(verdict.problems.values())


def test_a_resume_with_changes_has_the_options_of_the_runs_launcher(farm, tmp_path):
    settings = ASKED | {"launcher_options": {"hosts": 2, "field": "a"}}
    made = start.start(make_plan(settings, root=tmp_path), tmp_path, name="far")
    draft = ResumeDraft(made, made.config)
    assert draft.fields()["launcher.hosts"].placeholder == "2"
    draft.texts |= {"launcher.hosts": "4", "launcher.gpus": "no", "epochs": "30"}
    assert draft.settings() == {"epochs": 30, "launcher_options": {"hosts": 4}}
    assert draft.command() == "arcterm resume far --epochs 30 --set launcher.hosts=4"
    assert draft.problem("launcher.gpus")


def tinyface(tmp_path):
    """A job on ranks whose paths are there, in a form."""
    (tmp_path / "faces").mkdir()
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04 weights")
    texts = {"path.model": str(tmp_path / "net.pth"), "path.root": str(tmp_path / "faces")}
    return JobDraft("tinyface", get("job", "tinyface"), texts)


def verdict_of(draft, root):
    after = draft.text("run.after")
    return judge_job(draft.name, draft.paths(), draft.options(), root, after, draft.where())


def test_a_job_on_ranks_is_told_where_to_run_in_its_form(farm, tmp_path):
    draft = tinyface(tmp_path)
    assert verdict_of(draft, tmp_path).ready
    bare = draft.command()
    draft.texts |= {"run.launcher": "farm", "run.launcher_set": "hosts=2 'field=a b,c'", "run.nproc": "3"}
    assert draft.command() == (
        f"{bare} --nproc 3 --launcher farm --launcher-set hosts=2 --launcher-set 'field=a b,c'"
    )
    assert draft.problems() == {}
    verdict = verdict_of(draft, tmp_path)
    assert verdict.ready, verdict.problems
    made = start.job(verdict.job, tmp_path, **draft.where().given())
    config = made.record.config
    assert (config.launcher, config.hosts, config.nproc) == ("farm", 2, 6)
    again = JobDraft("tinyface", draft.spec, config.form[1])
    assert again.text("run.launcher") == "farm"
    assert again.where() == draft.where()

    ((line, _),) = help_lines(draft, "run.launcher_set", "", None, 80, 1)[0]
    assert line == " launcher set: KEY=VALUE, its own options, blanks between"

    local = JobDraft("pack", get("job", "pack"))
    assert (local.where(), local.where_fields) == (None, [])


@pytest.mark.parametrize(
    ("texts", "key", "said"),
    [
        (
            {"run.launcher": "farm", "run.launcher_set": "hosts"},
            "run.launcher_set",
            "'hosts' of the launcher has no '='",
        ),
        ({"run.launcher": "farm", "run.launcher_set": "field='a"}, "run.launcher_set", "in quotes"),
        ({"run.launcher": "farm", "run.launcher_set": "hosts=no"}, "run.launcher_set", "whole number"),
        ({"run.launcher_set": "hosts=2"}, "run.launcher_set", "of another launcher"),
        ({"run.launcher": "barnyard"}, "run.launcher", "farm"),
        ({"run.launcher": "farm", "run.gpus": "0"}, "run.gpus", "works on others"),
        ({"run.nproc": "0"}, "run.nproc", "outside"),
    ],
)
def test_a_place_that_can_not_be_stands_beside_its_field(farm, tmp_path, texts, key, said):
    draft = tinyface(tmp_path)
    draft.texts |= texts
    found = draft.problems() or verdict_of(draft, tmp_path).problems
    assert list(found) == [key]
    assert said in found[key]


def test_what_a_launcher_finds_wrong_with_a_job_stands_beside_its_field(farm, tmp_path):
    draft = tinyface(tmp_path)
    draft.texts["run.launcher"] = "farm"
    farm.problems.append("there is no field 'x' → give launcher.field")
    assert "there is no field 'x'" in verdict_of(draft, tmp_path).problems["run.launcher"]
    farm.problems.clear()
    first = start.job(verdict_of(draft, tmp_path).job, tmp_path, **draft.where().given())
    draft.texts["run.after"] = first.id
    assert "a queue of its own" in verdict_of(draft, tmp_path).problems["run.after"]


@pytest.mark.long
async def test_the_console_shows_why_runs_wait_and_never_waits_itself(farm, tmp_path, until, monkeypatch):
    root = tmp_path / "runs"
    start.start(make_plan(ASKED, root=root), root, name="far")
    (tmp_path / "faces").mkdir()
    asked = job_config("arcterm:align", [tmp_path / "faces", tmp_path / "out"], {})
    job = start.job(asked, root, launcher=chosen.choose("farm", {}))
    farm.answers["17"] = EngineState(state="queued", reason="Resources")
    farm.answers["18"] = EngineState(state="queued", reason="Priority")
    answer = threading.Event()
    monkeypatch.setattr(farm, "does", staticmethod(lambda what: what == "state" and answer.wait(60)))
    app = Console(root)
    async with app.run_test(size=(110, 30)) as pilot:
        await until(pilot, lambda: "far" in screen_text(app) and "farm 18" in screen_text(app))
        await pilot.press("G")  # the engine has not answered, and keys are
        await until(pilot, lambda: "farm 17" in screen_text(app))
        answer.set()
        await until(pilot, lambda: "farm 17: Resources" in screen_text(app))
        app.open_run(store.find(root, "far"))
        await until(pilot, lambda: "queued farm 17: Resources" in screen_text(app))
        await pilot.press("1")
        await until(pilot, lambda: "N new run" in screen_text(app))
        app.open_run(job)
        await until(pilot, lambda: "queued farm 18: Priority" in screen_text(app))


async def test_an_engine_that_fails_is_a_line_in_the_console(farm, tmp_path, until, monkeypatch):
    root = tmp_path / "runs"
    start.start(make_plan(ASKED, root=root), root, name="far")
    monkeypatch.setattr(farm, "does", staticmethod(lambda what: 1 / 0))
    monkeypatch.setattr("arcterm.console.habits.engines.SECONDS", 0.05)
    app = Console(root)
    async with app.run_test(size=(110, 30), notifications=True) as pilot:
        await until(pilot, lambda: "farm: division by zero" in screen_text(app))
        assert "far" in screen_text(app)
