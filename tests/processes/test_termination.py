"""SIGTERM to a command: it ends with 130, unless a run is being started, which comes first."""

from __future__ import annotations

import os
import signal

import pytest

from arcterm.processes import termination


@pytest.fixture(autouse=True)
def _forgotten():
    yield
    termination._held.clear()
    termination._seen.clear()


@pytest.mark.parametrize("number", termination.NUMBERS)
def test_it_ends_the_command(number):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, termination.obeyed():
        os.kill(os.getpid(), number)
    assert ended.value.code == 130
    assert signal.getsignal(number) is before
    assert termination.seen() == 0


def test_while_a_run_is_started_it_is_noted():
    with termination.obeyed():
        termination.hold()
        os.kill(os.getpid(), signal.SIGTERM)
        assert termination.seen() == signal.SIGTERM
