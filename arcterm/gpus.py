"""The GPUs of this host as the driver's NVML describes them. The only importer of pynvml."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from arcterm.errors import ConfigError
from arcterm.runs.events import Gpu


def read() -> tuple[list[Gpu], str]:
    """All GPUs of the host, and in words why there are none (empty if there are some).

    A query that a GPU does not support leaves its field None; nothing raises.
    """
    try:
        import pynvml
    except ImportError as error:
        return [], f"NVML can't be asked: {error}"
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        return [], f"no NVIDIA driver here ({error})"
    gpus = [gpu for index in range(count) if (gpu := _describe(pynvml, index)) is not None]
    return gpus, "" if gpus else "the NVIDIA driver reports no GPU"


def visible(gpus: list[Gpu]) -> list[Gpu]:
    """Those of `gpus` that ``CUDA_VISIBLE_DEVICES`` lets a process use, in its order."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return gpus
    by_name = {str(gpu.index): gpu for gpu in gpus} | {gpu.uuid: gpu for gpu in gpus if gpu.uuid}
    chosen: list[Gpu] = []
    for token in allowed.split(","):
        gpu = by_name.get(token.strip())
        if gpu is None:  # CUDA itself ignores what follows the first name that it does not know
            break
        chosen.append(gpu)
    return chosen


def select(wanted: list[int]) -> list[int]:
    """NVML indices of the GPUs to use: the `wanted` ones, else all visible ones; empty without a GPU.

    Raises `ConfigError` if a wanted GPU is not there.
    """
    gpus, why = read()
    usable = [gpu.index for gpu in visible(gpus)]
    missing = [index for index in wanted if index not in usable]
    if missing:
        there = f"usable GPUs: {', '.join(map(str, usable))}" if usable else why or "none is visible"
        raise ConfigError(f"there is no GPU {', '.join(map(str, missing))}", f"change --gpus; {there}")
    return wanted or usable


def _describe(nvml: ModuleType, index: int) -> Gpu | None:
    def ask(query: Callable[..., Any], *args: Any) -> Any:
        try:
            return query(*args)
        except (nvml.NVMLError, UnicodeDecodeError):
            return None

    handle = ask(nvml.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return None
    rates = ask(nvml.nvmlDeviceGetUtilizationRates, handle)
    memory = ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    power = ask(nvml.nvmlDeviceGetPowerUsage, handle)
    limit = ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    return Gpu(
        index=index,
        name=ask(nvml.nvmlDeviceGetName, handle) or f"GPU {index}",
        uuid=ask(nvml.nvmlDeviceGetUUID, handle) or "",
        utilisation=None if rates is None else float(rates.gpu),
        memory_used=None if memory is None else int(memory.used),
        memory_total=None if memory is None else int(memory.total),
        temperature=ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        power=None if power is None else power / 1000,
        power_limit=None if limit is None else limit / 1000,
        clock=ask(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
    )
