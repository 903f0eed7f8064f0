"""Options that several commands share, and commands whose parameters come from declarations."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from arcterm_registry import Option

from arcterm.cli import completing
from arcterm.errors import ConfigError
from arcterm.settings import BY_NAME
from arcterm.text import clean

RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", help="Where runs live; ARCTERM_RUNS, else ./runs.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print lines instead of drawing.")]
RUN_HELP = "A run's id, name or path; last is the newest"
AnyRun = Annotated[
    str, typer.Argument(metavar="[RUN]", help=f"{RUN_HELP} of all.", autocompletion=completing.runs)
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help=f"{RUN_HELP} of all.",
        show_default=False,
        autocompletion=completing.runs,
    ),
]


def confirm(question: str, yes: bool) -> None:
    """Ask before something is removed for good, unless --yes was given.

    Raises `ConfigError` where nobody is there to answer, `typer.Abort` for an answer of no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            clean(f"{question} There is no terminal to answer from"), "repeat the command with --yes"
        )
    if not typer.confirm(clean(question), err=True):
        raise typer.Abort


def parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """A keyword parameter of a command; `annotation` is ``Annotated[type, typer.Option(…)]``."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def shared_parameters() -> list[inspect.Parameter]:
    """The parameters of every command that starts a run."""
    shared: tuple[Any, ...] = (Plain, Json, RunsDir)
    names = {"plain": False, "as_json": False, "runs_dir": None}
    return [parameter(name, kind, names[name]) for name, kind in zip(names, shared, strict=True)]


def set_parameters(command: Callable[..., None], parameters: Sequence[inspect.Parameter], text: str) -> None:
    """Give a function of ``**given`` the parameters and the help that typer reads."""
    command.__doc__ = text
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}


def launcher_option() -> Any:
    """The annotation of --launcher."""
    about = typer.Option(
        "--launcher",
        help=help_of(BY_NAME["launcher"]),
        show_default=False,
        autocompletion=completing.launchers,
    )
    return Annotated[str | None, about]


def help_of(option: Option) -> str:
    """Help of a declared option, with its default."""
    default = "" if option.default in (None, "") or option.default is False else f" [{option.default}]"
    return f"{option.help[0].upper()}{option.help[1:]}.{default}"
