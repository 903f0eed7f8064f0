"""Changes of a run's config: recorded beside run.json, which stays, and seen by whoever holds the run."""

from __future__ import annotations

import msgspec
import pytest

from arcterm.errors import DataError
from arcterm.runs import history, state
from arcterm.runs.describe import describe
from arcterm.runs.reader import Reader
from arcterm.runs.store import Run, recorded

from .conftest import config


def test_a_change_is_the_config_from_then_on_for_every_reader_and_run_json_stays(run):
    held, before = Run(run.path), (run.path / "run.json").read_bytes()
    assert (held.config, history.read(run)) == (config(), [])
    made = history.record(run, config(lr=0.05, nproc=1), "arcterm resume first --lr 0.05 --nproc 1", 40)
    assert made.settings == {"lr": [0.1, 0.05], "nproc": [2, 1]}
    assert held.config == run.record.config == Run(run.path).config == config(lr=0.05, nproc=1)
    history.record(run, config(lr=0.025, nproc=1), "lower-lr", 60)
    assert [(c.step, c.why, c.settings) for c in history.read(held)] == [
        (40, "arcterm resume first --lr 0.05 --nproc 1", {"lr": [0.1, 0.05], "nproc": [2, 1]}),
        (60, "lower-lr", {"lr": [0.05, 0.025]}),
    ]
    assert held.config.lr == 0.025
    assert (run.path / "run.json").read_bytes() == before


def test_the_history_is_among_the_facts_of_a_run(run):
    assert describe(Reader(run))["history"] == []
    change = history.record(run, config(steps=200), "arcterm resume first --steps 200", 100)
    described = describe(Reader(run))
    assert described["history"] == [
        {"t": change.t, "step": 100, "why": change.why, "settings": {"steps": [100, 200]}}
    ]
    assert (described["config"]["steps"], described["steps"]) == (200, 200)
    assert msgspec.json.encode(described)


def test_a_damaged_history_is_named_and_the_run_is_damaged(run):
    (run.path / "history.json").write_bytes(b"[{")
    with pytest.raises(DataError, match=r"history\.json is not what arcterm wrote"):
        _ = run.record
    assert recorded(run) is None
    assert "history.json" in state.read_state(run).reason
