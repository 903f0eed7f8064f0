"""The seven screens by number, a console that only watches, and what is kept between sessions."""

from __future__ import annotations

import json

import pytest

from arcterm.console import remembered
from arcterm.console.app import Console
from arcterm.console.forms.launch import LaunchForm
from arcterm.console.screens.boxes import Problem
from arcterm.console.screens.dashboard import Dashboard
from arcterm.console.screens.jobs import JobList
from arcterm.console.screens.runs import RunList
from arcterm.errors import ArctermError
from arcterm.runs import control

SMALL = (80, 24)


@pytest.mark.long
async def test_a_number_opens_a_screen_and_q_goes_back(make, root, until, shown):
    make("alpha").become("done")
    made = make("beta")
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "alpha" in shown(app))
        assert "[1 Runs]" in shown(app).splitlines()[0]
        await pilot.press("6")
        await until(pilot, lambda: "[6 Jobs]" in shown(app).splitlines()[0])
        assert isinstance(app.screen, JobList)
        await pilot.press("1", "j", "2")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))
        assert app.screen.view.run.name == "alpha"
        await pilot.press("1", "k", "2")
        await until(pilot, lambda: isinstance(app.screen, Dashboard) and "beta" in shown(app))
        first = app.screen
        await pilot.press("6", "2")
        await until(pilot, lambda: app.screen is first)
        made.train(3)
        await until(pilot, lambda: "step 3/" in shown(app))  # it is read again
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, JobList))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, RunList))
        await pilot.press("q")
    assert app.return_code == 0


@pytest.mark.long
async def test_a_form_keeps_what_was_typed_and_takes_digits_for_text(root, until, shown):
    app = Console(root)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: "No runs in" in shown(app))
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, LaunchForm) and app.screen.draft)
        app.screen.query_one("#field-name Input").focus()
        await pilot.press(*"t1")
        await until(pilot, lambda: app.screen.draft.texts.get("name") == "t1")
        await pilot.press("escape", "1")
        await until(pilot, lambda: isinstance(app.screen, RunList))
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, LaunchForm))
        assert app.screen.draft.texts["name"] == "t1"


async def test_a_click_on_a_name_opens_it(root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "No runs in" in shown(app))
        await pilot.click(offset=(shown(app).splitlines()[0].index("6 Jobs"), 0))
        await until(pilot, lambda: "[6 Jobs]" in shown(app))


async def test_without_a_run_there_is_no_dashboard(root, until, shown):
    app = Console(root)
    async with app.run_test(size=(60, 16)) as pilot:
        await until(pilot, lambda: "No runs in" in shown(app))
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, Problem) and "no run to watch yet" in shown(app))


async def test_a_console_that_only_watches_changes_nothing(make, root, until, shown):
    made = make("watched")
    made.train(3)
    app = Console(root, "watched", readonly=True)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "step 3/" in shown(app))
        assert "read-only" in shown(app).splitlines()[0]
        with pytest.raises(ArctermError, match="only watches"):
            app.require_actions()
        app.screen.action_checkpoint()
        await until(pilot, lambda: isinstance(app.screen, Problem) and "only watches" in shown(app))
        assert not control.pending(made.run)


def test_what_is_put_is_there_in_the_next_session():
    remembered.put("columns", 3)
    remembered.put("marked", ["a", "b"])
    assert remembered.get("columns", 1) == 3
    remembered.flush()
    assert json.loads(remembered.place().read_text()) == {"columns": 3, "marked": ["a", "b"]}
    remembered._now = None
    assert remembered.get("marked", [""]) == ["a", "b"]
    assert remembered.get("columns", "wide") == "wide"  # of another type
    assert remembered.get("unknown", 7) == 7


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
async def test_a_bad_file_is_a_word_and_defaults(root, until, shown, content):
    remembered.place().parent.mkdir(parents=True)
    remembered.place().write_text(content)
    app = Console(root)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: any("is not what arcterm wrote" in n.message for n in app._notifications))
    remembered.put("columns", 2)
    remembered.flush()
    assert json.loads(remembered.place().read_text()) == {"columns": 2}
