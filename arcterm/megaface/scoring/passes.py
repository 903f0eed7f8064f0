"""The passes over distractors from which all numbers of a scoring are taken."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from arcterm.megaface.scoring.identification import (
    RANKS,
    Identification,
    Trials,
    find_trials,
    identify,
)
from arcterm.megaface.scoring.inputs import DistractorGallery, Variant
from arcterm.megaface.scoring.verification import VerificationRates, verify, wanted
from arcterm.runs.context import JobContext
from arcterm.search.stream import GalleryPass
from arcterm.verify.ranks import RankGroup


class Score(msgspec.Struct, frozen=True):
    """Numbers of one gallery: `size` and `set_number` are its name, `distractors` are in it.

    `missing` were left out for want of a feature; `removed`, which are noise, are in it but match nobody.
    """

    size: int
    set_number: int
    distractors: int
    missing: int
    removed: int
    identification: Identification
    verification: VerificationRates


class VariantScores(msgspec.Struct, frozen=True):
    """The scores of raw or of cleaned features."""

    name: str
    probes: int
    people: int
    missing_probes: int
    scores: list[Score]


class Scorer:
    """Scores variants one after the other and reports progress, on all ranks; the first has the scores."""

    def __init__(self, context: JobContext, ranks: RankGroup, variants: Sequence[Variant]) -> None:
        self._context, self._ranks = context, ranks
        self._total = sum(len(gallery.rows) for variant in variants for gallery in variant.galleries)
        self._before = 0

    def score(self, variant: Variant) -> VariantScores:
        """Score a variant in all its galleries; on other ranks than the first there are no scores."""
        probes = variant.probes
        trials = find_trials(probes)
        scores: list[Score] = []
        for gallery in variant.galleries:
            scores += self._pass(variant, trials, gallery)
            self._before += len(gallery.rows)
        return VariantScores(
            name=variant.name,
            probes=len(probes.people),
            people=probes.people_count,
            missing_probes=variant.missing,
            scores=scores,
        )

    def _pass(self, variant: Variant, trials: Trials, gallery: DistractorGallery) -> list[Score]:
        probes = variant.probes
        search = GalleryPass(
            probes.vectors,
            gallery.rows,
            most=RANKS,
            tail=wanted(len(probes.people) * gallery.counts[-1]),
            ranks=self._ranks,
        )
        scores = []
        for stop, count in zip(gallery.stops, gallery.counts, strict=True):
            search.advance(count, lambda done: self._report(done, variant.name))
            search.collect()
            if not self._ranks.first:
                continue
            impostors = len(probes.people) * count
            counts = search.best.count_at_least(trials.probes, trials.scores)
            largest = search.tail.largest(wanted(impostors))
            scores.append(
                Score(
                    size=stop.size,
                    set_number=stop.set_number,
                    distractors=count,
                    missing=stop.first - count,
                    removed=int(np.count_nonzero(gallery.rows.removed[:count])),
                    identification=identify(trials, counts, count, probes.people_count),
                    verification=verify(trials.genuine, impostors, largest),
                )
            )
        return scores

    def _report(self, done: int, name: str) -> None:
        self._context.progress(self._before + done, self._total, f"scoring {name} features", "distractors")
        self._context.agree()
