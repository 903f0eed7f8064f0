"""``arcterm prune``: which checkpoints go, and that no run at work loses one."""

from __future__ import annotations

import io
import json

import pytest

from arcterm.runs import state, store

from ..runs.conftest import config
from ..runs.test_checkpoints import save, steps
from .test_runs import arcterm

__all__ = ["arcterm"]


@pytest.fixture
def old(tmp_path):
    """A stopped run with four checkpoints, the second of which is the best, and a damaged one set aside."""
    run = store.create(tmp_path / "runs", config(), label="x", name="old", argv=["x"], host="h")
    for step, score in ((1, 0.7), (2, 0.9), (3, 0.8), (4, 0.5)):
        save(run, step, {"lfw": score})
    (run.checkpoints / "step-0000000005.bad-01k").mkdir()
    (run.checkpoints / "step-0000000005.bad-01k" / "weights").write_bytes(bytes(5000))
    (run.checkpoints / ".tmp-step-0000000006").mkdir()
    state.write_state(run, "stopped")
    return run


def test_the_newest_and_the_best_stay(arcterm, old):
    code, out, err = arcterm("prune", "old", "--dry-run")
    assert (code, steps(old)) == (0, [1, 2, 3, 4])
    assert "old: step-0000000001, step-0000000003, step-0000000005.bad-01k" in err
    assert out.startswith("would free ")
    code, out, _ = arcterm("prune", "old", "--yes", "--json")
    told = json.loads(out)
    assert (code, steps(old)) == (0, [2, 4])
    assert told["bytes"] == told["runs"][0]["bytes"] > 5000
    assert sorted(path.name for path in old.checkpoints.iterdir()) == ["step-0000000002", "step-0000000004"]
    assert arcterm("prune", "--yes")[1] == "nothing to remove\n"


def test_where_nobody_can_answer_nothing_is_removed(arcterm, old, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    for command in (("prune", "old"), ("rm", "old")):
        code, out, err = arcterm(*command)
        assert (code, out, steps(old)) == (2, "", [1, 2, 3, 4])
        assert "There is no terminal to answer from" in err and "with --yes" in err


def test_how_many_stay_can_be_asked_for(arcterm, old):
    assert arcterm("prune", "--keep-last", "3", "--keep-best", "0", "--yes")[0] == 0
    assert steps(old) == [2, 3, 4]
    assert arcterm("prune", "--keep-last", "0", "--yes")[0] == 2


def test_one_that_is_damaged_does_not_take_the_place_of_a_whole_one(arcterm, old):
    (old.checkpoints / "step-0000000004" / "backbone.safetensors").write_bytes(b"wEights")
    assert arcterm("prune", "old", "--keep-best", "0", "--yes")[0] == 0
    assert steps(old) == [3, 4]


def test_a_run_at_work_is_refused_by_name_and_left_alone_without(arcterm, old):
    with state.lock(old):
        code, _, err = arcterm("prune", "old", "--yes")
        assert (code, "is being run" in err, "arcterm stop" in err) == (4, True, True)
        assert arcterm("prune", "--yes")[1] == "nothing to remove\n"
    assert steps(old) == [1, 2, 3, 4]


def test_what_runs_take_is_listed(arcterm, old):
    code, out, _ = arcterm("runs")
    header, row = out.splitlines()
    assert code == 0
    assert row[: header.index("SIZE") + 4].endswith("KiB")
    (told,) = json.loads(arcterm("runs", "--json")[1])
    assert told["bytes"] == sum(path.stat().st_size for path in old.path.rglob("*") if path.is_file())
    assert "\nsize    " in arcterm("show", "old")[1]
