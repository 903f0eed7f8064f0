"""A look that another process took is the one that would have been taken here, and so is what follows it."""

from __future__ import annotations

import os
import shutil
import signal
import warnings

import pytest

from arcterm.runs.events import Step, Verify
from arcterm.runs.journal import Journal
from arcterm.runs.reader import LookAhead, Reader, RunGoneError

STEPS = 2000


@pytest.fixture
def ahead():
    """Begin a look ahead; tests have threads, which the console has not yet at that time."""

    def begin(run):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return LookAhead(run)

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


def followed(reader, look):
    """What a reader finds from `look` on, as texts."""
    found = [look]
    while found[-1].more:
        found.append(reader.look())
    return [repr(each) for each in found]


def test_it_is_what_a_reader_finds(run, journal, ahead):
    reader, look = ahead(run).result()
    own = Reader(run)
    assert look.more
    assert [event.step for _, event in look.essentials if isinstance(event, Verify)] == [
        *range(100, 2001, 100)
    ]
    assert followed(reader, look) == followed(own, own.look())


def test_the_reader_goes_on_from_it(run, journal, ahead):
    reader, look = ahead(run).result()
    followed(reader, look)
    write(journal, [STEPS + 1])
    after = reader.look()
    assert [event.last.step for _, event in after.events] == [STEPS + 1]
    assert reader.run is run


def test_a_process_that_ends_too_soon_costs_nothing_but_time(run, journal, ahead):
    begun = ahead(run)
    os.kill(begun._process, signal.SIGKILL)
    reader, look = begun.result()
    own = Reader(run)
    assert followed(reader, look) == followed(own, own.look())


def test_what_is_wrong_is_said_as_always(run, journal, ahead):
    shutil.rmtree(run.path)
    with pytest.raises(RunGoneError, match="was removed"):
        ahead(run).result()
