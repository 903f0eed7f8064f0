"""The seven screens by number, a console that only watches, and what is kept between sessions."""

from __future__ import annotations

import json

import pytest

from arcterm.console import remembered
from arcterm.console.app import Console, key_table
from arcterm.console.forms.launch import LaunchForm
from arcterm.console.habits import menus, preferences
from arcterm.console.habits.help import Help
from arcterm.console.screens.boxes import Confirm, Pick, Problem
from arcterm.console.screens.dashboard import Dashboard
from arcterm.console.screens.runs import RunList
from arcterm.console.tabs import JOBS, LAUNCH
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
        assert app.tab == JOBS
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
        await until(pilot, lambda: app.tab == JOBS)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, RunList))
        await pilot.press("q")
    assert app.return_code == 0


async def test_a_form_takes_the_place_of_one_that_was_open_last(root, until, shown):
    remembered.put("screen", LAUNCH)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        first = app.screen
        app.open_form({"backbone": "tiny"})
        await until(pilot, lambda: isinstance(app.screen, LaunchForm) and app.screen.draft)
        assert app.screen is not first and len(app.screen_stack) == 1


@pytest.mark.long
async def test_a_form_keeps_what_was_typed_and_takes_digits_for_text(root, until, shown):
    app = Console(root)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: "No runs in" in shown(app))
        await pilot.press("4")
        await until(pilot, lambda: app.screen.query("#field-pretrained Input"))
        app.screen.query_one("#field-pretrained Input").focus()
        await pilot.press(*"t1")
        await until(pilot, lambda: app.screen.draft.texts.get("pretrained") == "t1")
        await pilot.press("escape", "1")
        await until(pilot, lambda: isinstance(app.screen, RunList))
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, LaunchForm))
        assert app.screen.draft.texts["pretrained"] == "t1"
        await until(pilot, lambda: app.screen.verdict)  # nothing is being checked when it ends


@pytest.mark.long
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
        assert "S stop" not in shown(app)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, Problem) and "only watches" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))
        with pytest.raises(ArctermError, match="only watches"):
            app.require_actions()
        app.screen.action_checkpoint()
        await until(pilot, lambda: isinstance(app.screen, Problem) and "only watches" in shown(app))
        assert not control.pending(made.run)


def test_one_that_only_watches_names_what_would_let_it_act(root, monkeypatch):
    def hint(app):
        with pytest.raises(ArctermError, match="only watches") as refused:
            app.require_actions()
        return refused.value.hint

    assert "--readonly" in hint(Console(root, readonly=True))
    preferences.place().write_text("readonly = true\n")
    assert f"take readonly out of {preferences.place()}" in hint(Console(root, wanted=preferences.load()))
    monkeypatch.setattr(Console, "is_web", True)
    assert "--allow-actions" in hint(Console(root, readonly=True))


async def test_esc_never_leaves_the_console_and_q_does(root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: "No runs in" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "q leaves the console" in shown(app))
        await pilot.press("q")
    assert app.return_code == 0


async def test_where_there_is_no_run_the_demo_is_offered_and_started(root, until, shown, monkeypatch, make):
    asked = []

    def start(plan, where, argv):
        asked.append((plan, where, argv))
        return make("demo-run").run

    monkeypatch.setattr("arcterm.launch.plan.make_plan", lambda settings, root: settings)
    monkeypatch.setattr("arcterm.launch.start.start", start)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "No runs in" in shown(app))
        assert "^g train the demo" in shown(app)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(app.screen, Dashboard) and "demo-run" in shown(app))
    [(plan, where, argv)] = asked
    assert plan == menus.DEMO
    assert where == root
    assert argv[:4] == ["arcterm", "train", "tiny", "arcface"]
    app = Console(root, readonly=True)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "demo-run" in shown(app))
        assert "train the demo" not in shown(app)


@pytest.mark.long
async def test_help_is_narrowed_by_typing(make, root, until, shown):
    make("alpha").become("done")
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "alpha" in shown(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help) and "this list of keys" in shown(app))
        assert "1…" in shown(app) and "type to search" in shown(app)
        await pilot.press(*"sort")
        await until(pilot, lambda: "sort by the column before" in shown(app))
        assert "…" not in shown(app)
        await pilot.press("escape")
        await pilot.press(*"checkpoint")
        await until(pilot, lambda: "/checkpoint" in shown(app))
        assert "this list of keys" not in shown(app)
        assert "for ever" in shown(app)  # D delete names them
        await pilot.press("escape")
        await until(pilot, lambda: "this list of keys" in shown(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, RunList))


@pytest.mark.long
async def test_the_copy_menu_has_command_path_and_id(make, root, until, shown):
    made = make("alpha")
    made.become("done")
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "alpha" in shown(app))
        await pilot.press("Y")
        await until(pilot, lambda: isinstance(app.screen, Pick) and "run id" in shown(app))
        await pilot.press("2")
        await until(pilot, lambda: app.clipboard == str(made.run.path))
        await pilot.press("Y")
        await until(pilot, lambda: isinstance(app.screen, Pick) and "command" in shown(app))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: app.clipboard == "arcterm train tiny arcface")


@pytest.mark.long
async def test_a_theme_is_kept_and_the_last_screen_too(make, root, until, shown):
    make("alpha").become("done")
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "alpha" in shown(app))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, Pick) and "colour-blind" in shown(app))
        await pilot.press("3")
        await until(pilot, lambda: app.theme == "arcterm-colour-blind")
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Dashboard) and "alpha" in shown(app))
        assert app.theme == "arcterm-colour-blind"


@pytest.mark.long
async def test_keys_are_what_the_settings_file_says(make, root, until, shown):
    make("alpha").become("done")
    preferences.place().write_text('theme = "nord"\n[keys]\ndelete = "X"\nopen = "o,f5"\nhelp = "f1"\n')
    app = Console(root, wanted=preferences.load())
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: "alpha" in shown(app))
        assert app.theme == "nord"
        assert "X delete" in shown(app) and "o open" in shown(app)
        await pilot.press("D")
        assert isinstance(app.screen, RunList)
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("escape", "o")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))


def test_a_name_of_no_action_is_said_in_the_table_of_keys():
    preferences.place().write_text('[keys]\nstop = "X"\nstopp = "x"\n')
    rows, problem = key_table()
    assert any("stop" in row for row in rows) and problem.endswith("names what is no action: stopp")


def test_a_key_is_named_as_it_is_printed():
    preferences.place().write_text('[keys]\nten-down = "^pgdn, J"\nfilter = "f3,/"\nback = "⇧f2"\n')
    assert preferences.load().keymap() == {
        "ten-down": "ctrl+pagedown,J",
        "filter": "f3,/",
        "back": "shift+f2",
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('theme = "pink"', "theme is one of dark"),
        ("refresh = 99", "refresh is a number of seconds"),
        ("colour = 1", "unknown field `colour`"),
        ("theme =", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_told_in_words(content, said):
    preferences.place().write_text(content)
    with pytest.raises(ArctermError, match=said) as refused:
        preferences.load()
    assert "docs/console.md" in refused.value.hint


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
    remembered.place().write_text(content)
    app = Console(root)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: any("is not what arcterm wrote" in n.message for n in app._notifications))
    remembered.put("columns", 2)
    remembered.flush()
    assert json.loads(remembered.place().read_text()) == {"columns": 2}


@pytest.mark.parametrize(
    ("tab", "ready", "key", "why"),
    [
        (3, "No run is marked", "b", "space marks some in Runs (1)"),
        (6, "n", "S", "there is no job here; n begins one"),
        (7, "▸ demo", "B", "it is drawn when it is read"),
        (7, "▸ demo", "f", "there is no finding: c checks"),
        (7, "▸ demo", "D", "only a data set that was added"),
    ],
)
async def test_a_key_that_a_screen_has_nothing_for_says_why(root, until, shown, tab, ready, key, why):
    app = Console(root)
    async with app.run_test(size=(160, 30)) as pilot:
        app.go(tab)
        await until(pilot, lambda: app.tab == tab and ready in shown(app))
        await pilot.press(key)
        await until(pilot, lambda: " ".join(n.message for n in app._notifications).find(why) >= 0)
