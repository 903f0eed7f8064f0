"""Commands that end a run: stop, rm."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from arcterm.cli import completing
from arcterm.cli.options import RUN_HELP, Json, RunName, RunsDir, Yes, confirm
from arcterm.cli.runs.listing import describe_run, find_run
from arcterm.errors import RunError
from arcterm.show.output import put, put_json, say

_Live = Annotated[
    str, typer.Argument(metavar="[RUN]", help=f"{RUN_HELP} that is live.", autocompletion=completing.runs)
]

_AT_ONCE_SECONDS = 90.0  # three times what a supervisor that answers needs at most


def stop(
    name: _Live = "last",
    now: Annotated[bool, typer.Option("--now", help="At once, without a checkpoint.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has stopped.")] = True,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Stop a run after a checkpoint, a job before its next item."""
    from arcterm.cli.runs.watch import RunFailedError
    from arcterm.inputs import uses
    from arcterm.launch import start
    from arcterm.runs.state import LIVE, read_state

    run = find_run(name, runs_dir, uses.LIVING)
    say(start.stop(run, now=now))
    deadline = time.monotonic() + (_AT_ONCE_SECONDS if now else float("inf"))
    while wait and read_state(run).state in LIVE:
        if time.monotonic() > deadline:
            raise start.hanging(run)
        time.sleep(0.1)
    ended = read_state(run)
    if as_json:
        put_json(describe_run(run, check=True))
    elif wait:
        put(f"{run.name} is {ended.state}: {ended.reason}")
    if wait and ended.state in ("failed", "lost"):
        raise RunFailedError(f"{run.name} is {ended.state}: {ended.reason}", f"`arcterm show {run.id}`")


def rm(
    name: RunName,
    yes: Yes = False,
    runs_dir: RunsDir = None,
) -> None:
    """Remove a run with its checkpoints and logs."""
    from arcterm.launch import start
    from arcterm.runs import store
    from arcterm.runs.state import LIVE, is_locked, read_state

    run = find_run(name, runs_dir)
    queued = read_state(run).state == "queued"
    if not queued and (read_state(run).state in LIVE or is_locked(run)):
        raise RunError(f"{run.name} is being run", f"`arcterm stop {run.id}` first")
    confirm(f"remove {run.path} and its checkpoints?", yes)
    if queued:
        start.end(run, _AT_ONCE_SECONDS)
    store.remove(run)
    say(f"removed {run.id}")
