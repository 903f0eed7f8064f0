"""The time of collectives between the ranks of a host, by their bytes."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from arcterm.train.footprint.together import Worker
from arcterm.train.world import World

SIZES = (1 << 10, 1 << 16, 1 << 20, 25 << 20)
"""Bytes, from a few numbers to a bucket of DDP's."""
_ROUNDS = {1 << 10: 41, 1 << 16: 21, 1 << 20: 9, 25 << 20: 5}


def measure(device: str, worker: Worker, store: Path) -> dict[str, list[tuple[int, float]]]:
    """Time each kind of collective among all workers, which meet in the file `store`.

    Returns (bytes, median seconds) by kind; bytes are those of the tensor that is reduced, or of the whole
    that is gathered.
    """
    world = _join(device, worker, store)
    try:
        found = {}
        for name, work in _kinds(world).items():
            found[name] = [(size, _time(work, size, world, worker)) for size in SIZES]
            worker.advance()
        return found
    finally:
        world.leave()


def _join(device: str, worker: Worker, store: Path) -> World:
    on_gpu = device == "cuda"
    where = torch.device("cuda", worker.rank) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(where)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=dist.FileStore(str(store), worker.ranks),  # type: ignore[attr-defined]
        rank=worker.rank,
        world_size=worker.ranks,
        timeout=datetime.timedelta(minutes=5),
    )
    return World(worker.rank, worker.ranks, worker.rank, where)


def _kinds(world: World) -> dict[str, Callable[[Tensor], Tensor]]:
    """Each kind, for a tensor of as many bytes as it is to be called with."""

    def gather(whole: Tensor) -> Tensor:
        return world.gather(whole[: len(whole) // world.size])

    return {
        "all_reduce": world.sum,
        "all_gather": gather,
        "reduce_scatter": world.scatter_sum,
        "all_to_all": world.exchange,
    }


def _time(work: Callable[[Tensor], Tensor], size: int, world: World, worker: Worker) -> float:
    """Time one by itself, all ranks beginning together; the first is left out, which connects them."""
    tensor = torch.zeros(size // 4 // world.size * world.size, device=world.device)
    on_gpu = world.device.type == "cuda"
    # on a CPU it is the cores that copy: other work on the machine is not in the time of the process
    clock, turns = (time.perf_counter, 1.0) if on_gpu else (time.process_time, worker.turns(1))
    taken = []
    for _ in range(_ROUNDS[size] + 1):
        worker.meet()
        began = clock()
        work(tensor)
        if on_gpu:
            torch.cuda.synchronize(world.device)
        spent = clock() - began
        # cores that ranks share have the work of all of them; GPUs wait for the last
        taken.append(worker.most(spent) if on_gpu else turns * worker.mean(spent))
    return statistics.median(taken[1:])
