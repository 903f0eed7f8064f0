"""``arcterm train``: pick a backbone, a loss and a data set, and watch."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcterm.cli import completing
from arcterm.cli.hosts import asked_hosts, for_launcher, host_parameters, join_run
from arcterm.cli.options import help_of, launcher_option, parameter, set_parameters, shared_parameters
from arcterm.commandline import flag
from arcterm.errors import ConfigError
from arcterm.overrides import check_setting, indices, merge, parse_assignments, read_settings
from arcterm.settings import BY_NAME, FLAGS, LOCAL
from arcterm.show.output import ProgressLine, put, put_detached, put_json, say, say_waiting

if TYPE_CHECKING:
    from arcterm.cli.runs.watch import View
    from arcterm.launch.estimate.assess import Look
    from arcterm.launch.hosts.asked import AskedHosts
    from arcterm.launch.plan import Plan
    from arcterm.launch.queue import QueuePlace
    from arcterm.runs.store import Run

_HELP = """Train a BACKBONE with a LOSS; `arcterm plugins` lists both.

Command line over --config over --recipe over defaults. Ctrl-C stops after a checkpoint, twice at once;
closing the terminal leaves the training running.
"""

# the numbers that the 2018 scripts used for --loss-type
_LOSS_IDS = {"0": "softmax", "1": "sphereface", "2": "cosface", "4": "arcface", "12": "triplet"}

_HOW = ("after", "detach", "dry_run", "plain", "as_json", "runs_dir")
"""Options of the command that are no settings of the run."""


def _run(**given: Any) -> None:
    how = {key: given.pop(key) for key in _HOW}
    hosts = asked_hosts(given)
    seed = given["seed"]
    start_training(layers(**given), seeds=[] if seed is None else _seeds(seed), hosts=hosts, **how)


def layers(
    *,
    backbone: str | None,
    loss: str | None,
    recipe: str | None,
    dataset: str | None,
    margin: float | None,
    scale: float | None,
    seed: str | None,
    config: Path | None,
    assignments: list[str],
    **rest: Any,
) -> dict[str, Any]:
    """Return the settings of a command line over those of its --set and its file (see `overrides.merge`)."""
    given = {"backbone": backbone, "loss": _loss_name(loss), "recipe": recipe, "dataset": dataset, **rest}
    layer: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    direct = {key: value for key, value in (("margin", margin), ("scale", scale)) if value is not None}
    if direct:
        layer["loss_options"] = direct
    if seed is not None:
        layer["seed"] = _seeds(seed)[0]
    file = read_settings(config) if config else {}
    return merge(file, parse_assignments(assignments), layer)


def start_training(
    settings: Mapping[str, Any],
    *,
    detach: bool,
    dry_run: bool,
    plain: bool,
    as_json: bool,
    runs_dir: Path | None,
    seeds: Sequence[int] = (),
    after: str | None = None,
    worded: Callable[[str], str] | None = None,
    shown: Callable[[Plan], View] | None = None,
    hosts: AskedHosts | None = None,
) -> None:
    """Show the plan of `settings` (see `overrides.merge`), then start the run and watch it.

    Several `seeds` are a run each; the run is queued `after` another. On several `hosts` it is made on the
    first, and the others join it. A command with other flags gives
    `worded`, which puts advice in its own words, and has the equivalent `arcterm train` printed; `shown`
    makes its way of showing a run.
    """
    from arcterm.launch.recipes import layer

    if data := layer.dataset(settings):
        say(f"looking at {data}")
    else:
        say("no --dataset: using the demo, faces drawn by arcterm itself")
    from arcterm.launch import queue  # slow to import: after the first line
    from arcterm.launch.hosts.asked import ONE
    from arcterm.launch.plan import make_plan
    from arcterm.runs import store

    settings, hosts = for_launcher(settings, hosts, settings.get("launcher") or LOCAL)
    root, called, several = store.runs_dir(runs_dir), settings.get("name", ""), len(seeds) > 1
    before = store.find(root, after) if after else None
    if hosts is None or hosts.is_first():
        for name in queue.names(called, seeds):
            store.check_name(root, name)
    look: Look = "full" if dry_run else "tight"
    hosts = hosts or ONE
    if hosts.is_first():
        hosts.check_place()
    plan = make_plan(settings, ProgressLine("getting the data ready"), root, look, hosts=hosts)
    if not hosts.is_first():
        join_run(plan.config, hosts, root, dry_run=dry_run, detach=detach, plain=plain, as_json=as_json)
        return
    places = queue.share_out(plan.config, seeds, called, settings.get("gpus", ""), root)
    say(*(f"  {note}" for note in [*plan.notes, *queue.lines(places, before)]))
    if plan.warning:
        say(f"  note      {worded(plan.warning) if worded else plan.warning}")
    if worded:
        say(f"this is: {plan.config.command}")
    if dry_run:
        _put_plan(plan, places, before, root, as_json)
        return
    say_waiting(f"starting {called or f'{plan.config.backbone} + {plan.config.loss}'}")
    runs = queue.start_all(plan, places, root, sys.argv, before)
    if detach:
        put_detached(runs if several else runs[0], as_json)
        return
    say(*(f"started {run.id}" for run in runs))
    _watch(runs, several, shown(plan) if shown else None, plain=plain, as_json=as_json)


def _put_plan(
    plan: Plan, places: Sequence[QueuePlace], before: Run | None, root: Path, as_json: bool
) -> None:
    """Write what would be started: as JSON, or what another engine than this machine would be given."""
    from arcterm.launch import engine

    away = not plan.config.is_local
    handed = [engine.describe(place.config, root, place.name) for place in places] if away else []
    if as_json:
        more = {
            "set_aside": dict(plan.facts.set_aside or {}),
            "estimate": plan.estimate.to_builtins() | {"seconds": plan.seconds},
        }
        described = [place.describe(before) | more for place in places]
        for one, text in zip(described, handed, strict=False):
            one["submission"] = text
        put_json(described if len(described) > 1 else described[0])
    else:
        put(*(line for text in handed for line in text.splitlines()))


def _watch(runs: Sequence[Run], several: bool, view: View | None, *, plain: bool, as_json: bool) -> None:
    from arcterm.cli.runs.watch import watch
    from arcterm.cli.several import watch_all

    if several:
        watch_all(runs, plain=plain, as_json=as_json)
    else:
        watch(runs[0], plain=plain, as_json=as_json, owner=True, view=view)


def _seeds(text: str) -> list[int]:
    """Parse ``1,2,3`` or ``1-3``; raises `ConfigError` for what is no seed, and for one that comes twice."""
    found = indices(text, "seed")
    if not found:
        raise ConfigError(f"--seed {text} names no seed", "write --seed 1,2,3")
    for seed in found:
        check_setting("seed", seed)
    if twice := [seed for seed in found if found.count(seed) > 1]:
        raise ConfigError(f"--seed names {twice[0]} more than once", "two runs of one seed would be the same")
    return found


def _parameters() -> list[inspect.Parameter]:
    def option(kind: Any, name: str, words: str) -> Any:
        return Annotated[kind, typer.Option(name, help=words, show_default=False)]

    annotations: dict[str, Any] = {
        "after": option(str | None, "--after", "Queue it after this run, however that ends."),
        "name": option(str | None, "--name", "A name for the run."),
        "detach": option(bool, "--detach", "Start it and return; prints the run's id."),
        "dry_run": option(bool, "--dry-run", "Check everything, start nothing."),
        **host_parameters(),
    }
    defaults = {"detach": False, "dry_run": False}
    own = [parameter(name, kind, defaults.get(name)) for name, kind in annotations.items()]
    return [*setting_parameters(), *own, *shared_parameters()]


def setting_parameters() -> list[inspect.Parameter]:
    """The parameters that name a training's settings; those with flags come from `settings.SETTINGS`."""

    def argument(words: str, completion: Any) -> Any:
        about = typer.Argument(help=words, show_default=False, autocompletion=completion)
        return Annotated[str | None, about]

    def option(kind: Any, name: str, words: str, **more: Any) -> Any:
        return Annotated[kind, typer.Option(name, help=words, show_default=False, **more)]

    every = "key=value for any setting, e.g. momentum=0.8; loss.KEY=… for a plug-in's own."
    annotations: dict[str, Any] = {
        "backbone": argument("Name of a backbone.", completing.backbones),
        "loss": argument("Name of a loss, or its 2018 number.", completing.losses),
        "margin": option(float | None, "--margin", "The loss's margin."),
        "scale": option(float | None, "--scale", "The loss's scale."),
        "recipe": option(
            str | None,
            "--recipe",
            "A recipe, by name or file: what is said nowhere else is as it says.",
            autocompletion=completing.recipes,
        ),
        "dataset": option(str | None, "--dataset", "Name or directory; the demo."),
        **{name: option(BY_NAME[name].type | None, flag(name), help_of(BY_NAME[name])) for name in FLAGS},
        "launcher": launcher_option(),
        "seed": option(str | None, "--seed", f"{help_of(BY_NAME['seed'])} Several, 1,2,3, are a run each."),
        "config": option(Path | None, "--config", "Settings from a TOML file."),
        "assignments": option(list[str], "--set", every, autocompletion=completing.settings),
    }
    defaults: dict[str, Any] = {"assignments": []}
    return [parameter(name, kind, defaults.get(name)) for name, kind in annotations.items()]


def _loss_name(loss: str | None) -> str | None:
    """A loss's name, given its name or its number of 2018; `ConfigError` for a number with two meanings."""
    if loss == "5":
        raise ConfigError(
            "loss 5 was linear in the angle until March 2018 and the combined margin from then on",
            "give li-arc, or combined with --set loss.m1=, loss.m2= and loss.m3=",
        )
    return _LOSS_IDS.get(loss or "", loss)


def train(**given: Any) -> None:
    _run(**given)


set_parameters(train, _parameters(), _HELP)
