"""``arcterm diff``: runs side by side, what differs in their configs and their best verifications."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcterm.cli import completing
from arcterm.cli.options import RUN_HELP, Json, RunsDir
from arcterm.cli.runs.listing import find_run
from arcterm.errors import ConfigError
from arcterm.show.output import put, put_json, table

if TYPE_CHECKING:
    from arcterm.runs.query.facts import RunFacts

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...", help=f"{RUN_HELP} of all.", show_default=False, autocompletion=completing.runs
    ),
]
Baseline = Annotated[
    str, typer.Option(help="The run that others are held against; the first.", show_default=False)
]
Every = Annotated[bool, typer.Option("--all", help="All settings, not only those that differ.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV: a column for each run.")]


def diff(
    runs: Names,
    baseline: Baseline = "",
    every: Every = False,
    as_csv: Csv = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Show what differs in the configs of runs, and the best verification of each."""
    from arcterm.show import comparison

    if len(runs) < 2:
        raise ConfigError(
            f"{runs[0]} alone differs from nothing", f"name another run: `arcterm diff {runs[0]} RUN`"
        )
    found = [_facts(name, runs_dir) for name in runs]
    held = 0
    if baseline:
        wanted = find_run(baseline, runs_dir).path.resolve()
        paths = [run.run.path.resolve() for run in found]
        if wanted not in paths:
            raise ConfigError(f"--baseline {baseline} is none of the runs", "name it among them too")
        held = paths.index(wanted)
    if as_json:
        put_json(comparison.described(found, held, every))
    elif as_csv:
        put(*comparison.as_csv(found, held, every).splitlines())
    else:
        put(*_lines(found, held, every))


def _facts(name: str, runs_dir: Path | None) -> RunFacts:
    from arcterm.runs.query import facts
    from arcterm.runs.reader import Reader

    return facts.found(Reader(find_run(name, runs_dir)))


def _lines(runs: list[RunFacts], baseline: int, every: bool) -> list[str]:
    from arcterm.show import comparison, words

    names = [
        run.name + (" (baseline)" if i == baseline and len(runs) > 1 else "") for i, run in enumerate(runs)
    ]
    rows = [["state", *(run.word for run in runs)]]
    rows += [["step", *(f"{words.short(run.step)}/{words.short(run.steps)}" for run in runs)]]
    differing = [row for row in comparison.settings(runs) if every or row.differs]
    rows += [
        [row.key, *(words.DASH if value is None else value for value in row.values)] for row in differing
    ]
    if not differing:
        rows.append(["settings", *("the same" for _ in runs)])
    for result in comparison.results(runs):
        cells = []
        for i, best in enumerate(result.best):
            against = comparison.signed(result.difference(i, baseline))
            cells.append(comparison.score(best) + (f" ({against})" if against else ""))
        rows.append([f"best {result.name} %", *cells])
    return table(["", *names], rows)
