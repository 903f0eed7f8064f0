"""A rank's signals: noted, not obeyed at once; a process that a library forks still ends by them."""

from __future__ import annotations

import os
import signal

import pytest

from arcterm.processes import signals


@pytest.fixture(autouse=True)
def _given_back():
    before = {number: signal.getsignal(number) for number in signals.STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signals._seen.clear()


@pytest.mark.parametrize("number", signals.STOPPING)
def test_a_signal_is_noted(number):
    signals.listen()
    assert not signals.stop_asked()
    os.kill(os.getpid(), number)
    assert signals.stop_asked()


@pytest.mark.filterwarnings("ignore:This process")  # multi-threaded, fork(): the child does next to nothing
def test_a_forked_worker_still_ends():
    signals.listen()
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    assert not signals.stop_asked()
