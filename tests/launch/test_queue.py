"""Where several runs of a plan work, and how one waits for another."""

from __future__ import annotations

import shutil

import pytest

from arcterm import gpus
from arcterm.cli import several, train
from arcterm.cli.runs.watch import RunFailedError
from arcterm.errors import ConfigError, DataError
from arcterm.files import write_json
from arcterm.launch import queue, start
from arcterm.processes import queue as waiting
from arcterm.runs import control, state, store
from arcterm.runs.state import Owner, write_state

from ..runs.conftest import config
from .test_samedata import make_folder, make_run, other_person

DEAD = Owner(host="here", boot_id="b", pid=1, pid_start=1, launcher="local", attempt=1, since=0.0)


def on_gpus(count, nproc=1):
    return config(device="cuda", nproc=nproc, gpus=list(range(nproc)), batch_size=8)


@pytest.fixture
def box(monkeypatch, tmp_path):
    """``box(count, busy)``: the GPUs of this box, of which strangers use the `busy`."""

    def install(count, busy=()):
        monkeypatch.setattr(gpus, "select", lambda wanted: wanted or list(range(count)))
        monkeypatch.setattr(gpus, "processes", lambda index: [(7, None)] if index in busy else [])
        return tmp_path / "runs"

    return install


def placed(places):
    return [(place.name, place.config.seed, place.config.gpus, place.after) for place in places]


# --- seeds


@pytest.mark.parametrize(("text", "seeds"), [("7", [7]), ("1,2,3", [1, 2, 3]), ("3-5,1", [3, 4, 5, 1])])
def test_seeds_are_a_list(text, seeds):
    assert train._seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "not a list"),
        ("1,2,1", "names 1 more than once"),
        (",", "names no seed"),
        ("9999999999", "seed"),
    ],
)
def test_odd_seeds_are_refused(text, said):
    with pytest.raises(ConfigError, match=said):
        train._seeds(text)


def test_on_a_cpu_they_run_in_turn(box):
    root = box(0)
    assert placed(queue.share_out(config(), [4, 2, 9], "x", "", root)) == [
        ("x-s4", 4, [], None),
        ("x-s2", 2, [], 0),
        ("x-s9", 9, [], 1),
    ]
    assert placed(queue.share_out(config(seed=5), [5], "x", "", root)) == [("x", 5, [], None)]


def test_on_free_gpus_they_run_side_by_side_and_the_rest_after_them(box):
    root = box(4, busy=[1])
    assert placed(queue.share_out(on_gpus(4), [1, 2, 3, 4, 5], "", "", root)) == [
        ("", 1, [0], None),
        ("", 2, [2], None),
        ("", 3, [3], None),
        ("", 4, [0], 0),
        ("", 5, [2], 1),
    ]
    assert [place.config.gpus for place in queue.share_out(on_gpus(4), [1, 2, 3], "", "2,3", root)] == [
        *([2], [3], [2]),
    ]


def test_a_run_that_takes_all_gpus_is_followed_by_the_next(box):
    root = box(4)
    assert placed(queue.share_out(on_gpus(4, nproc=4), [1, 2], "", "", root)) == [
        ("", 1, [0, 1, 2, 3], None),
        ("", 2, [0, 1, 2, 3], 0),
    ]
    pairs = queue.share_out(on_gpus(4, nproc=2), [1, 2, 3], "", "", root)
    assert [(place.config.gpus, place.after) for place in pairs] == [
        ([0, 1], None),
        ([2, 3], None),
        ([0, 1], 0),
    ]


def test_gpus_of_live_runs_are_not_free(box):
    root = box(3)
    other = store.create(root, on_gpus(3), label="x", argv=[], host="h")
    state.take_ownership(other, 1, "local")
    write_state(other, "queued", attempt=1)
    assert queue.free_gpus(on_gpus(3), "", root) == [1, 2]
    write_state(other, "done", attempt=1)
    assert queue.free_gpus(on_gpus(3), "", root) == [0, 1, 2]


def test_the_plan_says_which_runs_where_and_after_whom(box, run):
    root = box(2)
    write_state(run, "done")
    places = queue.share_out(on_gpus(2), [1, 2, 3], "x", "", root)
    assert queue.lines(places, run) == [
        "queue     x-s1 on GPU 0 after first, which is done",
        "queue     x-s2 on GPU 1 after first, which is done",
        "queue     x-s3 on GPU 0 after x-s1",
    ]
    assert queue.lines(places[:1], None) == []


# --- waiting


@pytest.fixture
def other(run, monkeypatch):
    """A live run, which `run` waits for."""
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.0)
    made = store.create(run.path.parent, config(), label="x", argv=[], host="h")
    state.take_ownership(made, 1, "local")
    write_state(made, "running", attempt=1)
    return made


def ends(run, word):
    if word == "removed":
        shutil.rmtree(run.path)
    elif word == "lost":
        write_json(run.path / "owner.json", DEAD)
    else:
        write_state(run, word, attempt=1)


@pytest.mark.parametrize("word", ["done", "stopped", "failed", "lost", "removed"])
@pytest.mark.parametrize("live", ["running", "queued", "paused", "stopping"])
def test_a_run_waits_until_the_other_is_no_longer_live(run, other, word, live):
    write_state(other, live, attempt=1)
    looks = []

    def beat():
        looks.append(1)
        if len(looks) == 3:
            ends(other, word)

    assert waiting.wait_for(run, other, asked=lambda: False, beat=beat) == word
    assert len(looks) == 3
    assert waiting.wait_for(run, other, asked=lambda: True, beat=pytest.fail) == word  # ended: at once


def test_a_stop_ends_the_waiting(run, other):
    assert waiting.wait_for(run, other, asked=lambda: True, beat=pytest.fail) == ""
    beat = lambda: control.ask(run, "stop")  # noqa: E731
    assert waiting.wait_for(run, other, asked=lambda: False, beat=beat) == ""


def test_a_queued_run_whose_supervisor_is_gone_is_lost(run):
    write_state(run, "queued", reason="after x")
    assert state.read_state(run).state == "queued"  # an engine holds it back
    write_json(run.path / "owner.json", DEAD)
    assert state.read_state(run).state == "lost"


def test_data_that_changed_meanwhile_is_noticed_before_the_start(tmp_path):
    make_folder(tmp_path / "data")
    made = make_run(tmp_path / "runs", "folder", tmp_path / "data")
    waiting.check_data(made)
    other_person(tmp_path / "data")
    with pytest.raises(DataError, match="the data set changed since the run was made"):
        waiting.check_data(made)


# --- watching several


def facts(name, seed, accuracy, word="done"):
    sets = {} if accuracy is None else {"lfw": {"accuracy": accuracy}}
    return {"name": name, "id": "i", "state": word, "config": {"seed": seed}, "verification": sets}


def test_the_table_has_the_mean_and_the_deviation_of_those_that_are_done():
    rows = [
        facts("x-s1", 1, 0.9),
        facts("x-s2", 2, 0.92),
        facts("x-s3", 3, 0.1, "stopped"),
        facts("", 4, None),
    ]
    assert [line.split() for line in several.scores(rows)] == [
        ["RUN", "SEED", "STATE", "lfw"],
        ["x-s1", "1", "done", "0.9000"],
        ["x-s2", "2", "done", "0.9200"],
        ["x-s3", "3", "stopped", "0.1000"],
        ["i", "4", "done", "–"],
        ["mean", "of", "3", "0.9100", "±", "0.0141"],
    ]


@pytest.mark.parametrize("interrupted", [True, False])
def test_ctrl_c_stops_those_that_remain_and_another_failure_does_not(
    run, other, interrupted, monkeypatch, capsys
):
    write_state(run, "stopped", reason="asked")
    watched, stopped = [], []

    def watch(each, **options):
        watched.append(each.id)
        if each is run:
            error = RunFailedError("first is stopped", "resume it", 130)
            error.interrupted = interrupted
            raise error

    monkeypatch.setattr(several, "watch", watch)
    monkeypatch.setattr(start, "stop", lambda each: stopped.append(each.id) or "asked")
    with pytest.raises(RunFailedError, match="first is stopped"):
        several.watch_all([run, other], plain=True, as_json=False)
    assert watched == [run.id, other.id]
    assert stopped == ([other.id] if interrupted else [])
    assert "first" in capsys.readouterr().out
