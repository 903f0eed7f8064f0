"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcterm.cli import completing

RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", help="Where runs live; ARCTERM_RUNS, else ./runs.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print lines instead of drawing.")]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, name or path; last is the newest of all.",
        show_default=False,
        autocompletion=completing.runs,
    ),
]
