"""GPUs or CPU for the ranks of a run, and the reason if the GPUs that are there aren't used."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata

from arcterm import gpus
from arcterm.config import Config, TrainConfig
from arcterm.errors import RunError

_LOCAL = re.compile(r"cu(\d+)(\d)$")
_REQUIRED = re.compile(
    r"(?:nvidia-[a-z-]+-cu(\d\d)\b|(?:cuda-toolkit|nvidia-cuda-runtime)\S*\s*\(?==(\d+)\.)"
)
_CURE = "install a PyTorch with CUDA in its place (pytorch.org/get-started)"


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def threads_of_rank(ranks: int) -> int:
    """CPU threads for each of `ranks` on this host: a share of its cores, and no more than OMP_NUM_THREADS.

    Whoever shares the cores with other programs says so by that variable. Threads that wait for one another
    in a convolution's backward pass keep their cores busy: where they don't have those to themselves, a step
    takes many times as long as with one.
    """
    share = max(1, cores() // ranks)
    most = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(share, int(most)) if most.isdecimal() and int(most) else share


def torch_version() -> str:
    """The version of PyTorch as it is installed, without importing it; empty if it is not."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def torch_has_cuda() -> bool:
    """Return whether the installed PyTorch is built for NVIDIA GPUs.

    It goes by the version: ``+cu130`` is, ``+cpu`` and ``+rocm6.4`` are not, and without such an ending the
    wheels for Linux on x86-64 are, others where they require CUDA's libraries.
    """
    version = torch_version()
    ending = version.partition("+")[2]
    if not version or ending.startswith(("cpu", "rocm", "xpu")):
        return False
    if ending.startswith("cu") or (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        return True
    return bool(_required())


def without_cuda() -> str:
    """Say that the installed PyTorch can't use a GPU, and the next step."""
    return f"PyTorch {torch_version()} is built without CUDA: {_CURE}"


def too_old() -> str:
    """Say that the driver is too old for the installed PyTorch; empty if it isn't, or does not say."""
    newest, needed = gpus.newest_cuda(), _cuda_of_torch()
    if newest is None or needed is None or newest[0] >= needed:
        return ""
    return (
        f"the NVIDIA driver knows CUDA {newest[0]}.{newest[1]} and PyTorch {torch_version()} needs {needed}: "
        f"install a newer driver, or a PyTorch for CUDA {newest[0]} (pytorch.org/get-started)"
    )


def remark(chosen: list[int], unfit: str) -> str:
    """Return a remark on the GPUs that were `chosen` for a run; empty where all is as usual.

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


def today(config: Config, run: str = "RUN") -> list[int]:
    """The GPUs on which a run goes on today, as ``CUDA_VISIBLE_DEVICES`` now says; none of one on the CPU.

    Raises `RunError` if there are fewer than it has ranks: its batches are shared out over that many. The
    next step names `run`.
    """
    found, why = _found(config)
    if len(found) < len(config.gpus):
        ranks = f"{config.nproc} rank{'s' * (config.nproc > 1)}"
        raise RunError(
            f"the run has {ranks}, each on a GPU, and {len(found) or 'none'} can be used here"
            + (f": {why}" if why else ""),
            "let it use as many (CUDA_VISIBLE_DEVICES)" + _with_fewer(config, len(found), run),
        )
    return found


def _with_fewer(config: Config, count: int, run: str) -> str:
    """The commands by which a training goes on on `count` GPUs, and on the CPU."""
    if not isinstance(config, TrainConfig):
        return ", or start it anew"
    fewer = next((n for n in range(count, 0, -1) if config.global_batch // config.accumulate % n == 0), 0)
    ways = [f"`arcterm resume {run} --nproc {fewer}` goes on on fewer"] if fewer else []
    return "; ".join(["", *ways, f"`arcterm resume {run} --gpus none` goes on on the CPU"])


def for_verification(config: TrainConfig) -> list[int]:
    """The GPUs on which a training's checkpoint is verified today: as many as it had or there are."""
    return _found(config)[0]


def moved(config: Config, found: list[int]) -> str:
    """Say that a run goes on on other GPUs, `found`, than it began on; empty if they are the same."""
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
