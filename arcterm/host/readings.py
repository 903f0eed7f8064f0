"""One reading of a host, as `arcterm monitor --json` prints it. Sizes in bytes, rates in bytes a second."""

from __future__ import annotations

import msgspec

from arcterm.runs.events import Gpu


class Cores(msgspec.Struct, frozen=True, kw_only=True):
    """Busy percent of each core and of all, and the share that waits for disks; None in a first reading.

    This process may run on `usable` cores, and use the time of `allowed` (None: of all).
    """

    count: int
    busy: list[float] = []
    all: float | None = None
    waiting: float | None = None
    load: list[float] = []
    usable: int = 0
    allowed: float | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Main memory; `limit` is the tightest limit of a control group, `limit_used` what counts against it."""

    total: int
    available: int
    swap_total: int = 0
    swap_used: int = 0
    limit: int | None = None
    limit_used: int | None = None

    @property
    def used(self) -> int:
        return self.total - self.available


class HostGpu(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU, and its MIG slices where it is cut into some."""

    gpu: Gpu
    slices: list[Gpu] = []


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """The file system that holds `path`; `note` says why its sizes are unknown."""

    path: str
    total: int = 0
    used: int = 0
    free: int = 0
    note: str = ""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface; rates are None in a first reading."""

    name: str
    received: float | None = None
    sent: float | None = None


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process: `cpu` in percent of one core, `memory` resident.

    `gpu_memory` maps the index of a GPU to the memory held there, None where the driver does not say.
    `run` is the directory of the run that it works for, `role` what it is in it.
    """

    pid: int
    name: str
    user: str = ""
    cpu: float | None = None
    memory: int = 0
    gpu_memory: dict[int, int | None] = {}
    run: str = ""
    role: str = ""
    command: str = ""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The host at `t`, seconds since 1970; `notes` say what can't be read, and why, by field."""

    t: float
    host: str
    uptime: float
    cores: Cores
    memory: Memory
    gpus: list[HostGpu] = []
    disks: list[Disk] = []
    disk_read: float | None = None
    disk_written: float | None = None
    links: list[Link] = []
    processes: list[Process] = []
    process_count: int = 0
    notes: dict[str, str] = {}
