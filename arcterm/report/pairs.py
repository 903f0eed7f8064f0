"""The pairs that a model gets wrong, as pictures: those that ``arcterm verify --show-errors`` wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from arcterm_registry.contracts import JobReport

from arcterm.errors import DataError
from arcterm.files import read_bytes
from arcterm.formats import images
from arcterm.pictures import page
from arcterm.report.gather import Gathered

SHOWN = 24
"""Pairs of a set."""
_FILE = re.compile(r"(\d{6,})-(same|different)-a\.jpg")


def sections(found: list[Gathered]) -> Iterator[str]:
    """Yield the wrong pairs of each verification, the worst first.

    Raises `DataError` if no verification of the runs has any, with the command that makes them.
    """
    parts = [part for one in found for name, report in one.reports for part in _of_report(name, report)]
    if not parts:
        run = found[0].run.id
        raise DataError(
            f"{found[0].name} has no wrong pairs as pictures",
            f"`arcterm verify {run} --show-errors wrong-pairs` writes them; then ask again",
        )
    yield "<h2>Wrong pairs</h2>"
    yield from parts


def _of_report(name: str, report: JobReport) -> Iterator[str]:
    folder = report.data.get("errors") if isinstance(report.data, dict) else None
    if not folder or not Path(folder).is_dir():
        return
    for measured in report.data.get("verification", []):
        place = Path(folder) / str(measured.get("set", ""))
        worst = [pair for pair in measured.get("wrong_pairs", []) if isinstance(pair, dict)][:SHOWN]
        drawn = [part for pair in worst if (part := _pair(place, pair))]
        if drawn:
            heading = f"{name}, {measured['set']}: {measured.get('wrong', len(drawn)):,} wrong"
            yield f'<h3>{page.text(heading)}</h3><div class="pairs">{"".join(drawn)}</div>'


def _pair(place: Path, pair: Mapping[str, Any]) -> str:
    """Both pictures with what was measured; empty where they are gone."""
    kind, said = ("same", "one person") if pair.get("same") else ("different", "two people")
    files = [place / f"{int(pair['pair']):06d}-{kind}-{side}.jpg" for side in "ab"]
    if not all(file.is_file() for file in files):
        return ""
    try:
        pixels = [images.decode(read_bytes(file), size=None, source=str(file)) for file in files]
    except (DataError, OSError):
        return ""
    caption = (
        f"pair {int(pair['pair'])}: {said}, distance {float(pair['distance']):.3f}, "
        f"threshold {float(pair['threshold']):.2f}"
    )
    figures = "".join(page.figure(each, "") for each in pixels)
    return f'<div><div class="row">{figures}</div><figcaption>{page.text(caption)}</figcaption></div>'
