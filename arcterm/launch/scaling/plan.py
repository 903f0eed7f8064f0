"""From what was asked for to the forecast of a training on hosts that need not be here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from arcterm_registry import get

from arcterm.config import TrainConfig
from arcterm.errors import ConfigError
from arcterm.launch.choice import Devices, devices_for
from arcterm.launch.estimate import footprint
from arcterm.launch.estimate.need import Subject
from arcterm.launch.hosts.asked import AskedHosts
from arcterm.launch.plan import Plan, make_plan
from arcterm.launch.scaling import probes
from arcterm.launch.scaling.constants import Constants, Machine
from arcterm.launch.scaling.forecast import Case, Forecast, forecast
from arcterm.launch.scaling.layout import HostLayout
from arcterm.overrides import indices
from arcterm.processes.hosts import elastic
from arcterm.progress import Progress
from arcterm.runs import store


class Hosts(NamedTuple):
    """The hosts of a plan: how many, ranks and GPUs of each, and whether this is one."""

    hosts: int
    ranks: int
    gpus: list[int]
    here: bool


class Outlook(NamedTuple):
    """A plan, what it takes, what that follows from, and remarks."""

    plan: Plan
    config: TrainConfig
    forecast: Forecast
    constants: Constants
    notes: list[str]


def outlooks(
    settings: Mapping[str, Any],
    hosts: AskedHosts,
    given: Constants | None = None,
    *,
    root: Path | None = None,
    anew: bool = False,
    progress: Progress | None = None,
) -> list[Outlook]:
    """Forecast the training of `settings` on so many `hosts`, whose ``nproc`` are the ranks of each.

    An elastic one on the least and on the most of them, with as many images a step. From the `given`
    constants, else from those of this machine, measured `anew` if wanted. Raises `ArctermError` or
    `PluginError` for what can't be.
    """
    where = _hosts(settings, hosts.most, given)
    chosen = Devices(where.gpus, where.ranks, "").on(hosts)
    plan = make_plan(settings, progress, root, "quick", chosen)
    config, notes = _settled(plan.config, where, given)
    ends = [_fitted(config, count) for count in sorted({hosts.least, hosts.most})]
    constants = given or _here(config, where, plan, store.runs_dir(root), anew, progress)
    if given:
        notes += _differences(config, where, given)
    return [
        Outlook(plan, each, _forecast(plan, each, where.ranks, constants), constants, notes) for each in ends
    ]


def _fitted(config: TrainConfig, count: int) -> TrainConfig:
    """Return the config on so many of its hosts; raises `ConfigError` if they can't share its step."""
    fitted = config if count == config.hosts else elastic.fit(config, count)
    if not isinstance(fitted, TrainConfig):
        raise ConfigError(
            f"{config.product} = {config.global_batch} images of a step can't be shared by {count} hosts",
            "change --batch-size, or the least of --nnodes",
        )
    return fitted


def _forecast(plan: Plan, config: TrainConfig, ranks: int, constants: Constants) -> Forecast:
    subject = Subject(get("backbone", config.backbone), get("loss", config.loss), plan.facts)
    found = footprint.known(subject.backbone, config) or footprint.follow(subject.backbone, config)
    if isinstance(found, str):
        raise ConfigError(f"the memory of {config.backbone} is unknown: {found}", "see its author")
    case = Case(subject, config, HostLayout(config.hosts, ranks), constants, probes.traffic(config))
    return forecast(case, found)


def _hosts(settings: Mapping[str, Any], count: int, given: Constants | None) -> Hosts:
    """Find out the ranks of a host: as asked for, else a rank for each GPU there, else one."""
    wanted, nproc = settings.get("gpus"), settings.get("nproc")
    if given is not None:
        numbers = [] if wanted == "none" else indices(wanted or "", "gpus")
        there = len(numbers) or (0 if wanted == "none" else given.machine.gpus)
        ranks = nproc or there or 1
        return Hosts(count, ranks, list(range(ranks)) if there else [], here=False)
    try:
        found = devices_for(wanted, nproc)
    except ConfigError:
        numbers = [] if wanted in (None, "none") else indices(wanted, "gpus")
        if not numbers and not nproc:
            raise
        ranks = nproc or len(numbers)
        return Hosts(count, ranks, numbers and list(range(ranks)), here=False)
    return Hosts(count, found.nproc, found.gpus, here=True)


def _settled(config: TrainConfig, where: Hosts, given: Constants | None) -> tuple[TrainConfig, list[str]]:
    """Give the config the threads that its ranks have on their host, and a precision that is known there."""
    if given and not where.gpus:
        config = msgspec.structs.replace(config, threads=max(1, given.machine.cores // where.ranks))
    if where.gpus and not where.here and config.precision == "auto":
        return msgspec.structs.replace(config, precision="bfloat16"), [
            "precision is taken for bfloat16, as on a GPU that has it"
        ]
    return config, []


def _here(
    config: TrainConfig, where: Hosts, plan: Plan, root: Path, anew: bool, progress: Progress | None
) -> Constants:
    if not where.here:
        return Constants(machine=Machine(name="", processor="", cores=0, memory=0))
    return probes.measure(config, where.ranks, plan.facts.classes, root, anew=anew, progress=progress)


def _differences(config: TrainConfig, where: Hosts, given: Constants) -> list[str]:
    """Say with which other settings the constants were measured; raises `ConfigError` for other networks."""
    mine = probes.settings(config)
    if given.training.get("backbone", config.backbone) != config.backbone:
        raise ConfigError(
            f"the constants are of {given.training['backbone']}, and the plan is of {config.backbone}",
            f"`arcterm plan {config.backbone} {config.loss} … --measure -o FILE` on that machine",
        )
    differing = [
        f"{name} {given.training[name]} in place of {mine[name]}"
        for name in probes.TRAINING
        if name in given.training and given.training[name] != mine[name]
    ]
    if given.pace and given.ranks != where.ranks:
        differing.append(f"{given.ranks} ranks on the host in place of {where.ranks}")
    return [f"the constants were measured with {', '.join(differing)}"] if differing else []
