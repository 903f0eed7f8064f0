"""The ranks that work together: which one this is, and their collectives."""

from __future__ import annotations

import datetime
import os
import platform
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from arcterm.errors import FailedError
from arcterm.processes.hosts import rendezvous

_CPU = torch.device("cpu")
# the names changed in torch 2.13
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
_JOB_TIMEOUT, _TRAINING_TIMEOUT = datetime.timedelta(minutes=10), datetime.timedelta(days=1)
_MEETING_SECONDS = 600.0


@dataclass(frozen=True)
class World:
    """This process among `size` ranks; `device` holds its tensors. Collectives of one rank do nothing."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    device: torch.device = _CPU

    @classmethod
    def join(cls, device: str, *, supervised: bool = False) -> World:
        """Join the process group that torchrun describes in the environment: nccl on GPUs, gloo on CPUs.

        The ranks of one host find each other by a file in the attempt's own folder
        (`arcterm.processes.hosts.rendezvous`), those of several by a store that rank 0 serves to them.
        Those that are `supervised` wait a day for each other: a hang is found by their pulse, with its cause,
        and a full disk or a slow first batch is none.
        """
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local_rank = int(os.environ["LOCAL_RANK"])
        store = _store(rank, size)
        timeout = _TRAINING_TIMEOUT if supervised else _JOB_TIMEOUT
        options: dict[str, Any] = {"store": store, "rank": rank, "world_size": size, "timeout": timeout}
        if device == "cuda":
            torch.cuda.set_device(local_rank)
            # Named, so that NCCL connects now, on this GPU, and not at the first collective on a guessed one.
            # A rank alone has none to connect to, and would pay for it in seconds and memory of the GPU.
            if size > 1:
                options["device_id"] = torch.device("cuda", local_rank)
            # CPU tensors go through gloo, so that agreeing on a stop never waits for the GPU
            dist.init_process_group("cpu:gloo,cuda:nccl", **options)
            return cls(rank, size, local_rank, torch.device("cuda", local_rank))
        dist.init_process_group("gloo", **options)
        return cls(rank, size, local_rank, torch.device("cpu"))

    @staticmethod
    def leave() -> None:
        if dist.is_initialized():
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes what is written once."""
        return self.rank == 0

    @property
    def device_name(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return platform.processor() or platform.machine()

    def barrier(self) -> None:
        if self.size > 1:
            dist.all_reduce(torch.zeros(1))

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum `tensor` over the ranks, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the mean of `tensor` over the ranks."""
        return self.sum(tensor.clone()) / self.size if self.size > 1 else tensor

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set on any rank; all ranks ask."""
        return bool(self.max(torch.tensor([float(flag)])).item())

    def max(self, tensor: torch.Tensor) -> torch.Tensor:
        """Take the maximum over the ranks, in place."""
        if self.size > 1:
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """Gather (n, …) of every rank as (size · n, …) on every rank, in the order of ranks."""
        if self.size == 1:
            return tensor
        whole = tensor.new_empty((self.size * tensor.shape[0], *tensor.shape[1:]))
        _all_gather(whole, tensor.contiguous())
        return whole

    def scatter_sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum (size · n, …) over the ranks and return this rank's (n, …) of it."""
        if self.size == 1:
            return tensor
        own = tensor.new_empty((tensor.shape[0] // self.size, *tensor.shape[1:]))
        _reduce_scatter(own, tensor.contiguous())
        return own

    def exchange(self, tensor: torch.Tensor) -> torch.Tensor:
        """Give each rank its rows of (size · n, …); returns (size, n, …): this rank's, of each of them."""
        if self.size == 1:
            return tensor[None]
        received = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        dist.all_to_all_single(received, tensor.contiguous())
        return received.view(self.size, -1, *tensor.shape[1:])


def _store(rank: int, size: int) -> Any:
    """The store by which the ranks find each other."""
    meeting = Path(os.environ["ARCTERM_RENDEZVOUS"])
    address = os.environ.get("ARCTERM_ADDRESS")
    if not address:
        return dist.FileStore(str(meeting / rendezvous.RANKS), size)  # type: ignore[attr-defined]
    if rank == 0:
        # a socket of ours: given a port, the store would listen on every address of this host
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, 0), family=family)
        port = listener.getsockname()[1]
        rendezvous.announce(meeting, f"{address} {port}")
        # what listens is the store's from here on, which closes it
        return dist.TCPStore(  # type: ignore[attr-defined]
            address, port, size, True, wait_for_workers=False, master_listen_fd=listener.detach()
        )
    until = time.monotonic() + _MEETING_SECONDS
    while not (where := rendezvous.announced(meeting)):
        if time.monotonic() > until:
            raise FailedError(f"rank 0 was not there after {_MEETING_SECONDS:.0f} s", "look at its log")
        time.sleep(0.05)
    first, _, port = where.partition(" ")
    return dist.TCPStore(first, int(port), size, False, wait_for_workers=False)  # type: ignore[attr-defined]


def shard(count: int, rank: int, size: int) -> range:
    """Return the part of ``range(count)`` that belongs to a rank; the parts of all ranks are all of it."""
    return range(count * rank // size, count * (rank + 1) // size)
