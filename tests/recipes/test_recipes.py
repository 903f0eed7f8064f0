"""Recipes: listed, shown, laid below what a command says; installed ones, one's own, and files."""

from __future__ import annotations

import json
import shlex

import pytest
from arcterm_registry import Recipe, names, scan

from arcterm.launch.plan import make_plan
from arcterm.launch.recipes import find

R50 = "ms1mv3-r50-arcface"
MINE = """
backbone = "tiny"
loss = "cosface"
epochs = 3
batch_size = 8
lr = 0.4
[loss_options]
margin = 0.2
[recipe]
summary = "faces of mine"
global_batch = 64
"""


def planned(arcterm, *words: str):
    """The config and the lines of a plan for ``arcterm train``."""
    code, out, err = arcterm("train", *words, "--dry-run", "--json", "--gpus", "none")
    assert code == 0, err
    return {key: value for key, value in json.loads(out).items() if key != "estimate"}, err


def test_a_recipe_holds_where_the_command_says_nothing(arcterm):
    config, err = planned(
        arcterm, "--recipe", R50, "--nproc", "2", "--scale", "30", "--margin", ".5", "--epochs", "3"
    )
    assert (config["backbone"], config["loss"], config["epochs"]) == ("r50", "arcface", 3)
    assert (config["clip"], config["power"], config["backbone_options"]["dropout"]) == (5, 1, 0)
    assert (config["loss_options"]["gradient"], config["loss_options"]["scale"]) == ("detached", 30)
    assert f"recipe    {R50}: backbone r50, loss arcface, batch_size 128" in err
    assert "instead   epochs 3 (20)" in err
    assert "loss.margin" not in err.partition("instead")[2].partition("\n")[0]
    assert (config["lr"], config["accumulate"]) == (0.1, 4)
    assert "128 × 2 CPU ranks × 4 passes = 1024 images a step" in err


def test_the_rate_follows_a_batch_of_ones_own(arcterm):
    config, err = planned(arcterm, "--recipe", R50, "--batch-size", "64", "--nproc", "4")
    assert (config["lr"], config["accumulate"]) == (pytest.approx(0.1 * 256 / 1024), 1)
    assert "lr        0.025 (0.1 × 256 / 1024, as in the recipe)" in err


def test_a_loss_over_tuples_takes_a_step_at_once(arcterm, own):
    (own / "pairs.toml").write_text(
        'backbone = "tiny"\nloss = "triplet"\nbatch_size = 30\nlr = 0.1\n[recipe]\nglobal_batch = 60\n'
    )
    config, _ = planned(arcterm, "--recipe", "pairs")
    assert (config["accumulate"], config["lr"]) == (1, 0.05)


def test_a_rate_that_is_asked_for_is_not_scaled(arcterm):
    config, err = planned(arcterm, "--recipe", R50, "--lr", "0.3")
    assert config["lr"] == 0.3
    assert "instead   lr 0.3 (0.1)" in err


def test_another_backbone_or_loss_has_none_of_the_recipes_options(arcterm):
    config, err = planned(arcterm, "tiny", "cosface", "--recipe", R50, "--steps", "50")
    assert (config["backbone_options"]["dropout"], config["loss_options"]["margin"]) == (0.4, 0.35)
    assert (config["steps"], config["clip"]) == (50, 5)
    assert "instead   backbone tiny (r50), loss cosface (arcface)" in err


def test_a_recipe_stands_over_the_usual_settings_of_its_backbone(arcterm, own):
    (own / "steady.toml").write_text('backbone = "vit_t"\nloss = "arcface"\nlr = 0.002\n')
    config, err = planned(arcterm, "--recipe", "steady")
    assert (config["optimizer"], config["lr"]) == ("adamw", 0.002)
    assert "usual     optimizer adamw, weight_decay 0.1" in err


def test_one_of_ones_own_is_found_by_name_and_by_path(arcterm, own, tmp_path):
    for place in (own / "mine.toml", tmp_path / "mine.toml"):
        place.write_text(MINE)
    for text in ("mine", "./mine.toml", str(own / "mine.toml")):
        config, _ = planned(arcterm, "--recipe", text)
        assert (config["backbone"], config["accumulate"]) == ("tiny", 8)
    (tmp_path / "run.toml").write_text('recipe = "mine"\nepochs = 2\n')
    config, _ = planned(arcterm, "--config", "run.toml")
    assert (config["loss"], config["epochs"]) == ("cosface", 2)
    code, _, err = arcterm("train", "--config", "mine.toml")
    assert (code, "mine.toml is a recipe" in err, "--recipe mine.toml" in err) == (2, True, True)


def test_all_are_listed(arcterm, own, distribution):
    source = (
        "from arcterm_registry import Recipe\nfast = Recipe(summary='fast', values={'backbone': 'tiny'})\n"
    )
    wrong = "from arcterm_registry import Recipe\nslow = Recipe(summary='slow', values={'speed': 1})\n"
    entries = "[arcterm.recipes]\nfast = swift:fast\nslow = sloth:slow\n"
    distribution("swift", entry_points=entries, swift=source, sloth=wrong)
    (own / "mine.toml").write_text(MINE)
    (own / "bad.toml").write_text("[recipe]\ncolour = 'red'\n")
    code, out, err = arcterm("recipes")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert "tiny" in rows["fast"]
    assert "faces of mine" in rows["mine"]
    assert "there is no setting 'speed'" in rows["slow"]
    assert "BROKEN" in rows["bad"]
    assert "recipe bad of yours is broken" in err and "[recipe] has colour" in err
    listed = {one["name"]: one for one in json.loads(arcterm("recipes", "--json")[1])}
    assert listed["mine"]["settings"]["loss_options"] == {"margin": 0.2}
    assert listed["mine"]["global_batch"] == 64
    assert "there is no setting 'speed'" in listed["slow"]["error"]


def test_a_recipe_is_shown_against_the_defaults_with_its_command(arcterm):
    code, out, _ = arcterm("recipes", "show", R50)
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["power", "1", "2"] in rows
    assert ["backbone.dropout", "0", "0.4"] in rows
    assert "a step has 1,024 images" in out
    told = shlex.split(out.splitlines()[-1])[2:]
    by_hand, _ = planned(arcterm, *told, "--nproc", "8")
    by_name, _ = planned(arcterm, "--recipe", R50, "--nproc", "8")
    assert by_hand == by_name
    assert json.loads(arcterm("recipes", "show", R50, "--json")[1])["settings"]["epochs"] == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--recipe", "ms1mv3-r50"), "did you mean ms1mv3-r50-arcface"),
        (("train", "--recipe", "none.toml"), "can't read none.toml"),
        (("recipes", "show", "bad"), "recipe bad of yours is broken: "),
        (("train", "--recipe", "bad"), "a recipe has no recipe and no name"),
        (("train", "--recipe", "odd.toml"), "recipe is a table"),
    ],
)
def test_mistakes(arcterm, own, tmp_path, words, said):
    (own / "bad.toml").write_text("name = 'x'\n")
    (tmp_path / "odd.toml").write_text("recipe = 3\n")
    code, out, err = arcterm(*words)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss_options = 3", "loss_options is a table"),
        ("[recipe]\nnotes = 3", "notes is a list of sentences"),
        ("[recipe]\nnotes = [3]", "what is said of it is text"),
        ("[recipe]\nglobal_batch = -1", "global_batch is the images of a step"),
        ("[recipe]\nglobal_batch = true", "global_batch is the images of a step"),
        ("[recipe]\ncolour = 'red'", "[recipe] has colour"),
        ("epochs = 0", "epochs 0 is outside its range"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(arcterm, own, text, said):
    (own / "wrong.toml").write_text(text)
    code, _, err = arcterm("train", "--recipe", "wrong")
    assert (code, said in err) == (2, True), err
    assert f"recipe wrong of yours is broken: {own}" in arcterm("recipes")[2] or "epochs" in err


def test_a_declaration_of_wrong_types_is_listed_as_broken(arcterm, distribution):
    source = "from arcterm_registry import Recipe\nodd = Recipe(summary='odd', values=3)\n"
    distribution("odd", entry_points="[arcterm.recipes]\nodd = oddity:odd\n", oddity=source)
    assert "BROKEN: ValueError: a recipe's values are a mapping" in arcterm("recipes")[1]


@pytest.mark.parametrize("name", names("recipe"))
def test_every_recipe_that_comes_with_arcterm_is_whole(name):
    recipe = find.find(name)
    assert recipe.summary
    assert recipe.source
    assert recipe.data
    assert recipe.values["backbone"]
    assert "dataset" not in recipe.values


@pytest.mark.long
def test_every_recipe_can_be_planned(arcterm):
    for name in names("recipe"):
        config = make_plan({"recipe": name, "gpus": "none", "dataset": "demo"}).config
        assert config.steps > 0, name


def test_a_package_brings_its_recipes_as_files(distribution, tmp_path):
    (tmp_path / "quick.toml").write_text(MINE)
    source = f"from arcterm_registry import Recipe\nquick = Recipe.read({str(tmp_path / 'quick.toml')!r})\n"
    distribution("files", entry_points="[arcterm.recipes]\nquick = filed:quick\n", filed=source)
    declared = next(plugin.declaration for plugin in scan("recipe") if plugin.name == "quick")
    assert isinstance(declared, Recipe)
    assert declared == find.read(tmp_path / "quick.toml")
