"""Ranks in processes of their own, forked from one that has imported torch for all of them."""

from __future__ import annotations

import multiprocessing.forkserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.multiprocessing as mp


@contextmanager
def forked() -> Iterator[Any]:
    """A context of multiprocessing; the process that it forks from ends with it.

    Tests that stop or kill whatever is below this process would stop that one too.
    """
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["arcterm.train.loop", "torch.distributed", "pytest"])
    try:
        yield context
    finally:
        multiprocessing.forkserver._forkserver._stop()


def spawn(work: Callable[..., None], arguments: tuple[Any, ...], count: int) -> None:
    """Call ``work(rank, *arguments)`` in `count` processes; raises what one of them raised."""
    with forked():
        mp.start_processes(work, arguments, nprocs=count, start_method="forkserver")
