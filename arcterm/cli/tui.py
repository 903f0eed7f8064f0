"""``arcterm tui`` and ``arcterm attach``: the console, and one run in the terminal as it goes."""

from __future__ import annotations

from typing import Annotated

import typer

from arcterm.cli import completing
from arcterm.cli.options import AnyRun, Json, Plain, RunsDir
from arcterm.cli.runs.listing import find_run


def attach(
    name: AnyRun = "last", plain: Plain = False, as_json: Json = False, runs_dir: RunsDir = None
) -> None:
    """Watch a run; Ctrl-C leaves, the run goes on. With --json nothing but its facts, when it ends."""
    from arcterm.cli.runs.watch import watch
    from arcterm.inputs import uses

    watch(find_run(name, runs_dir, uses.WATCHED), plain=plain, as_json=as_json, owner=False)


def tui(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="Open this run's dashboard.",
            show_default=False,
            autocompletion=completing.runs,
        ),
    ] = None,
    readonly: Annotated[
        bool, typer.Option("--readonly", help="Only watch: nothing can be started, stopped or changed.")
    ] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Open the console."""
    from arcterm.console.app import run_console
    from arcterm.inputs import uses
    from arcterm.runs import store

    root = store.runs_dir(runs_dir)
    run = store.find(root, name, uses.WATCHED).id if name else None
    run_console(root, run, readonly=readonly)
