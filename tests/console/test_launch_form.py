"""The launch form: fields from the registry, checks while typing, the command, the start."""

from __future__ import annotations

import json
import re

import pytest
from textual.widgets import Input, Select

from arcterm.console.forms import fixes, sections
from arcterm.console.forms.judging import judge
from arcterm.console.forms.launch import LaunchForm
from arcterm.console.forms.training import Basis, Draft, installed
from arcterm.console.screens.boxes import Problem
from arcterm.console.screens.dashboard import Dashboard
from arcterm.errors import RunError
from arcterm.launch import engine
from arcterm.launch.plan import make_plan
from arcterm.overrides import OPTION_GROUPS
from arcterm.runs import store
from arcterm.settings import SETTINGS

pytestmark = pytest.mark.long


def field(app, key):
    return app.screen.query_one(f"#field-{key.replace('.', '-')}")


def note(app, key):
    return str(field(app, key).query_one(".note").render())


async def write(app, key, text):
    await app.screen.go_to(key)
    field(app, key).query_one(Input).value = text


async def choose(app, key, name):
    await app.screen.go_to(key)
    field(app, key).query_one(Select).value = name


async def test_a_good_form_is_ready_and_shows_its_command_and_facts(form, until, shown):
    async with form() as (app, pilot):
        await until(pilot, lambda: "ready: ^g or F5 launches" in shown(app))
        text = shown(app)
        assert "arcterm train toy-net toy-arc --dataset toy-drawn" in text
        assert "12.3 M parameters, 0.50 GMACs" in note(app, "backbone")
        assert "256-d" in note(app, "backbone")
        assert "640 images of 20 people" in text
        assert text.splitlines()[-1].startswith(" ? help  ")
        assert "^g launch" in text.splitlines()[-1]


async def test_a_wrong_margin_names_the_range_and_blocks(form, until, shown, root):
    async with form() as (app, pilot):
        await write(app, "loss.margin", "3.5")
        await until(pilot, lambda: "1 problem to solve before launch" in shown(app))
        assert "0 ≤ margin ≤ 1.5" in note(app, "loss.margin")
        assert "the default is 0.5" in note(app, "loss.margin")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: field(app, "loss.margin").has_focus_within)
        assert not store.list_runs(root)
        await write(app, "loss.margin", "0.4")
        await until(pilot, lambda: "ready" in shown(app))
        assert "--margin 0.4" in shown(app)


async def test_the_form_waits_while_it_is_checked(form, until, shown):
    async with form() as (app, pilot):
        await until(pilot, lambda: "ready" in shown(app))
        await write(app, "epochs", "3")
        await until(pilot, lambda: "checking …" in shown(app))
        await until(pilot, lambda: "ready" in shown(app))
        assert "--epochs 3" in shown(app)


async def test_an_unknown_path_is_told_beside_the_field(form, until, shown):
    async with form(dataset="/nowhere/at/all") as (app, pilot):
        await until(pilot, lambda: "/nowhere/at/all is not a directory" in shown(app))
        await pilot.press("f8")
        await until(pilot, lambda: app.screen.query("#field-dataset:focus-within"))
        assert field(app, "dataset").has_class("-wrong")


async def test_a_taken_name_is_told(form, make, until):
    make("taken")
    async with form(name="taken") as (app, pilot):
        await app.screen.go_to("name")
        await until(pilot, lambda: "the name 'taken' is taken" in note(app, "name"))


async def test_the_loss_brings_its_own_options(form, until):
    async with form() as (app, pilot):
        await app.screen.go_to("loss.margin")
        await choose(app, "loss", "toy-plain")
        await until(pilot, lambda: not app.screen.query("#field-loss-margin"))
        assert "loss_options" not in app.screen.draft.settings()
        await choose(app, "loss", "toy-arc")
        await until(pilot, lambda: app.screen.query("#field-loss-margin"))


async def test_only_what_the_schedule_uses_is_shown(form, until):
    async with form() as (app, pilot):
        await app.screen.go_to("lr")
        await until(pilot, lambda: not field(app, "milestones").display)
        await choose(app, "schedule", "multistep")
        await until(pilot, lambda: field(app, "milestones").display)
        assert not field(app, "power").display
        await write(app, "milestones", "10,x")
        await until(pilot, lambda: field(app, "milestones").has_class("-wrong"))


async def test_a_broken_plugin_is_listed_with_its_error(form, until, shown):
    async with form(backbone="toy-broken") as (app, pilot):
        await until(pilot, lambda: "no [timm] here" in note(app, "backbone"))
        assert "1 problem" in shown(app)
        choices = dict(app.screen.draft.choices("backbone"))
        assert "toy-broken  (broken)" in choices


async def test_launch_starts_the_run_and_opens_its_dashboard(form, until, root, monkeypatch):
    submitted = []
    monkeypatch.setattr(engine, "submit", lambda run: submitted.append(run.id))
    async with form(name="mine", steps="12") as (app, pilot):
        await pilot.press("ctrl+g")  # before the check has come back: it starts as soon as it has
        await until(pilot, lambda: isinstance(app.screen, Dashboard))
        run = app.screen.view.run
        assert submitted == [run.id]
        assert run.record.name == "mine"
        assert run.config.steps == 12
        command = "arcterm train toy-net toy-arc --dataset toy-drawn --name mine --steps 12"
        assert " ".join(run.record.argv) == command
        assert len(store.list_runs(root)) == 1


async def test_a_start_that_fails_is_told_and_can_be_tried_again(form, until, shown, monkeypatch):
    def refuse(run):
        raise RunError("no processes left", "close something")

    monkeypatch.setattr(engine, "submit", refuse)
    async with form() as (app, pilot):
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "no processes left" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: "ready" in shown(app))


async def test_a_defect_in_a_check_is_told(form, until, shown, monkeypatch):
    def crash(settings, root):
        raise KeyError("oops")

    monkeypatch.setattr("tests.console.conftest.JudgeHere.ask", staticmethod(crash))
    async with form() as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, Problem) and "KeyError" in shown(app))


async def test_keys_of_the_form(form, until, shown):
    async with form() as (app, pilot):
        await app.screen.go_to("name")
        await pilot.press("q")
        assert app.screen.draft.texts["name"] == "q"
        assert shown(app).splitlines()[-1].startswith(" ? help  ^g launch")
        await pilot.press("down")
        assert field(app, "seed").has_focus_within
        await pilot.press("question_mark")
        await until(pilot, lambda: "f2" in shown(app))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen.focused is None)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, LaunchForm))


async def test_the_form_is_usable_when_wide(form, until, shown):
    async with form(size=(160, 45)) as (app, pilot):
        await until(pilot, lambda: "ready" in shown(app))
        await app.screen.show_section("verify, save")
        await until(pilot, lambda: "checkpoint every" in shown(app))
        assert shown(app).count("640 images of 20 people") == 1  # the plan beside it, and nowhere else


async def test_names_and_choices_stay_in_their_columns(form, until, shown):
    async with form() as (app, pilot):
        await app.screen.show_section("verify, save")
        await until(pilot, lambda: "checkpoint minutes 10" in shown(app))
        assert re.search("checkpoint backg.*… yes", shown(app))
        await choose(app, "recipe", "ms1mv2-r100-elastic-arc-plus")
        await until(pilot, lambda: re.search("recipe +ms1mv2-r1.*… +▼", shown(app)))
        assert field(app, "recipe").size.height == 1


async def test_a_fix_is_proposed_and_a_key_takes_it(form, until, shown):
    async with form() as (app, pilot):
        await write(app, "loss.margin", "3.5")
        await until(pilot, lambda: "^f: 0.35" in shown(app))
        await app.screen.show_section("run")
        await until(pilot, lambda: re.search("loss +!1", shown(app)))
        await pilot.press("ctrl+f")
        await until(pilot, lambda: "--margin 0.35" in shown(app) and "ready" in shown(app))
        assert field(app, "loss.margin").has_focus_within
        await app.screen.show_section("review")
        await until(pilot, lambda: "• loss.margin          0.5 → 0.35" in shown(app))


async def test_every_field_is_a_few_keys_away(form, until):
    async with form() as (app, pilot):
        seen = set()
        while app.screen.section != "review":
            seen |= {row.key for row in app.screen.query("FieldRow")}
            await pilot.press("f2")
        assert seen >= {option.name for option in SETTINGS} | {
            "name",
            "recipe",
            "backbone",
            "loss",
            "dataset",
        }
        await pilot.press("f2")
        assert app.screen.section == "model"


def test_every_setting_is_in_one_section():
    listed = [key for title in sections.titles() for key in sections.keys(title)]
    assert sorted(listed) == sorted([*(o.name for o in SETTINGS), "name", "recipe", *OPTION_GROUPS])
    assert sections.section_of("loss.margin", sections.titles()) == "loss"


def test_a_draft_says_what_the_command_line_would(toys):
    draft = Draft(installed(), {"backbone": "toy-net", "loss": "toy-arc", "dataset": "toy-drawn"})
    draft.texts |= {"lr": "0.3", "momentum": "0.8", "mirror": "0.2", "loss.scale": "32", "epochs": "5"}
    assert draft.command() == (
        "arcterm train toy-net toy-arc --dataset toy-drawn --epochs 5 --lr 0.3"
        " --set momentum=0.8 --set mirror=0.2 --scale 32"
    )
    assert not draft.problems()


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("lr", "fast", "lr is a number"),
        ("lr", "0", "0 < lr"),
        ("keep_last", "1", "2 ≤ keep_last"),
        ("gpus", "0,a", "is not a list of numbers"),
        ("nproc", "1.5", "nproc is a whole number"),
    ],
)
def test_every_field_is_checked(toys, key, text, said):
    draft = Draft(installed(), {"backbone": "toy-net", "loss": "toy-arc", key: text})
    assert said in draft.problem(key)
    assert key not in draft.settings()


def test_epochs_and_steps_exclude_each_other(toys):
    draft = Draft(installed(), {"backbone": "toy-net", "loss": "toy-arc", "epochs": "2", "steps": "9"})
    assert draft.problems() == {"steps": "give epochs or steps, not both"}


def test_a_config_becomes_a_draft_that_asks_for_it_again(toys):
    asked = {"backbone": "toy-net", "loss": "toy-arc", "dataset": "toy-drawn", "steps": 9, "mirror": 0.2}
    config = make_plan({**asked, "loss_options": {"margin": 0.3}}).config
    draft = Draft(installed(), config.form[1])
    assert not draft.problems()
    assert make_plan(draft.settings()).config == config


def test_a_fork_shows_what_is_changed_of_it(toys):
    texts = {"backbone": "toy-net", "loss": "toy-arc", "dataset": "toy-drawn", "lr": "0.2", "name": "second"}
    draft = Draft(installed(), dict(texts), basis=Basis("first", texts))
    assert not draft.differences()
    draft.texts |= {"loss": "toy-plain", "lr": "", "epochs": "20", "clip": "5"}
    assert draft.begins_with == "first"
    assert [tuple(each) for each in draft.differences()] == [
        ("loss", "toy-arc", "toy-plain"), ("lr", "0.2", ""), ("clip", "0", "5"),
    ]  # fmt: skip


OPTIONS = {option.name: option for option in SETTINGS}


@pytest.mark.parametrize(
    ("key", "text", "near"),
    [
        ("momentum", "0,5", "0.5"),
        ("mirror", "50 %", "0.5"),
        ("mirror", "50", "0.5"),
        ("steps", "180k", "180000"),
        ("epochs", "20.0", "20"),
        ("keep_last", "1", "2"),
        ("schedule", "cosin", "cosine"),
        ("lr", "fast", ""),
    ],
)
def test_the_nearest_value_is_proposed(key, text, near):
    assert fixes.of_option(OPTIONS[key], text) == near


@pytest.mark.parametrize(
    ("hint", "key", "change"),
    [
        ("lower --nproc to 4 or less", "nproc", {"nproc": "4"}),
        ("leave out --set row_update, or give --set row_update=step", "row_update", {"row_update": "step"}),
        ("leave out --head keep", "head", {"head": ""}),
        ("write --gpus 0,2", "gpus", {}),
        ("give --pretrained too, or leave it out", "pretrained", {}),
        ("lower --batch-size (or --nproc) until it is at most 640", "batch_size", {}),
        ("give another data set", "", {}),
    ],
)
def test_advice_of_an_error_becomes_a_change(hint, key, change):
    assert (fixes.field_of(hint, OPTIONS), fixes.advised(hint, OPTIONS)) == (key, change)


def test_what_the_check_finds_stands_beside_its_field_with_a_way_out(toys, root, make, tmp_path):
    make("taken")
    (tmp_path / "faces").mkdir()
    verdict = judge({"name": "taken", "dataset": f"{tmp_path}/facse"}, root)
    assert verdict.fixes["name"].texts == {"name": "taken-2"}
    assert verdict.fixes["dataset"].texts == {"dataset": f"{tmp_path}/faces"}
    asked = {"backbone": "toy-net", "loss": "toy-arc", "dataset": "toy-drawn"}
    verdict = judge({**asked, "nproc": 1, "row_update": "backward", "accumulate": 2}, root)
    assert list(verdict.problems) == ["row_update"]
    assert verdict.fixes["row_update"].words == "step"
    assert not verdict.ready


BURST = """
import json, os
from arcterm.console.forms.launch import LaunchForm
app, seen = Console(pathlib.Path(sys.argv[1])), []
judge_later = LaunchForm.judge_later
def judged(self):
    judge_later(self)
    os.write(2, ("TEXTS " + json.dumps(self.draft.texts)).encode())
    if not seen:
        seen.append(self)
        async def go():
            await self.go_to(START)
            self.notify("GO AHEAD")
        self.call_later(go)
LaunchForm.judge_later = judged
app.call_later(app.open_form)
app.run()
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("start", "keys", "texts"),
    [
        ("name", b"abc\t12", {"name": "abc", "seed": "12"}),
        ("name", b"abc\t2\x1b[Zxyz\x1b[B3\x1b[B78", {"name": "xyz", "seed": "3", "track": "78"}),
        ("seed", b"4\x1b[Aabc", {"seed": "4", "name": "abc"}),
        ("backbone", b"\r\x1b[H\r", {"backbone": "d121"}),
        ("loss", b"\r\x1b[H\r\x1b[A", {"loss": "adacos"}),
        ("loader_threads", b"2\t8\t\t0.5", {"loader_threads": "2", "decoded_cache": "8", "mirror": "0.5"}),
    ],
)
def test_keys_of_a_burst_find_the_field_that_those_before_went_to(opened, start, keys, texts):
    console = opened(run=BURST.replace("START", repr(start)))
    console.wait(b"GO AHEAD")
    console.type(keys)
    for key, text in texts.items():
        console.wait(f'"{key}": "{text}"'.encode())
    said = json.loads(re.findall(rb"TEXTS ({.*?})", console.said)[-1])
    assert {key: said.get(key) for key in texts} == texts


@pytest.mark.long
@pytest.mark.parametrize(
    ("key", "size", "last"),
    [
        ("tab", (80, 24), "interclass_filter"),
        ("down", (80, 17), "scale_schedule"),
        ("shift+tab", (80, 24), "on_nan"),
        ("up", (160, 45), "teacher"),
        ("f2", (60, 17), "loss"),
    ],
)
async def test_the_focused_row_can_be_seen_whole(form, until, key, size, last):
    async with form(size=size) as (app, pilot):
        view = app.screen.query_one("#form")
        row = None
        while row is None or row.key != last:
            await pilot.press(key)
            row = next(row for row in app.screen.query("FieldRow") if row.has_focus_within)
            await until(pilot, lambda row=row: view.region.contains_region(row.region))


@pytest.mark.long
async def test_a_row_stays_visible_when_what_is_said_of_it_grows(form, until):
    async with form(size=(80, 24)) as (app, pilot):
        view = app.screen.query_one("#form")
        await app.screen.go_to("batch_size")
        row = field(app, "batch_size")
        await pilot.press(*"9x")
        await until(pilot, lambda: row.has_class("-wrong"))
        await until(pilot, lambda: view.region.contains_region(row.region))


async def test_names_and_errors_of_plugins_are_text(distribution, form, until, shown):
    entries = "[arcterm.backbones]\nx[bold]y[/bold] = rude:net\n[arcterm.losses]\nz[i] = rude:loss\n"
    source = """
from arcterm_registry import Loss, Option
pick = dict(name="pick", type=str, default="[red]a", choices=("[red]a", "[b]b[/b]"))
choice = Option(help="\x1b[31m[red]h", **pick)
loss = Loss(summary="[red]s\x1b]0;t\x07", factory="x:y", options=(choice,))
def __getattr__(name): raise RuntimeError("[red]no\x1b[31m[/red]\x1b]0;t\x07")
"""
    distribution("rude", entry_points=entries, rude=source)
    async with form(backbone="x[bold]y[/bold]", loss="z[i]") as (app, pilot):
        await until(pilot, lambda: "[red]no[/red]" in note(app, "backbone"))
        assert "x[bold]y[/bold]" in shown(app)
        await app.screen.go_to("loss.pick")
        await until(pilot, lambda: "[red]h" in shown(app))
        assert "z[i]" in shown(app)
        assert "\x1b" not in shown(app)
        await app.screen.go_to("backbone")
        await pilot.press("enter")
        await until(pilot, lambda: shown(app).count("x[bold]y[/bold]") > 1)
