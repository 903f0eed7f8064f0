"""Runs that wait for others on the same box, and several seeds of one plan."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow
TRAIN = ("train", "plain", "cosface", "--batch-size", "6", "--nproc", "1")


def launched(run):
    return json.loads((run / "attempts" / "0001" / "launch.json").read_text())


def test_runs_are_queued_after_others_however_those_end(arcterm, pack):
    common = (*TRAIN, "--dataset", str(pack))
    arcterm(*common, "--steps", "100000", "--name", "first", "--detach")
    said = arcterm(*common, "--steps", "3", "--name", "second", "--after", "first", "--detach").stderr
    assert "queue     second on the CPU after first, which is" in said
    for name in ("stopped", "ended", "removed"):
        arcterm(*common, "--steps", "3", "--name", name, "--after", "second", "--detach")
    states = {row["name"]: (row["state"], row["reason"]) for row in arcterm.json("runs")}
    assert states["second"] == ("queued", f"after first ({arcterm.show('first')['id']})")
    assert states["ended"][0] == "queued" and states["ended"][1].startswith("after second")

    stopped = arcterm.json("stop", "stopped")
    assert stopped["state"] == "stopped" and stopped["reason"].startswith("stopped while it waited for ")
    assert arcterm.json("stop", "ended", "--now")["state"] == "stopped"
    path = arcterm.path("removed")
    arcterm("rm", "removed", "--yes")
    assert not path.exists()

    arcterm("stop", "first", "--now")
    arcterm.wait("second", lambda shown: shown["state"] == "done")
    assert launched(arcterm.path("second"))["after"] == f"first ({arcterm.show('first')['id']}) is stopped"


def test_several_seeds_are_a_run_each_and_their_accuracies_a_table(arcterm, pack):
    common = (*TRAIN, "--dataset", str(pack), "--steps", "3", "--name", "tried", "--seed", "4,2")
    planned = arcterm.json(*common, "--dry-run")
    assert [each["seed"] for each in planned] == [4, 2]
    done = arcterm(*common, "--plain")
    table = [line.split() for line in done.stdout.splitlines()[-4:]]
    assert [row[0] for row in table] == ["RUN", "tried-s4", "tried-s2", "mean"]
    shown = [arcterm.show(f"tried-s{seed}") for seed in (4, 2)]
    assert [(run["state"], run["config"]["seed"]) for run in shown] == [("done", 4), ("done", 2)]
    assert launched(arcterm.path("tried-s2"))["after"] == f"tried-s4 ({shown[0]['id']}) is done"
    accuracies = [run["verification"]["heldout"]["accuracy"] for run in shown]
    assert [row[3] for row in table[1:3]] == [f"{accuracy:.4f}" for accuracy in accuracies]
    assert table[3][3] == f"{sum(accuracies) / 2:.4f}"
    assert "taken by" in arcterm(*common, code=4).stderr
