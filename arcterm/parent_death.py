"""Ending with the parent: no rank outlives its agent, no agent its supervisor."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def tie_to(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends; exit at once if it already has.

    The tie is to the thread that started this process: a parent must wait in that thread.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(f"process {parent}, which started this one, is gone")


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends.

    A rank whose agent was killed dies at once, but giving back its memory takes time; only a parent can wait
    for that.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")
