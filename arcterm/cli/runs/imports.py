"""``arcterm runs import``: logs of other programs as runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcterm.cli.options import Json, RunsDir
from arcterm.errors import ConfigError


def import_logs(
    logs: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG…",
            help="Logs of MXNet or arcface_torch; TensorBoard's files or folders.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", help="A name for the run. [the file's]", show_default=False)
    ] = "",
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Make runs of logs of other programs, to be listed, drawn and compared like one's own.

    Times are taken for UTC. A log with several trainings becomes several runs; one that was imported before
    is left alone.
    """
    from arcterm.launch.importing.logs import import_log
    from arcterm.runs import store
    from arcterm.runs.describe import describe
    from arcterm.runs.reader import Reader
    from arcterm.show.output import put, put_json, say
    from arcterm.text import clean

    if name and len(logs) > 1:
        raise ConfigError("--name is for one log", "leave it out, and runs are called after their files")
    root = store.runs_dir(runs_dir)
    described = []
    for path in logs:
        for run, new in import_log(root, path, name):
            found = describe(Reader(run))
            described.append(found | {"new": new})
            if as_json:
                continue
            scores = sum(len(results) for results in Reader(run).refresh().verification.values())
            log = run.record.log
            sets = len(found["verification"])
            said = f"{clean(str(path))}: {found['step']:,} steps, {scores} results of {sets} sets"
            say(said if new else f"{clean(str(path))} was imported before")
            say(*(f"  {note}" for note in (log.notes if log and new else ())))
            put(run.name)
    if as_json:
        put_json(described)
