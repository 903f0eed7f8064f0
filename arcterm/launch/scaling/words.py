"""A forecast as lines for a person, and as a value for scripts."""

from __future__ import annotations

from typing import Any

import msgspec

from arcterm.launch.estimate.verdict import gib
from arcterm.launch.scaling.constants import MEASURED, Constants
from arcterm.launch.scaling.forecast import Forecast, StepForecast
from arcterm.launch.scaling.plan import Outlook
from arcterm.text import byte_size, duration


def to_builtins(found: Outlook) -> dict[str, Any]:
    """The value as JSON has it: the sums too, and what the constants are and where they are from."""
    forecast, constants, config = found.forecast, found.constants, found.config
    made: dict[str, Any] = msgspec.to_builtins(forecast)
    made["need"]["total"] = forecast.need.total
    for name, step in (("step", forecast.step), ("alone", forecast.alone)):
        made[name] |= {"total": step.whole, "known": step.known}
    data = {"classes": found.plan.facts.classes, "images": found.plan.facts.images}
    return {
        "command": config.command,
        **data,
        "batch": {"rank": config.batch_size, "accumulate": config.accumulate, "global": config.global_batch},
        **made,
        "constants": msgspec.to_builtins(constants) | {"digest": constants.digest},
        "notes": found.notes,
    }


def lines(found: Outlook) -> list[str]:
    """Lines of a plan, each with a word for its subject."""
    forecast, facts, config = found.forecast, found.plan.facts, found.config
    layout = forecast.layout
    kind = "GPU" if config.gpus else "CPU rank"
    each = f"{layout.ranks} {kind}{'s' * (layout.ranks > 1)}"
    hosts = f"{layout.hosts} hosts × {each}" if layout.hosts > 1 else each
    return [
        f"training  {config.backbone} + {config.loss}: {facts.images:,} images of {facts.classes:,} people",
        f"hosts     {hosts}; {config.product} = {config.global_batch:,} images a step",
        f"memory    {_memory(forecast)}",
        *_head(forecast),
        f"step      {_step(forecast.step)}",
        *_sent(forecast),
        f"loader    {_loader(forecast)}",
        f"saving    {_saving(forecast)}",
        f"epoch     {_epoch(forecast)}",
        *(
            [f"limit     {forecast.limit} takes most"]
            if forecast.limit and forecast.limit != "memory"
            else []
        ),
        *([f"limit     memory: a rank needs more than {_room(found)}"] if forecast.limit == "memory" else []),
        *(f"note      {note}" for note in found.notes),
        *_constants(found.constants),
        *(f"unknown   {text}" for text in forecast.unknown),
    ]


def _memory(forecast: Forecast) -> str:
    need = forecast.need
    parts = {name: getattr(need, name) for name in need.__struct_fields__ if name != "shared"}
    named = ", ".join(f"{name} {gib(size)}" for name, size in parts.items() if size >= 5 << 20)
    return f"{gib(need.total)} GiB a rank: {named}"


def _head(forecast: Forecast) -> list[str]:
    if not forecast.head:
        return []
    first, last = forecast.head[0], forecast.head[-1]
    sizes = {one.last - one.first + 1 for one in forecast.head}
    count = " or ".join(f"{size:,}" for size in sorted(sizes))
    ends = f" ({first.first:,} to {first.last:,} on rank 0, to {last.last:,} on rank {last.rank})"
    size = f"{byte_size(first.weights)} of weights, {byte_size(first.momentum)} of what the optimizer keeps"
    return [f"head      {count} classes a rank{ends if len(forecast.head) > 1 else ''}: {size}"]


def _step(step: StepForecast) -> str:
    named = [f"{name} {_seconds(part)}" for name, part in step.parts.items() if part is None or part >= 5e-5]
    hidden = f"; {_seconds(step.hidden)} of sending is beside the backward pass" if step.hidden else ""
    whole = _seconds(step.whole) if step.whole is not None else f"at least {_seconds(step.known)}"
    if not step.known:
        return "unknown"
    return f"{whole}: {', '.join(named)}{hidden}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _sent(forecast: Forecast) -> list[str]:
    if not forecast.sent:
        return []
    named = ", ".join(f"{name.replace('_', '-')} {byte_size(size)}" for name, size in forecast.sent.items())
    return [f"sent      by each rank in a step: {named}"]


def _loader(forecast: Forecast) -> str:
    needed = "unknown" if forecast.demand is None else f"{forecast.demand:,.0f} images/s"
    made = "unknown" if forecast.supply is None else f"{forecast.supply:,.0f}"
    return f"a host takes {needed}, its loaders make {made}"


def _saving(forecast: Forecast) -> str:
    saving = forecast.saving
    size = f"{gib(saving.bytes)} GiB"
    shared = f", {gib(saving.host)} of them by a host" if forecast.layout.hosts > 1 else ""
    taken = "unknown seconds" if saving.seconds is None else _seconds(saving.seconds)
    wait = "" if saving.wait is None else f"; steps wait {_seconds(saving.wait)}"
    return f"{size}{shared} in {taken}{wait}"


def _epoch(forecast: Forecast) -> str:
    if forecast.epoch is None or forecast.images_per_second is None:
        return "unknown"
    found = f"{duration(forecast.epoch)} at {forecast.images_per_second:,.0f} images/s"
    if forecast.efficiency is None or forecast.layout.count == 1:
        return found
    return f"{found}, {forecast.efficiency:.0%} of what as many ranks alone would make"


def _room(found: Outlook) -> str:
    memory = found.constants.machine.memory
    share = memory if found.config.gpus else memory // found.forecast.layout.ranks
    return f"{gib(share)} GiB, which {found.constants.machine.name or 'that machine'} has for it"


def _constants(constants: Constants) -> list[str]:
    machine = constants.machine
    if not machine.name:
        return []
    devices = f", {machine.gpus} × {machine.gpu}" if machine.gpus else ""
    there = f"{machine.name} ({machine.processor}, {machine.cores} cores{devices})"
    where = f"{there}, {machine.day}" if machine.day else there
    sources = {
        name: part.source
        for name, part in (
            ("loader", constants.loader),
            ("storage", constants.storage),
            ("network", constants.network),
        )
        if part is not None and part.source != MEASURED
    }
    said = [f"          {name}: {source or 'given, no source said'}" for name, source in sources.items()]
    return [f"constants {constants.source} on {where}; digest {constants.digest}", *said]
