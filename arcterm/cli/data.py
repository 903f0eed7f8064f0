"""``arcterm data``: making, checking and reshaping data sets. Each command is made from `tasks.TASKS`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from arcterm.cli.options import Json, Plain, RunsDir
from arcterm.cli.show_data import show
from arcterm.config import flag
from arcterm.jobs import TASKS, Place, Task
from arcterm.show.output import put_detached, say_waiting

data = typer.Typer(help="Make, check and reshape data sets.", no_args_is_help=True, rich_markup_mode=None)


@data.callback()
def options() -> None:
    """Make, check and reshape data sets."""


class _Shared:
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return; prints the job's id.")]
    plain: Plain
    as_json: Json
    runs_dir: RunsDir


def _run(task: Task, given: dict[str, Any]) -> None:
    from arcterm.cli.watch import watch
    from arcterm.config import task_config
    from arcterm.launch import start
    from arcterm.runs import store

    paths: list[Path] = []
    for place in task.places:
        paths += given[place.name] if place.many else [given[place.name]]
    asked = {o.name: given[o.name] for o in task.options if given[o.name] is not None}
    root = store.runs_dir(given["runs_dir"])
    job = start.data(task_config(task.name, paths, asked), root, argv=sys.argv)
    if given["detach"]:
        put_detached(job, given["as_json"])
        return
    if task.run.startswith("arcterm.train"):
        say_waiting(f"data {task.name}")
    watch(job, plain=given["plain"], as_json=given["as_json"], owner=True)


def _signature(task: Task) -> inspect.Signature:
    """The command's parameters: places, options, and what all jobs share."""
    parameters = [_parameter(place.name, *_argument(place)) for place in task.places]
    for option in task.options:
        default = f" [{option.default}]" if option.default not in (None, "", False) else ""
        names = (flag(option.name),)
        if option.type is bool and option.default:
            names = (f"{flag(option.name)}/--no-{flag(option.name)[2:]}",)
        about = typer.Option(
            *names, help=f"{option.help[0].upper()}{option.help[1:]}.{default}", show_default=False
        )
        parameters.append(_parameter(option.name, option.type | None, None, about))
    shared = inspect.get_annotations(_Shared, eval_str=True)
    defaults: dict[str, Any] = {"detach": False, "plain": False, "as_json": False, "runs_dir": None}
    for name, usual in defaults.items():
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=usual, annotation=shared[name])
        )
    return inspect.Signature(parameters)


def _argument(place: Place) -> tuple[Any, Any, Any]:
    """Type, default and description of a path."""
    about = typer.Argument(
        metavar=place.name.upper() + ("..." if place.many else ""), help=place.help, show_default=False
    )
    return (list[Path] if place.many else Path), inspect.Parameter.empty, about


def _parameter(name: str, kind: Any, default: Any, about: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, about]
    )


def _command(task: Task) -> Callable[..., None]:
    def command(**given: Any) -> None:
        _run(task, given)

    command.__doc__ = task.summary
    command.__signature__ = _signature(task)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in _signature(task).parameters.values()}
    return command


for _task in TASKS.values():
    data.command(_task.name)(_command(_task))
data.command("show")(show)
