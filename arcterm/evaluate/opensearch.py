"""Search for people by all ranks, and how right it is where one knows who is on the probes."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from arcterm.evaluate.nearest import best_people
from arcterm.evaluate.people import STRANGER
from arcterm.runs.context import JobContext
from arcterm.search.counting import Best, Floats, Whole
from arcterm.search.openset import BestScores, OpenSetPoint, measure_open_set
from arcterm.search.retrieval import find_mates
from arcterm.verify.ranks import RankGroup

_ROWS = 1 << 11
"""Probes that a rank takes at a time; then all agree whether to stop."""


class PeopleFound(NamedTuple):
    """The best people of each probe, and the scores that rates are measured by.

    `best` has `top` people. `mated` (M,) are the probes of people in the gallery, `own` (M,) their scores
    with them and `others` (M, top) the best scores with other people, -inf where there is none; `strangers`
    (n,) are the best scores of the probes that are known to show people outside the gallery.
    """

    best: Best
    mated: Whole
    own: NDArray[np.float64]
    others: NDArray[np.float64]
    strangers: NDArray[np.float64]


class IdentificationRates(msgspec.Struct, frozen=True):
    """Rates of labelled probes; `open_set` is empty without strangers or without mated probes.

    `rank_1` and `rank_top` are the shares of the mated probes whose person is the best, or among the best
    `top`; a person who scores the same counts against the probe. `tpir` is the share of the mated that are
    accepted as who they are, `fpir` that of strangers who are accepted, at the threshold that was used.
    """

    mated: int
    strangers: int
    top: int
    rank_1: float | None
    rank_top: float | None
    tpir: float | None
    fpir: float | None
    open_set: list[OpenSetPoint]


def search(
    context: JobContext,
    ranks: RankGroup,
    probes: Floats,
    labels: Whole,
    gallery: Floats,
    owners: Whole,
    top: int,
) -> PeopleFound:
    """Find the best `top` people for unit vectors `probes` (P, D); each rank does a share, all have all.

    `labels` (P,) are those of `people.Probes`; `gallery` and `owners` as for `nearest.best_people`.
    """
    parts = []
    for start in range(0, len(probes), _ROWS * ranks.size):
        own = start + ranks.rank * _ROWS
        # of other people there are still `top`
        part = best_people(probes[own : own + _ROWS], gallery, owners, top + 1, device=ranks.device)
        parts.append([_gather(ranks, each) for each in part])
        context.progress(min(start + _ROWS * ranks.size, len(probes)), len(probes), "searching", "probes")
        context.agree()
    rows, scores = (np.concatenate(each)[: len(probes)] for each in zip(*parts, strict=True))
    best = Best(rows, scores)
    mates = find_mates(probes, labels, gallery, owners)
    first = mates.numbers == 1
    mated = mates.probes[first]
    return PeopleFound(
        Best(rows[:, :top], scores[:, :top]),
        mated,
        mates.scores[first],
        _others(best, mated, labels[mated], top),
        scores[labels == STRANGER, 0],
    )


def measure(found: PeopleFound, threshold: float | None) -> IdentificationRates:
    """Measure how many are identified, and at a cosine `threshold` accepted."""
    top = found.others.shape[1]
    right = found.own > found.others[:, 0]
    scores = BestScores(found.own, found.others[:, 0], found.strangers)
    passed = None if threshold is None else (right & (found.own > threshold), found.strangers > threshold)
    return IdentificationRates(
        mated=len(found.mated),
        strangers=len(found.strangers),
        top=top,
        rank_1=_share(right),
        rank_top=_share(found.own > found.others[:, -1]),
        tpir=_share(passed[0]) if passed else None,
        fpir=_share(passed[1]) if passed else None,
        open_set=measure_open_set(scores),
    )


def _share(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _others(best: Best, mated: Whole, labels: Whole, top: int) -> NDArray[np.float64]:
    """Return the best scores (M, top) with other people than the labels (M,)."""
    found = np.full((len(mated), top), -np.inf)
    other = best.rows[mated] != labels[:, None]
    place = np.cumsum(other, 1) - 1
    probe, column = np.nonzero(other & (place < top))
    found[probe, place[probe, column]] = best.scores[mated][probe, column]
    return found


def _gather(ranks: RankGroup, rows: NDArray[Any]) -> NDArray[Any]:
    """Gather (`_ROWS`, k) rows of every rank; the last ones may have fewer, which are filled up."""
    whole = np.zeros((_ROWS, rows.shape[1]), rows.dtype)
    whole[: len(rows)] = rows
    gathered: NDArray[Any] = ranks.gather(torch.from_numpy(whole)).numpy()
    return gathered
