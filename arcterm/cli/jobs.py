"""``arcterm data``, ``megaface``, ``evaluate`` and ``job``: commands made from the declarations of jobs."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from arcterm_registry import JobPath, JobSpec, find, get
from typer.core import TyperGroup

from arcterm import jobs
from arcterm.cli.options import help_of, launcher_option, parameter, set_parameters, shared_parameters
from arcterm.cli.show_data import findings, list_known, show
from arcterm.commandline import flag
from arcterm.settings import BY_NAME
from arcterm.show.output import put, put_detached, put_json, say, say_waiting

if TYPE_CHECKING:
    from arcterm.config import JobConfig
    from arcterm.launch.launchers.chosen import Chosen
    from arcterm.launch.start import ReadyJob


class Jobs(TyperGroup):
    """The jobs of one group; only the one that is asked for is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the jobs, and of the group's other commands."""
        return [*jobs.offered(str(self.name)), *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command for a job; None if there is none of that name in the group."""
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        if not any(cmd_name in (plugin.name, plugin.full_name) for plugin in find("job")):
            return None
        declared = get("job", cmd_name)
        if declared.group != self.name:
            return None
        made = _command(cmd_name, declared)
        made.context_class = type(ctx)  # its help is cleaned as all help is
        return made


def _group(text: str) -> typer.Typer:
    """A command for the jobs of one group."""
    made = typer.Typer(cls=Jobs, help=text, no_args_is_help=True, rich_markup_mode=None)
    made.callback(help=text)(lambda: None)
    return made


data = _group("Make, check and reshape data sets.")
megaface = _group("Features for MegaFace: export them, clean them, score them.")
evaluate = _group("Score a model by the protocols of IJB-B, IJB-C and TinyFace.")
job = _group("Jobs of installed packages.")

data.command("show")(show)
data.command("list")(list_known)
data.command("findings")(findings)


def _run(name: str, declared: JobSpec, given: dict[str, Any]) -> None:
    from arcterm.config import job_config

    paths: list[Path] = []
    for path in declared.paths:
        found = given[path.name]
        paths += found if isinstance(found, list) else [found] if found else []
    options = {o.name: _value(given[o.name]) for o in declared.options if given[o.name] not in (None, [])}
    run_job(job_config(name, paths, options), given)


def run_job(config: JobConfig, given: Mapping[str, Any]) -> None:
    """Start a job and watch it, as the command's shared options `given` say."""
    from arcterm.cli.runs.watch import watch
    from arcterm.launch import start
    from arcterm.runs import store

    root = store.runs_dir(given["runs_dir"])
    where: dict[str, Any] = {key: given.get(key) for key in ("gpus", "nproc") if config.ranks}
    after = store.find(root, given["after"]) if given.get("after") else None
    where["launcher"] = launcher_of(given)
    if given.get("dry_run"):
        put_dry_run(start.prepare_job(config, root, after=after, say=say, **where), root, given["as_json"])
        return
    run = start.job(config, root, argv=sys.argv, after=after, say=say, **where)
    if given["detach"]:
        put_detached(run, given["as_json"])
        return
    if config.ranks or get("job", config.plugin).factory.startswith("arcterm.train"):
        say_waiting(config.title)
    watch(run, plain=given["plain"], as_json=given["as_json"], owner=True)


def put_dry_run(ready: ReadyJob, root: Path, as_json: bool) -> None:
    """Write what a job's launcher would be given, and what is wrong with it; nothing is started."""
    from arcterm.launch import engine

    faults, text = engine.faults(ready.config, root), engine.describe(ready.config, root)
    if as_json:
        import msgspec

        put_json({"config": msgspec.to_builtins(ready.config), "submission": text, "faults": faults})
        return
    say(*(f"problem: {fault}" for fault in faults))
    put(*text.splitlines())


def launcher_of(given: Mapping[str, Any]) -> Chosen | None:
    """The launcher that a command's options name; None if the command has no such options."""
    from arcterm.launch.launchers.chosen import choose, parse_options

    if "launcher" not in given:
        return None
    return choose(given["launcher"], parse_options(given["launcher_set"]))


def _value(given: Any) -> Any:
    """An option's value; of one that can be given several times all of them, with commas between."""
    return ",".join(given) if isinstance(given, list) else given


def _command(name: str, declared: JobSpec) -> Any:
    alone = typer.Typer(rich_markup_mode=None, add_completion=False)
    alone.command(name)(_function(name, declared))
    return typer.main.get_command(alone)


def _function(name: str, declared: JobSpec) -> Callable[..., None]:
    """The function of a job's command, with the parameters that typer reads."""

    def command(**given: Any) -> None:
        _run(name, declared, given)

    set_parameters(command, job_parameters(declared), declared.summary)
    return command


def job_parameters(declared: JobSpec) -> list[inspect.Parameter]:
    """The command's parameters: paths, options, and those that all jobs share."""
    parameters = [_argument(path) for path in declared.paths]
    for option in declared.options:
        names = (flag(option.name),)
        if option.type is bool and option.default:
            names = (f"{flag(option.name)}/--no-{flag(option.name)[2:]}",)
        about = typer.Option(*names, help=help_of(option), show_default=False)
        taken: Any = list[str] if option.many else option.type
        parameters.append(parameter(option.name, Annotated[taken | None, about], None))
    for name, kind in (("nproc", int), ("gpus", str)) if declared.ranks else ():
        setting = BY_NAME[name]
        about = typer.Option(flag(name), help=help_of(setting), show_default=False)
        parameters.append(parameter(name, Annotated[kind | None, about], None))
    if declared.ranks:
        about = "KEY=VALUE for launcher.KEY, an option of the launcher's own; several times."
        assign = typer.Option("--launcher-set", help=about, show_default=False)
        parameters.append(parameter("launcher", launcher_option(), None))
        parameters.append(parameter("launcher_set", Annotated[list[str], assign], []))
        dry = typer.Option("--dry-run", help="Print what its launcher would be given, start nothing.")
        parameters.append(parameter("dry_run", Annotated[bool, dry], False))
    detach = typer.Option("--detach", help="Start it and return; prints the job's id.")
    after = typer.Option("--after", help="Queue it after this run, however that ends.", show_default=False)
    own = [
        parameter("detach", Annotated[bool, detach], False),
        parameter("after", Annotated[str | None, after], None),
    ]
    return [*parameters, *own, *shared_parameters()]


def _argument(path: JobPath) -> inspect.Parameter:
    """The command's parameter for a path."""
    if path.named:
        named = typer.Option(flag(path.name), metavar="PATH", help=path.help, show_default=False)
        return parameter(path.name, Annotated[Path, named])
    metavar = path.name.upper() + ("..." if path.many else "")
    about = typer.Argument(
        metavar=f"[{metavar}]" if path.optional else metavar, help=path.help, show_default=False
    )
    kind: Any = list[Path] if path.many else Path
    if path.optional:
        return parameter(path.name, Annotated[kind | None, about], None)
    return parameter(path.name, Annotated[kind, about])


align = _function("arcterm:align", jobs.align)
identify = _function("arcterm:identify", jobs.identify)
