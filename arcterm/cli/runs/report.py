"""``arcterm report``: runs as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcterm.cli import completing
from arcterm.cli.options import RUN_HELP, RunsDir
from arcterm.cli.runs.listing import find_run


def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]…", help=f"{RUN_HELP}.", autocompletion=completing.runs),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")] = Path("report.html"),
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Show wrong pairs that `verify --show-errors` wrote.")
    ] = False,
    png: Annotated[
        bool, typer.Option("--png", help="Write the charts as PNG beside it (with the extra report).")
    ] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Write a report of runs as one HTML file: curves, verification, settings, differences, environment."""
    from arcterm.report import document
    from arcterm.show.output import put

    runs = [find_run(name, runs_dir) for name in names or ["last"]]
    put(*map(str, document.write(out, runs, with_pairs=pairs, png=png)))
