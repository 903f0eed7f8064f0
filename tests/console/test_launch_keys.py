"""The launch form's boxes: go to a field, begin with a run, choose GPUs, try it, look for plug-ins again."""

from __future__ import annotations

import pytest

from arcterm.console.forms.launch import LaunchForm
from arcterm.console.forms.pick import GpuBox, PickBox
from arcterm.console.screens import command
from arcterm.console.screens.boxes import Problem
from arcterm.console.screens.command import CommandBox

pytestmark = pytest.mark.long


async def test_the_command_can_be_copied(form):
    async with form() as (app, _):
        assert app.screen.copies() == [("command", "arcterm train toy-net toy-arc --dataset toy-drawn")]


async def test_a_field_is_found_by_its_name(form, until, shown):
    async with form() as (app, pilot):
        await pilot.press("f3", *"momen")
        await until(pilot, lambda: "▸ momentum" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query("#field-momentum:focus-within"))


async def test_a_form_begins_with_the_settings_of_a_run(form, make, until, shown):
    make("first", backbone="toy-net", loss="toy-arc", clip=5.0)
    async with form() as (app, pilot):
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, PickBox))
        await pilot.press(*"first")
        await until(pilot, lambda: "▸ first" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: "like first, nothing starts" in shown(app))
        assert not app.screen.draft.differences()
        assert app.screen.draft.text("clip") == "5"


async def test_gpus_are_chosen_by_their_free_memory(form, until, shown, stand_in):
    stand_in()
    async with form() as (app, pilot):
        await app.screen.go_to("gpus")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, GpuBox) and "[x] GPU 1" in shown(app))
        assert "GiB free" in shown(app)
        await pilot.press("space", "enter")
        await until(
            pilot, lambda: isinstance(app.screen, LaunchForm) and app.screen.draft.text("gpus") == "1"
        )
        assert app.screen.query_one("#field-gpus Input").value == "1"
        await pilot.press("f4", "c")
        await until(
            pilot, lambda: isinstance(app.screen, LaunchForm) and app.screen.draft.text("gpus") == "none"
        )


async def test_a_trial_is_the_command_without_a_start(form, until, shown, monkeypatch):
    asked = []
    real = command.subprocess.Popen

    def start(words, **more):
        asked.append(words[3:])
        return real([words[0], "-c", "print('memory 1 GiB')"], **more)

    async with form() as (app, pilot):
        monkeypatch.setattr(command.subprocess, "Popen", start)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: isinstance(app.screen, CommandBox) and "✓ all is well" in shown(app))
        assert "memory 1 GiB" in shown(app)
        root = str(app.root)
        want = ["train", "toy-net", "toy-arc", "--dataset", "toy-drawn", "--dry-run", "--runs-dir", root]
        assert asked == [want]
        await pilot.press("escape")
        app.readonly = True
        app.screen.action_trial()  # no key does this, and the code refuses it too
        await until(pilot, lambda: isinstance(app.screen, Problem) and "only watches" in shown(app))


async def test_what_is_installed_meanwhile_can_be_chosen(form, distribution, until, shown):
    source = """
from arcterm_registry import Backbone, Option
width = Option(name="girth", type=int, default=8, low=1, help="of its layers")
net = Backbone(summary="a net", factory="x:make", parameters=1, gmacs=0.1, options=(width,))
"""
    async with form(lr="0.3") as (app, pilot):
        distribution("later", entry_points="[arcterm.backbones]\nlate = later:net\n", later=source)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "late" in dict(app.screen.draft.choices("backbone")))
        assert app.screen.draft.text("lr") == "0.3"
        await until(pilot, lambda: app.screen.query("#field-backbone:focus-within"))
        app.screen.query_one("#field-backbone Select").value = "late"
        await until(pilot, lambda: "girth" in shown(app))


async def test_what_is_typed_is_kept_when_the_form_is_left(form, until):
    async with form(name="mine") as (app, pilot):
        await app.screen.go_to("lr")
        await pilot.press(*"0.3", "escape", "q", "4")
        await until(pilot, lambda: isinstance(app.screen, LaunchForm) and app.screen.draft)
        texts = app.screen.draft.texts
        assert (texts["lr"], texts["backbone"], "name" in texts) == ("0.3", "toy-net", False)
