"""Reading events while they are written: whole lines only, from where the last look ended."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import islice
from operator import attrgetter
from pathlib import Path

from arcterm.errors import DataError
from arcterm.files import open_regular
from arcterm.runs.events import AnyEvent, decode, problem
from arcterm.runs.journal import read_seal
from arcterm.runs.reading.batches import StepBatch, blocks, decode_block, seal_holds
from arcterm.runs.reading.essentials import Essentials, Part
from arcterm.runs.state import damage
from arcterm.runs.store import Run
from arcterm.text import clean

_LINE_BYTES = 300  # of a step, about
_BLOCK_LINES = 300  # decoded at once, in a third of a millisecond; no other thread of Python runs meanwhile
_FEW_LINES = 900  # of so few the checksums are checked, which takes less than to see whether a seal holds
_FILE = re.compile(r"(\d{4})-r(\d{5})(?:\.(\d{6}))?\.jsonl")


@dataclass
class FileTail:
    """One event file and how far it has been read; files are in `order` of attempt, rank and segment."""

    order: tuple[int, int, int]
    path: Path
    offset: int = 0
    inode: int = 0
    sealed: int = 0  # so many bytes are known to be those that were written

    def open(self) -> AbstractContextManager[BufferedReader | None]:
        """Open the file at the first byte that was not read; give None if it has no more.

        Raises OSError, or `DataError` for what is no file.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return nullcontext()
        if status.st_ino != self.inode or status.st_size < self.offset:
            self.inode, self.offset, self.sealed = status.st_ino, 0, 0
        if status.st_size == self.offset and stat.S_ISREG(status.st_mode):
            return nullcontext()
        file = open_regular(self.path)
        file.seek(self.offset)
        return file

    def check_seal(self, fd: int) -> None:
        """Look whether a seal vouches for bytes that are not read yet, if they are many."""
        seal = read_seal(self.path)
        if seal[0] > max(self.sealed, self.offset + _FEW_LINES * _LINE_BYTES) and seal_holds(fd, seal):
            self.sealed = seal[0]


@dataclass
class Follower:
    """The events of a run in order of attempt, then file; `unreadable` counts whole lines that are none.

    It counts them by reason. A line without its line feed is not yet written and is left for the next look. A
    file that can't be read is passed over; `damaged` says why, by its name. Between two blocks of lines
    `batches` calls `rest`, which may keep it waiting.
    """

    run: Run
    rest: Callable[[], object] = bool  # which does nothing
    unreadable: Counter[str] = field(default_factory=Counter)
    damaged: dict[str, str] = field(default_factory=dict)
    _tails: dict[str, FileTail] = field(default_factory=dict)

    @property
    def corrupt(self) -> int:
        """How many whole lines were not events."""
        return self.unreadable.total()

    def events(self) -> Iterator[tuple[int, AnyEvent]]:
        """Iterate over the events not read yet, as (attempt, event), decoding each when it is asked for."""
        for tail in self._files():
            with self._noting(tail), tail.open() as lines:
                for line in lines or ():
                    if not line.endswith(b"\n"):
                        break
                    tail.offset += len(line)
                    if (event := decode(line)) is not None:
                        yield tail.order[0], event
                    else:
                        self.unreadable[problem(line)] += 1

    def position(self) -> dict[str, int]:
        """Return how many bytes of each event file have been read, for `seek`."""
        return {name: tail.offset for name, tail in self._tails.items()}

    def seek(self, position: Mapping[str, int]) -> None:
        """Go on from a `position` of another follower of this run."""
        self._tails.clear()
        for tail in self._files():
            with suppress(OSError):  # it is read from its beginning
                tail.inode = tail.path.stat().st_ino
                tail.offset = position.get(tail.path.name, 0)

    def poll(self, limit: int | None = None) -> list[tuple[int, AnyEvent]]:
        """Return the events not read yet, at most `limit` if given."""
        return list(islice(self.events(), limit))

    def batches(
        self, limit: int, *, compact: bool = False
    ) -> tuple[list[tuple[int, AnyEvent | StepBatch]], bool]:
        """Return the events of about `limit` lines not read yet, and whether there may be more.

        Steps come in batches, whose series are float32 if `compact`.
        """
        found: list[tuple[int, AnyEvent | StepBatch]] = []
        left, size = limit * _LINE_BYTES, min(limit, _BLOCK_LINES) * _LINE_BYTES
        for tail in self._files():
            with self._noting(tail), tail.open() as file:
                if file is None:
                    continue
                if limit > _FEW_LINES:
                    tail.check_seal(file.fileno())
                for end, block in blocks(file.fileno(), tail.offset, size):
                    events = decode_block(block, sealed=end <= tail.sealed, compact=compact)
                    if events is None:
                        events = self._one_by_one(block)
                    self.rest()
                    tail.offset = end
                    found += [(tail.order[0], event) for event in events]
                    left -= len(block)
                    if left <= 0:
                        return found, True
        return found, False

    def _one_by_one(self, block: bytes) -> list[AnyEvent | StepBatch]:
        """Decode each line; note those that are no events."""
        events: list[AnyEvent | StepBatch] = []
        for line in block[:-1].split(b"\n"):
            if (event := decode(line)) is not None:
                events.append(event)
            else:
                self.unreadable[problem(line)] += 1
        return events

    def essentials(self, curve: bool = False, check: bool = False) -> list[tuple[int, AnyEvent]]:
        """Return the events not read yet that `Summary` needs; the others count as read.

        With a `curve` also those that `Summary.sampled` needs. Unless all is to be checked, `unreadable` has
        only what was met on the way.
        """
        found = Essentials(curve, check)
        for tail in reversed(self._files()):
            with self._noting(tail), tail.open() as file:
                if file is not None:
                    part = Part(tail.path, file.fileno(), tail.offset)
                    found.take(tail.order[0], part)
                    tail.offset = part.end
        self.unreadable += found.corrupt
        return found.events()

    @contextmanager
    def _noting(self, tail: FileTail) -> Iterator[None]:
        """Note why a file can't be read, and go on."""
        try:
            yield
        except (DataError, OSError) as error:
            self.damaged[tail.path.name] = damage(self.run, error)
        else:
            self.damaged.pop(tail.path.name, None)

    def _files(self) -> list[FileTail]:
        try:
            names = [path.name for path in self.run.events.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            self.damaged["events"] = damage(self.run, error)
            return []
        for name in names:
            if name not in self._tails and (match := _FILE.fullmatch(name)):
                order = int(match[1]), int(match[2]), int(match[3] or 1)
                self._tails[name] = FileTail(order, self.run.events / name)
        return sorted(self._tails.values(), key=attrgetter("order"))


def read_tail(path: Path, lines: int, limit: int = 64 << 10) -> list[str]:
    """Return the last `lines` lines of a log, in at most `limit` bytes; control characters are removed."""
    try:
        with open_regular(path) as file:
            file.seek(max(0, path.stat().st_size - limit))
            text = file.read(limit).decode("utf-8", errors="replace")
    except (DataError, OSError):
        return []
    return [clean(line) for line in text.splitlines()[-lines:]]
