"""Calls of a tracker's code: whatever it raises has one type, and one that hangs ends the process."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import threading
import time
from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 120.0
_LONGER_SECONDS = 30.0
_SECRET = ("TOKEN", "KEY", "SECRET", "PASS")
_SHORTEST = 6  # a shorter value of a variable is found in any text


class TrackerError(Exception):
    """A tracker raised; the message says what, in a line."""


class Guard:
    """Watches over the calls of a tracker: one that takes `patience` seconds calls `hung` with a sentence.

    `hung` is called in a thread, and does not return. Where a call holds on to the interpreter no thread
    runs: a timer of C ends the process half a minute later, and leaves the stacks on stderr.
    """

    def __init__(self, hung: Callable[[str], object], patience: float = PATIENCE_SECONDS) -> None:
        self._hung = hung
        self._patience = patience
        self._what = ""
        self._began = self._armed = 0.0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch over all calls in this block, by one thread."""
        over = threading.Event()
        self._what = ""
        watch = threading.Thread(target=self._watch, args=(over,), name="guard", daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()
            faulthandler.cancel_dump_traceback_later()
            self._armed = 0.0

    @contextlib.contextmanager
    def calling(self, what: str) -> Iterator[None]:
        """Make one call, inside of `watching`; raises `TrackerError` for whatever it raises."""
        self._began, self._what = time.monotonic(), what
        if self._began - self._armed > self._patience / 10:  # each time is a thread of its own
            self._armed = self._began
            faulthandler.dump_traceback_later(self._patience + _LONGER_SECONDS, exit=True)
        try:
            yield
        except (Exception, SystemExit) as error:
            raise TrackerError(f"{what}: {_words(error)}") from error
        finally:
            self._what = ""

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(self._patience / 10):
            what, began = self._what, self._began
            if what and time.monotonic() - began > self._patience:
                self._hung(f"{what} did not return for {self._patience:g} s")
                return


def _words(error: BaseException) -> str:
    """Type and message of an error in a line, without the values of variables that hold secrets."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and any(word in name for word in _SECRET):
            text = text.replace(value, "***")
    return text[:500]
