"""Options: one declaration, every check."""

from __future__ import annotations

import pytest
from arcterm_registry import Loss, Option, OptionError

MARGIN = Option(name="margin", type=float, default=0.5, low=0, high=1.5, open_high=True, help="m")


@pytest.mark.parametrize(("text", "value"), [("0.35", 0.35), (" 0 ", 0.0), ("1e-3", 0.001), ("1", 1.0)])
def test_a_number_is_parsed(text, value):
    assert MARGIN.parse(text) == value


@pytest.mark.parametrize("text", ["1.5", "-0.1", "nan", "inf", "-inf", "abc", ""])
def test_a_number_outside_its_range_is_refused(text):
    with pytest.raises(OptionError, match="margin"):
        MARGIN.parse(text)


def test_the_message_names_the_range():
    with pytest.raises(OptionError, match=r"margin 3.5 is outside its range: 0 ≤ margin < 1.5"):
        MARGIN.parse("3.5")


def test_other_types():
    assert Option(name="se", type=bool, default=False, help="").parse("yes") is True
    assert Option(name="n", type=int, default=1, help="").parse("12") == 12
    assert Option(name="kind", type=str, default="", choices=("", "B", "C"), help="").range == "B, C"
    assert Option(name="head", type=str, default="E", choices=("E", "F"), help="").parse("F") == "F"
    for option, text in (
        (Option(name="se", type=bool, default=False, help=""), "maybe"),
        (Option(name="n", type=int, default=1, help=""), "1.5"),
        (Option(name="head", type=str, default="E", choices=("E", "F"), help=""), "G"),
    ):
        with pytest.raises(OptionError, match=option.name):
            option.parse(text)


def test_a_value_of_another_type_is_refused_and_an_int_is_a_float():
    assert MARGIN.check(1) == 1.0
    assert isinstance(MARGIN.check(1), float)
    with pytest.raises(OptionError):
        MARGIN.check(True)
    with pytest.raises(OptionError):
        Option(name="n", type=int, default=1, help="").check(1.5)


def test_settings_fill_in_defaults_and_refuse_strangers():
    loss = Loss(summary="", factory="a:b", options=(MARGIN,))
    assert loss.settings({}) == {"margin": 0.5}
    assert loss.settings({"margin": 0.2}) == {"margin": 0.2}
    with pytest.raises(OptionError, match=r"no option 'margn'; it has: margin"):
        loss.settings({"margn": 0.2})
