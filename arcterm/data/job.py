"""What a job on data works with: it tells how far it is, hears a request to stop, and has a place to work."""

from __future__ import annotations

import time

from arcterm.errors import StopAskedError
from arcterm.runs import control
from arcterm.runs.events import Message, Phase
from arcterm.runs.journal import Sink
from arcterm.runs.store import Run

_TELL_SECONDS = 0.25


class Job:
    """One attempt at a job. `work` is a directory of its own that outlives a stop; `id` names the job."""

    def __init__(self, run: Run, journal: Sink, threads: int = 1) -> None:
        self.id = run.id
        self.threads = threads
        self.work = run.path / "work"
        self.work.mkdir(mode=0o700, exist_ok=True)
        self._run = run
        self._journal = journal
        self._last = 0.0

    def tell(self, phase: str, done: int, total: int, detail: str = "") -> bool:
        """Call between two items: `done` of `total` in this phase. Raises `StopAskedError` if asked to stop.

        Returns whether it was told, which happens a few times a second: a good moment to save one's place.
        """
        now = time.monotonic()
        if now - self._last < _TELL_SECONDS and done < total:
            return False
        self._last = now
        self._journal.write(Phase(phase=phase, detail=detail, done=done, total=total))
        for request_id, request in control.pending(self._run):
            control.take(self._run, request_id)
            if request.verb == "stop":
                raise StopAskedError
        return True

    def say(self, text: str, level: str = "info") -> None:
        """Something a person should know now."""
        self._journal.write(Message(level=level, text=text))
