"""``arcterm tui`` and ``arcterm attach``: the console, and one run in the terminal as it goes."""

from __future__ import annotations

import gc
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
    ascii_only: Annotated[
        bool, typer.Option("--ascii", help="Draw with ASCII alone; so does ARCTERM_ASCII=1.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print lines instead of drawing: the runs, or RUN as it goes.")
    ] = False,
    refresh: Annotated[
        float | None,
        typer.Option(help="Seconds between two looks at a live run, at least.", min=0, max=60),
    ] = None,
    keys: Annotated[bool, typer.Option("--keys", help="List every key and the name to remap it by.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Open the console."""
    if plain:
        _print(name, runs_dir)
        return
    gc.disable()  # so much is imported that it would search it ten times; the console enables it
    if keys:
        _list_keys()
        return
    from arcterm.inputs import uses
    from arcterm.runs import store
    from arcterm.runs.reading.ahead import EssentialsAhead

    root = store.runs_dir(runs_dir)
    run = store.find(root, name, uses.WATCHED) if name else None
    ahead = EssentialsAhead(run) if run else None
    from arcterm.console.app import run_console

    run_console(
        root,
        run.id if run else None,
        readonly=readonly,
        ascii_only=ascii_only,
        refresh=refresh,
        ahead=ahead,
    )


def _list_keys() -> None:
    from arcterm.console.app import key_table
    from arcterm.show.output import put, say, table

    (header, *rows), problem = key_table()
    put(*table(header, rows))
    if problem:
        say(problem)


def _print(name: str | None, runs_dir: RunsDir) -> None:
    """Print the runs, or one as it goes: for screen readers, pipes and logs."""
    if name:
        attach(name, plain=True, runs_dir=runs_dir)
        return
    from arcterm.cli.runs.listing import runs

    runs(runs_dir=runs_dir)
