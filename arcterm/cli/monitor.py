"""``arcterm monitor``: this host without a run: cores, memory, GPUs, disks, network, processes."""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from arcterm.cli.options import Json, Plain, RunsDir

_BETWEEN_SECONDS = 1.0
_PATIENCE_SECONDS = 1.0


def monitor(
    plain: Plain = False,
    as_json: Json = False,
    once: Annotated[bool, typer.Option("--once", help="Print one reading and leave.")] = False,
    every: Annotated[
        float, typer.Option("--every", min=1, max=3600, help="Seconds from one reading to the next.")
    ] = 2.0,
    runs_dir: RunsDir = None,
) -> None:
    """Watch this host: cores, memory, GPUs, disks, network, processes and their runs.

    With --json one reading.
    """
    from arcterm.runs import store

    root = store.runs_dir(runs_dir)
    if as_json or once:
        _print_once(root, as_json)
    elif plain or not sys.stdout.isatty():
        _print_lines(root, every)
    else:
        gc.disable()  # so much is imported that it would search it ten times; the console enables it
        from arcterm.console.monitor import run_monitor

        raise typer.Exit(run_monitor(root, every))


def _print_once(root: Path, as_json: bool) -> None:
    """Print one reading, whose rates are of one second."""
    import msgspec

    from arcterm.host.reader import HostReader
    from arcterm.show.host import plain
    from arcterm.show.output import put, put_json

    host_reader = HostReader([root])
    host_reader.read()
    time.sleep(_BETWEEN_SECONDS)
    reading = host_reader.read(patience=_PATIENCE_SECONDS)
    if as_json:
        put_json(msgspec.to_builtins(reading, str_keys=True))
    else:
        put(*plain(reading, rows=10))


def _print_lines(root: Path, every: float) -> None:
    """Print a reading now and again, until Ctrl-C or until it is read no more."""
    from arcterm.host.reader import HostReader
    from arcterm.show.host import plain
    from arcterm.show.output import put

    host_reader = HostReader([root])
    host_reader.read(rows=3)
    time.sleep(min(every, _BETWEEN_SECONDS))
    while True:
        put(*plain(host_reader.read(rows=3, patience=_PATIENCE_SECONDS)), "")
        time.sleep(every)
