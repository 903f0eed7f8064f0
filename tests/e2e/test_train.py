"""The main job from the command line to the last file."""

from __future__ import annotations

import json
import shutil

import pytest
from safetensors.numpy import load_file

pytestmark = pytest.mark.slow
RECIPE = ("--nproc", "2", "--batch-size", "6", "--seed", "3")


def losses(run) -> dict[int, float]:
    """Loss by step of the last attempt to make it."""
    found = {}
    for path in sorted((run / "events").glob("*-r00000*.jsonl")):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if event["k"] == "step":
                found[event["step"]] = event["loss"]
    return found


def weights(run, step):
    """Every tensor of a checkpoint."""
    folder = run / "ckpt" / f"step-{step:010d}"
    return {f"{p.name}/{k}": v for p in sorted(folder.glob("*.safetensors")) for k, v in load_file(p).items()}


def test_train_verify_show_and_remove(arcterm, pack):
    told = arcterm.json(
        "train", "plain", "cosface", "--margin", "0.3", "--dataset", str(pack), *RECIPE,
        "--steps", "8", "--verify-every", "4", "--name", "main",
    )  # fmt: skip
    assert (told["state"], told["step"], told["steps"]) == ("done", 8, 8)
    assert told["config"]["loss_options"]["margin"] == 0.3
    assert told["config"]["backbone"] == "plain"
    assert 0 <= told["verification"]["heldout"]["accuracy"] <= 1
    assert told["verification"]["heldout"]["pairs"] == 60
    assert [saved["step"] for saved in told["checkpoints"]] == [4, 8]
    assert told["images_per_second"] > 0
    assert {rank["rank"] for rank in told["ranks"]} <= {0, 1}
    run = arcterm.path("main")
    assert json.loads((run / "verify" / "step-0000000008.json").read_text())[0]["set"] == "heldout"
    assert sorted(p.name for p in (run / "ckpt" / "step-0000000008").glob("head-*")) == [
        "head-00000-of-00002.safetensors",
        "head-00001-of-00002.safetensors",
    ]
    record = json.loads((run / "run.json").read_text())
    assert {p["distribution"] for p in record["plugins"]} == {"arcterm", "arcterm-plain"}

    again = arcterm.json("verify", "main")
    assert again["state"] == "done"
    for key in ("accuracy", "std", "tar", "threshold"):
        assert again["verification"]["heldout"][key] == pytest.approx(
            told["verification"]["heldout"][key], abs=1e-6
        )

    assert {row["id"] for row in arcterm.json("runs")} == {told["id"], again["id"]}
    assert "is done" in arcterm("resume", "main", code=4).stderr
    assert "taken by" in arcterm("train", "plain", "cosface", "--name", "main", code=4).stderr
    arcterm("rm", "main", "--yes")
    assert not run.exists()


def test_a_run_that_goes_on_with_other_ranks_and_moved_data_takes_the_same_images(arcterm, pack):
    """Two ranks, then one, then three, each time made longer; the loss of every step is that of one rank."""
    # a rate that does not depend on the length; bfloat16, where there is, rounds the ranks' parts apart
    recipe = "--seed 5 --lr 0.01 --schedule multistep --set milestones=1000 --set precision=float32"
    common = ("train", "plain", "arcface", *recipe.split(), "--dataset")
    one = arcterm.json(
        *common, str(pack), *["--steps", "12", "--nproc", "1", "--batch-size", "12", "--name", "one"]
    )
    data, moved = arcterm.folder / "data", arcterm.folder / "moved"
    shutil.copytree(pack, data)
    arcterm(*common, "data", *["--steps", "4", "--nproc", "2", "--batch-size", "6", "--name", "parts"])
    longer = ("resume", "parts", "--nproc", "1", "--steps", "8")
    planned = arcterm.json(*longer, "--dry-run")
    assert (planned["step"], planned["settings"]["batch_size"]) == (4, [6, 12])
    assert arcterm.show("parts")["history"] == []
    said = arcterm(*longer, "--plain").stderr
    assert "12 × 1 = 12 images a step as before" in said
    assert "8 steps (1 epochs) instead of 4; the schedule is laid anew over them" in said
    data.rename(moved)
    parts = arcterm.json("resume", "parts", *["--steps", "12", "--nproc", "3", "--dataset", "moved"])
    assert (parts["state"], parts["step"], parts["attempt"]) == ("done", 12, 3)
    first, second = parts["history"]
    assert (first["step"], first["settings"]["nproc"], first["settings"]["steps"]) == (4, [2, 1], [4, 8])
    assert (second["step"], second["settings"]["nproc"], second["settings"]["steps"]) == (8, [1, 3], [8, 12])
    assert second["why"].endswith("resume parts --steps 12 --nproc 3 --dataset moved --json")
    assert parts["config"]["dataset_options"]["path"] == str(moved)
    a, b = losses(arcterm.path("one")), losses(arcterm.path("parts"))
    assert list(a) == list(b) == list(range(1, 13))
    assert a == pytest.approx(b, abs=1e-5, rel=1e-5)
    assert len({round(loss, 3) for loss in a.values()}) > 6
    assert one["verification"]["heldout"]["accuracy"] == parts["verification"]["heldout"]["accuracy"]


def test_a_stopped_and_resumed_run_ends_in_the_same_weights(arcterm, pack):
    """With rows that are left out of steps; test_kill.py has all of them at every step."""
    loss = ("fading", "--set", "sample_rate=0.4")
    common = ("train", "plain", *loss, "--dataset", str(pack), *RECIPE, "--steps", "120")
    arcterm.json(*common, "--name", "whole")
    arcterm(*common, "--name", "parts", "--detach")
    arcterm.wait("parts", lambda told: told["step"] >= 5)
    stopped = arcterm.json("stop", "parts")
    assert stopped["state"] == "stopped"
    assert 5 <= stopped["step"] < 120
    assert stopped["checkpoints"][-1]["step"] == stopped["step"]
    resumed = arcterm.json("resume", "parts")
    assert (resumed["state"], resumed["attempt"]) == ("done", 2)
    whole, parts = arcterm.path("whole"), arcterm.path("parts")
    expected, found = weights(whole, 120), weights(parts, 120)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert (tensor == found[name]).all(), name
    assert losses(whole) == losses(parts)
