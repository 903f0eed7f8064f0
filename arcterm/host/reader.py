"""Readings of this host, one after another; what can't be read leaves its field empty and says why."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

from arcterm import gpus
from arcterm.host import limits
from arcterm.host.disks import DiskWatch
from arcterm.host.processes import Order, ProcessTable
from arcterm.host.readings import Cores, HostGpu, Link, Memory, Reading
from arcterm.runs.events import Gpu

T = TypeVar("T")

_DRIVER_SECONDS = 30.0
_INFINIBAND = Path("/sys/class/infiniband")
_WORD_BYTES = 4  # InfiniBand counts in words of this size
_VIRTUAL = ("lo", "veth", "docker", "br-", "virbr", "cni", "flannel", "cali")

Counters = Mapping[str, tuple[float, float]]


class HostReader:
    """Reads the host; rates and percentages are of the time since the reading before.

    `paths` are places whose disks come first.
    """

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self._table = ProcessTable()
        self._disks = DiskWatch(paths)
        self._notes: dict[str, str] = {}
        self._last = 0.0
        self._seconds = 0.0
        self._cpu: list[tuple[float, float, float]] = []
        self._flows: dict[str, Counters] = {}
        self._no_gpu = ""
        self._driver_asked = -_DRIVER_SECONDS

    def read(self, rows: int = 10, order: Order = "cpu", patience: float = 0.0) -> Reading:
        """The host now, with its first `rows` processes; disks that are slow are waited for `patience` s."""
        now = time.monotonic()
        self._seconds, self._last = (now - self._last if self._last else 0.0), now
        self._notes = {}
        found, use = self._read_gpus()
        self._attempt("processes", lambda: self._table.refresh(self._seconds), None)
        strangers = sum(pid not in self._table for pid in use)
        if strangers:
            who = "1 process that holds" if strangers == 1 else f"{strangers} processes that hold"
            self._notes["gpu processes"] = f"{who} GPU memory can't be seen: of a container, or of the host"
        disk = self._flow("disk", _disk_counters).get("all")
        return Reading(
            t=time.time(),
            host=socket.gethostname(),
            uptime=self._attempt("uptime", lambda: time.time() - psutil.boot_time(), 0.0),
            cores=self._attempt("cores", self._read_cores, Cores(count=os.cpu_count() or 1)),
            memory=self._attempt("memory", _read_memory, Memory(total=0, available=0)),
            gpus=found,
            disks=self._disks.read(patience),
            disk_read=disk[0] if disk else None,
            disk_written=disk[1] if disk else None,
            links=self._read_links(),
            processes=self._table.top(rows, order, use),
            process_count=len(self._table),
            notes=self._notes,
        )

    def _attempt(self, field: str, call: Callable[[], T], otherwise: T) -> T:
        """What `call` gives; `otherwise`, and a note, if that can't be read here."""
        try:
            return call()
        except (OSError, psutil.Error, NotImplementedError, ValueError, KeyError) as error:
            self._notes[field] = f"can't be read: {error}"
            return otherwise

    def _read_cores(self) -> Cores:
        times = [
            (sum(t[:8]), t.idle + getattr(t, "iowait", 0.0), getattr(t, "iowait", 0.0))
            for t in psutil.cpu_times(percpu=True)
        ]
        before, self._cpu = self._cpu, times
        spans = [
            tuple(max(0.0, a - b) for a, b in zip(new, old, strict=True))
            for new, old in zip(times, before, strict=False)  # a core may be taken off or put on
        ]
        total, idle, waiting = (sum(span[i] for span in spans) for i in range(3))
        return Cores(
            count=len(times),
            busy=[round(_percent(span[0] - span[1], span[0]), 1) for span in spans],
            all=round(_percent(total - idle, total), 1) if total else None,
            waiting=round(_percent(waiting, total), 1) if total else None,
            load=[round(each, 2) for each in os.getloadavg()],
            usable=len(os.sched_getaffinity(0)),
            allowed=limits.cores_allowed(),
        )

    def _read_gpus(self) -> tuple[list[HostGpu], dict[int, dict[int, int | None]]]:
        """The GPUs, and who holds memory on which."""
        if self._no_gpu and time.monotonic() - self._driver_asked < _DRIVER_SECONDS:
            self._notes["gpus"] = self._no_gpu
            return [], {}
        found, note = gpus.read()
        self._driver_asked, self._no_gpu = time.monotonic(), "" if found else note
        if note:
            self._notes["gpus"] = note
        use: dict[int, dict[int, int | None]] = {}
        for gpu in found:
            for pid, held in gpus.processes(gpu.index):
                use.setdefault(pid, {})[gpu.index] = held
        return [HostGpu(gpu=gpu, slices=_slices(gpu)) for gpu in found], use

    def _read_links(self) -> list[Link]:
        counted = self._flow("network", _link_counters)
        names = sorted(self._flows.get("network", {}), key=lambda name: name.startswith(_VIRTUAL))
        return [
            Link(name=name, received=rates[0], sent=rates[1])
            if (rates := counted.get(name))
            else Link(name=name)
            for name in names
        ]

    def _flow(self, field: str, count: Callable[[], Counters]) -> Counters:
        """Rates of the counters of `field`, by name; none in a first reading."""
        nothing: Counters = {}
        now = self._attempt(field, count, nothing)
        before, span = self._flows.get(field, nothing), self._seconds
        self._flows[field] = now
        if not span:
            return nothing
        pairs = {name: (new, before[name]) for name, new in now.items() if name in before}
        return {
            name: (max(0.0, new[0] - old[0]) / span, max(0.0, new[1] - old[1]) / span)
            for name, (new, old) in pairs.items()
        }


def _percent(part: float, whole: float) -> float:
    return min(100.0, max(0.0, part / whole * 100)) if whole else 0.0


def _read_memory() -> Memory:
    main, swap = psutil.virtual_memory(), psutil.swap_memory()
    tightest = min(limits.memory_limits(), default=None, key=lambda pair: pair[0] - pair[1])
    limit, used = tightest if tightest and tightest[0] < main.total else (None, None)
    return Memory(
        total=main.total,
        available=main.available,
        swap_total=swap.total,
        swap_used=swap.used,
        limit=limit,
        limit_used=used,
    )


def _slices(gpu: Gpu) -> list[Gpu]:
    return list((gpus.slices(gpu) or {}).values())


def _disk_counters() -> Counters:
    """Bytes read and written by all disks."""
    counted = psutil.disk_io_counters()
    return {"all": (counted.read_bytes, counted.write_bytes)} if counted else {}


def _link_counters() -> Counters:
    """Bytes received and sent by interface, with those of InfiniBand, which the kernel's network lacks."""
    found: dict[str, tuple[float, float]] = {
        name: (each.bytes_recv, each.bytes_sent)
        for name, each in psutil.net_io_counters(pernic=True).items()
        if name != "lo"
    }
    for port in _INFINIBAND.glob("*/ports/*/counters"):
        sizes = [int((port / f"port_{way}_data").read_text()) * _WORD_BYTES for way in ("rcv", "xmit")]
        found[f"{port.parts[-4]}/{port.parts[-2]}"] = (sizes[0], sizes[1])
    return found
