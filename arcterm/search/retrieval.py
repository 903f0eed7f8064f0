"""Closed-set identification of probes with one or several mates in a gallery: places, CMC, average precision.

A place is the number, from 1, at which a mate stands among all of the gallery, best score first. Entries of
others that score the same stand before it: an equal impostor counts against the probe.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.search import exact
from arcterm.search.counting import Floats, Whole


class Mates(NamedTuple):
    """All pairs (M,) of a probe and an entry of its own identity, by probe, the best score first.

    `probes` and `rows` are places in the probes and in the gallery, `numbers` count the mates of each probe
    from 1, and `totals` say how many it has.
    """

    probes: Whole
    rows: Whole
    scores: NDArray[np.float64]
    numbers: Whole
    totals: Whole


def find_mates(probes: Floats, probe_people: Whole, gallery: Floats, people: Whole) -> Mates:
    """Find and score the mates of `probes` (P, D), of `probe_people` (P,), among a `gallery` of `people`."""
    order = np.argsort(people, kind="stable")
    first = np.searchsorted(people[order], probe_people, "left")
    totals = np.searchsorted(people[order], probe_people, "right") - first
    own = np.repeat(np.arange(len(probes)), totals)
    numbers = np.arange(len(own)) - np.repeat(np.cumsum(totals) - totals, totals)
    rows = order[np.repeat(first, totals) + numbers]
    scores = exact.pair_scores(probes, gallery, own, rows)
    best_first = np.lexsort([rows, -scores, own])
    return Mates(own, rows[best_first], scores[best_first], numbers + 1, totals[own])


def find_places(mates: Mates, at_least: Whole) -> Whole:
    """Find the mates' places (M,), given how many entries score `at_least` (M,) as much, mates included."""
    place = np.arange(len(mates.scores))
    # of mates with one score each is counted with all of them
    same = (np.diff(mates.probes) == 0) & (np.diff(mates.scores) == 0)
    last = np.where(np.append(same, False), len(place), place)
    last = np.minimum.accumulate(last[::-1])[::-1]
    own_at_least = mates.numbers + last - place
    places: Whole = mates.numbers + at_least - own_at_least
    return places


def first_places(mates: Mates, places: Whole) -> Whole:
    """Return the place of each probe's best mate, for the probes that have one, in order."""
    first: Whole = places[mates.numbers == 1]
    return first


def rate_at(first: Whole, rank: int) -> float:
    """Return the share of probes whose best mate is among the `rank` first; nan without probes."""
    return float(np.mean(first <= rank)) if len(first) else float("nan")


def cumulative_matches(first: Whole, entries: int) -> list[tuple[float, float]]:
    """Return the CMC of a gallery of `entries`: points (rank, share of probes) wherever the share changes."""
    ranks = np.unique(np.concatenate([[1], first, [max(entries, 1)]]))
    shares = np.searchsorted(np.sort(first), ranks, "right") / max(len(first), 1)
    return list(zip(ranks.astype(float).tolist(), shares.tolist(), strict=True))


class AveragePrecision(NamedTuple):
    """Average precision of each probe that has mates: `plain`, and by trapezoids as TinyFace's own script."""

    plain: NDArray[np.float64]
    trapezoidal: NDArray[np.float64]


def average_precision(mates: Mates, places: Whole) -> AveragePrecision:
    """Measure how early the mates of each probe stand.

    Plain is the mean of the precisions at the mates. The trapezoidal one adds, at each mate, the recall that
    it brings times the mean of the precisions there and at the place before, which is 1 before the first.
    """
    numbers, totals = mates.numbers, mates.totals
    probes = np.unique(mates.probes, return_inverse=True)[1]
    here = numbers / places
    before = np.where(places > 1, (numbers - 1) / np.maximum(places - 1, 1), 1.0)
    gained = numbers / totals - (numbers - 1) / totals
    trapezoids = np.asarray(np.bincount(probes, gained * ((before + here) / 2)), np.float64)
    return AveragePrecision(np.bincount(probes, here) / np.bincount(probes), trapezoids)
