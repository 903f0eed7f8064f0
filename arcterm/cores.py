"""CPU cores, shared by the ranks of a host."""

from __future__ import annotations

import os

_MOST_DECODING = 16


def cores_of_rank(ranks: int) -> int:
    """Count the cores that each of `ranks` processes on this host may keep busy, at least 1."""
    return max(1, len(os.sched_getaffinity(0)) // max(1, ranks))


def decoding_threads(asked: int, device: str, ranks: int) -> int:
    """Return a training's decoding threads per rank: those `asked` for, else by the cores that a rank has.

    On a CPU the cores are PyTorch's, and two threads keep up with it. On a GPU one core is left to the thread
    that trains; beyond 16 threads memory holds them up.
    """
    if asked:
        return asked
    return 2 if device == "cpu" else min(_MOST_DECODING, max(2, cores_of_rank(ranks) - 1))
