"""Trackers that fail, hang or fill up beside those that work: the training is the same to the bit."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from arcterm.runs.events import Message, Step, Verify
from arcterm.runs.reading.follow import Follower
from arcterm.runs.store import Run

pytestmark = pytest.mark.slow
SECRET = "0123456789abcdef0123456789abcdef01234567"
TOYS = """\
import queue, time
from arcterm_registry import Tracker
from arcterm_registry.contracts import RunTracker
raising, sleeping, filling = (
    Tracker(summary=name, factory=f"toytrackers:{name.capitalize()}")
    for name in ("raising", "sleeping", "filling")
)
class Raising(RunTracker):
    def __init__(self, run): pass
    def log(self, step, t, values): raise OSError("the service is away")
class Sleeping(Raising):
    def log(self, step, t, values): time.sleep(1e6)
class Filling(Raising):
    def __init__(self, run): self.queue = queue.Queue(3)
    def log(self, step, t, values): self.queue.put(values)
"""


@pytest.fixture
def toys(arcterm, tmp_path: Path) -> Iterator[None]:
    """Three trackers that do no good, installed; their processes are ended afterwards."""
    info = tmp_path / "toys" / "toytrackers-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toytrackers\nVersion: 1.0\n")
    points = "".join(f"{name} = toytrackers:{name}\n" for name in ("raising", "sleeping", "filling"))
    (info / "entry_points.txt").write_text(f"[arcterm.trackers]\n{points}")
    (info.parent / "toytrackers.py").write_text(TOYS)
    arcterm.env["PYTHONPATH"] += os.pathsep + str(info.parent)
    arcterm.env["WANDB_API_KEY"] = SECRET
    yield
    for process in feeders(tmp_path):
        process.kill()


def feeders(folder: Path) -> list[psutil.Process]:
    """The processes that feed the trackers of runs in `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if "arcterm.processes.tracker" in words and any(str(folder) in word for word in words):
                found.append(process)
    return found


def weights(path: Path) -> str:
    """The digest of a run's last backbone."""
    manifest = json.loads(max(path.glob("ckpt/step-*/manifest.json")).read_text())
    return manifest["files"]["backbone.safetensors"]["sha256"]


def events(path: Path, kind: type) -> list[Any]:
    return [event for _, event in Follower(Run(path)).events() if isinstance(event, kind)]


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars(tag)]


def rows(folder: Path) -> list[dict[str, Any]]:
    found = []
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        records = map(json.loads, said.splitlines())
        found += [record["history"]["item"] for record in records if record["type"] == "history"]
    return found


def check_read_back(path: Path, steps: int) -> None:
    """CSV, TensorBoard's files and W&B's have the steps and verifications of the events."""
    made, verified = events(path, Step), events(path, Verify)
    assert [event.step for event in made] == list(range(1, steps + 1))
    with (path / "trackers/csv/train.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    boards, logged = path / "trackers/tensorboard", rows(path / "trackers/wandb")
    for name in ("loss", "accuracy", "lr", "images_per_second"):
        expected = [(event.step, float(getattr(event, name))) for event in made]
        assert [(int(row["step"]), float(row[name])) for row in table] == expected
        assert [(n, np.float32(v)) for n, v in scalars(boards, f"train/{name}")] == [
            (number, np.float32(value)) for number, value in expected
        ]
        key = f"train/{name}"
        assert [(row["step"], row[key]) for row in logged if key in row] == expected
    tested = [(event.step, event.accuracy) for event in verified if event.set == "heldout"]
    assert tested
    key = "verify/heldout/accuracy"
    assert [(row["step"], row[key]) for row in logged if key in row] == tested
    assert [n for n, v in scalars(boards, key) if not math.isnan(v)] == [number for number, _ in tested]


def test_trackers_do_not_touch_the_training_and_have_all_of_it(arcterm, pack, toys) -> None:
    for module in ("tensorboard", "wandb"):
        pytest.importorskip(module)
    common = ["train", "plain", "arcface", "--dataset", str(pack), "--batch-size", "8", "--verify-every", "8"]
    fixed = ["--lr", "0.05", "--set", "schedule=multistep", "--set", "milestones=99"]
    arcterm(*common, *fixed, "--steps", "16", "--name", "alone")
    good, news = "csv,tensorboard,wandb,alerts", arcterm.folder / "news"
    append = "import sys; open(sys.argv[1], 'a').write(' '.join(sys.argv[2:]) + '\\n')"
    command = json.dumps([sys.executable, "-c", append, str(news), "{run} {kind}", "{step}"])
    (arcterm.folder / "alerts.toml").write_text(f'[[alert]]\non = ["done"]\ncommand = {command}\n')
    options = ["--track", f"raising,sleeping,filling,{good}", "--set", "track.mode=offline"]
    options += ["--set", "track.alerts=alerts.toml"]
    arcterm(*common, *fixed, "--steps", "16", "--name", "tracked", *options)

    shown = arcterm.show("tracked")
    path = Path(shown["path"])
    assert weights(path) == weights(arcterm.path("alone"))
    assert [event.text for event in events(path, Message)] == [
        event.text for event in events(arcterm.path("alone"), Message)
    ]
    by_name = {tracker["name"]: tracker for tracker in shown["trackers"]}
    assert {by_name[name]["state"] for name in good.split(",")} == {"done"}
    assert by_name["raising"]["error"] == "log: OSError: the service is away"
    assert by_name["sleeping"]["step"] == 0
    assert by_name["filling"]["step"] <= 3  # as many as its queue holds
    assert "tracker           raising failing at step 0: log: OSError" in arcterm("show", "tracked").stdout
    check_read_back(path, 16)

    arcterm("resume", "tracked", "--steps", "20", "--set", f"track={good}")
    check_read_back(path, 20)
    assert news.read_text().splitlines() == ["tracked done 16", "tracked done 20"]
    assert all(SECRET.encode() not in file.read_bytes() for file in path.rglob("*") if file.is_file())
