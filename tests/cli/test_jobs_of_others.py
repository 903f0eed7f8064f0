"""Jobs of installed packages: on ranks, with mistakes, with names that are taken, and gone again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from arcterm_registry import JobPath, JobSpec, Option, PluginError, get
from typer.testing import CliRunner

from arcterm import commandline
from arcterm.cli.app import build
from arcterm.config import JobConfig, job_config
from arcterm.jobs import offered
from arcterm.launch import engine
from arcterm.runs import store

ENTRIES = "[arcterm.jobs]\n" + "".join(
    f"{name} = others:{name}\n" for name in ("ranks", "nothing", "raises", "odd", "pack")
)
OTHERS = """
from arcterm_registry import JobSpec, Option
from arcterm_registry.contracts import JobReport

def spec(function, **more):
    return JobSpec(summary=f"Job {function}", paths=(), factory=f"others:do_{function}", **more)

ranks = spec("ranks", ranks=True, options=(Option(name="least", type=int, default=1, help="ranks"),))
nothing, raises, odd, pack = spec("nothing"), spec("raises"), spec("odd"), spec("pack", group="data")

def do_ranks(context, *, least):
    import torch

    world = context.world
    seen = world.gather(torch.tensor([[world.rank, world.size]])).tolist()
    context.progress(1, 1, "gather")
    context.agree()
    (context.work / str(world.rank)).write_text("x")
    return JobReport(lines=[f"{len(seen)} ranks"], data={"seen": seen}, problems=int(len(seen) < least))

def do_nothing(context):
    pass

def do_raises(context):
    raise RuntimeError("the author's mistake")

def do_odd(context):
    return JobReport(lines=["x"], data={"set": {1, 2}, "object": object()})

def do_pack(context):
    return JobReport(lines=["another pack"])
"""


@pytest.fixture
def others(distribution, tmp_path, monkeypatch):
    """``others("job", "ranks", code=0)``: the command line where the package is installed."""
    site = distribution("others", entry_points=ENTRIES, others=OTHERS)
    monkeypatch.chdir(tmp_path)
    env = {name: value for name, value in os.environ.items() if name != "ARCTERM_RUNS"}

    def call(*words, code=0, installed=True):
        done = subprocess.run(
            [sys.executable, "-m", "arcterm", *words],
            env=env | ({"PYTHONPATH": str(site)} if installed else {}),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


@pytest.mark.slow
def test_a_job_on_ranks_is_given_them(others):
    done = others("job", "ranks", "--nproc", "2", "--json")
    assert json.loads(done.stdout) == {"seen": [[0, 2], [1, 2]]}
    assert others("job", "ranks", "--least", "2", code=3).stdout == "1 ranks\n"
    described = json.loads(others("show", "--json").stdout)
    assert (described["command"], described["report"]["problems"]) == ("arcterm job ranks --least 2", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("nothing", 5, "job nothing of others 1.0 failed: TypeError: it returned NoneType, not a JobReport"),
        ("raises", 5, "job raises of others 1.0 failed: RuntimeError: the author's mistake"),
        ("odd", 5, "object is unsupported"),
    ],
)
def test_a_mistake_of_its_author_is_named(others, name, code, said):
    done = others("job", name, code=code)
    assert said in done.stderr
    described = json.loads(others("show", "--json").stdout)
    assert (described["state"], described["report"]) == ("failed", None)
    assert ("do_raises" in done.stderr) is (name == "raises")


@pytest.mark.slow
def test_a_job_whose_package_is_gone_is_listed_and_can_not_be_resumed(others):
    others("job", "raises", code=5)
    assert "raises" in others("runs", installed=False).stdout
    assert "arcterm job raises" in others("show", installed=False).stdout
    assert "there is no job 'raises'" in others("resume", code=2, installed=False).stderr
    others("rm", "last", "--yes", installed=False)


def test_a_name_that_two_packages_have_is_chosen_in_full(distribution):
    distribution("others", entry_points=ENTRIES, others=OTHERS)
    assert {"arcterm:pack", "others:pack"} <= set(offered("data"))
    with pytest.raises(PluginError, match="'pack' is claimed by arcterm"):
        get("job", "pack")
    run = CliRunner().invoke(build(["data"]), ["data", "pack", "--help"])
    assert isinstance(run.exception, PluginError)
    listed = CliRunner().invoke(build(["data"]), ["data", "--help"]).output
    assert "arcterm:pack" in listed and "others:pack" in listed
    assert "HOLD" in CliRunner().invoke(build(["data"]), ["data", "arcterm:pack", "--help"]).output.upper()
    assert job_config("others:pack", [], {}).title == "data others:pack"


def test_what_arcterm_itself_starts_is_its_own_whatever_others_call_theirs(
    distribution, tmp_path, monkeypatch
):
    entries = "[arcterm.jobs]\nverify = others:pack\n[arcterm.launchers]\nlocal = others:launcher\n"
    launcher = (
        "\nfrom arcterm_registry import Launcher\nlauncher = Launcher(summary='x', factory='others:no')\n"
    )
    distribution("others", entry_points=entries, others=OTHERS + launcher)
    with pytest.raises(PluginError, match="'local' is claimed by arcterm"):
        get("launcher", "local")
    config = job_config("arcterm:verify", [tmp_path], {"checkpoint": "7"})
    assert (config.name, config.title) == ("verify", f"verify {tmp_path.name}")
    assert config.command == f"arcterm verify {tmp_path} --checkpoint 7"
    assert config.declared is not None and config.declared.ranks
    assert config.plugins == [("job", "arcterm:verify")]
    started = []
    monkeypatch.setattr("arcterm.launch.local.Local.submit", lambda self, given: started.append(given))
    made = store.create(tmp_path / "runs", config, label="verify", argv=[], host="h")
    engine.submit(made)
    assert [given.run for given in started] == [made.id]


def test_a_job_is_described_with_its_paths():
    shown = CliRunner().invoke(build(["plugins"]), ["plugins", "job", "merge"]).output
    assert "path src …: The packs.\n" in shown and "path dst: " in shown
    (told,) = json.loads(CliRunner().invoke(build(["plugins"]), ["plugins", "job", "pack", "--json"]).stdout)
    assert (told["group"], told["ranks"]) == ("data", False)
    assert [(path["name"], path["written"]) for path in told["paths"]] == [("src", False), ("dst", True)]
    assert {option["name"] for option in told["options"]} >= {"hold_out", "pairs", "resize", "align"}


WORD = Option(name="word", type=str, default="", help="a word")


@pytest.mark.parametrize(
    ("paths", "options", "group", "said"),
    [
        (("a", "a"), (), "job", "can't be called 'a': names are Python names, each used once"),
        (("word",), (WORD,), "job", "can't be called 'word'"),
        (("for",), (), "job", "can't be called 'for'"),
        (("a b",), (), "job", "can't be called 'a b'"),
        (("detach",), (), "data", "can't be called 'detach': every command has it"),
        ((), (), "train", "group is one of 'data', 'megaface', 'evaluate', 'job', '', not 'train'"),
    ],
)
def test_what_no_command_can_be_made_of_is_refused(paths, options, group, said):
    places = tuple(JobPath(name=name, help="x") for name in paths)
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        JobSpec(summary="x", factory="x:y", paths=places, options=options, group=group)


A, B, C = "A", "B", "C"


@pytest.mark.parametrize(
    ("many", "optional", "given", "shared"),
    [
        ((), (), [A, B], ([A], [B])),
        (("a",), (), [A, B, C], ([A, B], [C])),
        (("b",), (), [A, B, C], ([A], [B, C])),
        (("b",), ("b",), [A], ([A], [])),
        (("b",), ("b",), [A, B, C], ([A], [B, C])),
        ((), ("a",), [B], ([], [B])),
    ],
)
def test_one_path_may_be_several_or_none(many, optional, given, shared):
    places = tuple(
        JobPath(name=name, help="x", many=name in many, optional=name in optional) for name in "ab"
    )
    found = JobSpec(summary="x", factory="x:y", paths=places).share_out(given)
    assert tuple(paths for _, paths in found) == shared


@pytest.mark.parametrize(("optional", "count"), [(False, 1), (False, 3), (True, 0), (True, 3)])
def test_a_wrong_number_of_paths_is_said(optional, count):
    places = (JobPath(name="a", help="x"), JobPath(name="b", help="x", optional=optional))
    with pytest.raises(ValueError, match=rf"it takes A \[?B\]?, not {count} paths"):
        JobSpec(summary="x", factory="x:y", paths=places).share_out(["x"] * count)


def test_a_path_with_a_name_is_a_flag_of_the_command_and_an_argument_of_the_function():
    places = (JobPath(name="a", help="x", many=True), JobPath(name="the_b", help="x", named=True))
    spec = JobSpec(summary="x", factory="x:y", paths=places)
    assert spec.part_by_name(["1", "2", "3"]) == (["1", "2"], {"the_b": "3"})
    command = commandline.job("job", "x", ["1", "2"], {"n": 3}, {"the_b": "3 4"})
    assert command == "arcterm job x 1 2 --the-b '3 4' --n 3"
    with pytest.raises(ValueError, match="a name of its own is one path"):
        JobSpec(summary="x", factory="x:y", paths=(JobPath(name="b", help="x", named=True, optional=True),))


def test_several_files_of_an_option_are_all_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = job_config("score", ["f", "p", "d", "o"], {"compare": "a.json, /b/c.json,", "mask": "m"})
    assert made.options["compare"] == f"{tmp_path}/a.json,/b/c.json"
    assert made.options["mask"] == str(tmp_path / "m")


def test_two_paths_that_are_several_are_refused():
    places = (JobPath(name="a", help="x", many=True), JobPath(name="b", help="x", optional=True))
    with pytest.raises(ValueError, match="a and b can't all be several paths"):
        JobSpec(summary="x", factory="x:y", paths=places)


def test_the_words_of_a_stop_follow_from_whether_a_resume_goes_on():
    kept = JobConfig(name="x", group="job", paths=[], stops="before its next item")
    again = JobConfig(name="x", group="job", paths=[], stops="when it is done", resumes=False)
    assert kept.stop_words.kept == "what is done is kept"
    assert again.stop_words[:2] == ("when it is done", "a resume begins it again")
