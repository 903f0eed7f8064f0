"""``arcterm runs --filter --sort``, ``arcterm tag`` and ``arcterm note``."""

from __future__ import annotations

import io
import json
import sys

import pytest

from arcterm.runs import store
from arcterm.runs.events import Start, Step, Verify
from arcterm.runs.journal import Journal

from ..runs.conftest import config
from .test_runs import CHECK, arcterm, make  # noqa: F401  fixtures


@pytest.fixture
def three(make):  # noqa: F811
    """Two trainings, one of them failed, and a job."""
    for name, lr, loss, state in (("high", 0.1, "cosface", "done"), ("low", 0.01, "arcface", "failed")):
        run = make(config(lr=lr, loss=loss, loss_options={"margin": 10 * lr / 4}), state, name=name)
        journal = Journal(run.events, 1, 0)
        journal.write(Start(rank=0, world_size=1, host="h", pid=1, device="CPU", step=0, steps=100))
        step = {"epoch": 1, "accuracy": 0.5, "angle": 60.0, "lr": lr, "images_per_second": 9.0}
        journal.write(Step(step=50, loss=100 * lr, samples=400, data_wait=0.0, **step))
        for name_of_set, score in (("lfw", 0.99 if name == "high" else 0.95), ("cfp-fp", 0.9)):
            journal.write(Verify(step=50, set=name_of_set, pairs=9, accuracy=score, std=0.0, xnorm=1.0))
        journal.close()
    make(CHECK, "done", name="looked")


def listed(arcterm, *words):  # noqa: F811
    code, out, err = arcterm("runs", "--json", *words)
    assert code == 0, err
    return [run["name"] for run in json.loads(out)]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--filter", "lr>=0.05"], ["high"]),
        (["--filter", "lr>=0.05 OR name:look"], ["looked", "high"]),
        (["--filter", "margin:0.25 lfw>98 lfw>0.98 cfp-fp:90"], ["high"]),
        (["--filter", "loss_fn:arcface state:failed|lost"], ["low"]),
        (["--filter", "loss<2 step:50 kind:training"], ["low"]),
        (["--filter", "-has:best"], ["looked"]),
        (["--filter", "best<93 accuracy>=50"], ["low"]),
        (["--filter", "cosface"], ["high"]),
        (["--sort", "lr"], ["low", "high", "looked"]),
        (["--sort", "-best"], ["high", "low", "looked"]),
        (["--sort", "name"], ["high", "looked", "low"]),
        (["--sort", "-age"], ["high", "low", "looked"]),
    ],
)
def test_runs_are_filtered_and_sorted(arcterm, three, words, names):  # noqa: F811
    assert listed(arcterm, *words) == names


def test_a_filter_that_cannot_be_understood_is_a_mistake_in_words(arcterm, three):  # noqa: F811
    for filter_, said in (("lrr>1", "did you mean lr?"), ("lr>", "a value is missing"), ("(a", "not closed")):
        code, out, err = arcterm("runs", "--filter", filter_)
        assert (code, out) == (2, "")
        assert said in err
    code, _, err = arcterm("runs", "--sort", "zzz")
    assert code == 2 and "no run has zzz" in err
    code, out, err = arcterm("runs", "--filter", "name:nothing")
    assert (code, out) == (0, "") and "no run of 3" in err


def test_a_run_is_tagged_and_noted(arcterm, three, monkeypatch):  # noqa: F811
    assert arcterm("tag", "high", "old", "base")[:2] == (0, "base\nold\n")
    assert json.loads(arcterm("tag", "high", "--off", "old", "--json")[1])["tags"] == ["base"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("two\nlines\n"))
    assert arcterm("note", "high", "-")[:2] == (0, "two\nlines\n")
    assert listed(arcterm, "--filter", "tag:base has:note") == ["high"]
    assert listed(arcterm, "--filter", "-tag:base") == ["looked", "low"]
    code, out, err = arcterm("runs", "--filter", "note:lines")
    assert "TAGS" in out and "base" in out and "1 of 3 runs" in err
    shown = arcterm("show", "high")[1]
    assert "tags              base" in shown and "note              lines" in shown
    described = json.loads(arcterm("show", "high", "--json")[1])
    assert (described["tags"], described["note"]) == (["base"], "two\nlines")
    assert arcterm("note", "high", "")[:2] == (0, "")
    code, _, err = arcterm("tag", "high", "two words")
    assert code == 2 and "can't be a tag" in err
    code, _, err = arcterm("tag", "nothing", "x")
    assert code == 4


def test_damaged_notes_are_a_damaged_run(arcterm, three, tmp_path):  # noqa: F811
    run = store.find(tmp_path / "runs", "high")
    (run.path / "notes.json").write_text("{")
    _, out, _ = arcterm("runs", "--filter", "state:damaged")
    assert "notes.json is not what arcterm wrote" in out
    assert arcterm("tag", "high")[0] == 3


def test_a_run_that_is_removed_while_it_is_listed_is_left_out(arcterm, three, tmp_path, monkeypatch):  # noqa: F811
    found = store.scan(tmp_path / "runs")
    store.remove(found[0][1])
    monkeypatch.setattr(store, "scan", lambda root: found)
    assert listed(arcterm) == ["looked", "high"]
    assert listed(arcterm, "--filter", "kind:training") == ["high"]
