"""The registry: what is installed, broken, hanging or shadowed, the remedy, the check, and a new look."""

from __future__ import annotations

import pytest
from arcterm_registry import KINDS, scan

from arcterm.console.app import Console
from arcterm.console.forms.launch import LaunchForm
from arcterm.console.screens import command
from arcterm.console.screens.boxes import Problem
from arcterm.console.screens.command import CommandBox
from arcterm.console.screens.registry import Registry
from arcterm.show.plugins import health

GOOD = """
from arcterm_registry import Backbone, Option
width = Option(name="width", type=int, default=8, low=1, help="of its layers")
net = Backbone(summary="a net", factory="x:make", parameters=1, gmacs=0.1, options=(width,))
"""
LOUD = "import os\nfor stream in (1, 2): os.write(stream, b'LOUD \\x1b[2J')\nprint('LOUD')\n"
ENTRIES = """[arcterm.backbones]
r50 = acme:net
absent = acme_absent:net
stuck = acme_stuck:net
loud = acme_loud:net
"""


@pytest.fixture
def acme(distribution, monkeypatch):
    """A package with a backbone of a taken name, one that lacks a module, one that hangs, one that prints."""
    monkeypatch.setenv("ARCTERM_PLUGIN_SECONDS", "1")
    return distribution(
        "acme",
        entry_points=ENTRIES,
        acme=GOOD,
        acme_absent="import timm_extra",
        acme_stuck="import threading; threading.Event().wait()",
        acme_loud=LOUD + GOOD,
    )


@pytest.mark.long
async def test_every_state_is_shown_with_its_remedy(acme, root, until, shown, capfd):
    app = Console(root)
    async with app.run_test(size=(110, 30)) as pilot:
        app.go(5)
        await until(pilot, lambda: isinstance(app.screen, Registry) and len(app.screen._found) == len(KINDS))
        assert "1 broken, 1 hangs, 2 shadowed" in shown(app)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "✗ hangs" in shown(app) and "d121" not in shown(app))
        seen = ""
        for _ in range(4):
            seen += shown(app)
            await pilot.press("j")
        assert "→ write acme:r50" in seen
        assert "→ pip install timm-extra" in seen
        assert "hangs on import: no answer within 1 s" in seen
        assert "arcterm plugins check acme:stuck --kind backbone" in seen
        await pilot.press("escape", "slash", *"loud", "enter")
        await until(pilot, lambda: "✓ ok" in shown(app) and "r100" not in shown(app))
        assert "width            8   1 ≤ width" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LaunchForm) and app.screen.draft)
        assert app.screen.draft.text("backbone") == "loud"
        assert "width" in shown(app)
    assert "LOUD" not in "".join(capfd.readouterr())


@pytest.mark.long
async def test_a_key_that_a_plugin_has_nothing_for_says_why(acme, root, until):
    app = Console(root)

    def said(why):
        return lambda: why in " ".join(note.message for note in app._notifications)

    async with app.run_test(size=(110, 30)) as pilot:
        app.go(5)
        await until(pilot, lambda: isinstance(app.screen, Registry) and len(app.screen._found) == len(KINDS))
        await pilot.press("exclamation_mark", "enter")
        await until(pilot, said("it does not work; y copies the remedy"))
        await pilot.press("exclamation_mark", "h", "v")
        await until(pilot, said("there is no check of a recipe"))
        await pilot.press("h", "enter")
        await until(pilot, said("a detector has no place in a form"))


@pytest.mark.long
async def test_what_is_installed_meanwhile_appears(distribution, root, until, shown):
    app = Console(root)
    async with app.run_test(size=(110, 30)) as pilot:
        app.go(5)
        await until(pilot, lambda: "backbone" in app.screen._found)
        distribution("later", entry_points="[arcterm.backbones]\nlate = later:net\n", later=GOOD)
        await pilot.press("slash", *"late", "enter", "r")
        await until(pilot, lambda: "later 1.0" in shown(app))


async def test_a_check_runs_in_a_process_whose_lines_are_shown(root, until, shown, monkeypatch):
    source = "import sys; print('✓ declared \\x1b[2J[red]'); print(sys.argv[1:]); sys.exit(3)"
    real = command.subprocess.Popen
    monkeypatch.setattr(
        command.subprocess, "Popen", lambda words, **more: real([words[0], "-c", source, *words[3:]], **more)
    )
    app = Console(root)
    async with app.run_test(size=(110, 30)) as pilot:
        app.go(5)
        await until(pilot, lambda: "backbone" in app.screen._found)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, CommandBox) and "✗ ended with 3" in shown(app))
        assert "✓ declared [red]" in shown(app)
        assert "'plugins', 'check', 'arcterm:d121', '--kind', 'backbone', '--quick'" in shown(app)
        await pilot.press("escape")
        assert isinstance(app.screen, Registry)
        app.readonly = True
        app.screen.action_check(True)
        await until(pilot, lambda: isinstance(app.screen, Problem) and "only watches" in shown(app))


def test_our_own_plug_ins_are_never_to_be_removed(distribution):
    distribution("rival", entry_points="[arcterm.backbones]\nr50 = rival:net\n", rival=GOOD)
    found = {plugin.full_name: health(plugin) for plugin in scan("backbone") if plugin.duplicate}
    assert found["arcterm:r50"].remedies == ("write arcterm:r50",)
    assert found["rival:r50"].remedies == ("write rival:r50", "pip uninstall rival")
