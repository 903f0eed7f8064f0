"""The form of a resume with changes: what may change, the command, what it does, the start."""

from __future__ import annotations

import pytest

from arcterm import commandline
from arcterm.cli.runs import resume as command
from arcterm.console.app import Console
from arcterm.console.forms import resuming
from arcterm.console.forms.resume import ResumeForm
from arcterm.console.screens.dashboard import Dashboard
from arcterm.errors import DataError
from arcterm.launch.resume import resumption
from arcterm.launch.resume.changes import PLAIN, WORKED_OUT
from arcterm.launch.resume.resumption import Resumption


def test_every_setting_that_a_resume_may_change_has_a_field():
    listed = {key for title in resuming.titles() for key in resuming.keys(title)}
    assert listed == {*WORKED_OUT, *PLAIN, resuming.ACCEPT} - {"track_options", "launcher_options"}
    assert set(command._FLAGS) == set(commandline.RESUME_FLAGS)


def test_empty_fields_stay_as_they_are(make):
    run = make("mine", steps=400, clip=5.0).run
    draft = resuming.ResumeDraft(run, run.config)
    assert (draft.command(), draft.differences()) == ("arcterm resume mine", [])
    fields = draft.fields()
    assert [fields[key].placeholder for key in ("steps", "clip", "gpus", "nproc")] == [
        "400",
        "5",
        "none",
        "2",
    ]
    draft.texts |= {"nproc": "1", "clip": "1", "gpus": "none", "epochs": "x", resuming.ACCEPT: "yes"}
    assert draft.command() == ("arcterm resume mine --nproc 1 --gpus none --set clip=1 --accept-changed-data")
    assert list(draft.problems()) == ["epochs"]
    assert [each.key for each in draft.differences()] == ["nproc", "epochs", "clip", resuming.ACCEPT]


@pytest.mark.long
async def test_a_run_goes_on_with_changes(make, root, until, shown, monkeypatch):
    monkeypatch.setattr("arcterm.console.forms.screen.DEBOUNCE_SECONDS", 0.02)
    made = make("mine")
    made.become("stopped")
    started = []

    def prepare(run, asked, *, why, accept_changed_data):
        if not accept_changed_data:
            raise DataError("the data isn't what it was", "--accept-changed-data goes on with it")
        lines = ["resume    from step 120", f"length    {asked.get('steps')} steps instead of 400"]
        return Resumption(run=run, config=run.config, step=120, lines=lines, accepts=True)

    monkeypatch.setattr(resumption, "prepare", prepare)
    monkeypatch.setattr(Resumption, "start", lambda begun: started.append(begun.run.name))
    app = Console(root)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "mine" in shown(app))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(app.screen, ResumeForm) and "isn't what it was" in shown(app))
        await pilot.press("ctrl+f")
        await until(pilot, lambda: "arcterm resume mine --accept-changed-data" in shown(app))
        await app.screen.go_to("steps")
        await pilot.press(*"800")
        await until(pilot, lambda: "length    800 steps instead of 400" in shown(app))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))
    assert started == ["mine"]
