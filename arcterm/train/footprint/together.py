"""Work of several processes at once, as of a host's ranks: forked, so that torch is loaded once."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, NamedTuple

from arcterm_registry import PluginError

from arcterm import parent_death
from arcterm.errors import ArctermError, FailedError

_PATIENCE_SECONDS = 300.0


def _nothing() -> None: ...


class Worker(NamedTuple):
    """A process among those that work at once."""

    rank: int
    ranks: int
    barrier: Barrier | None
    numbers: Any
    """Shared memory for a number of each process."""
    note: Callable[[], object] = _nothing
    """Called by the first process, which may say how far they are, when a piece of the work is done."""

    def advance(self) -> None:
        """Note that a piece of the work is done."""
        if self.rank == 0:
            self.note()

    def meet(self) -> None:
        """Wait until all have come here."""
        if self.barrier:
            self.barrier.wait(_PATIENCE_SECONDS)

    def turns(self, threads: int) -> float:
        """How many threads there are for each core, with so many in each process; at least 1."""
        return max(1.0, self.ranks * threads / len(os.sched_getaffinity(0)))

    def most(self, number: float) -> float:
        """Return the largest of the numbers that the processes come here with."""
        return max(self._all(number))

    def mean(self, number: float) -> float:
        """Return the mean of the numbers that the processes come here with."""
        return sum(self._all(number)) / self.ranks

    def _all(self, number: float) -> list[float]:
        self.numbers[self.rank] = number
        self.meet()
        numbers = list(self.numbers[:])
        self.meet()
        return numbers


def together(count: int, work: Callable[[Worker], Any], note: Callable[[], object] = _nothing) -> list[Any]:
    """Do `work` in `count` processes at once; return its results in their order. `note` is the workers'.

    No process may have computed with several threads, or used a GPU, before: neither survives a fork. Raises
    what the first of them raised, as `FailedError` if it is no `ArctermError`.
    """
    context = multiprocessing.get_context("fork")
    barrier, numbers = context.Barrier(count), context.Array("d", count, lock=False)
    started = []
    for rank in range(count):
        ours, theirs = context.Pipe(duplex=False)
        worker = Worker(rank, count, barrier, numbers, note)
        process = context.Process(target=_run, args=(work, worker, barrier, theirs, os.getpid()))
        process.start()
        theirs.close()
        started.append((process, ours))
    answered = _receive([ours for _, ours in started], barrier)
    for process, _ in started:
        process.join()
    results = [answered[ours] for _, ours in started]
    failed = [result for result in results if isinstance(result, Exception)]
    # those that only waited for one that failed say nothing
    for error in sorted(failed, key=lambda error: isinstance(error, _LeftAloneError)):
        raise error
    return results


class _LeftAloneError(FailedError):
    """A process whose neighbour was gone."""


def _run(
    work: Callable[[Worker], Any], worker: Worker, barrier: Barrier, answers: Connection, parent: int
) -> None:
    parent_death.tie_to(parent)
    try:
        answers.send(work(worker))
    except (ArctermError, PluginError) as error:
        barrier.abort()
        answers.send(type(error)(error.message, error.hint))
    except Exception as error:  # noqa: BLE001  carried to the process that asked
        alone = type(error).__name__ == "BrokenBarrierError"
        barrier.abort()
        text = "".join(traceback.format_exception_only(error)).strip()
        answers.send((_LeftAloneError if alone else FailedError)(text))
    answers.close()
    sys.stderr.flush()
    os._exit(0)  # the parent's exit handlers are not this process's


def _receive(answers: list[Connection], barrier: Barrier) -> dict[Connection, Any]:
    """Receive an answer of each, in the order in which they come: who is gone is not waited for."""
    received: dict[Connection, Any] = {}
    while left := [one for one in answers if one not in received]:
        for one in connection.wait(left):
            assert isinstance(one, Connection)
            try:
                received[one] = one.recv()
            except EOFError:
                barrier.abort()
                received[one] = FailedError("a process of a probe ended without an answer (out of memory?)")
    return received
