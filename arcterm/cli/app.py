"""The command tree, of which only the command that is asked for is imported."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from arcterm import __version__

COMMANDS = {
    "train": "arcterm.cli.train",
    "runs": "arcterm.cli.runs",
    "show": "arcterm.cli.runs",
    "attach": "arcterm.cli.runs",
    "stop": "arcterm.cli.runs",
    "resume": "arcterm.cli.runs",
    "verify": "arcterm.cli.runs",
    "rm": "arcterm.cli.runs",
    "tui": "arcterm.cli.runs",
    "plugins": "arcterm.cli.plugins",
    "data": "arcterm.cli.data",
    "model": "arcterm.cli.model",
    "embed": "arcterm.cli.trial",
    "compare": "arcterm.cli.trial",
}


def build(arguments: Sequence[str]) -> typer.Typer:
    """The application for a command line: the command that it begins with, or all of them."""
    app = typer.Typer(
        name="arcterm",
        help="Train face-recognition models from a terminal.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # plain help: rich would cost every command its import
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for name in [arguments[0]] if arguments and arguments[0] in COMMANDS else COMMANDS:
        found = getattr(import_module(COMMANDS[name]), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"arcterm {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of arcterm itself."""
