"""The report of a check as one HTML file: no scripts, nothing loaded from elsewhere, pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from arcterm.data.check.duplicates import Pair
from arcterm.data.check.findings import KINDS, Findings
from arcterm.data.check.parts import PairsPart
from arcterm.data.check.survey import FINE, OTHER_SIZE, Survey
from arcterm.errors import DataError
from arcterm.inputs.census import Census
from arcterm.pictures import page
from arcterm.pictures.page import text

PEOPLE, PER_PERSON, PAIRS, ODD = 12, 4, 12, 24
"""Pictures shown: people drawn at random, images of each, pairs of a kind, faces that don't look aligned."""

_SHOWN = 50  # findings of a kind


class Pages(NamedTuple):
    """Contents of the report: the title, facts as (name, value), people's names by label, and the rest."""

    title: str
    facts: Sequence[tuple[str, str]]
    census: Census | None
    names: Sequence[str]
    findings: Findings
    pairs: Sequence[Pair]


def render(pages: Pages, survey: Survey) -> str:
    found = pages.findings
    verdict = found.verdict()
    parts = [
        f"<h1>{text(pages.title)}</h1>",
        f'<p class="{"bad" if found.problems else "good"}"><b>{verdict}</b></p>',
        page.table(pages.facts),
        _histogram(pages.census),
        _problems(found),
        _pairs(
            "Shared by several people", [p for p in pages.pairs if not p.leak and not p.difference], survey
        ),
        _pairs(
            "Near duplicates of two people", [p for p in pages.pairs if not p.leak and p.difference], survey
        ),
        _pairs("In a verification set and trained on", [p for p in pages.pairs if p.leak], survey),
        _people(pages.names, survey),
        _some_pairs(survey),
        _unaligned(survey),
    ]
    return page.page(pages.title, parts)


def _histogram(census: Census | None) -> str:
    if census is None or not census.histogram:
        return ""
    highest = max(people for _, _, people in census.histogram)
    rows = []
    for least, most, people in census.histogram:
        width = max(0.2, 30 * people / highest)
        span = str(least) if least == most else f"{least} to {most}"
        bar = f'<span class="bar" style="width:{width:.1f}rem"></span>'
        rows.append(f"<tr><td>{span}</td><td>{people:,}</td><td>{bar}</td></tr>")
    head = "<tr><th>images</th><th>people</th><th></th></tr>"
    return f"<h2>Images per person</h2><table>{head}{''.join(rows)}</table>"


def _problems(findings: Findings) -> str:
    parts = []
    for problem in (True, False):
        for kind in findings.kinds(problem=problem):
            named = findings.named[kind]
            items = [
                f"<li>{text(each.text)}"
                + (f'<br><span class="hint">→ {text(each.hint)}</span>' if each.hint else "")
                + "</li>"
                for each in named[:_SHOWN]
            ]
            count = findings.counts[kind]
            rest = f"<li>… {count - len(items):,} more</li>" if count > len(items) else ""
            style = ' class="bad"' if problem else ""
            title = f"<summary{style}>{text(KINDS[kind].title)}: {count:,}</summary>"
            opened = " open" if problem else ""
            parts.append(f"<details{opened}>{title}<ul>{''.join(items)}{rest}</ul></details>")
    return "<h2>Findings</h2>" + "".join(parts) if parts else ""


def _pairs(title: str, pairs: Sequence[Pair], survey: Survey) -> str:
    rows = []
    for pair in pairs[:PAIRS]:
        figures = _figure(survey, pair.one, _caption(survey, pair.one))
        figures += _figure(survey, pair.other, _caption(survey, pair.other))
        rows.append(f'<div class="row">{figures}</div>')
    return f"<h2>{text(title)}</h2>{''.join(rows)}" if rows else ""


def _people(names: Sequence[str], survey: Survey) -> str:
    """Some people drawn at random, the same ones each time."""
    labels = np.asarray(survey["label"][: survey.trained])
    shown = np.isin(survey["state"][: survey.trained], (FINE, OTHER_SIZE))
    present = np.unique(labels[shown & (labels >= 0)])
    chosen = np.random.default_rng(0).permutation(present)[:PEOPLE]
    rows = []
    for label in np.sort(chosen).tolist():
        items = np.flatnonzero((labels == label) & shown)
        name = names[label] if label < len(names) and names[label] else ""
        title = f"label {label} {name} ({len(items)} images)"
        figures = "".join(_figure(survey, item, "") for item in items[:PER_PERSON].tolist())
        rows.append(f'<figcaption>{text(title)}</figcaption><div class="row">{figures}</div>')
    return f"<h2>Some people</h2>{''.join(rows)}" if rows else ""


def _some_pairs(survey: Survey) -> str:
    """Some pairs of a verification set that is looked at by itself, drawn at random."""
    part = survey.parts[0]
    if not isinstance(part, PairsPart):
        return ""
    rows = []
    for pair in np.sort(np.random.default_rng(0).permutation(len(part.pairs.same))[:PAIRS]).tolist():
        title = f"pair {pair}: {'same' if part.pairs.same[pair] else 'different'}"
        figures = "".join(_figure(survey, part.sides[2 * pair + side], "") for side in (0, 1))
        rows.append(f'<figcaption>{title}</figcaption><div class="row">{figures}</div>')
    return f"<h2>Some pairs</h2>{''.join(rows)}"


def _unaligned(survey: Survey) -> str:
    items = np.flatnonzero(survey["looks"] == -1)[:ODD].tolist()
    figures = "".join(_figure(survey, item, survey.name(item)) for item in items)
    return f'<h2>Do not look aligned</h2><div class="row">{figures}</div>' if figures else ""


def _caption(survey: Survey, item: int) -> str:
    label = int(survey["label"][item])
    return survey.name(item) + (f", label {label}" if label >= 0 else "")


def _figure(survey: Survey, item: int, caption: str) -> str:
    try:
        pixels = survey.image(item, any_size=True)
    except DataError:
        return page.figure(None, caption)
    return page.figure(pixels, caption)
