"""Counts of what a packing job has stored and what looks wrong with it, saved for a resume."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from arcterm.data.check import alignment
from arcterm.data.make.imagefiles import Stored

_NAMED = 10
_TOGETHER = 256
_EXAMPLES = 3
_ENOUGH = 5
"""Aligned images of which a majority means something."""
_EARLY = 64
"""Aligned images after which wrong landmarks are said at once: such a job may run for hours."""


class Wrong(msgspec.Struct):
    """Images whose landmarks have one problem: how many, the first ones, and how to mend the list."""

    hint: str
    count: int = 0
    names: list[str] = []


class Tally(msgspec.Struct):
    """Counts so far: images copied, and the first that look misplaced of `odd`.

    `found` had their faces found and aligned. Of those `aligned` here by landmarks, `judged` were looked at
    and `astray` don't show a face in its place; `wrong` has the problems of landmarks by their words.
    """

    copied: int = 0
    encoded: int = 0
    odd: int = 0
    odd_names: list[str] = []
    found: int = 0
    aligned: int = 0
    judged: int = 0
    astray: int = 0
    wrong: dict[str, Wrong] = {}


class Counter:
    """Counts stored images in a tally; many looks at once are judged five times as fast as one by one."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._seen: list[tuple[str, alignment.Floats]] = []
        self._aligned: list[alignment.Floats] = []

    def count(self, name: str, stored: Stored) -> None:
        tally = self.tally
        tally.copied += stored.copied
        tally.encoded += not stored.copied
        tally.aligned += stored.aligned
        tally.found += stored.found
        if stored.problem is not None:
            wrong = tally.wrong.setdefault(stored.problem.words, Wrong(stored.problem.hint))
            wrong.count += 1
            wrong.names += [name] * (len(wrong.names) < _EXAMPLES)
        elif stored.light is not None and stored.aligned:
            self._aligned.append(stored.light)
        elif stored.light is not None:
            self._seen.append((name, stored.light))
        if max(len(self._seen), len(self._aligned)) == _TOGETHER:
            self.judge()

    def judge(self) -> Tally:
        """Judge the looks that wait, and return the tally."""
        tally = self.tally
        if self._seen:
            verdicts = alignment.judge(np.stack([light for _, light in self._seen]))
            odd = [name for (name, _), verdict in zip(self._seen, verdicts, strict=True) if verdict < 0]
            tally.odd += len(odd)
            tally.odd_names += odd[: _NAMED - len(tally.odd_names)]
        if self._aligned:
            tally.judged += len(self._aligned)
            tally.astray += int(alignment.astray(np.stack(self._aligned)).sum())
        self._seen, self._aligned = [], []
        return tally


def early_warning(tally: Tally) -> str:
    """Return a warning once most landmarks of enough images are wrong; the job may run for hours yet."""
    if tally.aligned < _EARLY or 2 * sum(wrong.count for wrong in tally.wrong.values()) < tally.aligned:
        return ""
    return landmark_lines(tally)[0]


def landmark_lines(tally: Tally) -> list[str]:
    """List the problems of the landmarks that were aligned by, the most frequent first."""
    lines = []
    for words, wrong in sorted(tally.wrong.items(), key=lambda item: -item[1].count):
        names = ", ".join(wrong.names) + (", …" if wrong.count > len(wrong.names) else "")
        lines.append(f"the landmarks of {wrong.count:,} of {tally.aligned:,} images {words}: {names}")
        lines.append(f"  → {wrong.hint}; then pack again")
    if _mostly_astray(tally):
        lines.append(
            f"{tally.astray:,} of {tally.judged:,} aligned images that were looked at show no face where the "
            "landmarks put it"
        )
        lines.append(
            "  → look at them with `arcterm data show DST`; the landmarks may be of the mirrored image, "
            "or of an image of another size: then mend the list and pack again"
        )
    return lines


def landmark_data(tally: Tally) -> dict[str, Any]:
    return {
        "aligned": tally.aligned,
        "landmarks": {words: msgspec.to_builtins(wrong) for words, wrong in tally.wrong.items()},
        "astray": tally.astray if _mostly_astray(tally) else 0,
    }


def _mostly_astray(tally: Tally) -> bool:
    return tally.judged >= _ENOUGH and 2 * tally.astray > tally.judged
