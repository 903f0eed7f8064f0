"""Lines of a plan about parameters that are not updated as the others are."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from arcterm.config import TrainConfig
from arcterm.launch.estimate.assess import Look
from arcterm.processes.child import Child


def lines(config: TrainConfig, look: Look) -> list[str]:
    """Say what decays, what is frozen and at which rate the class weights learn; [] if all is as usual.

    Unless the `look` is quick the backbone is made without memory, in a process, to count its parameters.
    Raises `ConfigError` then for a part to freeze, or batch norms, that it does not have.
    """
    if not config.grouped:
        return []
    asking = config.decay_on != "all" or config.bn_momentum is not None or {*config.frozen} - {"head"}
    counted = _count(msgspec.json.encode(config)) if asking and look != "quick" else ""
    said = [counted or _said(config), _head(config)]
    if config.bn_momentum is not None:
        said.append(f"batch norms' momentum {config.bn_momentum:g}")
    return [f"groups    {'; '.join(filter(None, said))}"]


def average(config: TrainConfig) -> list[str]:
    """A line about the average of the weights, if there is one."""
    if not config.ema:
        return []
    steps = round(1 / (1 - config.ema))
    return [f"average   of the weights, over some {steps:,} steps: it is what is verified and exported"]


@lru_cache(maxsize=8)
def _count(config: bytes) -> str:
    answer = Child("arcterm.train.footprint.tool", "groups").ask({"config": msgspec.json.decode(config)})
    return str(answer["words"])


def _said(config: TrainConfig) -> str:
    """What is known of the backbone's parameters without making it."""
    frozen = ", ".join(name for name in config.frozen if name != "head")
    decay = "" if config.decay_on == "all" else f"decay {config.weight_decay:g}, {config.decay_on}"
    return "; ".join(filter(None, (decay, f"{frozen} frozen" if frozen else "")))


def _head(config: TrainConfig) -> str:
    if "head" in config.frozen:
        return "class weights frozen"
    own = f"decay {config.head_decay:g}" if config.head_decay is not None else ""
    rate = f"{config.head_lr_factor:g} × the rate" if config.head_lr_factor != 1 else ""
    said = ", ".join(filter(None, (own, rate)))
    return f"class weights with {said}" if said else ""
