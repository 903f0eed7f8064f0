"""The main job from the command line to the last file."""

from __future__ import annotations

import json

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


def test_one_and_two_ranks_give_the_same_loss(arcterm, pack):
    common = (
        "train",
        "plain",
        "arcface",
        "--dataset",
        str(pack),
        "--steps",
        "12",
        "--seed",
        "5",
        "--lr",
        "0.05",
        "--set",
        "precision=float32",  # bfloat16, of processors that have it, rounds the ranks' halves differently
    )
    one = arcterm.json(*common, "--nproc", "1", "--batch-size", "12", "--name", "one")
    two = arcterm.json(*common, "--nproc", "2", "--batch-size", "6", "--name", "two")
    a, b = losses(arcterm.path("one")), losses(arcterm.path("two"))
    assert list(a) == list(b) == list(range(1, 13))
    assert a == pytest.approx(b, abs=1e-5, rel=1e-5)
    assert len({round(loss, 3) for loss in a.values()}) > 6
    assert one["verification"]["heldout"]["accuracy"] == two["verification"]["heldout"]["accuracy"]


@pytest.mark.parametrize("loss", [("cosface",), ("fading", "--set", "sample_rate=0.4")], ids=" ".join)
def test_a_stopped_and_resumed_run_ends_in_the_same_weights(arcterm, pack, loss):
    common = ("train", "plain", *loss, "--dataset", str(pack), *RECIPE, "--steps", "300")
    arcterm.json(*common, "--name", "whole")
    arcterm(*common, "--name", "parts", "--detach")
    arcterm.wait("parts", lambda told: told["step"] >= 5)
    stopped = arcterm.json("stop", "parts")
    assert stopped["state"] == "stopped"
    assert 5 <= stopped["step"] < 300
    assert stopped["checkpoints"][-1]["step"] == stopped["step"]
    resumed = arcterm.json("resume", "parts")
    assert (resumed["state"], resumed["attempt"]) == ("done", 2)
    whole, parts = arcterm.path("whole"), arcterm.path("parts")
    expected, found = weights(whole, 300), weights(parts, 300)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert (tensor == found[name]).all(), name
    assert losses(whole) == losses(parts)
