"""Essentials that another process found are those that would have been found here, and so is what follows."""

from __future__ import annotations

import os
import shutil
import signal
import warnings

import pytest

from arcterm.runs.events import Step, Verify
from arcterm.runs.journal import Journal
from arcterm.runs.reader import Reader, RunGoneError
from arcterm.runs.reading.ahead import EssentialsAhead

STEPS = 2000


@pytest.fixture
def ahead():
    """A reader whose essentials are found ahead; tests have threads, which the console has not yet."""

    def begin(run):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return Reader(run, ahead=EssentialsAhead(run))

    return begin


@pytest.fixture
def journal(run):
    (run.path / "attempts" / "0001").mkdir()
    journal = Journal(run.events, 1, 0)
    write(journal, range(1, STEPS + 1))
    yield journal
    journal.close()


def write(journal, steps):
    for step in steps:
        journal.write(
            Step(
                t=step / 10,
                step=step,
                epoch=1,
                loss=1 / step,
                accuracy=0.5,
                angle=60.0,
                lr=0.1,
                images_per_second=640.5,
                samples=64 * step,
            )
        )
        if step % 100 == 0:
            journal.write(
                Verify(t=step / 10, step=step, set="lfw", pairs=10, accuracy=0.9, std=0.0, xnorm=1.0)
            )


def looks(reader):
    """All that a reader finds, as texts."""
    found = [reader.look()]
    while found[-1].more:
        found.append(reader.look())
    return [repr(each) for each in found]


def test_they_are_what_a_reader_finds(run, journal, ahead):
    reader = ahead(run)
    look = reader.look()
    verified = [event.step for _, event in look.essentials if isinstance(event, Verify)]
    assert verified == [*range(100, STEPS + 1, 100)]
    assert [repr(look), *looks(reader)] == looks(Reader(run))


def test_the_reader_goes_on_from_them(run, journal, ahead):
    reader = ahead(run)
    looks(reader)
    write(journal, [STEPS + 1])
    after = reader.look()
    assert [event.step for _, event in after.essentials] == [STEPS + 1]
    assert [event.last.step for _, event in after.events] == [STEPS + 1]


def test_a_process_that_ends_too_soon_costs_nothing_but_time(run, journal, ahead):
    reader = ahead(run)
    os.kill(reader.ahead._process, signal.SIGKILL)
    assert looks(reader) == looks(Reader(run))


def test_lines_that_are_no_events_are_counted_as_always(run, journal, ahead):
    with (run.events / "0001-r00000.jsonl").open("ab") as file:
        file.write(b"garbage\n")
    reader = ahead(run)
    looks(reader)
    assert reader.essentials.corrupt == 1


def test_what_is_wrong_is_said_as_always(run, journal, ahead):
    shutil.rmtree(run.path)
    with pytest.raises(RunGoneError, match="was removed"):
        ahead(run).look()
