"""Constants measured on this machine, by a process of their own, and kept until something changes."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from arcterm_registry import get

from arcterm import cache, gpus
from arcterm.config import TrainConfig
from arcterm.launch.devices import cores, torch_version
from arcterm.launch.estimate import footprint, room
from arcterm.launch.scaling.constants import Constants, Decoding, Machine, RankPace, Storage, Traffic
from arcterm.processes.child import Child
from arcterm.progress import Progress

Points = dict[str, list[tuple[int, float]]]
_TOOL = "arcterm.train.footprint.tool"
# what the time of a step depends on, beside the ranks and their class rows
TRAINING = (
    *("backbone", "backbone_options", "loss", "loss_options", "precision", "head_precision"),
    *("optimizer", "momentum", "clip", "ema", "freeze", "teacher", "gradient_checkpointing", "compile"),
    *("cudnn_benchmark", "deterministic", "head_filter", "interclass_filter", "row_update", "sample_rate"),
    *("device", "threads", "batch_size"),
)


def measure(
    config: TrainConfig, ranks: int, classes: int, root: Path, *, anew: bool, progress: Progress | None = None
) -> Constants:
    """Return the constants of a training on this machine, with so many `ranks` of it here at once.

    Those that are known from before are taken unless they are wanted `anew`. Raises `ArctermError` or
    `PluginError` for a step that can't be made.
    """
    probes = _Probes(config, ranks, classes, anew, progress)
    wanted = ["pace", "loader", "disk", *(["exchange"] if ranks > 1 else [])]
    found = probes.ask(wanted, root)
    lone = msgspec.structs.replace(config, nproc=1, hosts=1, gpus=config.gpus[:1])
    alone = found if config.nproc == 1 else _Probes(lone, 1, classes, anew, progress).ask(["pace"])
    return Constants(
        machine=machine(config, probes.day),
        training=settings(config),
        ranks=ranks,
        pace=msgspec.convert(found["pace"], RankPace),
        alone=msgspec.convert(alone["pace"], RankPace),
        exchange=msgspec.convert(found.get("exchange", {}), Points),
        exchange_ranks=max(2, ranks),
        loader=Decoding(**found["loader"], dataset=_data(config)),
        storage=Storage(**found["disk"]),
    )


def of_steps(config: TrainConfig, classes: int) -> Constants:
    """Return what the time of a step on this host alone follows from, but the loader; raises as `measure`."""
    probes = _Probes(config, config.nproc, classes)
    found = probes.ask(["pace", *(["exchange"] if config.nproc > 1 else [])])
    return Constants(
        machine=machine(config, probes.day),
        training=settings(config),
        pace=msgspec.convert(found["pace"], RankPace),
        exchange=msgspec.convert(found.get("exchange", {}), Points),
        exchange_ranks=max(2, config.nproc),
    )


def traffic(config: TrainConfig) -> Traffic:
    """Count what a rank exchanges in a step of one pass, which is the same on any machine."""
    if config.nproc == 1:
        return Traffic()
    return msgspec.convert(_Probes(config, 1, 2).ask(["traffic"])["traffic"], Traffic)


def machine(config: TrainConfig, day: str) -> Machine:
    """Describe this machine, which was measured on `day`."""
    there = [device.gpu for device in gpus.usable()[0]] if config.gpus else []
    memory = there[0].memory_total or 0 if there else room.host_memory()
    return Machine(
        name=platform.node(),
        processor=_processor(),
        cores=cores(),
        memory=memory,
        gpus=len(there),
        gpu=there[0].name if there else "",
        torch=torch_version(),
        day=day,
    )


def settings(config: TrainConfig) -> dict[str, Any]:
    """The settings that constants are of."""
    built = msgspec.to_builtins(config)
    return {name: built[name] for name in TRAINING}


class _Probes:
    """Asks for constants, each of which has its own place in the cache; `day` is that of the oldest."""

    def __init__(
        self,
        config: TrainConfig,
        ranks: int,
        classes: int,
        anew: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._config = config
        self._ranks = ranks
        self._classes = classes
        self._anew = anew
        self._progress = progress
        self.day = ""

    def ask(self, wanted: Sequence[str], root: Path = Path()) -> dict[str, dict[str, Any]]:
        """Return what is wanted by name: what is not known from before is measured by one process.

        The disk is that of `root`, or of where it will be made.
        """
        folder = next(each for each in (root.absolute(), *root.absolute().parents) if each.is_dir())
        places = {name: self._place(name, folder) for name in wanted}
        known = {} if self._anew else {name: _known(place) for name, place in places.items()}
        found = {name: kept for name, kept in known.items() if kept}
        if missing := [name for name in wanted if name not in found]:
            made, day = self._measure(missing, folder), time.strftime("%Y-%m-%d")
            for name in missing:
                found[name] = {"day": day, "found": made[name]}
                if place := places[name]:
                    cache.keep(place, msgspec.json.encode(found[name]))
        self.day = min(kept["day"] for kept in found.values())
        return {name: kept["found"] for name, kept in found.items()}

    def _measure(self, wanted: Sequence[str], folder: Path) -> Mapping[str, Any]:
        config = self._config
        free = room.host_memory() // self._ranks
        if config.gpus:
            free = min((gpu.free for gpu in room.gpu_memory(config.gpus)), default=0)
        request = {
            "config": msgspec.to_builtins(config),
            "ranks": self._ranks,
            "classes": self._classes,
            "free": free,
            "folder": str(folder),
            "wanted": wanted,
        }
        return Child(_TOOL, "constants").ask(request, self._progress and self._count)

    def _count(self, done: int, total: int, what: str = "", /) -> None:
        """Say how far the process is."""
        if self._progress:
            who = f"{self._ranks} ranks at once" if self._ranks > 1 else "a rank alone"
            self._progress(done, total, f"measuring {who}")

    def _place(self, name: str, folder: Path) -> Path | None:
        """Where in the cache a constant is: by all that it depends on."""
        config = self._config
        network = (settings(config), config.nproc, self._classes)
        what: dict[str, object] = {
            "pace": network,
            "traffic": network[:2],
            "exchange": config.device,
            "loader": (config.dataset, config.dataset_options, config.loader_threads, config.device),
            "disk": folder.stat().st_dev,
        }
        sources = (
            footprint.sources(get("backbone", config.backbone))
            if what[name] in (network, network[:2])
            else []
        )
        ours = Path(__file__).parents[2] / "train" / "footprint"
        versions = (torch_version(), platform.machine(), platform.node(), _processor(), cores())
        return cache.place(
            "constants", [*ours.glob("*.py"), *sources], f"{name}{what[name]}{self._ranks}{versions}"
        )


def _known(place: Path | None) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(place.read_bytes(), type=dict[str, Any]) if place else None
    return None


def _data(config: TrainConfig) -> str:
    return str(config.dataset_options.get("path") or config.dataset)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
