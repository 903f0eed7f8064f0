"""The presets: what is asked of the detector, which steps a photo goes through, and how its face is stored.

They are InsightFace's scripts of 2018 (``src/align/align_*.py``), each with 112×112 for its own size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Step = Literal["pre-aligned", "detected", "nearest", "forced", "box crop", "centre crop", "inset crop"]
Guide = Literal["", "boxes", "json"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One preset. `options` go to a detector that has options of these names and was given no others.

    `smallest` gives the side of the smallest face that is looked for, from an image's height and width.
    `guide` is what comes with the photos: a list of boxes, or a file of landmarks beside each. Without
    `keeps_all` a photo without a face is left out, which counts as a problem.
    """

    steps: tuple[Step, ...]
    options: Mapping[str, object]
    smallest: Callable[[int, int], int] | None = None
    guide: Guide = ""
    ending: str = ".jpg"
    quality: int = 95
    underscores: bool = False

    @property
    def keeps_all(self) -> bool:
        return self.steps[-1] in ("centre crop", "inset crop")


def _options(minsize: int, thresholds: tuple[float, float, float], factor: float) -> Mapping[str, object]:
    first, second, third = thresholds
    return MappingProxyType(
        {
            "minsize": minsize,
            "factor": factor,
            "threshold1": first,
            "threshold2": second,
            "threshold3": third,
        }
    )


_BY_BOX: tuple[Step, ...] = ("nearest", "forced", "box crop", "inset crop")


def _quarter(height: int, width: int) -> int:
    return max(height // 4, 1)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "folder": Preset(steps=("detected",), options=_options(20, (0.6, 0.7, 0.9), 0.709)),
        "lfw": Preset(steps=("detected", "centre crop"), options=_options(20, (0.6, 0.7, 0.9), 0.85)),
        "celeb": Preset(
            steps=("detected",),
            options=_options(20, (0.6, 0.6, 0.3), 0.709),
            smallest=lambda height, width: max(min(height // 5, width // 5), 1),
            quality=75,
        ),
        "facescrub": Preset(
            steps=_BY_BOX,
            options=_options(20, (0.6, 0.7, 0.7), 0.709),
            smallest=_quarter,
            guide="boxes",
            ending=".png",
            underscores=True,
        ),
        "megaface": Preset(
            steps=("pre-aligned", *_BY_BOX),
            options=_options(20, (0.6, 0.7, 0.7), 0.709),
            smallest=_quarter,
            guide="json",
        ),
    }
)
