"""The pairs that a model gets wrong, as pictures and as a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from arcterm_registry.contracts import PairSet
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.files import staged_directory
from arcterm.formats import images
from arcterm.pictures import page
from arcterm.verify.protocol import Verification

SHOWN = 500
"""Wrong pairs of a set that are shown, the worst first."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._@+-]+")


class Mistake(NamedTuple):
    """A pair on the wrong side of its fold's threshold; distances are squared L2, 0..4."""

    pair: int
    same: bool
    distance: float
    threshold: float


class SetMistakes(NamedTuple):
    """The wrong pairs of one set, the worst first, with the set and the numbers of pairs that it has."""

    name: str
    pairs: PairSet
    wrong: list[Mistake]


def find(distances: NDArray[np.float64], same: NDArray[np.bool_], scored: Verification) -> list[Mistake]:
    """Find the pairs that count against the accuracy: each by the threshold that the other folds chose.

    The worst, which are farthest from their threshold, come first.
    """
    folds = np.array_split(np.arange(len(same)), len(scored.thresholds)) if scored.thresholds else []
    thresholds = np.concatenate(
        [np.full(len(fold), t) for fold, t in zip(folds, scored.thresholds, strict=True)] or [np.empty(0)]
    )
    if not len(thresholds):
        return []
    wrong = np.flatnonzero((distances < thresholds) != same)
    order = wrong[np.argsort(-np.abs(distances - thresholds)[wrong], kind="stable")]
    return [
        Mistake(pair, bool(same[pair]), float(distances[pair]), float(thresholds[pair]))
        for pair in order.tolist()
    ]


def write(place: Path, title: str, sets: Sequence[SetMistakes]) -> None:
    """Make the directory `place`: ``index.html``, and both pictures of each wrong pair as files.

    Raises `DataError`, leaving nothing, if it holds something or can't be written.
    """
    with staged_directory(place) as stage:
        parts = [f"<h1>{page.text(title)}</h1>"]
        for found in sets:
            folder = stage / (_UNSAFE.sub("_", found.name).strip(".") or "set")
            while folder.exists():
                folder = folder.with_name(f"{folder.name}_")
            folder.mkdir()
            parts.append(_section(found, folder))
        (stage / "index.html").write_text(page.page(title, parts), encoding="utf-8")


def _section(found: SetMistakes, folder: Path) -> str:
    total, count = len(found.pairs.same), len(found.wrong)
    missed = sum(mistake.same for mistake in found.wrong)
    lines = [
        f"<h2>{page.text(found.name)}</h2>",
        f"<p>{count:,} of {total:,} pairs are wrong: {missed:,} of one person taken for two, "
        f"{count - missed:,} of two people taken for one. Distances are squared L2 (0..4); two images count "
        "as one person below the threshold.</p>",
    ]
    if count > SHOWN:
        lines.append(f"<p>The {SHOWN} that are farthest from the threshold are shown.</p>")
    shown = [_shown(found.pairs, mistake, folder) for mistake in found.wrong[:SHOWN]]
    return "\n".join([*lines, '<div class="pairs">', *shown, "</div>"])


def _shown(pairs: PairSet, mistake: Mistake, folder: Path) -> str:
    """Write both pictures of a pair into `folder`; returns its part of the page."""
    kind, words = ("same", "one person") if mistake.same else ("different", "two people")
    caption = (
        f"pair {mistake.pair}: {words}, distance {mistake.distance:.3f}, cosine "
        f"{1 - mistake.distance / 2:.3f}, threshold {mistake.threshold:.2f}"
    )
    figures = ""
    for side in (0, 1):
        pixels = _pixels(pairs, 2 * mistake.pair + side)
        if pixels is not None:
            name = f"{mistake.pair:06d}-{kind}-{'ab'[side]}.jpg"
            (folder / name).write_bytes(images.encode_jpeg(pixels))
        figures += page.figure(pixels, "")
    return f'<div><div class="row">{figures}</div><figcaption>{page.text(caption)}</figcaption></div>'


def _pixels(pairs: PairSet, index: int) -> NDArray[np.uint8] | None:
    try:
        return images.decode(pairs.images[index], size=None, source=f"image {index}")
    except DataError:
        return None
