"""Where the ranks of a run work, and in words why that is not on the GPUs that are there."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from typing import NamedTuple

from arcterm import gpus
from arcterm.config import Config, TrainConfig, indices
from arcterm.errors import ConfigError, RunError

_LOCAL = re.compile(r"cu(\d+)(\d)$")
_REQUIRED = re.compile(
    r"(?:nvidia-[a-z-]+-cu(\d\d)\b|(?:cuda-toolkit|nvidia-cuda-runtime)\S*\s*\(?==(\d+)\.)"
)
_CURE = "install a PyTorch with CUDA in its place (pytorch.org/get-started)"


class Devices(NamedTuple):
    """The GPUs of a run, none of one on the CPU; its ranks; a remark on them, empty where all is as usual."""

    gpus: list[int]
    nproc: int
    remark: str


def choose(wanted: str | None, nproc: int | None) -> Devices:
    """Choose where a run works from what --gpus and --nproc say; raises `ConfigError` if that can't be."""
    asked = indices(wanted or "", "gpus")
    if wanted and wanted.strip() and not asked:
        raise ConfigError(f"--gpus {wanted} names no GPU", "write --gpus 0,2")
    unfit = too_old() if torch_has_cuda() else without_cuda()
    if unfit and asked:
        raise ConfigError(f"--gpus {wanted} can't be had: {unfit}", "or leave out --gpus")
    chosen = [] if unfit else gpus.select(asked)
    said = remark(chosen, unfit)
    if not chosen:
        if nproc and nproc > 4 * cores():
            raise ConfigError(
                f"{nproc} ranks on {cores()} CPU cores", f"change --nproc; at most {4 * cores()}"
            )
        return Devices([], nproc or 1, said)
    if nproc and nproc > len(chosen):
        there = f"{len(chosen)} GPU{'s' * (len(chosen) > 1)}"
        hint = "one rank a GPU: lower --nproc or widen --gpus"
        raise ConfigError(f"{nproc} ranks on {there}", f"{hint}; {said}" if said else hint)
    return Devices(chosen[: nproc or len(chosen)], nproc or len(chosen), said)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def torch_version() -> str:
    """The version of PyTorch as it is installed, without importing it; empty if it is not."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def torch_has_cuda() -> bool:
    """Whether the installed PyTorch is built for NVIDIA GPUs.

    Its version tells: ``+cu130`` is, ``+cpu`` and ``+rocm6.4`` are not, and without such an ending the wheels
    for Linux on x86-64 are, others where they require CUDA's libraries.
    """
    version = torch_version()
    ending = version.partition("+")[2]
    if not version or ending.startswith(("cpu", "rocm", "xpu")):
        return False
    if ending.startswith("cu") or (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        return True
    return bool(_required())


def without_cuda() -> str:
    """That the installed PyTorch can't use a GPU, and what can be done about it."""
    return f"PyTorch {torch_version()} is built without CUDA: {_CURE}"


def too_old() -> str:
    """That the driver does not know the CUDA of the installed PyTorch; empty if it does, or does not say."""
    newest, needed = gpus.newest_cuda(), _cuda_of_torch()
    if newest is None or needed is None or newest[0] >= needed:
        return ""
    return (
        f"the NVIDIA driver knows CUDA {newest[0]}.{newest[1]} and PyTorch {torch_version()} needs {needed}: "
        f"install a newer driver, or a PyTorch for CUDA {newest[0]} (pytorch.org/get-started)"
    )


def remark(chosen: list[int], unfit: str) -> str:
    """What is to be said of the GPUs that were `chosen` for a run; empty where all is as usual.

    `unfit` says why the installed PyTorch can use none.
    """
    why = gpus.usable()[1]
    if chosen:
        return why
    found, _ = gpus.read()
    trouble = "" if found else gpus.trouble()
    if not (found or trouble):
        return ""
    there = f"{len(found)} GPU{'s' * (len(found) > 1)} here ({found[0].name}), but " if found else ""
    return f"the CPU: {there}{'; '.join(filter(None, (trouble, unfit or (why if found else ''))))}"


def today(config: Config) -> list[int]:
    """The GPUs on which a run goes on today, as ``CUDA_VISIBLE_DEVICES`` now says; none of one on the CPU.

    Raises `RunError` if there are fewer than it has ranks: its batches are shared out over that many.
    """
    found, why = _found(config)
    if len(found) < len(config.gpus):
        ranks = f"{config.nproc} rank{'s' * (config.nproc > 1)}"
        raise RunError(
            f"the run has {ranks}, each on a GPU, and {len(found) or 'none'} can be used here"
            + (f": {why}" if why else ""),
            "let it use as many (CUDA_VISIBLE_DEVICES), or start a new run with --pretrained",
        )
    return found


def for_verification(config: TrainConfig) -> list[int]:
    """The GPUs on which a training's checkpoint is verified today: as many as it had or there are."""
    return _found(config)[0]


def moved(config: Config, found: list[int]) -> str:
    """That what `config` describes is done on other GPUs than it began on, `found`; empty if it is not."""
    if found == config.gpus:
        return ""
    began = f"it began on GPU {', '.join(map(str, config.gpus))}"
    if not found:
        return f"on the CPU: {began}, and {_found(config)[1] or 'none is here'}"
    return f"on GPU {', '.join(map(str, found))} today: {began}"


def _found(config: Config) -> tuple[list[int], str]:
    """Which GPUs a run that began on some can have today, and why they are not all."""
    if not config.gpus:
        return [], ""
    unfit = too_old() if torch_has_cuda() else without_cuda()
    if unfit:
        return [], unfit
    return [device.gpu.index for device in gpus.assign(config.gpus)], gpus.usable()[1] or gpus.trouble()


def _cuda_of_torch() -> int | None:
    """The major version of CUDA that the installed PyTorch is built for, where it says so."""
    local = _LOCAL.match(torch_version().partition("+")[2])
    return int(local[1]) if local else _required()


def _required() -> int | None:
    """The major version of the CUDA libraries that the installed PyTorch requires."""
    try:
        required = metadata.requires("torch") or []
    except metadata.PackageNotFoundError:
        return None
    found = [match for text in required if (match := _REQUIRED.match(text))]
    return int(found[0][1] or found[0][2]) if found else None
