"""Engines asked again and again beside something that is drawn, which never waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from arcterm.errors import ArctermError
from arcterm.runs.engines import record
from arcterm.runs.store import Run

SECONDS = 5.0


class Refresher:
    """Asks the engines of some runs, which `runs` gives, at most every five seconds, in a thread.

    What they say is noted in the runs. `troubles` are the lines of those that did not answer last time.
    """

    def __init__(self, runs: Callable[[], Iterable[Run]]) -> None:
        self.troubles: list[str] = []
        self._runs = runs
        self._asked = float("-inf")
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Begin to ask if it is time to; returns at once."""
        asking = self._thread is not None and self._thread.is_alive()
        if asking or time.monotonic() - self._asked < SECONDS:
            return
        self._asked = time.monotonic()
        self._thread = threading.Thread(target=self._ask, name="engines", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until what was begun is over."""
        if self._thread is not None:
            self._thread.join()

    def _ask(self) -> None:
        try:
            held = [run for run in self._runs() if (run.path / record.NAME).exists()]
            if held:
                from arcterm.launch import engine  # slow to import, and most runs are of this machine

                self.troubles = engine.refresh(held)
        except (ArctermError, OSError) as error:  # the runs' directory may be gone, or not be writable
            self.troubles = [str(error)]
