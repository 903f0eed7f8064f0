"""Logs of a run's processes, read while they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from arcterm.errors import DataError
from arcterm.files import open_regular
from arcterm.runs.engines import record as engine
from arcterm.runs.store import Run
from arcterm.text import clean

_TAIL, _BLOCK = 4 << 20, 1 << 20
_RANK = re.compile(r"rank-(\d{5})")


class LogRead(NamedTuple):
    """Lines of a log that were not read before; `more` follow at once.

    `earlier` counts those before them that are passed over; `anew`: the file began again.
    """

    lines: list[str]
    more: bool = False
    anew: bool = False
    earlier: int = 0


@dataclass
class LogFollower:
    """The lines of the log at `path`, from its last few MiB on."""

    path: Path
    _offset: int = -1
    _inode: int = 0
    _rest: bytes = b""

    def poll(self, live: bool = True) -> LogRead:
        """Read what is new, a MiB at most; raises OSError.

        An unfinished last line waits for its end while the run is `live`.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return LogRead([])
        anew = self._offset >= 0 and (status.st_ino != self._inode or status.st_size < self._offset)
        earlier = 0
        if status.st_size == self._offset and (live or not self._rest):
            return LogRead([])
        with open_regular(self.path) as file:
            if anew or self._offset < 0:
                self._inode, self._rest = status.st_ino, b""
                earlier = self._begin(file, status.st_size)
            file.seek(self._offset)
            data = file.read(_BLOCK)
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        more = len(data) == _BLOCK
        if self._rest and not live and not more:
            lines.append(self._rest)
            self._rest = b""
        return LogRead([_readable(line) for line in lines], more, anew, earlier)

    def _begin(self, file: BinaryIO, size: int) -> int:
        """Go to the last few MiB; returns how many lines are before them."""
        start, passed = max(0, size - _TAIL), 0
        for at in range(0, start, _BLOCK):
            passed += file.read(min(_BLOCK, start - at)).count(b"\n")
        self._offset = start
        if start:
            self._offset += len(file.readline())
            passed += 1
        return passed


def log_files(run: Run) -> list[Path]:
    """The logs of the newest attempt that hold anything: rank by rank, the launcher's, last its engine's."""
    folder = run.attempt_dir(run.attempts())
    ranks = sorted(path for path in folder.glob("rank-*/*.log") if _RANK.fullmatch(path.parent.name))
    try:
        held = engine.read(run)
    except (DataError, OSError):
        held = None
    others = [Path(path) for path in held.logs] if held else []
    return [
        path for path in [*ranks, folder / "agent.log", *others] if path.is_file() and path.stat().st_size
    ]


def called(path: Path) -> str:
    """Name a log of `log_files`: ``rank 3 stderr``, ``launcher``, ``engine slurm-17.out``."""
    if rank := _RANK.fullmatch(path.parent.name):
        return f"rank {int(rank[1])} {path.stem}"
    return "launcher" if path.name == "agent.log" else f"engine {clean(path.name)}"


def _readable(line: bytes) -> str:
    """The text of a line; of one that was written over, as a progress bar is, what stands last."""
    text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
    return clean(text.expandtabs(4))
