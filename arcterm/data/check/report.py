"""The report of a check as one HTML file: no scripts, nothing loaded from elsewhere, pictures inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from arcterm.data.check.census import Census
from arcterm.data.check.duplicates import Pair
from arcterm.data.check.findings import KINDS, Findings
from arcterm.data.check.parts import PairsPart
from arcterm.data.check.survey import FINE, OTHER_SIZE, Survey
from arcterm.errors import DataError
from arcterm.formats.images import encode_jpeg, resize
from arcterm.text import clean

PEOPLE, PER_PERSON, PAIRS, ODD = 12, 4, 12, 24
"""Pictures shown: people drawn at random, images of each, pairs of a kind, faces that don't look aligned."""

_SHOWN = 50  # findings of a kind
_SIDE, _QUALITY = 112, 75
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bar: #4a7fd0; --bad: #c0392b; --good: #2e8b57 }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse }
td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
.bar { display: inline-block; height: .8em; background: var(--bar); border-radius: 2px }
.bad { color: var(--bad) } .good { color: var(--good) } .hint { opacity: .75 }
ul { padding-left: 1.2rem } li { overflow-wrap: anywhere }
.row { display: flex; flex-wrap: wrap; gap: .6rem } figure { margin: 0; max-width: 15rem }
figcaption { font-size: .75rem; opacity: .8; overflow-wrap: anywhere }
figure img { width: 112px; height: 112px; object-fit: contain; background: var(--line) }
details { border-top: 1px solid var(--line); padding: .4rem 0 } summary { cursor: pointer; font-weight: 600 }
"""


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
        _table(pages.facts),
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
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{text(pages.title)}</title><style>{_STYLE}</style></head><body>"
    )
    return head + "\n".join(part for part in parts if part) + "</body></html>\n"


def text(value: str) -> str:
    """`value` as text of the page: what came from a file can neither be markup nor hide anything."""
    return html.escape(clean(value).encode("utf-8", "replace").decode("utf-8"))


def _table(facts: Iterable[tuple[str, str]]) -> str:
    rows = (f"<tr><th>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in facts)
    return f"<table>{''.join(rows)}</table>"


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
        return f"<figure><figcaption>{text(caption)}: can't be shown</figcaption></figure>"
    scale = _SIDE / max(pixels.shape[:2])
    if scale < 1:
        pixels = resize(pixels, (max(1, int(pixels.shape[0] * scale)), max(1, int(pixels.shape[1] * scale))))
    data = base64.b64encode(encode_jpeg(pixels, _QUALITY)).decode("ascii")
    image = f'<img alt="" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{image}<figcaption>{text(caption)}</figcaption></figure>"
