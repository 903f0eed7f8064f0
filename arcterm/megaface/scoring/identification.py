"""Identification: at which rank a probe finds another image of its person among distractors.

For every ordered pair of a person's images, gallery image g and probe p, the gallery is g and the
distractors. The rank of g is 1 and the number of distractors that score at least as much with p: an equal one
counts against the probe. The traditional variant adds the first image of each other person to the gallery.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.features.results import Point, Staircase, thin
from arcterm.megaface.scoring.probes import ProbeVectors
from arcterm.search import exact

RANKS = 1000
"""Up to this one ranks are known exactly."""


class Trials(NamedTuple):
    """Ordered pairs: `probes` and `images` (T,) by their places, and their canonical `scores` (T,).

    `others` (T,) says how many first images of other people score at least that with the probe.
    """

    probes: NDArray[np.int64]
    images: NDArray[np.int64]
    scores: NDArray[np.float64]
    others: NDArray[np.int64]

    @property
    def genuine(self) -> NDArray[np.float64]:
        """The scores of all pairs, each once: a trial and the one with its images swapped are one pair."""
        return self.scores[self.probes < self.images]


class Cmc(msgspec.Struct, frozen=True):
    """A cumulative match characteristic: at each rank from 1 to `RANKS` the trials won up to there."""

    trials: int
    gallery: int
    won: list[int]

    def rate(self, rank: int) -> float:
        """The share of trials that are won at `rank` or a better one."""
        return self.won[min(rank, len(self.won)) - 1] / self.trials

    def staircase(self) -> Staircase:
        """The curve as the devkit writes it; beyond `RANKS` the last rank of all stands alone."""
        points = [Point(rank, won / self.trials) for rank, won in enumerate(self.won)]
        complete = next((rank for rank, won in enumerate(self.won) if won == self.trials), None)
        points = [*points, Point(self.gallery - 1, 1.0)] if complete is None else points[: complete + 1]
        return thin(points)


class Identification(msgspec.Struct, frozen=True):
    """`cmc` of the protocol, and `traditional` with an image of each other person."""

    cmc: Cmc
    traditional: Cmc


def find_trials(probes: ProbeVectors) -> Trials:
    """Score all ordered pairs of images of one person; raises `DataError` if there are none."""
    order = np.argsort(probes.people, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(probes.people[order])) + 1)
    pairs = (
        [np.repeat(group, len(group)) for group in groups],
        [np.tile(group, len(group)) for group in groups],
    )
    probe, image = np.concatenate(pairs[0]), np.concatenate(pairs[1])
    probe, image = probe[probe != image], image[probe != image]
    if not len(probe):
        raise DataError("no person has two probes", "give a list with several images of each person")
    scores = exact.pair_scores(probes.vectors, probes.vectors, probe, image)
    return Trials(probe, image, scores, _count_others(probes, probe, scores))


def _count_others(
    probes: ProbeVectors, probe: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Count for each trial the first images of other people that score at least as much."""
    people, firsts = np.unique(probes.people, return_index=True)
    products, error = probes.vectors @ probes.vectors[firsts].T, exact.bound(probes.vectors.shape[1])
    counts = np.empty(len(probe), np.int64)
    order = np.argsort(probe, kind="stable")
    for trials in np.split(order, np.flatnonzero(np.diff(probe[order])) + 1):
        own = probe[trials[:1]]
        # what has a smaller product scores less than all of the probe's trials
        least = exact.lower(scores[trials].min(keepdims=True) - error)
        others = firsts[(people != probes.people[own]) & (products[own[0]] >= least)]
        own = np.repeat(own, len(others))
        against = np.sort(exact.pair_scores(probes.vectors, probes.vectors, own, others))
        counts[trials] = len(others) - np.searchsorted(against, scores[trials], "left")
    return counts


def identify(trials: Trials, counts: NDArray[np.int64], distractors: int, people: int) -> Identification:
    """Rank the trials, given how many distractors (T,) score at least as much, up to `RANKS`."""
    known = np.where(counts < RANKS, counts + trials.others, RANKS)
    return Identification(cmc=_cmc(counts, distractors + 1), traditional=_cmc(known, distractors + people))


def _cmc(ahead: NDArray[np.int64], gallery: int) -> Cmc:
    won = np.bincount(np.minimum(ahead, RANKS), minlength=RANKS + 1)[:RANKS].cumsum()
    return Cmc(trials=len(ahead), gallery=gallery, won=won.tolist())
