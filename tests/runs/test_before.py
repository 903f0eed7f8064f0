"""Runs of an older arcterm, kept as they were written, are listed, shown, resumed and verified.

``before.tar.xz`` holds a pack and what version 0.1.0 left: jobs that packed it and made its
set, a training stopped at step 223 of 400, that checkpoint's verification, and a training whose rank was
killed. Its paths stand under ``/before``. It is never made again.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from arcterm.cli.app import build
from arcterm.errors import DataError
from arcterm.runs import checkpoints, store

from ..e2e.conftest import Console

TRAINING, KILLED = "20261129T210119Z-tiny-arcface-e412", "20261129T210224Z-tiny-cosface-a267"
VERIFICATION = "20261129T210219Z-verify-tiny-223-5bf4"
PACK, BIN = "20261129T210110Z-data-pack-cae5", "20261129T210114Z-data-bin-b041"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A folder with ``pack`` and ``runs``, their paths made to fit."""
    with tarfile.open(Path(__file__).with_name("before.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    for path in (tmp_path / "runs").rglob("*.json"):
        path.write_text(path.read_text().replace("/before/", f"{tmp_path}/"))
    return tmp_path


def cli(*arguments: str) -> str:
    """What a command that ends well prints."""
    done = CliRunner().invoke(build(arguments), arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_all_are_listed_in_their_states(before):
    listed = {d["id"]: d["state"] for d in json.loads(cli("runs", "--json", "--runs-dir", f"{before}/runs"))}
    assert listed == {
        KILLED: "failed",
        VERIFICATION: "done",
        TRAINING: "stopped",
        BIN: "done",
        PACK: "done",
    }


@pytest.mark.parametrize("run", [TRAINING, KILLED, VERIFICATION, BIN, PACK])
def test_each_is_shown(before, run):
    assert run in cli("show", run, "--runs-dir", f"{before}/runs")
    assert json.loads(cli("show", run, "--json", "--runs-dir", f"{before}/runs"))["id"] == run


def test_what_was_reached_is_told(before):
    told = json.loads(cli("show", "stopped-before", "--json", "--runs-dir", f"{before}/runs"))
    assert (told["step"], told["steps"], told["corrupt_records"]) == (223, 400, 0)
    assert told["verification"]["small"]["best_accuracy"] == 0.975
    assert [saved["step"] for saved in told["checkpoints"]] == [223]
    killed = json.loads(cli("show", "killed-before", "--json", "--runs-dir", f"{before}/runs"))
    assert killed["failure"]["signal"] == "SIGKILL"


def test_its_checkpoint_is_whole(before):
    run = store.find(before / "runs", TRAINING)
    path, manifest = checkpoints.choose(run, "last")
    assert checkpoints.check(path) == manifest
    with (path / "backbone.safetensors").open("r+b") as file:
        file.write(b"\0")  # and damage to it is noticed
    with pytest.raises(DataError, match="damaged"):
        checkpoints.check(path)


def test_it_may_be_resumed_with_changes(before):
    place = ("--dry-run", "--json", "--runs-dir", f"{before}/runs")
    planned = json.loads(cli("resume", "stopped-before", "--nproc", "2", "--lr", "0.01", *place))
    config = store.find(before / "runs", TRAINING).config
    assert (planned["step"], planned["settings"]["lr"]) == (223, [config.lr, 0.01])
    assert planned["config"]["batch_size"] * 2 == config.global_batch
    assert planned["config"]["begins"]["step"] == 0
    (before / "pack").rename(before / "elsewhere")
    longer = ("resume", "killed-before", "--epochs", "400", "--dataset", f"{before}/elsewhere", *place)
    assert json.loads(cli(*longer))["config"]["epochs"] == 400


@pytest.mark.slow
def test_it_is_resumed_with_another_batch_to_its_end_and_verified(before):
    arcterm = Console(before, before)
    arcterm("resume", "stopped-before", "--batch-size", "10", "--plain")
    told = arcterm.show("stopped-before")
    assert (told["state"], told["step"]) == ("done", told["steps"])
    assert told["history"][0]["settings"]["batch_size"][1] == 10
    assert told["verification"]["small"]["step"] == told["steps"]
    assert "small" in arcterm("verify", "stopped-before").stdout


@pytest.mark.slow
def test_it_is_not_resumed_on_other_people(before):
    arcterm = Console(before, before)
    others = np.random.default_rng(7).integers(0, 255, (4, 8, 112, 112, 3), dtype=np.uint8)
    for person, pictures in enumerate(others):
        (before / "others" / str(person)).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            cv2.imwrite(str(before / "others" / str(person) / f"{number}.jpg"), picture)
    (before / "pack").rename(before / "pack.moved")
    arcterm("data", "pack", "others", "pack")  # as many people with as many images
    (before / "pack.moved" / "small.bin").rename(before / "pack" / "small.bin")
    refused = arcterm("resume", "stopped-before", "--plain", code=3)
    assert "--accept-changed-data" in refused.stderr
    assert arcterm.show("stopped-before")["state"] == "stopped"
