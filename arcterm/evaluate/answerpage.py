"""The least certain answers of an identification as a page, with their pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arcterm.errors import DataError
from arcterm.evaluate.answers import NOBODY, Answers, head_lines, rate_lines
from arcterm.formats import images
from arcterm.formats.images import Pixels
from arcterm.pictures import page

_SHOWN = 100


def draw_page(answers: Answers) -> str:
    """Draw a page of the rates, and of the pictures for which another answer is nearest."""
    rates = [f"<li>{page.text(line)}</li>" for line in rate_lines(answers)]
    shown = np.argsort(_certainty(answers), kind="stable")[:_SHOWN].tolist()
    parts = [
        "<h1>identify</h1>",
        *(f"<p>{page.text(line)}</p>" for line in head_lines(answers)),
        *(["<ul>", *rates, "</ul>"] if rates else []),
        f"<h2>The {len(shown):,} least certain of {len(answers.probes.names):,} pictures</h2>",
        "<p>Each beside an image of the person who is most like it.</p>",
        '<div class="pairs">',
        *(_pair(answers, index) for index in shown),
        "</div>",
    ]
    return page.page("identify", parts)


def _certainty(answers: Answers) -> np.ndarray:
    """Return the distances (P,) of the best similarities from the threshold, or without one from the next."""
    scores = answers.best.scores
    if answers.acceptance is not None:
        return np.abs(scores[:, 0] - answers.acceptance.cosine)
    return scores[:, 0] - scores[:, 1] if scores.shape[1] > 1 else scores[:, 0]


def _pair(answers: Answers, index: int) -> str:
    people, probes = answers.people, answers.probes
    person = int(answers.best.rows[index, 0])
    first = people.files[int(np.searchsorted(people.owners, person))]
    said = f"{people.names[person]} {answers.best.scores[index, 0]:.4f}"
    if answers.accepted(index) is False:
        said = f"{NOBODY} ({said})"
    figures = page.figure(_pixels(probes.folder / probes.names[index]), "") + page.figure(_pixels(first), "")
    caption = page.text(f"{probes.names[index]}: {said}")
    return f'<div><div class="row">{figures}</div><figcaption>{caption}</figcaption></div>'


def _pixels(file: Path) -> Pixels | None:
    try:
        return images.decode(images.read_file(file), size=None, source=str(file))
    except DataError:
        return None  # it was there when it was embedded
