"""What is free for a training here: memory of the host and of each GPU, room for files, a compiler."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from arcterm import gpus
from arcterm.host import limits

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where NCCL and PyTorch have it


class GpuRoom(NamedTuple):
    """The memory of a GPU, bytes, and who else holds some of it, in words."""

    number: int
    free: int
    total: int
    others: list[str]


def host_memory(root: Path = limits.CGROUPS, membership: Path = limits.MEMBERSHIP) -> int:
    """Bytes of memory that a new process can have here, within the limits of its control groups."""
    left = [limit - used for limit, used in limits.memory_limits(root, membership)]
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
