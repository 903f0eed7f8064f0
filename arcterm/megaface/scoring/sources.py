"""The folders of features that a scoring reads, and what `megaface clean` made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from arcterm.errors import DataError
from arcterm.megaface.devkit import DevkitSet, algo_of
from arcterm.megaface.mask import JSON, read_mask
from arcterm.megaface.noise import FAR
from arcterm.megaface.store import Features, open_features

_LOOKED_AT = 64
_OWN = "give what `arcterm megaface clean` made of these features"


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
