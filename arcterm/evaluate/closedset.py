"""Identification among mates and distractors, by all ranks: rates at ranks, average precision, the CMC."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from arcterm_registry.contracts import Curve

from arcterm.runs.context import JobContext
from arcterm.search.counting import Floats, Whole, count_at_least
from arcterm.search.retrieval import (
    Mates,
    average_precision,
    cumulative_matches,
    find_mates,
    find_places,
    first_places,
    rate_at,
)
from arcterm.verify.ranks import RankGroup

RANKS = (1, 5, 10, 20, 50)
_ROWS = 1 << 14
"""Distractors that a rank takes at a time; then all agree whether to stop."""


class ClosedSet(NamedTuple):
    """What is searched: unit vectors (N, D) float32 of probes, their mates' images and distractors."""

    probes: Floats
    probe_people: Whole
    matches: Floats
    match_people: Whole
    distractors: Floats


class SearchRates(NamedTuple):
    """Rates of a gallery of `entries`, by rank, and the mean average precision in two readings."""

    entries: int
    rates: dict[int, float]
    map_trapezoidal: float
    map_plain: float
    first: Whole

    def record(self) -> dict[str, Any]:
        """Return it as a result has it."""
        return {
            "gallery": self.entries,
            **{f"rank_{rank}": rate for rank, rate in self.rates.items()},
            "map_trapezoidal": self.map_trapezoidal,
            "map_plain": self.map_plain,
        }


class ClosedSetRates(NamedTuple):
    """The same probes in the whole gallery and without distractors; `probes` are those that have a mate."""

    probes: int
    whole: SearchRates
    matches: SearchRates


def search(context: JobContext, ranks: RankGroup, sets: ClosedSet) -> ClosedSetRates:
    """Search; every rank counts in a share of the distractors, and all have the same result."""
    mates = find_mates(sets.probes, sets.probe_people, sets.matches, sets.match_people)

    def count(gallery: Floats) -> Whole:
        return count_at_least(sets.probes, gallery, mates.scores, mates.probes, device=ranks.device)

    total, far = len(sets.distractors), np.zeros(len(mates.scores), np.int64)
    for start in range(0, total, _ROWS * ranks.size):
        own = start + ranks.rank * _ROWS
        far += count(sets.distractors[own : own + _ROWS])
        context.progress(min(start + _ROWS * ranks.size, total), total, "searching", "distractors")
        context.agree()
    far = ranks.gather(torch.from_numpy(far)[None]).sum(0).numpy()
    places = find_places(mates, count(sets.matches))
    return ClosedSetRates(
        int((mates.numbers == 1).sum()),
        _rates(mates, places + far, len(sets.matches) + total),
        _rates(mates, places, len(sets.matches)),
    )


def curve(title: str, found: ClosedSetRates) -> Curve:
    """Draw the CMC of both galleries."""
    return Curve(
        title=f"{title}: cumulative match characteristic",
        x="rank",
        y="share of the probes",
        lines={
            f"{each.entries:,} in the gallery{what}": cumulative_matches(each.first, each.entries)
            for each, what in ((found.whole, ""), (found.matches, ", no distractors"))
        },
        log_x=True,
    )


def _rates(mates: Mates, places: Whole, entries: int) -> SearchRates:
    first, precision = first_places(mates, places), average_precision(mates, places)
    return SearchRates(
        entries,
        {rank: rate_at(first, rank) for rank in RANKS},
        float(precision.trapezoidal.mean()),
        float(precision.plain.mean()),
        first,
    )
