"""A set of features with its list of noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arcterm.errors import ConfigError, DataError
from arcterm.formats.features.lists import tail
from arcterm.formats.features.noises import Noises, read_facescrub_noises, read_megaface_noises
from arcterm.megaface.listing import Listed, in_order
from arcterm.megaface.noise import FAR
from arcterm.megaface.sets import FeatureSet
from arcterm.megaface.store import SETS, TITLES, Features, SetName

_LOOKED_AT = 64


@dataclass
class Cleaning:
    """A set with its list of noise, and which of its images are noise."""

    which: SetName
    images: Listed
    noises: Noises
    path: str

    def __post_init__(self) -> None:
        self.noisy = np.array([name in self.noises for name in self.images.names])
        self.hit = [name for name, noisy in zip(self.images.names, self.noisy, strict=True) if noisy]

    def record(self) -> dict[str, Any]:
        """Return counts and names for scripts, and for the folder that is written."""
        there = {tail(name, self.noises.parts) for name in self.hit}
        return {
            "list": self.path,
            "lines": self.noises.lines,
            "names": len(self.noises.names),
            "repeated": self.noises.repeated,
            "images": len(self.images.names),
            "hit": len(self.hit),
            "hit_names": self.hit,
            "not_hit": [name for name in self.noises.names if name not in there],
            "without_feature": self.images.missing,
        }


def read_sets(features: Features, *paths: str) -> list[Cleaning]:
    """Read the lists of each set that the folder has; raises if one lacks its list of noise."""
    found = []
    for which, noises, listed in zip(SETS, paths[:2], paths[2:], strict=True):
        opened = features.get(which)
        if opened is None:
            if noises or listed:
                raise DataError(
                    f"{features.folder} has no features of {TITLES[which]}, and {noises or listed} is of it",
                    "leave that list out, or give another folder",
                )
            continue
        if not noises:
            raise ConfigError(
                f"--{which}-noises is missing, and {features.folder} has features of {TITLES[which]}",
                "give InsightFace's list of that name",
            )
        _refuse_clean(features, opened)
        read = read_facescrub_noises if which == "facescrub" else read_megaface_noises
        found.append(Cleaning(which, in_order(opened, which, listed), read(Path(noises)), noises))
    return found


def _refuse_clean(features: Features, opened: FeatureSet) -> None:
    """Raise `DataError` for features that have the further number already."""
    last = opened.rows(slice(0, _LOOKED_AT), {})[:, -1]
    if (features.facts and features.facts.extra) or np.isin(last, (0.0, FAR)).all():
        raise DataError(
            f"{features.folder} is clean already: its {opened.width}th numbers are 0 or {FAR:.0f}",
            "give the features that it was made of",
        )
