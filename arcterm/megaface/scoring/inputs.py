"""What is scored: features as they are, and, where there is a mask or cleaned features, without their noise.

A distractor that is noise stays in the gallery as one that nothing is near, as the devkit has it, where its
distance to everything is about 100: it is ahead of no mate, and its pairs count as impostor pairs, accepted
at no threshold. So raw and cleaned rates are shares of the same numbers, and a mask gives what 513 numbers
give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.megaface.mask import Mask
from arcterm.megaface.scoring.faults import FaultList, FeatureFault, classify
from arcterm.megaface.scoring.lists import Order, ProbeList, Stop
from arcterm.megaface.scoring.probes import ProbeVectors
from arcterm.megaface.scoring.rows import Checked, ListedRows, check, look, reader
from arcterm.megaface.scoring.sources import Sources
from arcterm.megaface.store import Features
from arcterm.runs.context import JobContext
from arcterm.verify.ranks import RankGroup

Floats = NDArray[np.float32]
Faults = NDArray[np.uint8]

ReadProbes = tuple[Floats, Faults]

RAW, CLEANED = "raw", "cleaned"


@dataclass(frozen=True)
class DistractorGallery:
    """Distractors in an order; `counts` says how many have features up to each of the `stops`."""

    rows: ListedRows
    stops: list[Stop]
    counts: list[int]


@dataclass(frozen=True)
class Variant:
    """Features to score: `name` is raw or cleaned, `missing` counts probes without a feature."""

    name: str
    probes: ProbeVectors
    missing: int
    galleries: list[DistractorGallery]


class FeatureReader:
    """Reads the listed features of all variants; what is wrong with any of them is raised once."""

    def __init__(
        self,
        context: JobContext,
        ranks: RankGroup,
        probes: ProbeList,
        orders: Sequence[Order],
        faults: FaultList,
    ) -> None:
        self._context, self._ranks = context, ranks
        self._probes, self._orders, self._faults = probes, orders, faults

    def read(self, sources: Sources) -> list[Variant]:
        """Read and check all features, on all ranks; raises `DataError`, the same on all."""
        name = CLEANED if sources.extra else RAW
        checked = self._check(sources.features, sources.extra, name)
        probes = self._read_probes(sources.features, sources.extra)
        others = []
        if sources.clean:
            others.append((self._read_probes(sources.clean, 1), self._check(sources.clean, 1, CLEANED)))
        self._faults.refuse()
        variants = [self._variant(name, probes, checked, sources.extra)]
        if sources.mask:
            masked = self._replace(probes, *sources.mask), self._remove(checked, sources.mask[0].removed)
            variants.append(self._variant(CLEANED, *masked, 0))
        return variants + [self._variant(CLEANED, *other, 1) for other in others]

    def _check(self, features: Features, extra: int, name: str) -> list[Checked]:
        found = features.require("megaface")
        checked = []
        for number, order in enumerate(self._orders):
            rows = found.find(order.names)
            copy = self._context.work / f"{name}-{number}.npy"
            checked.append(check(self._context, self._ranks, found, rows, extra, copy))
            self._faults.add(f"{name} distractors", found, order.names, rows, checked[-1].faults)
        return checked

    def _read_probes(self, features: Features, extra: int) -> ReadProbes:
        """Vectors of all probes, zeros where there is none, and what is wrong with each."""
        found, names = features.require("facescrub"), self._probes.names
        rows = found.find(names)
        vectors = np.zeros((len(rows), found.width), np.float32)
        faults = np.full(len(rows), FeatureFault.MISSING, np.uint8)
        there = np.flatnonzero(rows >= 0)
        unreadable: dict[int, str] = {}
        read = reader(found, unreadable)
        vectors[there], faults[there] = look(read, rows[there], extra, unreadable)
        # wrong images of FaceScrub are replaced, never marked
        faults[faults == FeatureFault.REMOVED] = FeatureFault.NO_MARK
        self._faults.add("cleaned probes" if extra else "probes", found, names, rows, faults)
        return vectors, faults

    def _replace(self, probes: ReadProbes, mask: Mask, vectors: Floats) -> ReadProbes:
        """Return the probes with the vectors of a mask in the place of those of noise."""
        places = {name: place for place, name in enumerate(self._probes.names)}
        found = probes[0].copy(), probes[1].copy()
        for name, vector, fault in zip(mask.replaced, vectors, classify(vectors, 0), strict=True):
            if fault:
                raise DataError(f"the mask's vector of {name} is not normalised", "make the mask again")
            if (place := places.get(name)) is not None:
                found[0][place], found[1][place] = vector, FeatureFault.NONE
        return found

    def _remove(self, checked: Sequence[Checked], removed: Sequence[str]) -> list[Checked]:
        """Return the distractors with those marked as noise that are removed."""
        names, found = set(removed), []
        for order, each in zip(self._orders, checked, strict=True):
            noise = np.array([name in names for name in order.names]) & (each.faults == FeatureFault.NONE)
            found.append(each._replace(faults=np.where(noise, np.uint8(FeatureFault.REMOVED), each.faults)))
        return found

    def _variant(self, name: str, read: ReadProbes, checked: Sequence[Checked], extra: int) -> Variant:
        vectors, faults = read
        there = faults == FeatureFault.NONE
        if not there.any():
            raise DataError("no probe has a feature", "check that list and features belong together")
        width = vectors.shape[1] - extra
        probes = ProbeVectors(np.ascontiguousarray(vectors[there, :width]), self._probes.people[there])
        galleries = []
        for order, each in zip(self._orders, checked, strict=True):
            listed = each.faults != FeatureFault.MISSING
            rows = ListedRows(
                each.read, each.places[listed], each.faults[listed] == FeatureFault.REMOVED, width
            )
            counts = [int(np.count_nonzero(listed[: stop.first])) for stop in order.stops]
            if not all(counts):
                raise DataError(
                    f"none of the first {order.stops[counts.count(0) - 1].first:,} distractors has a feature",
                    "check that list and features belong together, or leave that size out",
                )
            galleries.append(DistractorGallery(rows, order.stops, counts))
        return Variant(name, probes, int(np.count_nonzero(~there)), galleries)
