"""What a running job works with: progress, requests to stop, a scratch folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from arcterm.errors import DataError, StopAskedError
from arcterm.files import write_bytes
from arcterm.runs import control
from arcterm.runs.events import Message, Phase
from arcterm.runs.journal import Sink
from arcterm.runs.store import Run

_PROGRESS_SECONDS = 0.25


class JobContext:
    """One attempt at a job. `work` is a directory of its own until it is done; `id` names the job."""

    def __init__(self, run: Run, journal: Sink, threads: int = 1) -> None:
        self.id = run.id
        self.threads = threads
        self.work = run.path / "work"
        self.work.mkdir(mode=0o700, exist_ok=True)
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

    def require_unchanged(self, files: Sequence[Path]) -> None:
        """Raise `DataError` if these aren't the files, as they were, that the job's first attempt gave here.

        What a stopped attempt left and what is made now would be a mixture.
        """
        now = _as_they_are(files)
        note = self.work / "sources.json"
        if not note.exists():
            write_bytes(note, msgspec.json.encode(now))
        for mine, its in zip_longest(now, msgspec.json.decode(note.read_bytes())):
            if mine != its:
                raise DataError(
                    f"{(mine or its)[0]} was changed since the job was stopped",
                    "start a new job in place of a resume",
                )

    def place_for(self, files: Sequence[Path]) -> Path:
        """A directory for what is made of these files as they are: another one as soon as one changes."""
        digest = hashlib.sha256(msgspec.json.encode(_as_they_are(files))).hexdigest()
        place = self.work / digest
        place.mkdir(exist_ok=True)
        return place

    def say(self, text: str, level: str = "info") -> None:
        """Something a person should know now."""
        self._journal.write(Message(level=level, text=text))


def _as_they_are(files: Sequence[Path]) -> list[list[str | int]]:
    """Name, bytes and time of change of each; raises `DataError` for one that is gone."""
    try:
        return [[str(path), (stat := path.stat()).st_size, stat.st_mtime_ns] for path in files]
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}", "check the path and its permissions") from None
