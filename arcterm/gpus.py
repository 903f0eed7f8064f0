"""The GPUs of this host as the driver's NVML describes them, and which of them CUDA gives to a process.

Nothing else imports pynvml.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from arcterm.errors import ConfigError
from arcterm.runs.events import Gpu

_BUS = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_NO_DRIVER, _NO_GPU = "no NVIDIA driver here", "the NVIDIA driver reports no GPU"


def read() -> tuple[list[Gpu], str]:
    """All GPUs of the host, and a reason if there are none, or fewer than there should be.

    A query that a GPU does not support leaves its field None; nothing raises.
    """
    nvml, count, why = _open_nvml()
    if nvml is None:
        return [], why
    gpus = [gpu for index in range(count) if (gpu := _read_gpu(nvml, index)) is not None]
    if len(gpus) < count:
        return gpus, f"{count - len(gpus)} of {count} GPUs do not answer the NVIDIA driver"
    return gpus, "" if gpus else _NO_GPU


def slices(gpu: Gpu) -> dict[tuple[str, str], Gpu] | None:
    """The MIG slices of a GPU by their ids, new and old; None if it has none.

    The old id is ``MIG-GPU-<uuid>/<GPU instance>/<compute instance>``. A slice has the index of its GPU.
    """
    nvml, _, _ = _open_nvml()
    if nvml is None:
        return None
    handle = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, gpu.index)
    mode = _ask(nvml, nvml.nvmlDeviceGetMigMode, handle) if handle is not None else None
    if not mode or not mode[0]:
        return None
    found = {}
    for number in range(_ask(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = _ask(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if part is None:
            continue
        cut = _read_fields(nvml, part, gpu.index)
        instances = (
            _ask(nvml, nvml.nvmlDeviceGetGpuInstanceId, part),
            _ask(nvml, nvml.nvmlDeviceGetComputeInstanceId, part),
        )
        found[cut.uuid, f"MIG-{gpu.uuid}/{instances[0]}/{instances[1]}"] = cut
    return found


def processes(index: int) -> list[tuple[int, int | None]]:
    """The ids of the processes that compute on a GPU, and the bytes each holds where the driver says so."""
    nvml, _, _ = _open_nvml()
    handle = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index) if nvml is not None else None
    if nvml is None or handle is None:
        return []
    # the oldest driver that PyTorch works with knows the second version
    queries = (nvml.nvmlDeviceGetComputeRunningProcesses_v3, nvml.nvmlDeviceGetComputeRunningProcesses_v2)
    answers = (_ask(nvml, query, handle) for query in queries)
    found: list[Any] = next((answer for answer in answers if answer is not None), [])
    return [(int(one.pid), None if one.usedGpuMemory is None else int(one.usedGpuMemory)) for one in found]


def newest_cuda() -> tuple[int, int] | None:
    """The newest CUDA that the driver supports, as (major, minor); None if unknown."""
    nvml, _, _ = _open_nvml()
    number = _ask(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2) if nvml is not None else None
    return (number // 1000, number % 1000 // 10) if number else None


def trouble() -> str:
    """Why the driver gives no GPU though there is one; empty if there is none, or all is well."""
    gpus, why = read()
    if gpus or (why.startswith((_NO_DRIVER, _NO_GPU)) and not _on_the_bus()):
        return ""
    return f"an NVIDIA GPU is built in, but {why}" if why.startswith((_NO_DRIVER, _NO_GPU)) else why


@dataclass(frozen=True)
class Device:
    """A GPU that CUDA can use, or a MIG slice of one; `name` is what ``CUDA_VISIBLE_DEVICES`` calls it.

    `ids` are other names of it in lower case; the first slice has those of its GPU.
    """

    gpu: Gpu
    name: str
    ids: tuple[str, ...]
    sliced: bool = False


def usable() -> tuple[list[Device], str]:
    """The devices that CUDA gives to a process here, in its order, and a reason if that is not all.

    As CUDA does it, the list in ``CUDA_VISIBLE_DEVICES`` ends before the first name that means no GPU, a name
    that is there twice hides all, and a process that is given a MIG slice sees that alone.
    https://docs.nvidia.com/datacenter/tesla/mig-user-guide/ ("CUDA Device Enumeration")
    """
    gpus, lost = read()
    if not gpus:
        return [], lost
    devices = [device for gpu in gpus for device in _devices(gpu)]
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen, why = _default_devices(devices, gpus) if allowed is None else _visible(allowed, devices)
    sliced = [device for device in chosen if device.sliced]
    if sliced:
        why = f"one rank on the MIG slice {sliced[0].gpu.name} of GPU {sliced[0].gpu.index}"
        why += ", which is all that CUDA gives to a process" if len(chosen) > 1 else ""
    return sliced[:1] or chosen, "; ".join(filter(None, (lost, why)))


def _default_devices(devices: list[Device], gpus: list[Gpu]) -> tuple[list[Device], str]:
    """The devices used without ``CUDA_VISIBLE_DEVICES``: whole GPUs if there are any, else slices."""
    whole = [device for device in devices if not device.sliced]
    cut = [gpu.index for gpu in gpus if gpu.index not in {device.gpu.index for device in whole}]
    which = f"GPU {', '.join(map(str, cut))} in MIG mode"
    if not devices:
        return [], f"{which} has no slice: `nvidia-smi mig -cgi` makes some"
    return whole or devices, f"{which} is not used; CUDA_VISIBLE_DEVICES=MIG-… takes a slice" if cut else ""


def select(wanted: list[int]) -> list[int]:
    """Indices, as ``nvidia-smi`` counts, of the GPUs to use: the `wanted` ones, else all that are usable.

    Empty without a GPU. Raises `ConfigError` if a wanted GPU is not there, not visible or named twice.
    """
    twice = sorted({index for index in wanted if wanted.count(index) > 1})
    if twice:
        raise ConfigError(
            f"--gpus names GPU {', '.join(map(str, twice))} more than once", "one rank a GPU: name each once"
        )
    devices, why = usable()
    there = [device.gpu.index for device in devices]
    missing = [index for index in wanted if index not in there]
    if missing:
        words = [f"usable GPUs: {', '.join(map(str, there)) or 'none'}", *filter(None, [why])]
        raise ConfigError(
            f"there is no GPU {', '.join(map(str, missing))}", f"change --gpus; {'; '.join(words)}"
        )
    return wanted or there


def assign(recorded: list[int]) -> list[Device]:
    """The devices on which a run that began on the GPUs `recorded` works today.

    The same if all are still visible, else as many of those that are; fewer if there are fewer.
    """
    devices, _ = usable()
    same = [device for index in recorded for device in devices if device.gpu.index == index]
    return same if len(same) == len(recorded) else devices[: len(recorded)]


def _devices(gpu: Gpu) -> list[Device]:
    """A GPU as CUDA sees it: itself, or its slices, the first of which goes by its GPU's names too."""
    own = (str(gpu.index), gpu.uuid.lower())
    cut = slices(gpu)
    if cut is None:
        return [Device(gpu, str(gpu.index), own)]
    return [
        Device(
            part, part.uuid, (*(own if number == 0 else ()), *(name.lower() for name in names)), sliced=True
        )
        for number, (names, part) in enumerate(cut.items())
    ]


def _visible(allowed: str, devices: list[Device]) -> tuple[list[Device], str]:
    """The devices that ``CUDA_VISIBLE_DEVICES`` lets through, and a reason if that is not all it names."""
    setting = f"CUDA_VISIBLE_DEVICES={allowed}"
    if not allowed.strip():
        return [], "CUDA_VISIBLE_DEVICES is empty, which hides every GPU"
    if allowed.strip().lower() in ("-1", "nodevfiles", "none", "void"):
        return [], f"{setting} hides every GPU"
    chosen: list[Device] = []
    for token in allowed.split(","):
        found = _match(token.strip(), devices)
        if len(found) != 1:
            meant = "several GPUs" if found else "no GPU here"
            rest = ", and CUDA passes over what follows" if chosen else ""
            there = ", ".join(" ".join(dict.fromkeys((d.name, d.gpu.uuid))).strip() for d in devices)
            return chosen, f"{setting}: {token.strip()!r} means {meant}{rest}; there: {there}"
        if found[0] in chosen:
            return [], f"{setting} names GPU {found[0].name} twice, and CUDA then shows none"
        chosen += found
    return chosen, ""


def _match(token: str, devices: list[Device]) -> list[Device]:
    """The devices that a name in ``CUDA_VISIBLE_DEVICES`` can mean: an index, or the start of an id."""
    number = re.match(r"\+?\d+", token)
    if number:
        return [device for device in devices if str(int(number[0])) in device.ids]
    text = token.lower()
    if text[:4] not in ("gpu-", "mig-") or len(text) == len("gpu-"):
        return []
    exact = [device for device in devices if text in device.ids]
    return exact or [device for device in devices if any(name.startswith(text) for name in device.ids)]


def _on_the_bus() -> bool:
    """Whether the PCI bus has an NVIDIA GPU."""
    try:
        return any(
            (device / "vendor").read_text().strip() == _NVIDIA
            and (device / "class").read_text().startswith(_DISPLAY)
            for device in _BUS.iterdir()
        )
    except OSError:
        return False


def _open_nvml() -> tuple[ModuleType | None, int, str]:
    """NVML, initialised, with the number of GPUs, or a reason why not."""
    try:
        import pynvml
    except ImportError as error:
        return None, 0, f"NVML can't be asked: {error}"
    try:
        pynvml.nvmlInit()
        return pynvml, pynvml.nvmlDeviceGetCount(), ""
    except pynvml.NVMLError as error:
        reasons = {
            pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded: try `modprobe nvidia`",
            pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA driver's library and kernel module are of "
            "two versions: restart the machine, or install one version of both",
            pynvml.NVML_ERROR_NO_PERMISSION: "this user may not ask the NVIDIA driver: look at /dev/nvidia*",
            pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: _NO_DRIVER,
        }
        why = reasons.get(error.value, "the NVIDIA driver does not answer")
        return None, 0, f"{why} ({error})"


def _ask(nvml: ModuleType, query: Callable[..., Any], *args: Any) -> Any:
    """Result of a query; None if the driver or the GPU can't answer it."""
    try:
        return query(*args)
    except (nvml.NVMLError, UnicodeDecodeError):
        return None


def _read_gpu(nvml: ModuleType, index: int) -> Gpu | None:
    handle = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
    return None if handle is None else _read_fields(nvml, handle, index)


def _read_fields(nvml: ModuleType, handle: Any, index: int) -> Gpu:
    def ask(query: Callable[..., Any], *args: Any) -> Any:
        return _ask(nvml, query, handle, *args)

    rates = ask(nvml.nvmlDeviceGetUtilizationRates)
    memory = ask(nvml.nvmlDeviceGetMemoryInfo)
    power = ask(nvml.nvmlDeviceGetPowerUsage)
    limit = ask(nvml.nvmlDeviceGetEnforcedPowerLimit)
    return Gpu(
        index=index,
        name=ask(nvml.nvmlDeviceGetName) or f"GPU {index}",
        uuid=ask(nvml.nvmlDeviceGetUUID) or "",
        utilisation=None if rates is None else float(rates.gpu),
        memory_used=None if memory is None else int(memory.used),
        memory_total=None if memory is None else int(memory.total),
        temperature=ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        power=None if power is None else power / 1000,
        power_limit=None if limit is None else limit / 1000,
        clock=ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
    )
