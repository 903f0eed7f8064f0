"""1:N identification: probes searched in two galleries whose people are not the same.

For open-set search the people of the other gallery are those who are not enrolled. Each gallery is searched
by itself with all probes, and the mean of both is reported. Older readings stand beside, for papers that used
them: one merged gallery with a threshold from all impostor scores, which demands no rank and overstates; and
one whose threshold lets one probe less pass than asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.evaluate.ijb.searching import Enrolled, MergedSearch, Search, Vectors, Whole, search
from arcterm.search.openset import FPIRS, OpenSetPoint, measure_open_set

RANKS = (1, 5, 10)
"""Ranks at which the share of mated probes is reported."""


class GalleryResult(msgspec.Struct, frozen=True):
    """A gallery of `templates` searched with all probes; `ranks` has the share found at each of `RANKS`.

    `mated` probes are of a subject in it, `non_mated` ones of no subject in it. `cmc` has the share found at
    rank 1, 2, … 20.
    """

    gallery: str
    templates: int
    mated: int
    non_mated: int
    ranks: dict[int, float]
    open_set: list[OpenSetPoint]
    cmc: list[float]


class OlderReading(msgspec.Struct, frozen=True):
    """Numbers as a script of others reads them, `how` in words: ranks, and TPIR by FPIR."""

    how: str
    ranks: dict[int, float]
    tpir: dict[float, float]


class Identified(msgspec.Struct, frozen=True):
    """Both galleries by themselves, the means over them, and older readings."""

    probes: int
    galleries: list[GalleryResult]
    mean_ranks: dict[int, float]
    mean_tpir: dict[float, float]
    older: list[OlderReading]


def identify(
    vectors: Vectors,
    galleries: dict[str, Enrolled],
    probes: Enrolled,
    fpirs: Sequence[float] = FPIRS,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Identified:
    """Search `probes` in each of the `galleries`, which are rows of unit `vectors` (T, D)."""
    searches, merged = search(vectors, list(galleries.values()), probes, fpirs, progress)
    results = [
        _result(name, len(gallery.rows), found, fpirs)
        for (name, gallery), found in zip(galleries.items(), searches, strict=True)
    ]
    older = [] if merged is None else [_read_merged(merged, fpirs)]
    return Identified(
        probes=len(probes.rows),
        galleries=results,
        mean_ranks={rank: _mean([result.ranks[rank] for result in results]) for rank in RANKS},
        mean_tpir=_mean_tpir([result.open_set for result in results]),
        older=[*older, _read_apart(searches, len(probes.rows), fpirs)],
    )


def _result(name: str, templates: int, found: Search, fpirs: Sequence[float]) -> GalleryResult:
    return GalleryResult(
        gallery=name,
        templates=templates,
        mated=len(found.places),
        non_mated=len(found.scores.non_mated),
        ranks=_ranks(found.places, len(found.places)),
        open_set=measure_open_set(found.scores, fpirs),
        cmc=[_share(found.places <= rank) for rank in range(1, 21)],
    )


def _read_merged(found: MergedSearch, fpirs: Sequence[float]) -> OlderReading:
    """Read TPIRs as InsightFace's ``ijb_1n.py`` and AdaFace do."""
    total = len(found.places)
    thresholds = {fpir: found.impostors[math.ceil(fpir * total) - 1] for fpir in fpirs}
    return OlderReading(
        how="one gallery of both; threshold from all impostor scores, rank not required (ijb_1n.py, AdaFace)",
        ranks=_ranks(found.places, total),
        tpir={fpir: _share(found.mates > threshold) for fpir, threshold in thresholds.items()},
    )


def _read_apart(searches: Sequence[Search], probes: int, fpirs: Sequence[float]) -> OlderReading:
    """Read TPIRs as InsightFace's ``ijb_evals.py`` does: with the k-th best in place of the k + 1-th."""
    tpir: dict[float, list[float]] = {fpir: [] for fpir in fpirs}
    for _, (mates, others, non_mated) in searches:
        ordered = np.sort(non_mated)[::-1]
        for fpir, values in tpir.items():
            threshold = ordered[max(int(len(ordered) * fpir) - 1, 0)] if len(ordered) else -np.inf
            values.append(_share((mates > others) & (mates > threshold)))
    places = np.concatenate([found.places for found in searches])
    return OlderReading(
        how="galleries apart; threshold that one probe less than asked passes, mean of both (ijb_evals.py)",
        ranks=_ranks(places, probes),
        tpir={fpir: _mean(values) for fpir, values in tpir.items()},
    )


def _mean_tpir(found: Sequence[Sequence[OpenSetPoint]]) -> dict[float, float]:
    """Mean over galleries, not over pooled probes; empty if one has none."""
    if not all(found):
        return {}
    return {points[0].asked: _mean([point.tpir for point in points]) for points in zip(*found, strict=True)}


def _ranks(places: Whole, total: int) -> dict[int, float]:
    return {rank: int(np.count_nonzero(places <= rank)) / max(total, 1) for rank in RANKS}


def _share(hits: NDArray[np.bool_]) -> float:
    return float(np.mean(hits)) if len(hits) else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
