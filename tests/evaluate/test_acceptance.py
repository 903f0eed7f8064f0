"""Where the threshold of an identification comes from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from arcterm.errors import ConfigError, DataError
from arcterm.evaluate.acceptance import check, from_card, from_strangers
from arcterm.formats.modelfile import SetScore
from arcterm.runs.events import Rate

SCORES = [
    SetScore(set="cfp", pairs=60, withheld="collapsed"),
    SetScore(
        set="lfw",
        pairs=6000,
        threshold=1.5,
        far_threshold=1.3,
        rates=[Rate(1e-2, 0.9, 1.4), Rate(1e-1, 1, 1.6)],
    ),
    SetScore(set="agedb", pairs=6000, threshold=1.5, rates=[Rate(1e-3, 0.9, 1.2)]),
]


@pytest.mark.parametrize(
    ("wanted", "far", "cosine"),
    [("", None, 0.35), ("agedb", None, 0.4), ("", 1e-2, 0.3), ("lfw", 1e-1, 0.2), ("", 0.001, 0.35)],
)
def test_a_verified_set(wanted, far, cosine):
    found = from_card(SCORES, wanted, far, 10)
    assert found.cosine == pytest.approx(cosine)


def test_the_words_say_what_a_search_makes_of_a_rate_for_pairs():
    words = from_card(SCORES, "", None, 100).words
    assert words.startswith("lfw's 6,000 pairs at FAR 0.001") and "9.5 % of strangers" in words


def test_a_set_too_small_for_a_rate_promises_nothing():
    small = SetScore(set="own", pairs=20, far_threshold=1.2)
    words = from_card([small], "", None, 100).words
    assert words == "own's 20 pairs, too few for a FAR of 0.001: how many strangers are accepted is not known"


def test_no_card_is_no_threshold_unless_one_is_asked_for():
    assert from_card([], "", None, 3) is None
    assert from_card(SCORES[:1], "", None, 3) is None
    with pytest.raises(DataError, match="no set xyz; it has cfp, lfw, agedb"):
        from_card(SCORES, "xyz", None, 3)
    with pytest.raises(DataError, match="no set was verified with it"):
        from_card([], "", 1e-3, 3)
    with pytest.raises(DataError, match=r"FAR 1e-06 .* cfp: none; lfw: 0\.01, 0\.1, 0\.001; agedb: 0\.001"):
        from_card(SCORES, "", 1e-6, 3)


def test_strangers():
    found = from_strangers(np.array([0.1, 0.5, 0.4, 0.2]), 0.25)
    assert found.cosine == 0.4 and "0.25 of these 4 pictures" in found.words
    assert from_strangers(np.array([0.5]), 1.0).cosine == -math.inf
    with pytest.raises(ConfigError, match="there are none"):
        from_strangers(np.zeros(0), 0.1)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((0.5, "lfw", None, None), "--threshold and --threshold-set each"),
        ((0.5, "", 1e-3, None), "--threshold and --far each"),
        ((None, "lfw", None, 0.1), "--threshold-set and --fpir each"),
    ],
)
def test_one_of_several_ways(given, named):
    with pytest.raises(ConfigError, match=named):
        check(*given)
    for one in (
        (None, "", None, None),
        (0.1, "", None, None),
        (None, "lfw", 1e-3, None),
        (None, "", 1e-2, None),
    ):
        check(*one)
