"""What is scored: features as they are, and, where there is a mask or cleaned features, without their noise.

A distractor that is noise stays in the gallery as one that nothing is near, as the devkit has it, where its
distance to everything is about 100: it is ahead of no mate, and its pairs count as impostor pairs, accepted
at no threshold. So raw and cleaned rates are shares of the same numbers, and a mask gives what 513 numbers
give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.megaface.devkit import DevkitSet, algo_of
from arcterm.megaface.mask import JSON, Mask, read_mask
from arcterm.megaface.noise import FAR
from arcterm.megaface.scoring.faults import FaultList, FeatureFault, classify
from arcterm.megaface.scoring.lists import Order, ProbeList, Stop
from arcterm.megaface.scoring.probes import ProbeVectors
from arcterm.megaface.scoring.rows import Checked, ListedRows, check, look, reader
from arcterm.megaface.store import Features, open_features
from arcterm.runs.context import JobContext
from arcterm.verify.ranks import RankGroup

Floats = NDArray[np.float32]
Faults = NDArray[np.uint8]

ReadProbes = tuple[Floats, Faults]

RAW, CLEANED = "raw", "cleaned"
_LOOKED_AT = 64
_OWN = "give what `arcterm megaface clean` made of these features"


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


class Sources:
    """The folders of features, opened: those to score, and what `megaface clean` made of them."""

    def __init__(self, folder: str, mask: str, ending: str) -> None:
        """Open them; `mask` is a mask, or a folder of cleaned features. Raises `DataError`."""
        self.features = open_features(Path(folder), ending)
        beside = Path(folder) / JSON
        given = Path(mask) if mask else beside
        has_mask = given.is_file() or (given / JSON).is_file()
        if mask and not given.exists():
            raise DataError(f"there is no {given}", "give what `arcterm megaface clean` made")
        self._mask_path = given
        self.mask = read_mask(given) if has_mask else None
        self.clean = open_features(given, ending) if mask and not has_mask else None
        self.extra = find_extra(self.features)
        if self.extra and (self.mask or self.clean):
            raise DataError(f"{folder} is clean already", "give the raw features, or leave --mask out")
        if self.clean and not find_extra(self.clean):
            raise DataError(f"{given} has no cleaned features", "give what `arcterm megaface clean` made")
        width = self.features.require("megaface").width
        if self.mask and self.mask[0].width != width:
            raise DataError(f"{given} is of features of {self.mask[0].width:,} numbers, not {width:,}", _OWN)
        others = self.mask[0].models if self.mask else self.clean.model_digests if self.clean else []
        if others and (own := self.features.model_digests) and own != others:
            raise DataError(f"{given} is of the features of another model", _OWN)

    @property
    def algo(self) -> str:
        """The name of the features."""
        if self.features.facts:
            return self.features.facts.algo
        found = self.features.require("megaface")
        return algo_of(found.ending) if isinstance(found, DevkitSet) else self.features.folder.name

    def about_mask(self) -> dict[str, Any] | None:
        """What a result says of what noise is taken out by."""
        if self.clean:
            return {"path": str(self.clean.folder), "facts": msgspec.to_builtins(self.clean.facts)}
        if self.mask:
            mask = self.mask[0]
            counts = {"removed": len(mask.removed), "replaced": len(mask.replaced)}
            return {"path": str(self._mask_path), "seed": mask.seed, **counts}
        return None


def find_extra(features: Features) -> int:
    """Return 1 if a number after each feature marks noise, else 0; raises `DataError` if the sets differ."""
    widths = [features.require(which).width for which in ("facescrub", "megaface")]
    if widths[0] != widths[1]:
        raise DataError(
            f"{features.folder} has {widths[0]:,} numbers an image in FaceScrub, {widths[1]:,} in MegaFace",
            "export both with the same model",
        )
    if features.facts:
        return features.facts.extra
    last = features.require("megaface").rows(slice(0, _LOOKED_AT), {})[:, -1]
    return int(np.isin(last, (0.0, FAR)).all())


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
        faults[faults == FeatureFault.REMOVED] = (
            FeatureFault.NO_MARK
        )  # wrong images of FaceScrub are replaced, not marked
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
