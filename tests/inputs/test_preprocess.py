"""A user's facts about a foreign model."""

from __future__ import annotations

import pytest

from arcterm.errors import ConfigError
from arcterm.inputs.preprocess import parse_known, parse_preprocess


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({}, {}),
        ({"channels": "", "mean": "", "std": ""}, {}),
        ({"channels": "BGR", "mean": "0", "std": "255"}, {"channels": "bgr", "mean": 0, "scale": 1 / 255}),
        (
            {"mean": "123.675, 116.28,103.53", "std": "58,57,50"},
            {"mean": (123.675, 116.28, 103.53), "scale": (1 / 58, 1 / 57, 1 / 50)},
        ),
        ({"mean": "0", "std": "1"}, {"mean": 0, "scale": 1}),
        ({"scale": 0.0078125}, {"scale": 1 / 128}),
    ],
)
def test_what_is_given_is_known(given, known):
    assert parse_preprocess(**given) == known


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"channels": "grey"}, "--channels is rgb or bgr, not 'grey'"),
        ({"mean": "half"}, "--mean half is no number"),
        ({"mean": "nan"}, "--mean nan is no number"),
        ({"mean": "1,2"}, "--mean 1,2 has 2 numbers"),
        ({"mean": "256"}, "--mean 256 does not lie in 0..255"),
        ({"mean": "-1,2,3"}, "--mean -1 does not lie in 0..255"),
        ({"mean": "0.485,0.456,0.406"}, "looks like fractions of 1"),
        ({"std": "0.5"}, "--std 0.5 does not lie in 1..255"),
        ({"std": "0"}, "--std 0 does not lie"),
        ({"std": "128", "scale": 0.1}, "--std and --scale say the same"),
        ({"scale": 0.0}, "--scale 0.0 is no factor above 0"),
    ],
)
def test_a_mistake_names_the_option(given, said):
    with pytest.raises(ConfigError) as raised:
        parse_preprocess(**given)
    assert said in raised.value.message
    assert raised.value.hint


def test_options_belong_to_a_backbone():
    assert parse_known("tiny", ["backbone.dropout=0"], mean="0") == {
        "mean": 0,
        "backbone": "tiny",
        "options": {"dropout": "0"},
    }
    with pytest.raises(ConfigError, match="give --backbone NAME too"):
        parse_known(None, ["dropout=0"])
