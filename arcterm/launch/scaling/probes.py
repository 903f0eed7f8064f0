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
    ask = _Probes(config, ranks, classes, anew, progress)
    pace = ask.pace(config, ranks)
    alone = msgspec.structs.replace(config, nproc=1, gpus=config.gpus[:1])
    return Constants(
        machine=machine(config),
        training=settings(config),
        pace=pace,
        alone=pace if config.nproc == 1 else ask.pace(alone, 1),
        exchange=ask.exchange() if ranks > 1 else {},
        exchange_ranks=max(2, ranks),
        loader=ask.loader(),
        storage=ask.storage(root),
    )


def of_steps(config: TrainConfig, ranks: int, classes: int) -> Constants:
    """Return what the time of a step follows from, without the loader; raises as `measure`."""
    ask = _Probes(config, ranks, classes)
    return Constants(
        machine=machine(config),
        training=settings(config),
        pace=ask.pace(config, ranks),
        exchange=ask.exchange() if ranks > 1 else {},
        exchange_ranks=max(2, ranks),
    )


def traffic(config: TrainConfig) -> Traffic:
    """Count what a rank exchanges in a step of one pass, which is the same on any machine."""
    return _Probes(config, 1, 2).traffic()


def machine(config: TrainConfig) -> Machine:
    """Describe this machine."""
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
        day=time.strftime("%Y-%m-%d"),
    )


def settings(config: TrainConfig) -> dict[str, Any]:
    """The settings that constants are of."""
    built = msgspec.to_builtins(config)
    return {name: built[name] for name in TRAINING}


class _Probes:
    """Asks for one constant after another, each with its own place in the cache."""

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

    def pace(self, config: TrainConfig, ranks: int) -> RankPace:
        free = room.host_memory() // ranks
        if config.gpus:
            free = min(gpu.free for gpu in room.gpu_memory(config.gpus))
        what = (settings(config), ranks, self._classes, config.nproc)
        sources = footprint.sources(get("backbone", config.backbone))
        found = self._ask("pace", what, config, ranks, sources, classes=self._classes, free=free)
        return msgspec.convert({"ranks": ranks, **found}, RankPace)

    def traffic(self) -> Traffic:
        if self._config.nproc == 1:
            return Traffic()
        what = (settings(self._config), self._config.nproc)
        sources = footprint.sources(get("backbone", self._config.backbone))
        return msgspec.convert(self._ask("traffic", what, self._config, 1, sources), Traffic)

    def exchange(self) -> dict[str, list[tuple[int, float]]]:
        found = self._ask("exchange", (self._config.device, self._ranks), self._config, self._ranks)
        return msgspec.convert(found, dict[str, list[tuple[int, float]]])

    def loader(self) -> Decoding:
        config = self._config
        what = (config.dataset, config.dataset_options, config.loader_threads, config.device, self._ranks)
        found = self._ask("loader", what, config, self._ranks)
        return Decoding(**found, dataset=str(config.dataset_options.get("path") or config.dataset))

    def storage(self, root: Path) -> Storage:
        """Measure the disk of `root`, or of where it will be made."""
        there = next(each for each in (root.absolute(), *root.absolute().parents) if each.is_dir())
        what = (there.stat().st_dev, self._ranks)
        return Storage(**self._ask("disk", what, self._config, self._ranks, folder=str(there)))

    def _ask(
        self,
        name: str,
        what: object,
        config: TrainConfig,
        ranks: int,
        sources: Sequence[Path] = (),
        **more: Any,
    ) -> Mapping[str, Any]:
        place = _place(name, what, sources)
        if place and not (self._anew and name != "traffic"):  # which is counted, and not measured
            with contextlib.suppress(OSError, msgspec.DecodeError):
                return msgspec.json.decode(place.read_bytes(), type=dict[str, Any])
        if self._progress:
            self._progress(0, 1, f"measuring: {name}")
        request = {"config": msgspec.to_builtins(config), "ranks": ranks, "wanted": [name], **more}
        found: Mapping[str, Any] = Child(_TOOL, "constants").ask(request)[name]
        if place:
            cache.keep(place, msgspec.json.encode(found))
        return found


def _place(name: str, what: object, sources: Sequence[Path]) -> Path | None:
    ours = Path(__file__).parents[2] / "train" / "footprint"
    versions = (torch_version(), platform.machine(), platform.node(), _processor(), cores())
    return cache.place("constants", [*ours.glob("*.py"), *sources], f"{name}{what}{versions}")


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
