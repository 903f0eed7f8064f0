"""``arcterm data`` and ``arcterm job``: commands made from the declarations of jobs."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from arcterm_registry import JobPath, JobSpec, PluginError, get
from typer.core import TyperGroup

from arcterm.cli.options import Json, Plain, RunsDir
from arcterm.cli.show_data import show
from arcterm.commandline import flag
from arcterm.jobs import offered
from arcterm.show.output import put_detached, say_waiting


class Jobs(TyperGroup):
    """The jobs of one group; only the one that is asked for is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the jobs, and of what else stands in the group."""
        return [*offered(str(self.name)), *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command for a job; None if there is none of that name in the group."""
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        try:
            declared = get("job", cmd_name)
        except PluginError:
            return None
        if declared.group != self.name:
            return None
        made = _command(cmd_name, declared)
        made.context_class = type(ctx)  # its help is cleaned as all help is
        return made


data = typer.Typer(
    cls=Jobs, help="Make, check and reshape data sets.", no_args_is_help=True, rich_markup_mode=None
)
job = typer.Typer(cls=Jobs, help="Jobs of installed packages.", no_args_is_help=True, rich_markup_mode=None)


@data.callback()
def data_options() -> None:
    """Make, check and reshape data sets."""


@job.callback()
def job_options() -> None:
    """Jobs of installed packages."""


data.command("show")(show)


class _Shared:
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return; prints the job's id.")]
    plain: Plain
    as_json: Json
    runs_dir: RunsDir


def _run(name: str, declared: JobSpec, given: dict[str, Any]) -> None:
    from arcterm.cli.watch import watch
    from arcterm.config import job_config
    from arcterm.launch import start
    from arcterm.runs import store

    paths: list[Path] = []
    for place in declared.paths:
        paths += given[place.name] if place.many else [given[place.name]]
    asked = {o.name: given[o.name] for o in declared.options if given[o.name] is not None}
    root = store.runs_dir(given["runs_dir"])
    run = start.job(job_config(name, paths, asked), root, argv=sys.argv)
    if given["detach"]:
        put_detached(run, given["as_json"])
        return
    if declared.factory.startswith("arcterm.train"):
        say_waiting(run.record.config.title)
    watch(run, plain=given["plain"], as_json=given["as_json"], owner=True)


def _command(name: str, declared: JobSpec) -> Any:
    def command(**given: Any) -> None:
        _run(name, declared, given)

    signature = _signature(declared)
    command.__doc__ = declared.summary
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    alone = typer.Typer(rich_markup_mode=None, add_completion=False)
    alone.command(name)(command)
    return typer.main.get_command(alone)


def _signature(declared: JobSpec) -> inspect.Signature:
    """The command's parameters: places, options, and what all jobs share."""
    parameters = [_parameter(place.name, *_argument(place)) for place in declared.paths]
    for option in declared.options:
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


def _argument(place: JobPath) -> tuple[Any, Any, Any]:
    """Type, default and description of a path."""
    about = typer.Argument(
        metavar=place.name.upper() + ("..." if place.many else ""), help=place.help, show_default=False
    )
    return (list[Path] if place.many else Path), inspect.Parameter.empty, about


def _parameter(name: str, kind: Any, default: Any, about: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, about]
    )
