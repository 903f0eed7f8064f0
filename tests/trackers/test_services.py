"""What W&B's own reader, and trackio's database, have of a run is what the events say."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arcterm.errors import ConfigError
from arcterm.launch.trackers.chosen import choose
from arcterm.runs import trackers
from arcterm.runs.events import Step, Verify
from tests.trackers.conftest import Story, change_config, saved, step, verified

METRICS = ("loss", "accuracy", "angle", "lr", "images_per_second", "data_wait")


def feed_in_a_process(story: Story, name: str) -> trackers.Tracking:
    """Feed a tracker as the command does: a service's client lives as long as its process."""
    place = trackers.folder(story.run, name)
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "arcterm.processes.tracker", str(story.run.path), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    at = trackers.read(story.run, name)
    assert (done.returncode, at.state, at.error, done.stderr) == (0, "done", "", ""), at.error
    return at


def write_attempts_and_feed(story: Story, name: str) -> None:
    """Five steps, fed; then a resume makes the last two again, of which a service keeps the first."""
    story.attempt(1, *map(step, (1, 2)), verified(2, 0.7), saved(2), step(3, "nan"), step(4), step(5))
    story.state("stopped", step=5)
    feed_in_a_process(story, name)
    story.attempt(2, verified(3, 0.75), step(4), step(5), step(6), verified(6, None), begins=3)
    story.state("done", step=6, attempt=2)
    feed_in_a_process(story, name)


def assert_equal(found: list[tuple[int, float]], events: list[Any], name: str) -> None:
    expected = [(e.step, float(getattr(e, name))) for e in events if getattr(e, name) is not None]
    assert len(found) == len(expected), name
    for (number, value), (wanted, right) in zip(found, expected, strict=True):
        assert number == wanted
        assert value == right or (math.isnan(value) and math.isnan(right)), (name, number)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of all files of an offline run, as ``wandb leet inspect`` prints them."""
    rows = []
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        assert [record["run"]["run_id"] for record in records if record["type"] == "run"] == [
            folder.parent.parent.name
        ]
        rows += [record["history"]["item"] for record in records if record["type"] == "history"]
    return rows


def of_name(rows: list[tuple[int, dict[str, Any]]], name: str) -> list[tuple[int, float]]:
    """(step, value) of a value wherever a row has it; W&B writes NaN as text."""
    return [(number, float(values[name])) for number, values in rows if name in values]


@pytest.mark.slow
def test_wandb_reads_the_events_of_a_resumed_run_offline(story: Story) -> None:
    pytest.importorskip("wandb")
    change_config(story.run, track="wandb", track_options={"mode": "offline", "project": "faces"})
    write_attempts_and_feed(story, "wandb")
    items = read_rows(trackers.folder(story.run, "wandb"))
    assert [item["_step"] for item in items] == list(range(len(items)))  # over both files
    rows = [(item["step"], item) for item in items]
    times = [item["_timestamp"] for item in items if "train/loss" in item]
    assert times[:3] == pytest.approx([event.t for event in story.events(Step)[:3]], abs=1e-3)
    for name in METRICS:
        assert_equal(of_name(rows, f"train/{name}"), story.events(Step), name)
    for name in ("accuracy", "xnorm"):
        assert_equal(of_name(rows, f"verify/lfw/{name}"), story.events(Verify), name)


@pytest.mark.slow
def test_trackio_has_the_events_of_a_resumed_run(story: Story, tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    options = {"project": "faces", "trackio_dir": str(tmp_path / "trackio")}
    change_config(story.run, track="trackio", track_options=options)
    write_attempts_and_feed(story, "trackio")
    with contextlib.closing(sqlite3.connect(tmp_path / "trackio" / "faces.db")) as base:
        found = base.execute("select run_name, step, metrics from metrics order by step, id").fetchall()
        alerts = base.execute("select title, text from alerts").fetchall()
    assert {name for name, _, _ in found} == {story.run.id}
    rows = [(number, json.loads(text)) for _, number, text in found]
    for name in METRICS:
        assert_equal(of_name(rows, f"train/{name}"), story.events(Step), name)
    assert_equal(of_name(rows, "verify/lfw/accuracy"), story.events(Verify), "accuracy")
    assert "best" in {title for title, _ in alerts}


def test_wandb_without_a_key_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcterm_registry.declare.Tracker.missing", lambda self: [])
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no key for api") as refused:
        choose("wandb", {})
    assert "track.mode=offline" in refused.value.hint
    assert choose("wandb", {"mode": "offline"}) == ("wandb", {"mode": "offline"})
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert choose("wandb", {}) == ("wandb", {})
