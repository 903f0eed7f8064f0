"""Check that a verification set can measure what it is used for."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from arcterm.data.check.findings import Findings, Place, Said
from arcterm.data.check.parts import PairsPart
from arcterm.data.check.survey import DAMAGED, Survey
from arcterm.formats.pairs.oddpairs import find_odd_pairs

FOLDS = 10
# By how much a fold's share of same pairs may differ: of random ones of 600 pairs, one in a million does.
_UNEVEN = 0.1


def check_set(part: PairsPart, survey: Survey, first: int, findings: Findings) -> dict[str, Any]:
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
    _check_pairs(part, survey, first, findings)
    facts = {"name": part.name, "pairs": len(same), "same": int(same.sum()), "images": len(part.sides)}
    return facts | {"damaged": int((survey["state"][first : first + len(part)] == DAMAGED).sum())}


def _check_pairs(part: PairsPart, survey: Survey, first: int, findings: Findings) -> None:
    """Name pairs that say nothing, count twice, or can't be true; images are compared by their pixels."""
    odd = find_odd_pairs(_digests(part, survey, first), part.pairs.same.tolist())
    name = part.name
    named = {
        "pair": [
            *((f"{name} pair {p} shows different people by one and the same picture", p) for p in odd.torn),
            *(
                (f"{name} pairs {a} and {b} say same and different of the same two images", b)
                for a, b in odd.against
            ),
        ],
        "alone": [
            (f"{name} pair {p} is of an image with itself, which any model gets right", p) for p in odd.alone
        ],
        "again": [(f"{name} pair {b} has the images of pair {a}, and counts twice", b) for a, b in odd.again],
    }

    def describe(found: tuple[str, int]) -> Said:
        text, pair = found
        items = tuple(first + part.sides[2 * pair + side] for side in (0, 1))
        return text, "take the pair out", Place(name, items=items)

    for kind, pairs in named.items():
        findings.add_each(kind, pairs, describe)


def _digests(part: PairsPart, survey: Survey, first: int) -> list[Hashable]:
    """Digest the images of the pairs, two a pair; one that can't be read is like no other."""
    if not survey.likeness:
        return [*part.sides]
    window = slice(first, first + len(part))
    damaged = survey["state"][window] == DAMAGED
    pixels = np.asarray(survey["pixels"][window]).tolist()
    return [("damaged", n) if damaged[n] else pixels[n] for n in part.sides]
