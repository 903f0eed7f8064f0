"""The similarity above which a best match is accepted; below it the person on a picture is unknown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from arcterm.errors import ConfigError, DataError
from arcterm.formats.modelfile import SetScore
from arcterm.search.openset import Scores, find_threshold

FAR = 1e-3
"""False-accept rate of a set at whose threshold a match is accepted, unless another is asked for."""


class Acceptance(NamedTuple):
    """A match is accepted where its cosine is above `cosine`, strictly; `words` say where that comes from.

    -inf accepts every one.
    """

    cosine: float
    words: str


def check(threshold: float | None, threshold_set: str, far: float | None, fpir: float | None) -> None:
    """Raise `ConfigError` for options of which only one can hold."""
    ways = {
        "--threshold": threshold is not None,
        "--threshold-set": bool(threshold_set),
        "--far": far is not None and not threshold_set,
        "--fpir": fpir is not None,
    }
    named = [name for name, given in ways.items() if given]
    if len(named) > 1:
        raise ConfigError(
            f"{' and '.join(named)} each say what is accepted", "give one of them; --far goes with a set"
        )


def from_card(scores: Sequence[SetScore], wanted: str, far: float | None, people: int) -> Acceptance | None:
    """Take a verified set's threshold at a false-accept rate: of the set `wanted`, or the first that has it.

    None if the model was not verified, and no set and no rate is asked for; else `DataError` says which there
    are. The thresholds of sets are squared distances, 2 - 2·cosine.
    """
    rate = FAR if far is None else far
    chosen = [score for score in scores if not wanted or score.set == wanted]
    for score in chosen:
        known = _thresholds(score)
        distance = next((known[each] for each in known if abs(each - rate) < 1e-9 * rate), None)
        if distance is not None:
            return Acceptance(1 - distance / 2, _words(score, rate, people))
    if not wanted and far is None:
        return None
    if not scores:
        raise DataError(
            "the model's card has no thresholds: no set was verified with it",
            "`arcterm verify MODEL SET.bin` puts them on the card of a run or of arcterm's own file; or give "
            "--threshold",
        )
    if not chosen:
        there = ", ".join(score.set for score in scores)
        raise DataError(
            f"the model's card has no set {wanted}; it has {there}",
            "choose --threshold-set among them, or give --threshold; `arcterm verify MODEL SET.bin` adds one",
        )
    there = "; ".join(
        f"{score.set}: {', '.join(f'{each:g}' for each in _thresholds(score)) or 'none'}" for score in chosen
    )
    raise DataError(
        f"there is no threshold at FAR {rate:g} on the model's card; there are {there}",
        "choose --far among them, or give --threshold",
    )


def from_strangers(scores: Scores, fpir: float) -> Acceptance:
    """Take the lowest threshold that at most a share `fpir` of the strangers' best `scores` (n,) is above.

    Raises `ConfigError` if the probes show no strangers.
    """
    if not len(scores):
        raise ConfigError(
            "--fpir takes its threshold from pictures of people outside the gallery, and there are none",
            "put some into a folder with another name than the gallery's people, or give --threshold",
        )
    threshold = find_threshold(scores, fpir)
    return Acceptance(
        threshold,
        f"at most {fpir:g} of these {len(scores):,} pictures of strangers are above it"
        if math.isfinite(threshold)
        else f"{fpir:g} of these {len(scores):,} pictures of strangers lets all of them in",
    )


def _thresholds(score: SetScore) -> dict[float, float]:
    """Squared distances of a set by false-accept rate."""
    known = {rate.far: rate.threshold for rate in score.rates}
    if score.far_threshold is not None:
        known.setdefault(FAR, score.far_threshold)
    return known


def _words(score: SetScore, far: float, people: int) -> str:
    """The source of a threshold, and what its rate for pairs makes of a search among `people`."""
    if score.pairs * far < 2 and far not in {rate.far for rate in score.rates}:  # half of them are impostors
        return (
            f"{score.set}'s {score.pairs:,} pairs, too few for a FAR of {far:g}: how many strangers are "
            "accepted is not known"
        )
    share = 100 * (1 - (1 - far) ** people)
    return (
        f"{score.set}'s {score.pairs:,} pairs at FAR {far:g}: if these faces are like those, {share:.2g} % "
        f"of strangers are taken for one of {people:,} people"
    )
