"""The sections of a report, as parts of a page."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from arcterm_registry.contracts import Curve

from arcterm.pictures import curves, page
from arcterm.pictures.plot import Plot, plot_of
from arcterm.report.gather import Gathered
from arcterm.show import comparison, plots, words
from arcterm.text import byte_size, duration

_WEIGHT = 0.9
_SIZE = (480, 290)
_FEW = 2  # runs up to which what was measured is drawn behind the smoothed line


def heading(found: Sequence[Gathered]) -> Iterator[str]:
    """Title and one row for each run."""
    now = datetime.datetime.now(datetime.UTC)
    yield f"<h1>{page.text(title(found))}</h1>"
    yield f'<p class="hint">made by `arcterm report` on {now:%Y-%m-%d %H:%M} UTC</p>'
    rows = [
        [
            one.name,
            one.described["state"],
            f"{one.described['step']:,} of {one.described['steps']:,}",
            _number(one.described["loss"]),
            "  ".join(_best(one)),
            one.record.created[:16].replace("T", " "),
            _took(one),
            byte_size(one.described["bytes"]),
        ]
        for one in found
    ]
    yield page.table(rows, ["run", "state", "steps", "loss", "best", "created (UTC)", "took", "size"])
    for one in found:
        if one.described["reason"]:
            yield f"<p>{page.text(one.name)}: {page.text(str(one.described['reason']))}</p>"


def title(found: Sequence[Gathered]) -> str:
    """Return the names of the runs, or how many there are."""
    return ", ".join(one.name for one in found) if len(found) <= 4 else f"{len(found)} runs"


def charts(found: Sequence[Gathered]) -> list[Plot]:
    """Return the plots of all metrics of the trainings, over one another."""
    pasts = [one.past for one in found if one.past is not None]
    sets = {name for past in pasts for name in past.summary.verification}
    needless = {plots.VERIFICATION} if len(pasts) > 1 else sets  # one chart for all sets, or one for each
    drawn = []
    for metric in plots.metrics_of(pasts):
        if metric not in needless:
            plot = plots.metric_plot(pasts, metric, weight=_WEIGHT)
            drawn.append(replace(plot if len(pasts) <= _FEW else _without_measured(plot), size=_SIZE))
    return drawn


def beside(drawn: Sequence[Plot | Curve]) -> str:
    """Return diagrams side by side as far as there is room."""
    return f'<div class="row">{"".join(map(curves.part, drawn))}</div>' if drawn else ""


def verification(found: Sequence[Gathered]) -> Iterator[str]:
    """The results of every set, and the rates at which they were measured."""
    rows = []
    for one in found:
        for name, result in one.described["verification"].items():
            best, withheld = result["best_accuracy"], result["withheld"] or result["collapse"]
            rows.append(
                [
                    f"{one.name}  {name}",
                    words.score(result["accuracy"], result["std"]),
                    f"{result['step']:,}",
                    words.percent(best),
                    "" if result["best_step"] is None else f"{result['best_step']:,}",
                    "" if result["tar"] is None else words.percent(result["tar"]),
                    f"{result['pairs']:,}" + (f"  {withheld}" if withheld else ""),
                ]
            )
    if rows:
        yield "<h2>Verification</h2>"
        yield page.table(rows, ["set", "last", "step", "best %", "step", "TAR@FAR=1e-3 %", "pairs"])
        yield beside([replace(plot_of(rates), size=_SIZE) for rates in _rates(found)])


def _rates(found: Sequence[Gathered]) -> Iterator[Curve]:
    """TAR over FAR of each set at the last verification, where its pairs suffice."""
    sets = dict.fromkeys(name for one in found if one.past for name in one.past.summary.verification)
    for name in sets:
        lines = {}
        for one in found:
            results = one.past.summary.verification.get(name, []) if one.past else []
            rates = sorted(results[-1].rates, key=lambda rate: rate.far) if results else []
            if len(rates) > 1:
                lines[one.name] = [(rate.far, rate.tar) for rate in rates]
        if lines:
            yield Curve(title=f"{name}: TAR at FAR, last step", x="FAR", y="TAR", lines=lines, log_x=True)


def jobs(found: Sequence[Gathered]) -> Iterator[str]:
    """Reports of jobs: their lines, and their curves by the writer that all curves have."""
    for one in found:
        for name, report in one.reports:
            yield f"<h2>{page.text(name)}</h2>"
            lines = "\n".join(page.text(line) for line in report.lines)
            yield f"<pre>{lines}</pre>"
            yield beside(report.curves)


def settings(found: Sequence[Gathered]) -> Iterator[str]:
    """Commands, and what differs: between the runs, or of one from the defaults."""
    yield "<h2>Settings</h2>"
    for one in found:
        yield f"<p>{page.text(one.name)}: <code>{page.text(one.record.config.command)}</code></p>"
    if len(found) > 1:
        settings = comparison.beside([one.settings for one in found])
        differing = [
            [row.key, *(words.DASH if value is None else value for value in row.values)]
            for row in settings
            if row.differs
        ]
        names = ["setting", *(one.name for one in found)]
        yield page.table(differing, names) if differing else "<p>All settings are the same.</p>"
    for one in found:
        for change in one.described["history"]:
            said = words.changed(change["settings"])
            yield f"<p>{page.text(one.name)}, step {change['step']:,}: {page.text(said)}</p>"
        rows = [list(item) for item in one.settings.items()]
        yield f"<details><summary>all settings of {page.text(one.name)}</summary>{page.table(rows)}</details>"


def environment(found: Sequence[Gathered]) -> Iterator[str]:
    """Where each run was made, of what, on which data."""
    yield "<h2>Environment</h2>"
    for one in found:
        record = one.record
        rows = [["host", record.host], ["revision", record.git]]
        rows += [[name, version] for name, version in record.versions.items()]
        rows += [[f"plug-in {p.kind} {p.name}", f"{p.distribution} {p.version}"] for p in record.plugins]
        if one.past is not None:
            devices = dict.fromkeys(start.device for start in one.past.summary.starts.values())
            rows.append(["devices", f"{len(one.past.summary.starts)} × {', '.join(devices)}"])
        rows += [["GPU", str(gpu["name"])] for gpu in one.described["gpus"]]
        if (data := one.described["dataset"]) is not None:
            rows.append(["data", f"{data['images']:,} images of {data['classes']:,} people"])
            rows.append(["fingerprint", data["fingerprint"]])
        if record.log is not None:
            rows.append(["log", f"of {record.log.program}: {record.log.path}"])
            rows += [["note", note] for note in record.log.notes]
        yield f"<h3>{page.text(one.name)}</h3>" + page.table([row for row in rows if row[1]])


def _without_measured(plot: Plot) -> Plot:
    return replace(plot, traces=[trace for trace in plot.traces if not trace.faint])


def _best(one: Gathered) -> list[str]:
    return [
        f"{name} {words.percent(result['best_accuracy'])}"
        for name, result in one.described["verification"].items()
    ]


def _number(value: Any) -> str:
    return "" if value is None else words.metric("loss", float(value))


def _took(one: Gathered) -> str:
    times = one.past.summary.times if one.past is not None else []
    return duration(times[-1] - times[0]) if len(times) > 1 else ""
