"""Recipes in the launch form: chosen, changed, shown as a difference, saved."""

from __future__ import annotations

import pytest
from textual.widgets import Input, Select

from arcterm.console.app import Console
from arcterm.console.forms import recipedraft
from arcterm.console.forms.launch import LaunchForm
from arcterm.console.forms.training import Draft, installed
from arcterm.console.screens.boxes import Ask
from arcterm.launch.plan import make_plan
from arcterm.launch.recipes import find, save

MINE = """
backbone = "tiny"
loss = "cosface"
epochs = 3
batch_size = 8
lr = 0.4
clip = 5.0
schedule = "multistep"
milestones = "1e,2e"
[loss_options]
margin = 0.2
[recipe]
summary = "faces of mine"
global_batch = 64
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """The folder of the user's own recipes, with one in it and one that is broken."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "mine.toml").write_text(MINE)
    (folder / "bad.toml").write_text("speed = 1\n")
    monkeypatch.setenv("ARCTERM_RECIPES", str(folder))
    return folder


def draft(**texts: str) -> Draft:
    return Draft(installed(), dict(texts), recipedraft.installed())


def test_a_chosen_recipe_stands_in_the_fields_that_are_empty():
    made = draft(recipe="mine", dataset="demo")
    assert not made.problems()
    fields = made.fields()
    assert (fields["lr"].placeholder, fields["loss.margin"].placeholder) == ("0.4", "0.2")
    assert made.relevant("milestones")
    assert not made.relevant("power")
    assert made.note("recipe") == "faces of mine"
    assert made.command() == "arcterm train --recipe mine --dataset demo"
    assert make_plan(made.settings()).config.clip == 5


def test_what_is_typed_is_the_difference_to_the_recipe():
    made = draft(recipe="mine", dataset="demo", clip="0", loss="arcface")
    command = "arcterm train tiny arcface --recipe mine --dataset demo --set clip=0"
    assert made.command() == command
    assert made.fields()["loss.margin"].placeholder == "0.5"
    config = make_plan(made.settings()).config
    assert (config.clip, config.loss, config.loss_options["margin"]) == (0, "arcface", 0.5)


def test_a_recipe_that_is_chosen_empties_the_fields_that_it_sets():
    made = draft(backbone="r50", loss="softmax", lr="0.3", seed="4")
    made.load("mine")
    assert made.texts == {"recipe": "mine", "seed": "4"}


def test_one_that_is_broken_or_gone_is_a_problem():
    assert "there is no setting 'speed'" in draft(recipe="bad").problem("recipe")
    assert draft(recipe="gone").problem("recipe") == "there is no recipe gone"


def test_a_form_is_saved_as_a_recipe_that_asks_for_the_same(own):
    made = draft(recipe="mine", dataset="demo", seed="4", nproc="1", name="first")
    plan = make_plan({k: v for k, v in made.settings().items() if k != "name"})
    recipe = made.as_recipe(plan.config.global_batch)
    assert {"nproc", "name", "recipe"}.isdisjoint(recipe.values)
    save.save("second", recipe)
    assert make_plan({"recipe": "second", "nproc": 1}).config == plan.config
    assert find.find("second").global_batch == 64


@pytest.mark.long
async def test_the_form_loads_and_saves(own, root, until, shown, monkeypatch):
    monkeypatch.setattr("arcterm.console.forms.screen.DEBOUNCE_SECONDS", 0.02)
    app = Console(root)
    async with app.run_test(size=(100, 40)) as pilot:
        app.open_form({"backbone": "r50", "loss": "arcface", "dataset": "synthetic"})
        await until(pilot, lambda: isinstance(app.screen, LaunchForm) and app.screen.focused)
        app.screen.query_one("#field-recipe Select", Select).value = "mine"
        await until(pilot, lambda: "arcterm train --recipe mine --dataset synthetic" in shown(app))
        await app.screen.go_to("lr")
        assert app.screen.query_one("#field-lr Input", Input).placeholder == "0.4"
        app.screen.query_one("#field-lr Input", Input).value = "0.3"
        await until(pilot, lambda: "instead   lr 0.3 (0.4)" in shown(app))  # it was checked with that
        assert "--recipe mine --dataset synthetic --lr 0.3" in shown(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*"again", "enter")
        await until(pilot, (own / "again.toml").is_file)
        assert find.find("again").values["lr"] == 0.3
