"""A run's weights go out, are used, come back in and are trained on, by the command line alone."""

from __future__ import annotations

import json

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from .test_train import losses

pytestmark = pytest.mark.slow
RECIPE = ("--nproc", "1", "--batch-size", "12", "--set", "backbone.dropout=0")


def mean(run, first, last):
    """Mean loss of these steps."""
    found = losses(run)
    return float(np.mean([found[step] for step in range(first, last + 1)]))


def test_out_and_in_again(arcterm, pack, people):
    train = ("train", "tiny", "arcface", "--dataset", str(pack), *RECIPE)
    told = arcterm.json(*train, "--lr", "0.1", "--steps", "60", "--verify-every", "30", "--name", "first")
    first = arcterm.path("first")

    out = arcterm("model", "export", "first", "--preprocess", "inside")
    assert out.stdout == f"{arcterm.folder}/first.onnx\n"
    assert "Traceback" not in out.stderr
    card = (arcterm.folder / "first.onnx.md").read_text()
    score = told["verification"]["heldout"]
    assert f"| heldout | 60 | {score['accuracy']:.4f} ± {score['std']:.4f} |" in card
    assert "| loss | arcface |" in card

    images = [str(people / "p1" / "1.png"), str(people / "p1" / "2.png"), str(people / "p2" / "1.png")]
    rgb = np.stack([cv2.imread(image)[:, :, ::-1] for image in images])
    session = onnxruntime.InferenceSession(str(arcterm.folder / "first.onnx"))
    wanted = session.run(None, {"images": rgb})[0]
    rows = arcterm.json("embed", "first", *images)
    assert np.abs(np.array([row["embedding"] for row in rows]) - wanted).max() < 1e-4 * np.abs(wanted).max()
    same = arcterm.json("compare", "first", images[0], images[1])
    other = arcterm.json("compare", "first", images[0], images[2])
    assert same["cosine"] > other["cosine"]
    assert same["verdicts"][0]["threshold"] == pytest.approx(score["threshold"])

    kept = arcterm.json("model", "export", "first", "--format", "safetensors", "--head", "keep")
    assert (kept["facts"]["classes"], kept["path"]) == (12, f"{arcterm.folder}/first.safetensors")
    shard = max(arcterm.path("first").glob("ckpt/*/head-*"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    words = ("model", "export", "first", "--format", "safetensors", "--head", "keep", "--force")
    assert "is damaged" in arcterm(*words, code=3).stderr
    shard.write_bytes(whole)
    state = {f"module.{k}": v for k, v in load_file(kept["path"]).items() if k != "head.weight"}
    torch.save({"state_dict": state}, arcterm.folder / "theirs.pth")

    small = (*train, "--lr", "1e-6", "--steps", "5", "--verify-every", "100")
    arcterm(*small, "--pretrained", "first.safetensors", "--head", "keep", "--name", "kept")
    # another seed: the first one would draw the very class weights that the backbone was trained towards
    arcterm(*small, "--pretrained", "theirs.pth", "--name", "adopted", "--seed", "7")
    start, reached = mean(first, 1, 2), mean(first, 51, 60)
    again, fresh_head = mean(arcterm.path("kept"), 1, 5), mean(arcterm.path("adopted"), 1, 5)
    assert reached < start / 2, (reached, start)
    assert again < 1.25 * reached, (again, reached)
    assert again < fresh_head / 2, (again, fresh_head)
    record = json.loads((arcterm.path("adopted") / "run.json").read_text())
    (made,) = (arcterm.folder / "runs" / ".models").iterdir()
    assert record["config"]["pretrained"] == str(made)
    assert made.name.startswith("theirs-")
    assert len(arcterm.json("runs")) == 3
    assert not [path for path in arcterm.folder.rglob("*") if "partial" in path.name]
