"""The command tree."""

from __future__ import annotations

from typing import Annotated

import typer

from arcterm import __version__
from arcterm.cli import data, plugins, runs, train

app = typer.Typer(
    name="arcterm",
    help="Train face-recognition models from a terminal.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich would cost every command its import
    pretty_exceptions_enable=False,
)
app.command("train", help=train.HELP)(train.train)
for command in (
    runs.runs,
    runs.show,
    runs.attach,
    runs.stop,
    runs.resume,
    runs.verify,
    runs.rm,
    plugins.plugins,
):
    app.command()(command)
app.add_typer(data.app, name="data")
app.command()(runs.tui)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"arcterm {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of arcterm itself."""
