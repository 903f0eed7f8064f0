"""Whether a verification set can measure what it is used for."""

from __future__ import annotations

from typing import Any

import numpy as np

from arcterm.data.findings import KEPT, Findings, Place
from arcterm.data.parts import Pairs
from arcterm.data.survey import DAMAGED, Survey

FOLDS = 10
# By how much a fold's share of same pairs may differ: of random ones of 600 pairs, one in a million does.
_UNEVEN = 0.1


def check_set(part: Pairs, survey: Survey, first: int, findings: Findings) -> dict[str, Any]:
    """Judge a set whose images are the survey's items from `first` on; returns its facts."""
    same = part.pairs.same
    share = float(same.mean())
    if share in (0.0, 1.0):
        kind, other = ("same", "different") if share else ("different", "same")
        text = f"{part.name}: all {len(same)} pairs are {kind}, so neither accuracy nor TAR means anything"
        findings.add(
            "one-class", text, f"make it again with {other} pairs: arcterm data bin", Place(part.name)
        )
    elif len(same) >= FOLDS:
        shares = [float(fold.mean()) for fold in np.array_split(same, FOLDS)]
        if max(abs(each - share) for each in shares) > _UNEVEN:
            shown = ", ".join(f"{each:.0%}" for each in shares)
            text = f"{part.name}: the ten folds are blocks of the file and have {shown} same pairs"
            findings.add(
                "lopsided", text, "order the pairs so that each block has its share", Place(part.name)
            )
    _check_contradictions(part, survey, first, findings)
    facts = {"name": part.name, "pairs": len(same), "same": int(same.sum()), "images": len(part)}
    return facts | {"damaged": int((survey["state"][first : first + len(part)] == DAMAGED).sum())}


def _check_contradictions(part: Pairs, survey: Survey, first: int, findings: Findings) -> None:
    """A pair of two people can't be one and the same picture."""
    if not survey.likeness:
        return
    window = slice(first, first + len(part))
    digests = np.asarray(survey["pixels"][window]).reshape(-1, 2)
    readable = (np.asarray(survey["state"][window]).reshape(-1, 2) != DAMAGED).all(axis=1)
    wrong = np.flatnonzero((digests[:, 0] == digests[:, 1]) & ~part.pairs.same & readable)
    for pair in wrong[:KEPT].tolist():
        text = f"{part.name} pair {pair} shows different people by one and the same picture"
        findings.add("pair", text, "take the pair out", Place(part.name))
    findings.more("pair", len(wrong[KEPT:]))
