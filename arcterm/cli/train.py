"""``arcterm train``: pick a backbone, a loss and a data set, and watch."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from arcterm.cli import completing
from arcterm.cli.options import Json, Plain, RunsDir
from arcterm.commandline import flag
from arcterm.errors import ConfigError
from arcterm.overrides import merge, parse_assignments, read_settings
from arcterm.settings import FLAGS, SETTINGS
from arcterm.show.output import ProgressLine, put_detached, put_json, say, say_waiting

_HELP = """Train a BACKBONE with a LOSS; `arcterm plugins` lists both.

Command line over --config over defaults. Ctrl-C stops after a checkpoint, twice at once; closing the
terminal leaves the training running.
"""

# the numbers that the 2018 scripts used for --loss-type
_LOSS_IDS = {"0": "softmax", "1": "sphereface", "2": "cosface", "4": "arcface", "12": "triplet"}


def _run(
    backbone: str | None,
    loss: str | None,
    *,
    dataset: str | None,
    margin: float | None,
    scale: float | None,
    name: str | None,
    config: Path | None,
    assignments: list[str],
    detach: bool,
    dry_run: bool,
    plain: bool,
    as_json: bool,
    runs_dir: Path | None,
    **flags: Any,
) -> None:
    given: dict[str, Any] = {
        "backbone": backbone,
        "loss": _loss_name(loss),
        "dataset": dataset,
    }
    given |= {"name": name, **flags}
    layer = {key: value for key, value in given.items() if value is not None}
    direct = {key: value for key, value in (("margin", margin), ("scale", scale)) if value is not None}
    if direct:
        layer["loss_options"] = direct
    file = read_settings(config) if config else {}
    settings = merge(file, parse_assignments(assignments), layer)
    if settings.get("dataset"):
        say(f"looking at {settings['dataset']}")
    else:
        say("no --dataset: using the demo, faces drawn by arcterm itself")
    from arcterm.launch import start  # after the first line, which nobody shall wait for
    from arcterm.launch.plan import make_plan
    from arcterm.runs import store

    root = store.runs_dir(runs_dir)
    store.check_name(root, settings.get("name", ""))
    plan = make_plan(settings, ProgressLine("getting the data ready"), root)
    for note in plan.notes:
        say(f"  {note}")
    if plan.warning:
        say(f"  note      {plan.warning}")
    if dry_run:
        if as_json:
            import msgspec

            put_json(msgspec.to_builtins(plan.config) | {"set_aside": dict(plan.facts.set_aside or {})})
        return
    say_waiting(f"starting {settings.get('name') or f'{plan.config.backbone} + {plan.config.loss}'}")
    run = start.start(plan, root, name=settings.get("name", ""), argv=sys.argv)
    if detach:
        put_detached(run, as_json)
        return
    from arcterm.cli.watch import watch

    say(f"started {run.id}")
    watch(run, plain=plain, as_json=as_json, owner=True)


def _signature() -> inspect.Signature:
    """The command's parameters; those that are settings come from `settings.SETTINGS`."""
    by_name = {option.name: option for option in SETTINGS}

    def parameter(name: str, kind: Any, default: Any, about: Any) -> inspect.Parameter:
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, about]
        )

    def option(*names: str, help: str, **more: Any) -> Any:
        return typer.Option(*names, help=help, show_default=False, **more)

    settings = [
        parameter(name, by_name[name].type | None, None, option(flag(name), help=_help(name)))
        for name in FLAGS
    ]
    shared = inspect.get_annotations(_Shared, eval_str=True)
    parameters = [
        parameter(
            "backbone",
            str | None,
            None,
            typer.Argument(
                help="Name of a backbone.", show_default=False, autocompletion=completing.backbones
            ),
        ),
        parameter(
            "loss",
            str | None,
            None,
            typer.Argument(
                help="Name of a loss, or its 2018 number.",
                show_default=False,
                autocompletion=completing.losses,
            ),
        ),
        parameter("margin", float | None, None, option("--margin", help="The loss's margin.")),
        parameter("scale", float | None, None, option("--scale", help="The loss's scale.")),
        parameter("dataset", str | None, None, option("--dataset", help="Name or directory; the demo.")),
        *settings,
        parameter("name", str | None, None, option("--name", help="A name for the run.")),
        parameter("config", Path | None, None, option("--config", help="Settings from a TOML file.")),
        parameter(
            "assignments",
            list[str],
            [],
            option(
                "--set",
                help="key=value for any setting, e.g. momentum=0.8; loss.KEY=… for a plug-in's own.",
                autocompletion=completing.settings,
            ),
        ),
        parameter(
            "detach", bool, False, option("--detach", help="Start it and return; prints the run's id.")
        ),
        parameter("dry_run", bool, False, option("--dry-run", help="Check everything, start nothing.")),
        *(
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=shared[key])
            for key, default in (("plain", False), ("as_json", False), ("runs_dir", None))
        ),
    ]
    return inspect.Signature(parameters)


def _loss_name(loss: str | None) -> str | None:
    """A loss by its name, or by its number of 2018; `ConfigError` for the number that had two meanings."""
    if loss == "5":
        raise ConfigError(
            "loss 5 was linear in the angle until March 2018 and the combined margin from then on",
            "give li-arc, or combined with --set loss.m1=, loss.m2= and loss.m3=",
        )
    return _LOSS_IDS.get(loss or "", loss)


class _Shared:
    plain: Plain
    as_json: Json
    runs_dir: RunsDir


def _help(name: str) -> str:
    option = next(option for option in SETTINGS if option.name == name)
    default = "" if option.default in (None, "") else f" [{option.default}]"
    return f"{option.help[0].upper()}{option.help[1:]}.{default}"


def train(**given: Any) -> None:
    _run(**given)


train.__doc__ = _HELP
train.__signature__ = _signature()  # type: ignore[attr-defined]
train.__annotations__ = {p.name: p.annotation for p in _signature().parameters.values()}
