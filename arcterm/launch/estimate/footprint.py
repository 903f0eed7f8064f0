"""What a backbone takes in training, by batch: followed in a process of its own and kept, or bounded."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec
from arcterm_registry import Backbone, PluginError, locate

from arcterm import cache
from arcterm.config import TrainConfig
from arcterm.errors import ArctermError
from arcterm.launch.devices import torch_version
from arcterm.processes.child import Child

_PHASES = ("step", "save", "look", "verify")
# Bytes of activations for a multiply-add of an image, and beside them bytes for a byte of weights, of which a
# verification folds copies in float64. Of the networks that come with arcterm m2 takes the most for an image,
# 0.25 bytes a multiply-add, since depthwise convolutions multiply little; none takes more than 12 a byte.
_BYTES_PER_MAC = 1.0
_BYTES_PER_BYTE = 20


class Growth(msgspec.Struct, frozen=True):
    """Bytes: `fixed`, and as many more for each `image`."""

    fixed: float
    image: float

    def at(self, batch: int) -> float:
        return max(0.0, self.fixed + self.image * batch)


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a rank that the backbone takes; `beyond` those that stay, by phase of a training.

    It verifies, or takes a ``look`` at images of its own where it has no sets. `teacher` is what the network
    takes that it learns from. `exact` ones were followed; others are a bound. `remark` says why it was not
    followed as usual.
    """

    weights: int
    gradients: int
    momentum: int
    beyond: dict[str, Growth]
    exact: bool = True
    remark: str = ""
    teacher: Growth = Growth(0, 0)

    def activations(self, batch: int, *, verifies: bool) -> int:
        """The most that a phase takes with `batch` images a rank, of a teacher that stays beside it too."""
        other = "look" if verifies else "verify"
        most = max(line.at(batch) for phase, line in self.beyond.items() if phase != other)
        return round(most + self.teacher.at(batch))

    def as_teacher(self) -> Growth:
        """What it takes where it only embeds: its weights, and what a verification takes beyond them."""
        embedding = self.beyond.get("verify", self.beyond["step"])
        return Growth(self.weights + embedding.fixed, embedding.image)


def bound(backbone: Backbone, config: TrainConfig) -> Footprint:
    """Bound what a backbone takes by its declared size, generously; it costs nothing."""
    weights = 4 * backbone.parameters
    image = _BYTES_PER_MAC * 1e9 * backbone.gmacs
    return Footprint(
        weights=weights,
        gradients=weights,
        momentum=weights * moments(config),
        beyond={"step": Growth(_BYTES_PER_BYTE * weights, image)},
        exact=False,
    )


def moments(config: TrainConfig) -> int:
    """How many numbers the optimizer keeps for each weight."""
    if config.optimizer == "adamw":
        return 2
    return 1 if config.momentum or config.optimizer == "legacy" else 0


def known(backbone: Backbone, config: TrainConfig) -> Footprint | None:
    """What was found out before for the same network, options, batch and versions; None if nothing was."""
    place = _place(backbone, config)
    try:
        return msgspec.json.decode(place.read_bytes(), type=Footprint) if place else None
    except (OSError, msgspec.DecodeError):
        return None


def follow(backbone: Backbone, config: TrainConfig) -> Footprint | str:
    """Find out what the backbone takes, in seconds, and keep it; why it can't be found out if it can't."""
    batch = config.batch_size
    batches = [max(2, batch), max(2, batch) // 2 if batch > 3 else 2 * max(2, batch)]
    request = {"config": msgspec.to_builtins(config), "batches": batches}
    try:
        answer = Child("arcterm.train.footprint.tool", "memory").ask(request)
    except (ArctermError, PluginError) as error:
        return error.message
    found = _lines(answer["parts"], answer["batches"], answer.get("tried", ""))
    if place := _place(backbone, config):
        cache.keep(place, msgspec.json.encode(found))
    return found


def _lines(parts: Sequence[dict[str, int]], batches: Sequence[int], remark: str) -> Footprint:
    """Lay a line through what each phase takes at two batches."""
    (first, second), (a, b) = parts, batches
    beyond = {}
    for phase in _PHASES:
        image = max(0.0, (first[phase] - second[phase]) / (a - b))
        beyond[phase] = Growth(first[phase] - image * a, image)
    return Footprint(
        weights=first["weights"],
        gradients=first["gradients"],
        momentum=first["momentum"],
        beyond=beyond,
        remark=remark,
    )


def _place(backbone: Backbone, config: TrainConfig) -> Path | None:
    """Where in the cache it is: by all that the answer depends on, the plug-in's source files among it."""
    plugin = locate("backbone", config.backbone)
    fields = ("backbone", "backbone_options", "device", "batch_size", "optimizer", "momentum", "precision")
    what = [getattr(config, name) for name in (*fields, "gradient_checkpointing", "freeze")]
    versions = (plugin.distribution, plugin.version, torch_version(), platform.machine(), platform.node())
    ours = Path(__file__).parents[2] / "train" / "footprint"
    return cache.place("footprint", [*ours.glob("*.py"), *sources(backbone)], f"{what}{versions}")


def sources(backbone: Backbone) -> list[Path]:
    """The files beside the one that makes the backbone; found without importing any."""
    top, *inner = backbone.factory.partition(":")[0].split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return []
    if spec is None or not inner:
        return [Path(spec.origin)] if spec and spec.origin else []
    folders = [Path(place).joinpath(*inner[:-1]) for place in spec.submodule_search_locations or ()]
    return sorted(path for folder in folders for path in folder.glob("*.py"))
