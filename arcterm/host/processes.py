"""The processes of this host, and the runs that they work for, from /proc.

Every process costs one small file a reading; its command, owner and run are read for the few that are shown.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from arcterm.host.readings import Process

Order = Literal["cpu", "memory", "gpu"]
GpuUse = Mapping[int, dict[int, int | None]]
"""Process id → GPU index → bytes held there, None where the driver does not say."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of the kernel's sched.h
_OURS = "arcterm.processes."
_MOST_ANCESTORS = 12


class Stat(NamedTuple):
    """``/proc/PID/stat``: CPU time in clock ticks, resident bytes, `began` in ticks since the start."""

    name: str
    parent: int
    flags: int
    ticks: int
    began: int
    resident: int


class ProcessTable:
    """All processes, read again and again; CPU percentages are of the time since the reading before."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = str(proc)
        self._stats: dict[int, Stat] = {}
        self._threads: set[int] = set()
        self._seconds = 0.0
        self._before: dict[int, Stat] = {}

    def refresh(self, seconds: float) -> None:
        """Read all processes; `seconds` have passed since the last time, 0 the first time."""
        self._before, self._seconds = self._stats, seconds
        found: dict[int, Stat] = {}
        pids = {int(name) for name in os.listdir(self._proc) if name.isdecimal()}  # noqa: PTH208  fewer objects
        self._threads &= pids
        for pid in pids - self._threads:
            stat = _parse(_read(f"{self._proc}/{pid}/stat"))
            if stat is None:
                continue
            if stat.flags & _KERNEL_THREAD:
                self._threads.add(pid)
            else:
                found[pid] = stat
        self._stats = found

    def __len__(self) -> int:
        return len(self._stats)

    def __contains__(self, pid: int) -> bool:
        return pid in self._stats

    def top(self, count: int, order: Order, gpu_use: GpuUse) -> list[Process]:
        """The first `count` processes in an order, the greatest first."""

        def gpu(pid: int) -> int:
            return sum((used or 1) for used in gpu_use.get(pid, {}).values())

        def key(pid: int) -> tuple[float, ...]:
            cpu, memory = self._cpu(pid) or 0.0, self._stats[pid].resident
            orders = {"cpu": (cpu, memory), "memory": (memory, cpu), "gpu": (gpu(pid), cpu, memory)}
            return orders[order]

        chosen = sorted(self._stats, key=key, reverse=True)[:count]
        return [self._describe(pid, gpu_use.get(pid, {})) for pid in chosen]

    def _cpu(self, pid: int) -> float | None:
        if not self._seconds:
            return None
        now, before = self._stats[pid], self._before.get(pid)
        old = before.ticks if before is not None and before.began == now.began else 0
        return max(0, now.ticks - old) / _TICKS / self._seconds * 100

    def _describe(self, pid: int, gpu_memory: dict[int, int | None]) -> Process:
        stat = self._stats[pid]
        words = self._words(pid)
        run, role = self._owner(pid, words)
        cpu = self._cpu(pid)
        return Process(
            pid=pid,
            name=stat.name,
            user=_user(f"{self._proc}/{pid}"),
            cpu=None if cpu is None else round(cpu, 1),
            memory=stat.resident,
            gpu_memory=gpu_memory,
            run=run,
            role=role,
            command=" ".join(words),
        )

    def _owner(self, pid: int, words: list[str]) -> tuple[str, str]:
        """The run that a process, or the nearest of its ancestors, works for, and as what; empty if none."""
        below = ""
        for _ in range(_MOST_ANCESTORS):
            if (found := _run_of(words)) is not None:
                run, role = found
                rank = self._rank(pid) if role == "rank" else ""
                return run, " ".join(filter(None, (below, role, rank)))
            stat = self._stats.get(pid)
            if stat is None or stat.parent <= 1:
                break
            pid, below = stat.parent, "below"
            words = self._words(pid)
        return "", ""

    def _words(self, pid: int) -> list[str]:
        return _split(_read(f"{self._proc}/{pid}/cmdline"))

    def _rank(self, pid: int) -> str:
        """The number of a rank, which torchrun puts into its environment; empty for one of others."""
        words = _split(_read(f"{self._proc}/{pid}/environ"))
        return next((word[5:] for word in words if word.startswith("RANK=")), "")


def _run_of(words: Iterable[str]) -> tuple[str, str] | None:
    """The run's directory and the process's part in it, from a command line of ours."""
    rest = iter(words)
    for word in rest:
        if word.startswith(_OURS):
            run = next(rest, "")
            return (run, word.removeprefix(_OURS)) if run.startswith("/") else None
    return None


def _parse(line: bytes) -> Stat | None:
    """A line of ``/proc/PID/stat``; None if it is none, as of a process that has just ended."""
    opened, closed = line.find(b"("), line.rfind(b")")  # a name may hold parentheses and blanks
    fields = line[closed + 2 :].split()
    if opened < 0 or len(fields) < 22:
        return None
    return Stat(
        name=line[opened + 1 : closed].decode("utf-8", "replace"),
        parent=int(fields[1]),
        flags=int(fields[6]),
        ticks=int(fields[11]) + int(fields[12]),
        began=int(fields[19]),
        resident=int(fields[21]) * _PAGE,
    )


def _read(path: str) -> bytes:
    """A file of /proc; empty if the process has ended or is hidden."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _split(data: bytes) -> list[str]:
    return [word.decode("utf-8", "replace") for word in data.split(b"\0") if word]


def _user(folder: str) -> str:
    try:
        return _name_of(os.stat(folder).st_uid)  # noqa: PTH116  fewer objects
    except OSError:
        return ""


@lru_cache(maxsize=256)
def _name_of(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
