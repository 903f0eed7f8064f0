"""Images per person."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

_EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_BAR = 40


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """`people` with images, `images`, images per person, and people by images: (least, most, people)."""

    people: int
    images: int
    least: int
    median: float
    mean: float
    most: int
    histogram: list[tuple[int, int, int]]

    def lines(self) -> list[str]:
        highest = max((people for _, _, people in self.histogram), default=0)
        lines = [
            f"{self.people:,} people, {self.images:,} images; images per person: least {self.least}, "
            f"median {self.median:g}, mean {self.mean:.1f}, most {self.most:,}"
        ]
        for least, most, people in self.histogram:
            bar = "█" * max(1, round(_BAR * people / highest))
            lines.append(f"{_range(least, most):>11} images  {people:>9,}  {bar}")
        return lines

    def data(self) -> dict[str, Any]:
        found = msgspec.to_builtins(self)
        assert isinstance(found, dict)
        return found


def count_people(labels: NDArray[np.integer[Any]]) -> tuple[Census, NDArray[np.int64]]:
    """The census of labels (N,), negative ones left out, and the images (C,) of each label from 0 on."""
    counts = np.bincount(labels[labels >= 0])
    present = counts[counts > 0]
    edges = [*_EDGES, int(present.max(initial=0)) + 1]
    spans = [(low, high - 1) for low, high in pairwise(edges) if low < edges[-1]]
    spans = [(low, min(high, edges[-1] - 1)) for low, high in spans]
    histogram = [(low, high, int(((present >= low) & (present <= high)).sum())) for low, high in spans]
    census = Census(
        people=len(present),
        images=int(present.sum()),
        least=int(present.min(initial=1 << 30)) if len(present) else 0,
        median=float(np.median(present)) if len(present) else 0.0,
        mean=float(present.mean()) if len(present) else 0.0,
        most=int(present.max(initial=0)),
        histogram=[row for row in histogram if row[2]],
    )
    return census, counts


def _range(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}"
