"""What a running job works with: progress, requests to stop, a scratch folder."""

from __future__ import annotations

import shutil
import time
from itertools import zip_longest

import msgspec

from arcterm.errors import StopAskedError
from arcterm.files import Stamp, write_bytes
from arcterm.runs import control
from arcterm.runs.dataset import changed_error
from arcterm.runs.events import Message, Phase
from arcterm.runs.journal import Sink
from arcterm.runs.store import Run, remove_stages

_PROGRESS_SECONDS = 0.25
_ACCEPTED = "changed-data-accepted"


class JobContext:
    """One attempt at a job. `work` is a directory of its own until it is done; `id` names the job."""

    def __init__(self, run: Run, journal: Sink, threads: int = 1) -> None:
        self.id = run.id
        self.threads = threads
        self.work = run.path / "work"
        self.work.mkdir(mode=0o700, exist_ok=True)
        self._accepted = (self.work / _ACCEPTED).exists()
        (self.work / _ACCEPTED).unlink(missing_ok=True)
        self._run = run
        self._journal = journal
        self._last = 0.0

    def progress(self, done: int, total: int, what: str, detail: str = "") -> bool:
        """Record that `done` of `total` is done of the phase `what`; call it between two items.

        Returns whether it was recorded, which happens a few times a second: a good moment to save a state.
        Raises `StopAskedError` if asked to stop.
        """
        now = time.monotonic()
        if now - self._last < _PROGRESS_SECONDS and done < total:
            return False
        self._last = now
        self._journal.write(Phase(phase=what, detail=detail, done=done, total=total))
        for request_id, request in control.pending(self._run):
            control.take(self._run, request_id)
            if request.verb == "stop":
                raise StopAskedError
        return True

    def require_unchanged(self, data: Stamp) -> None:
        """Raise `DataError` if `data` isn't what the first attempt gave: a `files.stamp` of what is read.

        A list of images is given as its name and a digest of their names. What a stopped attempt left and
        what is made now would be a mixture: where changed data was accepted, the job begins again.
        """
        note = self.work / "sources.json"
        was: Stamp = msgspec.json.decode(note.read_bytes()) if note.exists() else data
        for old, new in zip_longest(was, data):
            if old != new:
                if not self._accepted:
                    raise changed_error(self._run, _difference(old or new))
                self.say("the data set changed, which was accepted: the job begins again", "warning")
                remove_stages(self._run)
                shutil.rmtree(self.work)
                self.work.mkdir(mode=0o700)
                break
        if not note.exists():
            write_bytes(note, msgspec.json.encode(data))

    def say(self, text: str, level: str = "info") -> None:
        """Something a person should know now."""
        self._journal.write(Message(level=level, text=text))


def accept_changed_data(run: Run) -> None:
    """Let the next attempt of a job begin again if its data changed."""
    (run.path / "work").mkdir(mode=0o700, exist_ok=True)
    (run.path / "work" / _ACCEPTED).touch()


def _difference(row: list[str | int]) -> str:
    if len(row) == 2:
        return f"images in {row[0]} were added, removed or renamed"
    return f"{row[0]} is not the file that it was"
