"""The runs of a directory as the run list shows them, read again only where something can have changed.

A look reads the rows on the screen first, then as many others as its budget allows. A run that is over is
read once. After that only its directory's time of change is looked at, which moves when a file in it is
replaced.
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from arcterm.errors import ArctermError
from arcterm.runs.query import facts
from arcterm.runs.query.facts import RunFacts
from arcterm.runs.reader import Reader
from arcterm.runs.reading.samples import sample_losses
from arcterm.runs.space import used_bytes
from arcterm.runs.store import Run, scan_names

_BUDGET_SECONDS, _FIRST_SECONDS = 0.15, 0.03
"""For runs off the screen; little at the first look, after which there is something to see."""

_TURN_SECONDS = 0.004
"""After so long the interpreter is left to the UI for a moment."""

_GLANCES = 1000
"""Directories of runs off the screen that one look asks for their time of change."""

_LONG_LIVED = 500
"""After so many runs the collector of garbage passes over what is there: what is known of a run stays, and a
full collection over 10,000 of them would hold the UI up for a third of a second."""

_TICK_NS = 50_000_000
_SPARKS = 24
_SPARK_SECONDS = 10.0
_MAY_CHANGE = ("lost", "damaged")
"""States of runs that are looked at again while they are on the screen: a file may be mended."""


@dataclass
class Catalogue:
    """The runs in `root`; `refresh` is called again and again, from one thread at a time.

    `others` is the number of entries of `root` that are no runs. `visible` are the ids on the screen, set by
    it; `sizes`, that every run is to be measured. `opened` counts the runs that were read, `keys` are
    those of the filter language that runs have of their own.
    """

    root: Path
    others: int = 0
    visible: Sequence[str] = ()
    sizes: bool = False
    opened: int = 0
    keys: frozenset[str] = frozenset()
    _runs: dict[str, Run] = field(default_factory=dict)
    _stamp: int = -1
    _facts: dict[str, RunFacts] = field(default_factory=dict)
    _stamps: dict[str, tuple[int, int]] = field(default_factory=dict)
    _readers: dict[str, Reader] = field(default_factory=dict)
    _sampled: dict[str, float] = field(default_factory=dict)
    _unread: dict[str, Run] = field(default_factory=dict)
    _shared: set[str] = field(default_factory=set)
    _tied: bool = False
    _place: int = 0
    _pause: float = 0.0

    def refresh(self) -> tuple[list[RunFacts] | None, bool]:
        """All runs, newest first, or None if nothing changed; and whether some were left for lack of time."""
        budget = _BUDGET_SECONDS if self._runs else _FIRST_SECONDS
        changed = self._list()
        now = time.monotonic()
        deadline, self._pause = now + budget, now + _TURN_SECONDS
        for key in list(self.visible):
            if run := self._runs.get(key):
                changed |= self._look(run, seen=True)
        for key in [key for key in self._readers if key in self._runs and key not in self.visible]:
            changed |= self._look(self._runs[key])
        changed |= self._glance()
        for key in list(self._unread):
            if time.monotonic() > deadline:
                break
            changed |= self._look(self._runs[key])
        more = bool(self._unread)
        if not more and self.sizes:
            more, measured = self._measure(deadline)
            changed |= measured
        return (self._newest_first() if changed else None), more

    def _newest_first(self) -> list[RunFacts]:
        """All runs; those of one second by the time in what is read of them."""
        if self._tied:
            found = ((key, self._facts[key].created) for key in self._runs)
            order = sorted(found, key=lambda pair: (pair[0][:16], pair[1], pair[0]), reverse=True)
            self._runs = {key: self._runs[key] for key, _ in order}
            self._tied = False
        return [self._facts[key] for key in self._runs]

    def _list(self) -> bool:
        """Look for runs that came or went."""
        try:
            stamp = self.root.stat().st_mtime_ns
        except FileNotFoundError:
            stamp = -1
        if stamp == self._stamp and stamp != -1:
            return False
        found, self.others = scan_names(self.root)
        self._stamp = stamp if _is_old(stamp) else -1
        before, self._runs = self._runs, {run.id: self._runs.get(run.id, run) for run in found}
        for gone in before.keys() - self._runs.keys():
            self._forget(gone)
        for key in self._runs.keys() - before.keys():
            self._facts[key] = facts.blank(self._runs[key])
        seconds = Counter(key[:16] for key in self._runs)
        self._shared = {second for second, count in seconds.items() if count > 1}
        self._tied = bool(self._shared)
        self._unread = {key: run for key, run in self._runs.items() if not self._facts[key].known}
        return True

    def _glance(self) -> bool:
        """Look at some of the runs that are over, in turn."""
        keys = list(self._runs)
        chosen = keys[self._place : self._place + _GLANCES]
        self._place = self._place + _GLANCES if self._place + _GLANCES < len(keys) else 0
        changed = False
        for key in chosen:
            if key not in self._unread and key not in self._readers and key not in self.visible:
                run = self._runs[key]
                if stamp_of(run) != self._stamps.get(key):
                    changed |= self._look(run)
        return changed

    def _look(self, run: Run, seen: bool = False) -> bool:
        """Read a run if it can have changed; returns whether it has. `seen`: it is on the screen."""
        now = time.monotonic()
        if now > self._pause:
            time.sleep(0.001)
            self._pause = now + _TURN_SECONDS
        before, stamp = self._facts[run.id], stamp_of(run)
        again = before.live or (seen and before.word in _MAY_CHANGE)
        found = before
        if not before.known or again or stamp != self._stamps.get(run.id):
            self._stamps[run.id] = stamp if _is_old(stamp[0]) else (-1, 0)
            found = self._read(run, before)
        if seen and found.known and os.path.lexists(run.path):
            found = self._detail(found, now)
        self._unread.pop(run.id, None)
        if found == before:
            return False
        self._facts[run.id] = found
        if not self.keys.issuperset(own := facts.own_keys(found)):
            self.keys |= own
        self._tied |= found.created != before.created and run.id[:16] in self._shared
        return True

    def _read(self, run: Run, before: RunFacts) -> RunFacts:
        self.opened += 1
        if self.opened % _LONG_LIVED == 0:
            gc.freeze()
        reader = self._readers.get(run.id) or Reader(run)
        try:
            found = facts.read(reader, before)
        except (ArctermError, OSError) as error:
            self._readers.pop(run.id, None)
            # a run that is being removed stays as it was until its directory is gone
            return facts.unreadable(run, error) if os.path.lexists(run.path) else before
        if found.live:
            self._readers[run.id] = reader  # which goes on from here
        else:
            self._readers.pop(run.id, None)
        return found

    def _detail(self, found: RunFacts, now: float) -> RunFacts:
        """What only rows on the screen show: the bytes on the disk, and the loss in small."""
        stale = now - self._sampled.get(found.run.id, -_SPARK_SECONDS) >= _SPARK_SECONDS
        if found.size is not None and not (found.live and stale):
            return found
        self._sampled[found.run.id] = now
        spark = sample_losses(found.run, _SPARKS) if found.last is not None else ()
        return replace(found, size=used_bytes(found.run.path), spark=spark)

    def _measure(self, deadline: float) -> tuple[bool, bool]:
        """Measure runs off the screen; returns whether some are left, and whether any was measured."""
        left = [key for key in self._runs if self._facts[key].size is None]
        for index, key in enumerate(left):
            if time.monotonic() > deadline:
                return True, index > 0
            self._facts[key] = replace(self._facts[key], size=used_bytes(self._runs[key].path))
        return False, bool(left)

    def _forget(self, key: str) -> None:
        for known in (self._facts, self._stamps, self._readers, self._sampled):
            known.pop(key, None)


def _is_old(stamp: int) -> bool:
    """Whether a later change would have a later time: clocks of file systems tick every few milliseconds."""
    return time.time_ns() - stamp > _TICK_NS


def stamp_of(run: Run) -> tuple[int, int]:
    """Time of change and inode of a run's directory; zeros if it can't be looked at."""
    try:
        found = os.stat(run.path)  # noqa: PTH116  of thousands at once
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino
