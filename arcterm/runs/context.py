"""A running job's context: progress, requests to stop, a scratch folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

import msgspec

from arcterm.errors import DataError, StopAskedError
from arcterm.files import Stamp, stage_of, staged_directory, write_bytes
from arcterm.runs import control
from arcterm.runs.dataset import changed_error
from arcterm.runs.events import Message, Phase
from arcterm.runs.journal import NullJournal, Sink
from arcterm.runs.store import Run, remove_stages, stages

_PROGRESS_SECONDS = 0.25
_ACCEPTED = "changed-data-accepted"
_NOTES = {"sources.json", "refused.txt", "missing.txt"}


class JobRanks(Protocol):
    """The ranks that do a job together, as far as this module needs them."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def first(self) -> bool: ...

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set on any rank; all ranks ask."""


class JobContext:
    """One attempt at a job. `work` is a directory of its own until it is done; `id` names the run.

    On ranks `world` holds them: rank 0 alone reports progress, and `agree` is where a stop is obeyed. A stop
    is asked for in ``control/``, or by a signal to any of the processes, which `signalled` knows of.
    """

    def __init__(
        self,
        run: Run,
        journal: Sink,
        threads: int = 1,
        world: JobRanks | None = None,
        signalled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.id = run.id
        self.threads = threads
        self.work = run.path / "work"
        self.work.mkdir(mode=0o700, exist_ok=True)
        self.run = run
        self.world = world
        self._signalled = signalled
        self.step = 0
        self.own_journal = journal
        self.journal: Sink = journal if world is None or world.first else NullJournal()
        self._accepted = (self.work / _ACCEPTED).exists()
        if world is None:
            (self.work / _ACCEPTED).unlink(missing_ok=True)
        self._last, self._what = 0.0, ""

    def progress(self, done: int, total: int, what: str = "", detail: str = "") -> bool:
        """Record that `done` of `total` is done of the phase `what` or the last one; call between two items.

        Returns whether it was recorded, which happens a few times a second: a good moment to save a state.
        Raises `StopAskedError` if asked to stop.
        """
        now = time.monotonic()
        if now - self._last < _PROGRESS_SECONDS and done < total:
            return False
        self._last, self._what = now, what or self._what
        self.journal.write(Phase(phase=str(self._what), detail=str(detail), done=int(done), total=int(total)))
        if self.world is None and self._stop_asked():
            raise StopAskedError
        return True

    def agree(self) -> None:
        """A point that all ranks reach: raises `StopAskedError` on every one if a stop was asked for."""
        asked = self._signalled() or ((self.world is None or self.world.first) and self._stop_asked())
        if asked if self.world is None else self.world.any(asked):
            raise StopAskedError

    def _stop_asked(self) -> bool:
        requests = control.pending(self.run)
        for request_id, _ in requests:
            control.take(self.run, request_id)
        return self._signalled() or any(request.verb == "stop" for _, request in requests)

    @contextmanager
    def stage(self, target: Path) -> Iterator[Path]:
        """The folder that becomes `target` at the end, which an earlier attempt may have begun.

        On ranks the first makes it and gives it its name; all must call this. Raises as
        `files.staged_directory`.
        """
        if self.world is None or self.world.first:
            with staged_directory(target, resume=self.id) as stage:
                self.agree()  # it is there
                yield stage
        else:
            self.agree()
            yield stage_of(target, self.id)

    def require_unchanged(self, data: Stamp) -> None:
        """Raise `DataError` if `data`, a `files.stamp` of the input, differs from an earlier attempt's.

        A list of images is given as its name and a digest of their names. Old and new results would be a
        mixture: if changed data was accepted, the job begins again.
        """
        note = self.work / "sources.json"
        was: Stamp = msgspec.json.decode(note.read_bytes()) if note.exists() else []
        changed = next((old or new for old, new in zip_longest(was, data) if old != new), None)
        if changed is None:
            return
        if note.exists() and self._has_begun():
            if not self._accepted:
                raise changed_error(self.run, _difference(changed))
            self.say("the data set changed, which was accepted: the job begins again", "warning")
            remove_stages(self.run)
            shutil.rmtree(self.work)
            self.work.mkdir(mode=0o700)
        try:
            write_bytes(note, msgspec.json.encode(data))
        except OSError as error:
            raise DataError(f"{note} can't be written: {error.strerror}", "make room on that disk") from None

    def _has_begun(self) -> bool:
        """Return whether an earlier attempt left anything that this one would go on with."""
        left = {path.name for path in self.work.iterdir()}
        return bool(left - _NOTES) or any(stage.exists() for stage in stages(self.run))

    def say(self, text: str, level: str = "info") -> None:
        """Record a message for the user."""
        self.journal.write(Message(level=level, text=text))


def accept_changed_data(run: Run) -> None:
    """Let the next attempt of a job begin again if its data changed."""
    (run.path / "work").mkdir(mode=0o700, exist_ok=True)
    (run.path / "work" / _ACCEPTED).touch()


def _difference(row: list[str | int]) -> str:
    if len(row) == 2:
        return f"images in {row[0]} were added, removed or renamed"
    return f"{row[0]} is not the file that it was"
