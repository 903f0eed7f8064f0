"""Causes that an error's words give away, each with the step to take."""

from __future__ import annotations

import re
from dataclasses import dataclass

PEER = re.compile(
    r"Connection (closed|reset|refused)|Broken pipe|connectFullMesh|remote process exited|recvBytes|sendBytes"
    r"|NCCL (error|communicator)|nccl\w*Error|Dist(Backend|Network|Store)?Error|ProcessGroup(NCCL|Gloo)|gloo/"
    r"|Socket Timeout|Application timeout|Timed out waiting|Timeout waiting for key|watchdog|writev|readv",
    re.IGNORECASE,
)
CLOSED = re.compile(r"closed|reset|refused|Broken pipe|exited|remoteError", re.IGNORECASE)


@dataclass(frozen=True)
class Cause:
    """A `pattern` in a rank's error, its meaning, and the `step` to take.

    In the step ``{resume}`` stands for the effect of resuming. One that begins with "with" is what a training
    is to be resumed with, or the failure is repeated; `otherwise` is for a job, which has no such options.
    A cause from `outside` may be gone by the next attempt.
    """

    pattern: str
    words: str
    step: str
    otherwise: str = "look at its log; then {resume}"
    outside: bool = False


_CAUSES = (
    Cause(
        r"CUDA (error: )?out of memory|OutOfMemoryError|CU(DNN|BLAS)_STATUS_ALLOC_FAILED",
        "the GPU ran out of memory",
        "with a lower --batch-size",
        "free memory on it; then {resume}",
    ),
    Cause(
        r"[/]dev/shm/[\s\S]*No space left|No space left[\s\S]*/dev/shm/|shared memory segment /dev/shm"
        r"|unable to (open|write to|resize) .{0,20}shared memory|failed to extend /dev/shm",
        "shared memory (/dev/shm) is full",
        "give it more room (in a container --shm-size or --ipc=host); then {resume}",
    ),
    Cause(r"No space left|Disk quota|Errno 28|Errno 122", "the disk is full", "make room; then {resume}"),
    Cause(
        r"Duplicate GPU",
        "two ranks got the same GPU",
        "with every GPU named once in --gpus and in CUDA_VISIBLE_DEVICES, or with a lower --nproc",
    ),
    Cause(
        r"Failed to find C compiler|No working C\+\+ compiler|InvalidCxxCompiler|CppCompileError"
        r"|No such file or directory: '[^']*(gcc|g\+\+|clang|clang\+\+|cc)'|Python\.h: No such file",
        "compiling needs a C compiler and Python's headers, which are not there",
        "install them (gcc, g++, python3-dev) or name one in CC; then {resume}. "
        "A new run, or a resume, with --set compile=no and --set head_precision=float32 needs none",
    ),
    Cause(
        r"OutOfResources|out of resource: (shared memory|registers|threads)",
        "a compiled kernel needs more than this GPU has",
        "with --set head_precision=float32 and --set compile=no, which need none",
    ),
    Cause(
        r"does not have a deterministic implementation",
        "an operation of the network has no form that gives the same bits every time",
        "with --set deterministic=no",
    ),
    Cause(
        r"Expected more than 1 value per channel",
        "a batch norm needs more than 1 image a rank",
        "with a --batch-size of 2 or more",
    ),
    Cause(
        r"address for: lo\b",
        "the loopback interface is down",
        "bring it up (as root: ip link set lo up); then {resume}",
    ),
    Cause(r"Address already in use", "a port was taken", "{resume}", outside=True),
    Cause(
        r"CUDA driver|no kernel image|device-side assert|invalid device ordinal",
        "CUDA failed",
        "look at the driver and the GPU; then {resume}",
    ),
    Cause(r"CUDA error", "CUDA failed", "look at the driver and the GPU; then {resume}", outside=True),
    Cause(
        r"Input/output error|Stale file handle|Transport endpoint is not connected"
        r"|Errno (5|107|110|116|121)\b|Remote I/O error",
        "a disk, or the network to it, failed",
        "look at `dmesg` and at the disk; then {resume}",
        outside=True,
    ),
    Cause(
        r"Too many open files|Errno 2[34]\b",
        "no more files can be opened",
        "raise `ulimit -n`; then {resume}",
        outside=True,
    ),
    Cause(
        r"MemoryError|Cannot allocate memory|can't allocate memory",
        "the host ran out of memory",
        "with a lower --batch-size or --nproc, unless other programs took it",
        "free some memory; then {resume}",
        outside=True,
    ),
)


def likely_cause(text: str) -> Cause | None:
    return next((cause for cause in _CAUSES if re.search(cause.pattern, text)), None)
