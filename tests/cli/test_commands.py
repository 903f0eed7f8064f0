"""The command line in this process: what it prints, where, and with which exit code."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import time

import pytest
from rich.console import Console

from arcterm.cli.app import COMMANDS, GROUPS
from arcterm.cli.runs.live import Live
from arcterm.runs import checkpoints, state, store
from arcterm.runs.events import Message, Mined, Start, Step, Verify
from arcterm.runs.journal import Journal
from arcterm.runs.reader import Reader

from ..inprocess import in_process
from ..runs.conftest import config
from ..runs.test_checkpoints import save

BROKEN = "raise RuntimeError('boom')"


@pytest.fixture
def arcterm(monkeypatch, tmp_path, capsys):
    """``arcterm(*words)`` → (exit code, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)
    monkeypatch.setattr("arcterm.launch.devices.torch_has_cuda", lambda: False)
    return in_process(monkeypatch, capsys)


@pytest.fixture
def finished(tmp_path):
    """A finished run in ./runs."""
    run = store.create(tmp_path / "runs", config(), label="tiny-arcface", name="done-one", argv=[], host="h")
    journal = Journal(run.events, 1, 0)
    journal.write(Start(rank=0, world_size=1, host="h", pid=1, device="cpu", step=0, steps=100))
    for n in (99, 100):
        journal.write(
            Step(
                step=n,
                epoch=2,
                loss=1.25,
                accuracy=0.5,
                angle=60.0,
                lr=0.1,
                images_per_second=5.0,
                samples=n,
                data_wait=0.0,
            )
        )
    journal.write(Message(level="warning", text="\x1b[31mred\x1b[0m"))
    state.write_state(run, "done", attempt=1, step=100)
    return run


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "r5", "arcface"], 2, "did you mean r50"),
        (["train", "tiny", "arkface"], 2, "did you mean arcface"),
        (["train", "tiny", "3"], 2, "no loss '3'"),
        (["train", "tiny", "5"], 2, "give li-arc, or combined with --set loss.m1="),
        (["train", "tiny", "subcenter", "--set", "loss.over=triplet"], 2, "triplet has no class weights"),
        (["train", "tiny", "subcenter", "--set", "loss.over=arkface"], 2, "over is one of adacos,"),
        (["train", "tiny", "subcenter", "--margin", "2"], 2, "0 ≤ margin < 1.5708"),
        (
            ["train", "tiny", "subcenter", "--set", "loss.over=adacos", "--scale", "30"],
            2,
            "no option 'scale'",
        ),
        (["train", "tiny", "magface", "--set", "loss.low_norm=120"], 2, "not below high_norm 110"),
        (["train", "tiny", "arcface", "--set", "loss.fallback=no"], 2, "line, none, clip"),
        (["train", "tiny", "arcface", "--set", "sample_rate=0"], 2, "0 < sample_rate ≤ 1"),
        (["train", "tiny", "triplet", "--set", "sample_rate=0.5"], 2, "leave out --set sample_rate"),
        (["train", "tiny", "arcface", "--set", "head_precision=half"], 2, "auto, float32, bfloat16"),
        (["train", "tiny", "arcface", "--pretrained", "nothing"], 4, "no run 'nothing'"),
        (["train", "tiny", "arcface", "--dataset", "ms1"], 2, "no dataset 'ms1'"),
        (["train", "tiny", "arcface", "--dataset", "./ms1"], 3, "is not a directory"),
        (["train", "tiny", "cosface", "--margin", "3.5"], 2, "0 ≤ margin ≤ 1"),
        (["train", "tiny", "softmax", "--margin", "0.1"], 2, "has no option 'margin'"),
        (["train", "tiny", "arcface", "--lr", "0"], 2, "change --lr"),
        (["train", "tiny", "arcface", "--steps", "5", "--epochs", "2"], 2, "both --epochs and --steps"),
        (["train", "tiny", "arcface", "--gpus", "7"], 2, "--gpus"),
        (["train", "tiny", "arcface", "--name", "last"], 4, "can't name a run"),
        (["train", "tiny", "arcface", "--config", "no.toml"], 2, "no.toml"),
        (["train", "tiny", "arcface", "--set", "x"], 2, "has no '='"),
        (["train", "tiny", "arcface", "--lr", "much"], 2, "much"),
        (["train", "tiny"], 2, "no loss is chosen"),
        (["show", "nothing"], 4, "no run 'nothing'"),
        (["show", "."], 4, "is not a run"),
        (["stop", "last"], 4, "no run 'last'"),
        (["resume", "nothing"], 4, "no run"),
        (["verify", "nothing"], 4, "no run"),
        (["attach", "nothing"], 4, "no run"),
        (["rm", "nothing"], 4, "no run"),
        (["tui", "nothing"], 4, "no run"),
        (["plugins", "nets"], 2, "there is no kind 'nets'"),
        (["data", "pack", "nowhere", "pack"], 3, "nowhere"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_a_mistake_is_told_with_the_next_step_and_leaves_nothing(arcterm, tmp_path, words, code, said):
    got, out, err = arcterm(*words)
    assert got == code
    assert said in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["model", "show"], ["data", "check"]])
def test_a_name_too_long_for_a_file_is_told_in_short(arcterm, words):
    code, out, err = arcterm(*words, "x" * 5000)
    assert (code, out) == (3, "")
    assert "is too long for a path" in err
    assert len(err.splitlines()[-2]) < 200


@pytest.mark.long
def test_numbers_of_2018_are_losses(arcterm, monkeypatch):
    for number, name in (
        ("0", "softmax"),
        ("1", "sphereface"),
        ("2", "cosface"),
        ("4", "arcface"),
        ("12", "triplet"),
    ):
        monkeypatch.setattr("arcterm.inputs.sources.DataSource.inspect", facts)
        code, out, err = arcterm("train", "tiny", number, "--dry-run", "--json")
        assert code == 0, err
        assert json.loads(out)["loss"] == name


def facts(*_):
    from arcterm_registry.contracts import DatasetFacts

    return DatasetFacts(images=1000, classes=10, image_size=(112, 112), fingerprint="x")


def test_a_dry_run_says_everything_and_starts_nothing(arcterm, monkeypatch, tmp_path):
    monkeypatch.setattr("arcterm.inputs.sources.DataSource.inspect", facts)
    code, out, err = arcterm("train", "tiny", "cosface", "--margin", "0.2", "--dry-run")
    assert (code, out) == (0, "")
    for words in ("using the demo", "batch     32 × 1 CPU rank", "lr        0.02", "620 steps", "margin 0.2"):
        assert words in err
    assert list(tmp_path.iterdir()) == []


def test_runs_and_show(arcterm, finished):
    code, out, _ = arcterm("runs")
    assert code == 0
    assert re.search(r"done-one\s+done\s+100/100\s+1\.25", out)
    told = json.loads(arcterm("runs", "--json")[1])
    assert told[0]["id"] == finished.id
    shown = json.loads(arcterm("show", "last", "--json")[1])
    assert (shown["state"], shown["step"], shown["loss"]) == ("done", 100, 1.25)
    assert "state             done" in arcterm("show", "done-one")[1]


def test_triplets_are_told_where_there_are_any(arcterm, finished):
    assert "active" not in arcterm("show", "last")[1]
    journal = Journal(finished.events, 1, 1)
    journal.write(Mined(step=0, round=1, bags=2, images=90, pairs=80, triplets=70, steps=7, seconds=1.0))
    last = Step(
        step=100, epoch=2, loss=1.0, accuracy=0.5, angle=60.0, lr=0.1, images_per_second=5.0, samples=9,
        data_wait=0.0, active=0.25,
    )  # fmt: skip
    journal.write(last)
    shown = arcterm("show", "last")[1]
    assert "mined             round 1 at step 0: 70 triplets of 80 pairs in 90 images" in shown
    assert "active            0.25" in shown
    lines = arcterm("attach", "last", "--plain")[1]
    assert "mined   step 0  round 1: 70 triplets of 80 pairs in 90 images, 7 steps, 1.0 s" in lines
    assert "active 25%" in lines
    live = Live(finished)
    live._console = Console(width=100, file=io.StringIO(), force_terminal=False)
    summary = Reader(finished).refresh()
    live._console.print(live._numbers(summary))
    live.close()
    assert re.search(r"triplets\s+25% active\s+round 1: 70 of 80 pairs", live._console.file.getvalue())


def test_attaching_to_a_finished_run_prints_it_and_ends(arcterm, finished):
    code, out, err = arcterm("attach", "last", "--plain")
    assert code == 0
    assert "step    100/100" in out
    assert "\x1b" not in out
    assert "is done" in err


def test_a_failed_run_ends_with_its_cause(arcterm, finished):
    failure = state.Failure(
        rank=1, cause="the GPU ran out of memory: lower --batch-size", traceback="line\x1b[2J"
    )
    state.write_state(finished, "failed", attempt=1, failure=failure, reason=failure.cause)
    code, _, err = arcterm("attach", "last", "--plain")
    assert code == 5
    assert "failed on rank 1: the GPU ran out of memory" in err
    assert "\x1b" not in err


def test_no_runs_says_how_to_start_one(arcterm):
    code, out, err = arcterm("runs")
    assert (code, out) == (0, "")
    assert "arcterm train" in err


def test_plugins_lists_facts_and_broken_ones(arcterm, distribution):
    distribution("faulty", entry_points="[arcterm.losses]\nbad = faulty_module:x\n", faulty_module=BROKEN)
    code, out, err = arcterm("plugins", "losses")
    assert code == 0
    assert re.search(r"loss\s+cosface\s+arcterm 0", out)
    assert "BROKEN: RuntimeError: boom" in out
    assert "faulty" in err
    listed = {row["name"]: row for row in json.loads(arcterm("plugins", "loss", "--json")[1])}
    assert listed["bad"]["error"] == "RuntimeError: boom"
    margin = next(option for option in listed["arcface"]["options"] if option["name"] == "margin")
    assert margin["default"] == 0.5
    backbones = {row["name"]: row for row in json.loads(arcterm("plugins", "backbone", "--json")[1])}
    assert backbones["r50"]["parameters"] == 43_590_848


def test_the_console_refuses_to_draw_into_a_file(arcterm):
    code, _, err = arcterm("tui")
    assert code != 0
    assert "arcterm runs" in err


def test_one_plugin_is_told_with_its_options(arcterm):
    code, out, err = arcterm("plugins", "loss", "arcface")
    assert code == 0, err
    assert "arXiv 1801.07698" in out
    assert re.search(r"margin\s+0.5\s+0 ≤ margin < 1.5708\s+added to the target angle", out)
    assert re.search(r"easy_margin\s+false\s+yes, no", out)
    (row,) = json.loads(arcterm("plugins", "loss", "arcface", "--json")[1])
    assert (row["name"], row["form"], row["paper"][:6]) == ("arcface", "margin", "Deng e")
    assert "nothing to set" in arcterm("plugins", "loss", "adacos")[1]
    code, out, err = arcterm("plugins", "loss", "arcfac")
    assert (code, out) == (2, "")
    assert "did you mean arcface" in err


@pytest.mark.parametrize("command", ["", "train", "runs", "show", "stop", "verify", "plugins", "data", "tui"])
def test_help(arcterm, command):
    code, out, _ = arcterm(*filter(None, [command, "--help"]))
    assert code == 0
    assert "Usage: arcterm" in out


def test_every_command_is_listed_and_is_there(arcterm):
    text = arcterm("--help")[1]
    listed = re.findall(r"^  ([a-z][a-z-]*)  +[A-Z].*[a-z]\.$", text, re.M)
    assert listed == list(COMMANDS)
    assert re.findall(r"^(\S.*):$", text, re.M) == ["Options", *GROUPS]
    assert list(GROUPS)[-1] == "Scripts of 2018"
    for name in listed:
        assert f"Usage: arcterm {name} " in arcterm(name, "--help")[1]
    code, _, err = arcterm("trian", "r50")
    assert (code, "Did you mean 'train'?" in err) == (2, True)


def test_attach_json_prints_json_and_nothing_else(arcterm, finished):
    code, out, err = arcterm("attach", "last", "--json")
    assert code == 0
    assert json.loads(out)["state"] == "done"
    assert "step " not in err


def test_leaving_attach_json_prints_what_is_known(arcterm, finished, monkeypatch):
    state.take_ownership(finished, 1, "local")
    state.write_state(finished, "running", attempt=1)
    monkeypatch.setattr(time, "sleep", lambda _: os.kill(os.getpid(), signal.SIGINT))
    code, out, err = arcterm("attach", "last", "--json")
    assert code == 130
    assert json.loads(out)["state"] == "running"
    assert "goes on" in err


def test_a_run_that_is_removed_while_it_is_watched_is_told(arcterm, finished, monkeypatch):
    state.take_ownership(finished, 1, "local")
    state.write_state(finished, "running", attempt=1)
    monkeypatch.setattr(time, "sleep", lambda _: finished.removed or store.remove(finished))
    code, _, err = arcterm("attach", "last", "--plain")
    assert code == 4
    assert "was removed" in err
    assert "resume" not in err


@pytest.mark.long
def test_a_plugin_that_hangs_on_import_is_named_and_stops_nothing(
    arcterm, distribution, monkeypatch, tmp_path
):
    monkeypatch.setenv("ARCTERM_PLUGIN_SECONDS", "0.5")
    entries = "[arcterm.backbones]\nhang = hang:net\n[arcterm.losses]\nhang = hang:loss\n"
    entries += "[arcterm.datasets]\nhang = hang:data\n"
    distribution("sleepy", entry_points=entries, hang="import time; time.sleep(1000)\n")
    code, out, err = arcterm("plugins", "backbone")
    assert code == 0
    assert re.search(r"hang\s+sleepy 1\.0\s+BROKEN: hangs on import", out)
    assert "r50" in out
    assert "hangs on import" in err
    rows = {row["name"]: row for row in json.loads(arcterm("plugins", "loss", "--json")[1])}
    assert "hangs on import" in rows["hang"]["error"]
    assert rows["arcface"]["error"] is None
    code, _, err = arcterm("train", "hang", "arcface", "--dry-run")
    assert code == 2
    assert "sleepy 1.0 is broken: hangs on import" in err
    code, _, err = arcterm("train", "tiny", "arcface", "--dry-run", "--dataset", str(tmp_path))
    assert code == 3
    assert "sleepy 1.0" not in err


@pytest.fixture
def withheld(finished):
    """The finished run with a set whose pairs are all of one kind, and a network that has collapsed."""
    one = {"accuracy": None, "std": None, "threshold": None, "xnorm": 7.5, "step": 100}
    journal = Journal(finished.events, 1, 1)
    journal.write(Verify(set="lfw", pairs=60, withheld="all 60 pairs of lfw are same", **one))
    state.write_state(finished, "done", attempt=1, step=100, reason="the network has collapsed: all are zero")
    return finished


def test_what_is_withheld_is_a_dash_and_null(arcterm, withheld):
    _, out, _ = arcterm("show", "done-one", "--json")
    told = json.loads(out)["verification"]["lfw"]
    for key in ("accuracy", "std", "tar", "threshold", "far_threshold", "best_accuracy", "best_step"):
        assert told[key] is None, key
    assert told["xnorm"] == 7.5
    line = "verification      lfw – at step 100 (all 60 pairs of lfw are same)"
    assert line in arcterm("show", "done-one")[1].splitlines()
    assert arcterm("runs")[1].splitlines()[1].split()[4:6] == ["lfw", "–"]
    _code, out, _err = arcterm("attach", "done-one", "--plain")
    assert "lfw –  XNorm 7.50  TAR@1e-3 –  threshold –  (all 60 pairs of lfw are same)" in out
    state_, summary = state.read_state(withheld), Reader(withheld).refresh()
    console = Console(file=io.StringIO(), width=150)
    live = Live(withheld)
    live.close()
    console.print(live._picture(state_, summary, ""))
    assert "all 60 pairs of lfw are same" in console.file.getvalue()


def test_a_collapsed_network_is_the_last_word(arcterm, withheld):
    code, _out, err = arcterm("attach", "done-one", "--plain")
    assert code == 0
    said = f"done-one is done, but the network has collapsed: all are zero: runs/{withheld.id}"
    assert err.splitlines()[-1] == said
    assert json.loads(arcterm("show", "done-one", "--json")[1])["reason"].startswith("the network has")


def damaged(run, step):
    folder = run.checkpoints / checkpoints.name_of(step)
    folder.mkdir()
    (folder / checkpoints.MANIFEST).write_text("{}")


def test_resume_says_what_it_does_not_go_on_from(arcterm, finished, monkeypatch):
    """A supervisor is not started: what it is asked for is seen here."""
    asked = []
    monkeypatch.setattr("arcterm.launch.engine.submit", lambda *words: asked.append(words[1:]))
    state.write_state(finished, "failed", attempt=1, step=30)
    assert arcterm("resume", "done-one", "--detach")[0] == 0  # nothing was saved, so nothing is lost
    damaged(finished, 20)
    for _ in range(2):
        code, out, err = arcterm("resume", "done-one", "--detach")
        assert (code, out) == (4, "")
        assert "no checkpoint of" in err
        assert "step-0000000020" in err
        assert f"arcterm resume {finished.id} --from-start" in err
    code, out, err = arcterm("resume", "done-one", "--detach", "--from-start")
    assert code == 0
    assert "step-0000000020 is set aside: " in err
    assert "it starts from step 0" in err
    save(finished, 10)
    code, out, err = arcterm("resume", "done-one", "--detach")
    assert code == 0
    assert "it goes on from step-0000000010" in err
    code, _, err = arcterm("resume", "done-one", "--detach", "--from-start")
    assert code == 4
    assert "has a whole checkpoint of step 10" in err
    assert asked == [(), ("--from-start",), ()]
