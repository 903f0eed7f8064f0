"""What TensorBoard's own reader and Python's csv read back is what the events say."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcterm.runs import trackers
from arcterm.runs.events import Step, Verify
from tests.trackers.conftest import Story, change_config, saved, step, verified

METRICS = ("loss", "accuracy", "angle", "lr", "images_per_second", "data_wait")


def write_two_attempts(story: Story) -> None:
    """Six steps, of which the last two are made again after a resume, with other numbers."""
    story.attempt(1, *map(step, (1, 2)), verified(2, 0.7), saved(2), step(3, "nan"), step(4), step(5))
    story.attempt(2, step(4, 9.0), verified(4, None, withheld="no pairs"), step(5, 9.0), step(6), begins=3)
    story.state("done", step=6, attempt=2)


def read_scalars(folder: Path) -> dict[str, dict[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    found: dict[str, dict[int, float]] = {}
    for tag in reader.Tags()["scalars"]:
        events = reader.Scalars(tag)
        found[tag] = {event.step: event.value for event in events}
        assert len(found[tag]) == len(events), f"{tag} has a step twice"
    return found


def assert_equal(found: dict[int, float], events: list[Any], name: str, *, rounded: bool) -> None:
    expected = {
        event.step: float(getattr(event, name)) for event in events if getattr(event, name) is not None
    }
    if rounded:
        expected = {number: float(np.float32(value)) for number, value in expected.items()}
    assert found.keys() == expected.keys(), name
    for number, value in expected.items():
        assert found[number] == value or (math.isnan(value) and math.isnan(found[number])), (name, number)


def test_tensorboard_reads_the_events_of_a_resumed_run(story: Story) -> None:
    pytest.importorskip("tensorboard")
    change_config(story.run, track="tensorboard")
    write_two_attempts(story)
    story.feed("tensorboard")
    scalars = read_scalars(trackers.folder(story.run, "tensorboard"))
    for name in METRICS:
        assert_equal(scalars[f"train/{name}"], story.events(Step), name, rounded=True)
    for name in ("accuracy", "xnorm"):
        assert_equal(scalars[f"verify/lfw/{name}"], story.events(Verify), name, rounded=True)
    assert scalars["checkpoint/bytes"] == {2: 1000.0}


def test_tensorboard_goes_on_where_a_killed_process_was(story: Story) -> None:
    """What was written and not flushed is dropped by the reader when it comes again."""
    pytest.importorskip("tensorboard")
    change_config(story.run, track="tensorboard")
    write_two_attempts(story)
    feeder = story.feed("tensorboard")
    kept = feeder.at
    kept.state, kept.step = "running", 2
    kept.last = {name: min(last, 2) for name, last in kept.last.items()}
    kept.position = {}
    trackers.write(story.run, kept)
    story.feed("tensorboard")
    scalars = read_scalars(trackers.folder(story.run, "tensorboard"))
    assert_equal(scalars["train/loss"], story.events(Step), "loss", rounded=True)


def test_tensorboard_reads_a_run_of_many_attempts_in_their_order(story: Story) -> None:
    pytest.importorskip("tensorboard")
    change_config(story.run, track="tensorboard")
    for number in range(1, 13):
        story.attempt(number, step(number, float(number)), step(number + 1, 99.0), begins=number - 1)
    story.state("done", step=13, attempt=12)
    story.feed("tensorboard")
    scalars = read_scalars(trackers.folder(story.run, "tensorboard"))
    assert_equal(scalars["train/loss"], story.events(Step), "loss", rounded=True)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_every_digit_of_the_events_of_a_resumed_run(story: Story) -> None:
    change_config(story.run, track="csv")
    write_two_attempts(story)
    story.feed("csv")
    folder = trackers.folder(story.run, "csv")
    rows = read_table(folder / "train.csv")
    for name in METRICS:
        found = {int(row["step"]): float(row[name]) for row in rows}
        assert_equal(found, story.events(Step), name, rounded=False)
    assert [float(row["t"]) for row in rows] == [event.t for event in story.events(Step)]
    tested = read_table(folder / "verify-lfw.csv")
    assert [(row["step"], row["accuracy"]) for row in tested] == [("2", "0.7"), ("4", "")]


def test_csv_gets_columns_that_come_later_and_loses_a_line_cut_off(story: Story) -> None:
    change_config(story.run, track="csv")
    story.attempt(1, step(1), step(2, active=0.5))
    story.state("stopped", step=2)
    story.feed("csv")
    path = trackers.folder(story.run, "csv") / "train.csv"
    with path.open("a") as file:
        file.write("3,17")
    story.attempt(2, step(3, active=0.25), begins=2)
    story.state("done", step=3, attempt=2)
    story.feed("csv")
    rows = read_table(path)
    assert [(row["step"], row["active"]) for row in rows] == [("1", ""), ("2", "0.5"), ("3", "0.25")]


@pytest.mark.parametrize(("name", "option"), [("csv", "csv_dir"), ("tensorboard", "logdir")])
def test_files_go_where_they_are_to(story: Story, tmp_path: Path, name: str, option: str) -> None:
    if name == "tensorboard":
        pytest.importorskip("tensorboard")
    change_config(story.run, track=name, track_options={option: str(tmp_path / "all")})
    write_two_attempts(story)
    story.feed(name)
    assert list((tmp_path / "all" / "first").iterdir())
    assert {path.name for path in trackers.folder(story.run, name).iterdir()} == {"state.json"}
