"""``arcterm chart``: a metric of runs as a picture, a table of points, or a chart in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcterm.cli import completing
from arcterm.cli.options import RUN_HELP, RunsDir
from arcterm.cli.runs.listing import find_run
from arcterm.errors import ConfigError, DataError

if TYPE_CHECKING:
    from arcterm.pictures.plot import Plot
    from arcterm.runs.store import Run

_KINDS = (".svg", ".png", ".csv")
_WIDTH, _HEIGHT = 80, 20


def chart(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]…", help=f"{RUN_HELP}.", autocompletion=completing.runs),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="loss, lr, accuracy, …, verification, or a verification set; a job's curve by title."
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Write a file: .svg, .csv, or .png (with the extra report).",
            show_default=False,
        ),
    ] = None,
    along: Annotated[str, typer.Option("--x", help="step, epoch or time.")] = "step",
    smooth: Annotated[float, typer.Option(min=0, max=0.9999, help="Weight of the moving average.")] = 0.0,
    log_y: Annotated[bool, typer.Option("--log-y", help="Logarithmic y axis.")] = False,
    begin: Annotated[
        float | None, typer.Option("--from", help="Show x from here on.", show_default=False)
    ] = None,
    end: Annotated[float | None, typer.Option("--to", help="Show x up to here.", show_default=False)] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Draw a metric of a run, or of several over one another; without --out in the terminal."""
    from arcterm.show import plots

    if along not in plots.AXES:
        raise ConfigError(f"--x {along} is no axis", f"--x takes {', '.join(plots.AXES)}")
    if out is not None and out.suffix.lower() not in _KINDS:
        raise ConfigError(f"{out} says not what to write", f"name a file that ends in {', '.join(_KINDS)}")
    if begin is not None and end is not None and begin >= end:
        raise ConfigError(f"--from {begin:g} leaves nothing before --to {end:g}", "give a lower --from")
    runs = [find_run(name, runs_dir) for name in names or ["last"]]
    span = (
        None
        if begin is None and end is None
        else (-float("inf") if begin is None else begin, float("inf") if end is None else end)
    )
    if all(run.record.config.kind == "job" for run in runs):
        plot = _of_report(runs, metric)
    else:
        pasts = [plots.read_past(run) for run in runs]
        plot = plots.metric_plot(
            pasts,
            metric,
            along=along,
            weight=smooth,
            log=log_y,
            span=span,
        )
    _write(plot, out) if out else _print(plot)


def _of_report(runs: list[Run], metric: str) -> Plot:
    """The curve of a job's report whose title has `metric`; the first by default."""
    from arcterm.show import plots

    if len(runs) > 1:
        raise ConfigError("several jobs can't be drawn over one another", "name one")
    found = plots.report_plots(runs[0])
    chosen = [plot for plot in found if metric.lower() in plot.title.lower()]
    if not chosen:
        titles = ", ".join(repr(plot.title) for plot in found)
        hint = (
            f"--metric takes a part of one of {titles}"
            if found
            else f"`arcterm show {runs[0].id}` has what it found"
        )
        raise DataError(
            f"{runs[0].name} has no such curve" if found else f"{runs[0].name} has no curves", hint
        )
    return chosen[0]


def _write(plot: Plot, out: Path) -> None:
    from arcterm.files import write_bytes
    from arcterm.pictures import curves
    from arcterm.show.output import say

    kind = out.suffix.lower()
    drawn = (
        curves.png(plot) if kind == ".png" else (curves.csv if kind == ".csv" else curves.svg)(plot).encode()
    )
    try:
        write_bytes(out, drawn)
    except OSError as error:
        raise DataError(f"{out} can't be written: {error.strerror}", "choose another --out") from None
    say(f"wrote {out}: {len(plot.traces)} line{'s' * (len(plot.traces) != 1)}")


def _print(plot: Plot) -> None:
    """Draw in the terminal: one line in braille, several by their signs, which need no colours."""
    import shutil
    import sys

    from arcterm.show.chart import Series, render
    from arcterm.show.output import put
    from arcterm.show.words import SET_MARKS

    named = [trace for trace in plot.traces if not trace.faint]
    series = [
        Series(x=t.x, y=t.y, style=0, mark=SET_MARKS[n % len(SET_MARKS)], samples=t.dots)
        for n, t in enumerate(named)
    ]
    plain = len(named) > 1 or not (sys.stdout.encoding or "").lower().startswith("utf")
    size = shutil.get_terminal_size((_WIDTH, _HEIGHT + 4))
    rows = render(
        series,
        (size.columns, min(_HEIGHT, max(6, size.lines - 3 - len(named)))),
        "ascii" if plain else "braille",
        span=plot.span,
        log=plot.log_y,
        scale="log" if plot.log_x else "number",
        marks=True,
        most=plot.most,
        empty="no points",
    )
    put(plot.title, *("".join(text for text, _ in row).rstrip() for row in rows))
    put(*(f"  {one.mark} {trace.name}" for one, trace in zip(series, named, strict=True) if len(named) > 1))
