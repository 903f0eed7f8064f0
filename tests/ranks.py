"""Ranks in processes of their own, forked from one that has imported torch once for all tests of a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.multiprocessing as mp


def context() -> mp.context.BaseContext:
    """The processes that it starts have the environment of the first test that asked for one."""
    made = mp.get_context("forkserver")
    made.set_forkserver_preload(["arcterm.train.loop", "torch.distributed", "pytest"])
    return made


def spawn(work: Callable[..., None], arguments: tuple[Any, ...], count: int) -> None:
    """Call ``work(rank, *arguments)`` in `count` processes; raises what one of them raised."""
    context()
    mp.start_processes(work, arguments, nprocs=count, start_method="forkserver")
