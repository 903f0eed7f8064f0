"""How the agent of an attempt, or its only process, is started: command and environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from arcterm import environment, gpus
from arcterm.config import Config
from arcterm.errors import RunError
from arcterm.processes.hosts import address
from arcterm.processes.hosts.place import ALONE, HostPlace
from arcterm.runs.store import Run

_STORED = (
    *("CUDA_", "NCCL_", "OMP_", "ARCTERM_", "SLURM_", "TORCH_", "GLOO_"),
    # PyTorch's allocator and the cache of compiled kernels
    *("PYTORCH_", "TRITON_"),
)
_TORCHRUN = {
    *("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    *("GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "ROLE_NAME"),
    *("PYTHON_EXEC", "LOGLEVEL", "NCCL_COMM_ID", "NCCL_RAS_ADDR", "NCCL_OOB_NET_IFNAME"),
}
_SECRET = ("TOKEN", "KEY", "SECRET", "PASS")


def argv(run: Run, attempt: int) -> list[str]:
    """The command: torchrun's agent for several ranks, a rank alone, or a job without ranks and torch."""
    config = run.record.config
    program = "agent" if has_agent(config) else "rank" if config.ranks else "solo"
    return [sys.executable, "-m", f"arcterm.processes.{program}", str(run.path), str(attempt)]


def has_agent(config: Config) -> bool:
    """Whether torchrun starts the ranks. A rank alone needs none, and is two seconds earlier at work."""
    return config.ranks and config.nproc > 1


def environ(run: Run, meeting: Path, place: HostPlace = ALONE) -> dict[str, str]:
    """The environment at a `place`, without any trace of a torchrun around this process.

    Raises `RunError` if there are fewer GPUs than the run is to work on.
    """
    config = run.record.config
    interface = address.interface_of(place.address) if place.address else "lo"
    made = {name: value for name, value in environment.for_child().items() if not _is_torchruns(name)}
    made |= {
        "ARCTERM_PARENT_PID": str(os.getpid()),
        "ARCTERM_RENDEZVOUS": str(meeting),
        # the network that the hosts of the run share; with one host no other has to reach its ranks
        "GLOO_SOCKET_IFNAME": interface,
        # without the sign NCCL takes every interface whose name begins like this
        "NCCL_SOCKET_IFNAME": f"={interface}" if place.address else interface,
        # threads of a job without ranks are its own, a part of the work each
        "OMP_NUM_THREADS": str(config.threads) if config.ranks else "1",
        "PYTHONUNBUFFERED": "1",
        # with it the agent would serve a store to its ranks, on all interfaces
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    if not has_agent(config):  # as torchrun has it for a rank
        made |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    if place.address:  # torchrun knows of the ranks of its own host only
        made |= {
            "ARCTERM_ADDRESS": place.address,
            "ARCTERM_HOST": place.name,
            "ARCTERM_FIRST_RANK": str(place.ranks.start),
            "ARCTERM_WORLD_SIZE": str(config.nproc),
        }
    if config.device == "cuda":  # silent by default, NCCL says in its log why a collective failed
        made.setdefault("NCCL_DEBUG", "WARN")
    if config.kind == "training" and run.config.deterministic:
        made.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    if config.gpus:  # NVML numbers GPUs by bus; CUDA does so only if told
        made["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        made["CUDA_VISIBLE_DEVICES"] = ",".join(_cuda_names(config.gpus))
    return made


def recorded_part(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment to record, secrets blanked."""
    kept = {name: value for name, value in environment.items() if name.startswith(_STORED)}
    return {name: "***" if any(word in name for word in _SECRET) else value for name, value in kept.items()}


def _cuda_names(recorded: list[int]) -> list[str]:
    """CUDA's names of the GPUs to work on today; raises `RunError` if there are fewer than recorded."""
    found = gpus.assign(recorded)
    if len(found) < len(recorded):
        raise RunError(
            f"{len(found)} of the {len(recorded)} GPUs that it needs can be used: {gpus.usable()[1]}"
        )
    return [device.name for device in found]


def _is_torchruns(name: str) -> bool:
    """Whether torchrun reads or sets this variable, or its libraries open a port by it."""
    return name in _TORCHRUN or name.startswith(("PET_", "TORCHELASTIC_", "TORCH_ELASTIC_"))
