"""Triplets, from a softmax run on: mined by two ranks, stopped on the way, resumed to the same bits."""

from __future__ import annotations

import time

import numpy as np
import pytest

from arcterm.formats.images import encode_jpeg
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.runs import control, store
from arcterm.runs.events import Mined, Phase, Step
from arcterm.runs.reading.follow import Follower

from .test_train import weights

pytestmark = pytest.mark.slow
STEPS = 60
RECIPE = (
    "--nproc", "2", "--batch-size", "6", "--seed", "3", "--lr", "0.01",
    "--set", "loss.images_per_identity=8", "--set", "loss.bag=50",
)  # fmt: skip


@pytest.fixture
def crowd(tmp_path):
    """A pack of 12 people with 8 pictures each that are hard to tell apart: most of a picture is chance."""
    rng = np.random.default_rng(0)

    def picture(face):
        coarse = 0.3 * face + 0.7 * rng.integers(0, 255, (7, 7, 3))
        return encode_jpeg(np.ascontiguousarray(np.kron(coarse, np.ones((16, 16, 1))).astype(np.uint8)))

    with write_pack(tmp_path / "crowd") as pack:
        for label, face in enumerate(rng.integers(0, 255, (12, 7, 7, 3))):
            for _ in range(8):
                pack.add(picture(face), label)
    return tmp_path / "crowd"


def told(run, kind):
    """Events of a kind, by (attempt, event)."""
    return [(attempt, event) for attempt, event in Follower(run).poll() if isinstance(event, kind)]


def numbers(run):
    """Loss and active share by step of the last attempt to make it."""
    return {event.step: (event.loss, event.active) for _, event in told(run, Step)}


def wait_for_step(run, step):
    follower, deadline = Follower(run), time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(isinstance(event, Step) and event.step >= step for _, event in follower.poll()):
            return
        time.sleep(0.02)
    raise AssertionError(f"{run} makes no steps")


def test_triplets_from_a_softmax_run_stopped_and_resumed(arcterm, crowd):
    base = arcterm.json(
        "train", "tiny", "softmax", "--dataset", str(crowd), "--nproc", "1", "--batch-size", "24",
        "--steps", "6", "--name", "base",
    )  # fmt: skip
    common = ("train", "tiny", "triplet", "--dataset", str(crowd), *RECIPE, "--steps", str(STEPS))
    common = (*common, "--pretrained", "base")
    arcterm(*common, "--name", "parts", "--detach")
    parts = store.Run(arcterm.path("parts"))
    wait_for_step(parts, 3)
    control.ask(parts, "stop")
    stopped = arcterm.wait("parts", lambda shown: shown["state"] == "stopped")
    first = told(parts, Mined)[-1][1]
    assert first.step < stopped["step"] <= first.step + first.steps  # where in a round is up to chance
    resumed = arcterm.json("resume", "parts")
    assert (resumed["state"], resumed["step"], resumed["attempt"]) == ("done", STEPS, 2)
    arcterm.json(*common, "--name", "whole")
    whole = store.Run(arcterm.path("whole"))

    expected, found = weights(whole.path, STEPS), weights(parts.path, STEPS)
    assert expected.keys() == found.keys()
    assert not any(name.startswith("head-") for name in expected)
    assert "feed.safetensors/triplets" in expected
    for name, tensor in expected.items():
        assert (tensor == found[name]).all(), name
    assert numbers(whole) == numbers(parts)
    assert [e.round for _, e in told(whole, Mined)] == [e.round for _, e in told(parts, Mined)]
    assert len(told(whole, Mined)) > 1

    origin = base["checkpoints"][-1]["path"]
    assert resumed["config"]["pretrained"] == origin
    loads = [(attempt, e.detail) for attempt, e in told(parts, Phase) if e.detail.startswith("weights of")]
    assert loads == [(1, f"weights of {origin}")]
    assert 0 < resumed["active"] <= 1
    assert resumed["mined"]["pairs"] >= resumed["mined"]["triplets"] > 0
