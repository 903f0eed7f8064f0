"""A disk that is really full: the run pauses, says why, and goes on to the bytes of an undisturbed one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.faults.conftest import fill, filler_of

pytestmark = pytest.mark.slow

TRAIN = [
    "train", "plain", "cosface", "--set", "backbone.embedding_size=32", "--nproc", "2", "--batch-size", "6",
    "--steps", "200", "--checkpoint-every", "10", "--verify-every", "100",
    "--set", "keep_last=2", "--set", "keep_best=0",
]  # fmt: skip


def weights(run: str) -> dict[str, str]:
    """The digests of the files of a run's newest checkpoint."""
    newest = max(Path(run).glob("ckpt/step-*/manifest.json"))
    return {name: told["sha256"] for name, told in json.loads(newest.read_text())["files"].items()}


def test_a_full_disk_pauses_and_the_run_goes_on_when_there_is_room(arcterm, pack, small_disk):
    asked = [*TRAIN, "--dataset", str(pack)]
    arcterm(*asked, "--name", "calm", "--plain", "--runs-dir", "calm")
    arcterm(*asked, "--name", "full", "--detach")
    arcterm.wait("full", lambda told: told["checkpoints"] and told["step"] < 150)
    # what the next save would delete is deleted first, which makes room for once
    told = arcterm.wait("full", lambda told: fill(small_disk) and told["state"] == "paused")
    assert os.statvfs(small_disk).f_bfree == 0
    assert f"the disk of {told['path']} is full" in told["reason"]
    assert not list(Path(told["path"]).glob("ckpt/.tmp-*"))
    assert "paused" in arcterm("runs").stdout
    assert "is being run" in arcterm("prune", "full", "--yes", code=4).stderr
    filler_of(small_disk).unlink()
    told = arcterm.wait("full", lambda told: told["state"] == "done")
    assert (told["step"], told["attempt"], told["corrupt_records"]) == (200, 1, 0)
    assert weights(told["path"]) == weights(arcterm.json("show", "calm", "--runs-dir", "calm")["path"])
    (events,) = Path(told["path"]).glob("events/*r00000.jsonl")
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert [line["step"] for line in lines if line["k"] == "step"] == list(range(1, 201))
    said = [line["text"] for line in lines if line["k"] == "message"]
    assert any(text.startswith("paused at step") for text in said)
    assert any("room on the disk again" in text for text in said)
    assert not (Path(told["path"]) / "reserve").exists()
    check_pruning(arcterm)


def check_pruning(arcterm):
    """A training that is over gives its old checkpoint up."""
    told = arcterm.json("show", "calm", "--runs-dir", "calm")
    assert [each["step"] for each in told["checkpoints"]] == [190, 200]
    tried = arcterm.json("prune", "calm", "--dry-run", "--runs-dir", "calm")
    assert arcterm.json("show", "calm", "--runs-dir", "calm")["bytes"] == told["bytes"]
    pruned = arcterm.json("prune", "calm", "--yes", "--runs-dir", "calm")
    assert pruned == {**tried, "dry_run": False}
    assert pruned["runs"][0]["removed"] == ["step-0000000190"]
    after = arcterm.json("show", "calm", "--runs-dir", "calm")
    assert [each["step"] for each in after["checkpoints"]] == [200]
    assert told["bytes"] - after["bytes"] == pruned["bytes"] > told["checkpoints"][0]["bytes"]
    assert arcterm("prune", "--yes", "--runs-dir", "calm").stdout == "nothing to remove\n"
