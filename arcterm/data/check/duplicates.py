"""One picture under several names: of two people, twice of one, or in a verification set and in training."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.data.check.findings import KEPT, Findings, Place
from arcterm.data.check.likeness import flat, near_duplicates
from arcterm.data.check.survey import FINE, OTHER_SIZE, Survey
from arcterm.progress import Progress

Ints = NDArray[np.int64]


class Pair(NamedTuple):
    """Two items and how much they differ, 0 for the same pixels; `leak` if the second is a test image."""

    one: int
    other: int
    difference: float
    leak: bool


def check_duplicates(survey: Survey, findings: Findings, progress: Progress) -> list[Pair]:
    """Find them among the images that a survey has seen; the first ones are returned, exact ones first."""
    state = survey["state"]
    items = np.flatnonzero((state == FINE) | (state == OTHER_SIZE))
    blank = flat(survey["thumb"])[items] if len(items) else np.empty(0, bool)
    leaks = _Leaks(survey, items, findings)
    findings.add_each(
        "flat",
        items[blank].tolist(),
        lambda item: (f"{survey.name(item)} is all but one grey", "", Place(items=(item,))),
    )
    pairs = _exact(survey, items, findings, leaks)
    return pairs + _near(survey, items[~blank], findings, leaks, progress)


class _Leaks:
    """Names test images that are trained on: each for every set that holds it, and counted once."""

    def __init__(self, survey: Survey, items: Ints, findings: Findings) -> None:
        self._survey, self._findings = survey, findings
        self._digests = np.asarray(survey["pixels"])
        tested = items[items >= survey.trained]
        self._tested = tested[np.argsort(self._digests[tested], kind="stable")]
        self._sorted = self._digests[self._tested]
        self._counted: set[int] = set()

    def add(self, one: int, other: int, difference: float) -> list[Pair]:
        """Name training image `one` with test image `other` and with the same pixels in other sets."""
        low, high = (
            int(np.searchsorted(self._sorted, self._digests[other], side=side)) for side in ("left", "right")
        )
        held: dict[int, int] = {}
        for item in self._tested[low:high].tolist():
            held.setdefault(bisect_right(self._survey.starts, item), item)
        pairs = [Pair(one, item, difference, True) for item in held.values()]
        for pair in pairs:
            _add(self._survey, pair, self._findings, self.new(other))
        return pairs

    def new(self, other: int) -> int:
        """1 for a test image that wasn't counted yet, else 0."""
        digest = int(self._digests[other])
        count = int(digest not in self._counted)
        self._counted.add(digest)
        return count


def _exact(survey: Survey, items: Ints, findings: Findings, leaks: _Leaks) -> list[Pair]:
    """Images with the same pixels, by their digests."""
    trained = survey.trained
    digests, labels = np.asarray(survey["pixels"])[items], np.asarray(survey["label"])[items]
    order = np.lexsort((items, labels, digests))
    items, digests, labels = items[order], digests[order], labels[order]
    starts = np.flatnonzero(np.append(True, digests[1:] != digests[:-1])) if len(items) else items
    ends = np.append(starts[1:], len(items))
    pairs: list[Pair] = []
    for start, end in zip(starts[ends - starts > 1].tolist(), ends[ends - starts > 1].tolist(), strict=True):
        group, owners = items[start:end], labels[start:end]
        mine = group[group < trained]
        people = np.unique(owners[group < trained])
        if len(mine) > len(people):
            _add_repeats(survey, mine, len(mine) - len(people), findings)
        if len(people) > 1:
            other = int(group[np.searchsorted(owners, people[-1])])
            pairs.append(_add(survey, Pair(int(mine[0]), other, 0.0, False), findings, len(people) - 1))
        tested = group[group >= trained]
        if len(mine) and len(tested):
            pairs += leaks.add(int(mine[0]), int(tested[0]), 0.0)
    return pairs


def _near(survey: Survey, items: Ints, findings: Findings, leaks: _Leaks, progress: Progress) -> list[Pair]:
    trained = survey.trained
    if not trained:
        return []
    labels, digests = np.asarray(survey["label"]), np.asarray(survey["pixels"])
    # One image of each label and digest stands for all that are the same.
    order = items[np.lexsort((items, labels[items], digests[items]))]
    again = (digests[order[1:]] == digests[order[:-1]]) & (labels[order[1:]] == labels[order[:-1]])
    items = np.sort(order[np.append(True, ~again)]) if len(order) else order

    def may_pair(a: Ints, b: Ints) -> NDArray[np.bool_]:
        both_tested = (a >= trained) & (b >= trained)
        differ: NDArray[np.bool_] = (labels[a] != labels[b]) & (digests[a] != digests[b])
        return differ & ~both_tested

    near = near_duplicates(survey["thumb"], items, may_pair, progress)
    pairs: list[Pair] = []
    for (one, other), difference in zip(near.pairs.tolist(), near.difference.tolist(), strict=True):
        leak = other >= trained
        if len(pairs) >= KEPT:
            findings.more("leak" if leak else "near", leaks.new(other) if leak else 1)
        elif leak:
            pairs += leaks.add(one, other, float(difference))
        else:
            pairs.append(_add(survey, Pair(one, other, float(difference), False), findings, 1))
    if not near.all:
        findings.add("near", f"there are more: the search was ended after {len(near.pairs)} pairs")
    return pairs


def _add(survey: Survey, pair: Pair, findings: Findings, count: int) -> Pair:
    one, other = survey.name(pair.one), survey.name(pair.other)
    same = pair.difference == 0 and survey["bytes"][pair.one] == survey["bytes"][pair.other]
    how = "byte for byte" if same else "pixel for pixel" if pair.difference == 0 else "nearly"
    number = f" (difference {pair.difference:.2f})" if pair.difference else ""
    labels = survey["label"][[pair.one, pair.other]]
    place = Place(items=(pair.one, pair.other))
    if pair.leak:
        text = f"{other} is {how} {one}, which is trained on as label {labels[0]}{number}"
        hint = "take the person out of the training data, or the score on this set means little"
        findings.add("leak", text, hint, place, count)
    else:
        text = f"{one} (label {labels[0]}) is {how} {other} (label {labels[1]}){number}"
        hint = "one of the labels is wrong, or both are one person: see the pictures in the HTML report"
        findings.add("near" if pair.difference else "duplicate", text, hint, place, count)
    return pair


def _add_repeats(survey: Survey, group: Ints, surplus: int, findings: Findings) -> None:
    if findings.counts.get("repeated", 0) >= KEPT:
        findings.more("repeated", surplus)
        return
    text = f"{survey.name(int(group[-1]))} has the pixels of another image of its person"
    shown = (int(group[0]), int(group[-1]))
    findings.add("repeated", text, place=Place(items=shown), count=surplus)
