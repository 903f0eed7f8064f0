"""The report of runs: one HTML file with everything in it, which loads nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from arcterm.errors import DataError
from arcterm.files import write_bytes
from arcterm.pictures import curves, page
from arcterm.report import pairs, sections
from arcterm.report.gather import gather
from arcterm.runs.store import Run

_UNSAFE = re.compile(r"[^a-z0-9]+")


def write(out: Path, runs: Sequence[Run], *, with_pairs: bool = False, png: bool = False) -> list[Path]:
    """Write the report of `runs` to `out`, and with `png` its charts beside it; returns the files.

    Raises `ConfigError` for PNG without matplotlib, `DataError` if a file can't be written.
    """
    found = [gather(run) for run in runs]
    charts = sections.charts(found)
    parts = [
        *sections.heading(found),
        *(["<h2>Curves</h2>"] if charts else []),
        sections.beside(charts),
        *sections.verification(found),
        *sections.jobs(found),
        *(pairs.sections(found) if with_pairs else ()),
        *sections.settings(found),
        *sections.environment(found),
    ]
    files = {out: page.page(f"arcterm: {sections.title(found)}", parts).encode()}
    for chart in charts if png else ():
        name = _UNSAFE.sub("-", chart.title.partition(":")[0].lower()).strip("-")
        files[out.with_name(f"{out.stem}-{name}.png")] = curves.png(chart)
    try:
        for path, data in files.items():
            write_bytes(path, data)
    except OSError as error:
        raise DataError(
            f"{error.filename} can't be written: {error.strerror}", "choose another --out"
        ) from None
    return list(files)
