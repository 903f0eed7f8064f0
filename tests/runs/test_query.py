"""The filter language of runs, over plain facts."""

from __future__ import annotations

import pytest

from arcterm.errors import ConfigError
from arcterm.runs.query import Percent, arrange, parse, sort

RUNS = {
    "a": {
        "name": ["r50-cos"],
        "state": ["running", "live"],
        "lr": [0.1],
        "loss": ["cosface", 5.08],
        "batch_size": [128],
        "best": [Percent(98.5)],
        "lfw": [Percent(99.6)],
        "tag": ["old", "base"],
        "note": ["two words (of 2018)"],
        "age": [3 * 3600.0],
        "created": ["2026-11-23T10:00:00"],
        "compile": [True],
        "text": ["r50-cos", "cosface", "old"],
    },
    "b": {
        "name": ["mobile"],
        "state": ["failed"],
        "lr": [0.01],
        "loss": ["arcface"],
        "tag": ["older"],
        "note": [""],
        "age": [3 * 86400.0],
        "created": ["2026-10-01T10:00:00"],
        "compile": [False],
        "text": ["mobile", "arcface"],
    },
    "c": {"name": ["pack"], "state": ["done"], "text": ["pack"]},
}


def facts(name):
    return lambda key: RUNS[name].get(key, ())


def found(text):
    query = parse(text)
    return "".join(name for name in RUNS if query.matches(facts(name)))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "abc"),
        ("  ", "abc"),
        ("lr>=0.05", "a"),
        ("lr>=5e-2 OR name:pack", "ac"),
        ("lr>=0.05 OR name:mob -tag:old has:note state:failed best>98", "a"),
        ("-tag:old", "bc"),  # a tag is a whole word
        ("tag:old*", "ab"),
        ("has:note", "a"),
        ("-has:lr", "c"),
        ("state:failed|done", "bc"),
        ("state:live", "a"),
        ("best>98", "a"),
        ("best>0.98", "a"),
        ("lfw>=99.6", "a"),
        ("lfw:99.6", "a"),
        ("loss:face", "ab"),
        ("loss=face", ""),
        ("loss:cosface loss<6", "a"),
        ("loss!=cosface", "bc"),
        ("batch-size:128", "a"),
        ("batch_size>100 AND lr<1", "a"),
        ("compile:yes", "a"),
        ("compile:off", "b"),
        ("age<1d", "a"),
        ("age>2d", "b"),
        ("created>=2026-11", "a"),
        ('note:"two words"', "a"),
        ('note:"(of 2018)"', "a"),
        ("(lr:0.1 OR lr:0.01) name:mob*", "b"),
        ("-(lr:0.1 OR lr:0.01)", "c"),
        ("COSFACE", "a"),
        ("mob arc", "b"),
        ("mob OR pack", "bc"),
        ("lr<1 OR state:done -lr:0.1", "abc"),
        ("-", "a"),  # in the name
    ],
)
def test_a_filter_finds(text, names):
    assert found(text) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr>=", "a value is missing after lr>="),
        ("name:", "a value is missing after name:"),
        ("lr>high", "high is no number"),
        ("a OR", "missing after OR"),
        ("OR a", "missing before OR"),
        ("(a OR b", r"a \( is not closed"),
        ("a)", r"a \) has no \("),
        (")", r"missing before \)"),
        ("()", r"missing after \("),
        ("best>98x", "98x is no number"),
    ],
)
def test_what_cannot_be_understood_is_said_in_words(text, said):
    with pytest.raises(ConfigError, match=said) as error:
        parse(text)
    assert error.value.hint


def test_a_key_that_no_run_has_is_named_with_the_nearest():
    known = ["lr", "name", "margin", "note"]
    with pytest.raises(ConfigError, match="no run has lrr") as error:
        parse("lrr>=0.05").check(known)
    assert error.value.hint == "did you mean lr?"
    with pytest.raises(ConfigError, match="no run has zzz"):
        parse("has:zzz").check(known)
    assert parse("margin:0.5 has:note words").check(known).keys == {"margin", "note"}


def test_many_runs_are_filtered_and_sorted_in_turns():
    def of(number):
        return lambda key: [number % 7] if key == "lr" else []

    *turns, found = arrange(range(2000), of, parse("lr>=3"), "lr", descending=True)
    assert len(turns) > 4 and set(turns) == {None}
    assert found == sorted((n for n in range(2000) if n % 7 >= 3), key=lambda n: -(n % 7))


def test_runs_are_sorted_by_any_key_and_those_without_it_come_last():
    assert "".join(sort("abc", facts, "lr")) == "bac"
    assert "".join(sort("abc", facts, "lr", descending=True)) == "abc"
    assert "".join(sort("abc", facts, "name")) == "bca"
    assert "".join(sort("bca", facts, "loss")) == "abc"  # a number comes first
