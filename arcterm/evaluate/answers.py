"""The answers of an identification: for a person, for a script, and as files."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from arcterm.evaluate.acceptance import Acceptance
from arcterm.evaluate.opensearch import IdentificationRates
from arcterm.evaluate.people import STRANGER, UNKNOWN, People, Probes
from arcterm.files import staged_directory, write_json
from arcterm.search.counting import Best
from arcterm.text import clean

MATCHES = {
    "template": "a person is the normalised sum of their images' unit vectors",
    "image": "a person is the one of their images that is most alike",
}
NOBODY = "unknown"

_SHOWN = 60
_LISTED = 10_000
_FORMULA = tuple("=+-@＝＋－＠")


class Answers(NamedTuple):
    """The best people of each probe, from which similarity on the best is accepted, and how right that is.

    `model` is in words.
    """

    model: str

    people: People
    probes: Probes
    best: Best
    match: str
    acceptance: Acceptance | None
    rates: IdentificationRates | None

    def accepted(self, index: int) -> bool | None:
        """Whether a probe's best match is accepted; None without a threshold."""
        return None if self.acceptance is None else bool(self.best.scores[index, 0] > self.acceptance.cosine)

    def label(self, index: int) -> str | None:
        """Who is on a probe: a person, the name of a stranger's folder, None where nothing says it."""
        label = int(self.probes.labels[index])
        if label == UNKNOWN:
            return None
        return self.probes.names[index].partition("/")[0] if label == STRANGER else self.people.names[label]

    def row(self, index: int) -> dict[str, Any]:
        """Return the answer for one probe."""
        best = [
            {"person": self.people.names[person], "similarity": score}
            for person, score in zip(
                self.best.rows[index].tolist(), self.best.scores[index].tolist(), strict=True
            )
        ]
        accepted = self.accepted(index)
        row = {
            "probe": self.probes.names[index],
            "person": best[0]["person"] if accepted else None,
            "accepted": accepted,
            "best": best,
        }
        return row | ({"label": self.label(index)} if self.probes.labelled else {})

    def rows(self, most: int | None = None) -> Iterator[dict[str, Any]]:
        return (self.row(index) for index in range(len(self.probes.names))[:most])


def lines(answers: Answers) -> list[str]:
    """Return the answers for a person."""
    said = [_line(answers, row) for row in answers.rows(_SHOWN)]
    if len(answers.probes.names) > _SHOWN:
        said.append(
            f"… and {len(answers.probes.names) - _SHOWN:,} more pictures; --out FOLDER has all of them"
        )
    return [*head_lines(answers), *map(clean, said), *rate_lines(answers)]


def head_lines(answers: Answers) -> list[str]:
    """Say what was compared, and from where on a match is accepted."""
    people, probes, acceptance = answers.people, answers.probes, answers.acceptance
    said = [
        f"{_count(len(probes.names), 'picture')} among {_count(len(people.names), 'person', 'people')} of "
        f"{_count(len(people.files), 'image')}: {MATCHES[answers.match]}; {answers.model}"
    ]
    if acceptance:
        number = sum(bool(answers.accepted(index)) for index in range(len(probes.names)))
        above = f" above a similarity of {acceptance.cosine:.4f}" if math.isfinite(acceptance.cosine) else ""
        said.append(f"{number:,} accepted{above} ({acceptance.words})")
    return [clean(line) for line in said]


def record(answers: Answers) -> dict[str, Any]:
    """Return the result for a script, with the answers to the first pictures."""
    acceptance = answers.acceptance
    return {
        "people": len(answers.people.names),
        "images": len(answers.people.files),
        "probes": len(answers.probes.names),
        "match": MATCHES[answers.match],
        "threshold": acceptance.cosine if acceptance and math.isfinite(acceptance.cosine) else None,
        "threshold_from": acceptance.words if acceptance else "",
        "ties": "a person who scores the same counts against the probe",
        "rates": msgspec.to_builtins(answers.rates),
        "answers": list(answers.rows(_LISTED)),
    }


def write(out: Path, answers: Answers, data: dict[str, Any], page: str) -> None:
    """Make the folder `out`: all answers as JSON, one a line, and as a table; the result, and a page."""
    with staged_directory(out) as stage:
        with (stage / "identify.jsonl").open("w", encoding="ascii") as file:
            # escaped, so that names can't hide anything in a terminal
            file.writelines(json.dumps(row) + "\n" for row in answers.rows())
        with (stage / "identify.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(_table(answers))
        (stage / "index.html").write_text(page, encoding="utf-8")
        write_json(stage / "result.json", {key: value for key, value in data.items() if key != "answers"})


def cell(text: str) -> str:
    """Make a text fit for a spreadsheet: one that would be a formula begins with an apostrophe."""
    text = clean(text)
    return f"'{text}" if text.startswith("\t") or text.lstrip().startswith(_FORMULA) else text


def _table(answers: Answers) -> Iterator[Sequence[str | float]]:
    top = answers.best.rows.shape[1]
    best = [name for number in range(1, top + 1) for name in (f"person_{number}", f"similarity_{number}")]
    labelled = answers.probes.labelled
    yield ["probe", *(["label"] if labelled else []), "answer", *best]
    for row in answers.rows():
        yield [
            cell(row["probe"]),
            *([cell(row["label"] or "")] if labelled else []),
            cell(row["person"] or (NOBODY if row["accepted"] is False else "")),
            *(each for one in row["best"] for each in (cell(one["person"]), f"{one['similarity']:.6f}")),
        ]


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _line(answers: Answers, row: dict[str, Any]) -> str:
    """``a.jpg  anna 0.7123  (ben 0.3010, …)``."""
    best = [f"{one['person']} {one['similarity']:.4f}" for one in row["best"]]
    if row["accepted"] is False:
        return f"{row['probe']}  {NOBODY}  ({', '.join(best)})"
    return f"{row['probe']}  {best[0]}" + (f"  ({', '.join(best[1:])})" if best[1:] else "")


def rate_lines(answers: Answers) -> Iterator[str]:
    """Say how right the answers are, where that is known."""
    rates = answers.rates
    if rates is None:
        return
    said = [(1, rates.rank_1), (rates.top, rates.rank_top)] if rates.top > 1 else [(1, rates.rank_1)]
    ranks = "  ".join(f"rank-{rank} {100 * rate:.2f} %" for rank, rate in said if rate is not None)
    yield f"of {_count(rates.mated, 'picture')} of people in the gallery: {ranks or '–'}"
    for name, rate in (
        ("accepted as who they are (TPIR)", rates.tpir),
        ("strangers accepted (FPIR)", rates.fpir),
    ):
        if rate is not None:
            yield f"at this threshold {name} {100 * rate:.2f} %"
    for point in rates.open_set:
        threshold = "none" if point.threshold is None else f"{point.threshold:.4f}"
        yield (
            f"FPIR ≤ {point.asked:g}: TPIR {100 * point.tpir:.2f} % at {threshold}, {point.accepted:,} of "
            f"{rates.strangers:,} strangers accepted"
            + ("" if point.resolved else "; one of them is more than that rate")
        )
