"""What is free for a training here: memory of the host and of each GPU, room for files, a compiler."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from arcterm import gpus

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where NCCL and PyTorch have it
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # what version 1 calls no limit is near 2⁶³


class GpuRoom(NamedTuple):
    """The memory of a GPU, bytes, and who else holds some of it, in words."""

    number: int
    free: int
    total: int
    others: list[str]


def host_memory(root: Path = _CGROUPS, membership: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes of memory that a new process can have here, within the limits of its control groups."""
    left = [limit - used for limit, used in _limits(root, membership)]
    return max(0, min([_available(), *left]))


def gpu_memory(indices: Sequence[int]) -> list[GpuRoom]:
    """The memory of the GPUs with these `indices`; those that don't say are left out."""
    found = []
    for device in gpus.usable()[0] if indices else []:
        gpu = device.gpu
        if gpu.index in indices and gpu.memory_total is not None and gpu.memory_used is not None:
            others = [_describe(pid, used) for pid, used in gpus.processes(gpu.index)]
            free = gpu.memory_total - gpu.memory_used
            found.append(GpuRoom(gpu.index, free, gpu.memory_total, others))
    return found


def shared_memory() -> int | None:
    """Bytes free in the host's shared memory; None if there is none."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None


def missing_compiler(cplusplus: bool) -> str:
    """Say what is missing to compile with: a C or C++ compiler, Python's headers; empty if nothing."""
    name = "CXX" if cplusplus else "CC"
    known = [os.environ.get(name, ""), *(("g++", "clang++") if cplusplus else ("gcc", "clang", "cc"))]
    if not any(command and shutil.which(command) for command in known):
        return f"there is no {'C++' if cplusplus else 'C'} compiler (e.g. `apt install g++`, or ${name})"
    import sysconfig

    header = Path(sysconfig.get_path("include")) / "Python.h"
    return "" if header.is_file() else f"{header} is missing (e.g. `apt install python3-dev`)"


def _available(path: Path = Path("/proc/meminfo")) -> int:
    """Bytes that the kernel can give to a new process without swapping."""
    rows = dict(line.split(":", 1) for line in path.read_text().splitlines())
    return int(rows["MemAvailable"].split()[0]) << 10


def _limits(root: Path, membership: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of every control group that this process is in, bytes; what can be freed is not used."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes")
            if controllers
            else ("memory.max", "memory.current")
        )
        folder = top / own.lstrip("/")
        # a container may see its own group as the top one, whatever the path says
        for group in {folder, *(p for p in folder.parents if p.is_relative_to(top)), top}:
            limit, used = (_number(group / name) for name in names)
            if limit is not None and used is not None and limit < _UNLIMITED:
                yield limit, max(0, used - _reclaimable(group / "memory.stat"))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max"
        return None


def _reclaimable(path: Path) -> int:
    """Bytes of the page cache that count as use and are given up when memory is short."""
    try:
        rows = dict(line.split() for line in path.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    prefix = "total_" if "total_inactive_file" in rows else ""
    return sum(int(rows.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))


def _describe(pid: int, used: int | None) -> str:
    """``python3 (process 12 of ann) holds 3.1 GiB``; a rank of arcterm's is called that."""
    import psutil  # slow to import, and seldom needed

    held = "some memory" if used is None else f"{used / 2**30:.1f} GiB"
    try:
        process = psutil.Process(pid)
        name, owner, words = process.name(), process.username(), process.cmdline()
    except psutil.Error:
        return f"process {pid} holds {held}"
    if "arcterm.processes.rank" in words:
        run = Path(words[words.index("arcterm.processes.rank") + 1]).name
        return f"run {run} (process {pid}) holds {held}"
    return f"{name} (process {pid} of {owner}) holds {held}"
