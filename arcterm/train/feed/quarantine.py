"""Training records that can't be used: they are skipped and listed, and too many of them end the run.

``quarantine/NNNNNNNNNN.json`` in the run directory, one a record by its index, made by the rank that meets it
first: so each counts once, over all ranks and attempts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from arcterm.errors import ArctermError, TrainingError
from arcterm.files import create_json
from arcterm.runs.events import Skipped
from arcterm.runs.journal import Sink
from arcterm.runs.space import is_full


class QuarantinedRecord(msgspec.Struct, kw_only=True, frozen=True):
    """A file in ``quarantine/``."""

    index: int
    source: str
    reason: str


class Quarantine:
    """The quarantine of one rank: at most `share` of the data set's `total` records. Safe for threads."""

    def __init__(self, directory: Path, total: int, share: float, journal: Sink, rank: int = 0) -> None:
        self._directory = directory
        self._total = total
        self._share = share
        self._journal = journal
        self._rank = rank
        self._known: set[int] = set()
        self._lock = threading.Lock()

    def add(self, index: int, error: Exception) -> None:
        """Put record `index` into quarantine; raises `TrainingError` if too many are in it by now."""
        with self._lock:
            if index in self._known:
                return
            self._known.add(index)
            reason = error.message if isinstance(error, ArctermError) else f"{type(error).__name__}: {error}"
            entry = QuarantinedRecord(index=index, source=f"record {index}", reason=reason)
            fresh = self._create(entry)
            count = sum(1 for _ in self._directory.iterdir()) if self._directory.exists() else 1
            if fresh:
                self._journal.write(
                    Skipped(
                        rank=self._rank,
                        index=index,
                        source=entry.source,
                        reason=reason,
                        count=count,
                        total=self._total,
                    )
                )
        if count > self._share * self._total:
            raise TrainingError(
                f"{count:,} of {self._total:,} records can't be used, more than max_broken={self._share:g} "
                f"allows; the last one: {reason}",
                "`arcterm data check SRC` names all of them; "
                "a new run with --set max_broken=SHARE does without them",
            )

    def _create(self, entry: QuarantinedRecord) -> bool:
        """Write an entry; returns whether it is a new one."""
        path = self._directory / f"{entry.index:010d}.json"
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            create_json(path, entry)
        except FileExistsError:
            return False
        except OSError as error:
            if not is_full(error):
                raise
            path.unlink(missing_ok=True)  # the next attempt meets it again, with room perhaps
        return True

    def substitutes(self, index: int) -> Iterator[int]:
        """Yield the records that may take its place: those that follow it."""
        for step in range(1, self._total):
            yield (index + step) % self._total
