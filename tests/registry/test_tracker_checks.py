"""The checks of a tracker: what is sound passes all of them, what is wrong in one way fails that one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from arcterm_registry import Option, Tracker
from arcterm_registry.conformance import check
from arcterm_registry.contracts import RunTracker, TrackedRun


class Sound(RunTracker):
    rewinds = True

    def __init__(self, run: TrackedRun, **options: Any) -> None:
        self.closed = False

    def rewind(self, step: int) -> None:
        pass


class Strict(Sound):
    """It does not take a value that is no number."""

    def log(self, step: int, t: float, values: Mapping[str, float]) -> None:
        assert all(value == value for value in values.values()), "it is no number"


class Once(Sound):
    """It does not go on."""

    def __init__(self, run: TrackedRun) -> None:
        (run.work / "numbers").touch(exist_ok=run.step < 2)


class Forward(Sound):
    def rewind(self, step: int) -> None:
        raise NotImplementedError("it only goes forward")


class Silent(Sound):
    rewinds = False


class Slow(Sound):
    def flush(self) -> None:
        time.sleep(0.02)


def found(made: str, **fields: Any) -> dict[str, tuple[str, str]]:
    declared = Tracker(summary="a toy", factory=f"tests.registry.test_tracker_checks:{made}", **fields)
    return {each.check: (each.outcome, each.detail) for each in check("tracker", declared)}


def wrong(outcomes: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: detail for name, (outcome, detail) in outcomes.items() if outcome in ("failed", "warning")}


def test_a_sound_tracker_passes_all() -> None:
    outcomes = found("Sound")
    assert wrong(outcomes) == {}
    names = ["declaration", "light", "secrets", "needs", "build", "values", "again", "rewinds", "fast"]
    assert list(outcomes) == names


@pytest.mark.parametrize(
    ("made", "name", "said"),
    [
        ("Strict", "values", "AssertionError: it is no number"),
        ("Once", "again", "FileExistsError"),
        ("Forward", "rewinds", "it only goes forward"),
        ("Silent", "rewinds", "it has rewind() and rewinds is False → set rewinds = True"),
        ("Mapping", "build", "TypeError"),
    ],
)
def test_one_that_is_wrong_in_one_way_fails_that_check(made: str, name: str, said: str) -> None:
    outcomes = wrong(found(made))
    assert list(outcomes) == [name]
    assert said in outcomes[name]


def test_one_that_is_slow_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arcterm_registry.conformance.tracker._SLOW_SECONDS", 0.01)
    assert "500 steps take 0.0 s → gather them in log()" in wrong(found("Slow"))["fast"]


@pytest.mark.parametrize("name", ["api_key", "token", "webhook"])
def test_an_option_that_asks_for_a_secret_fails(name: str) -> None:
    option = Option(name=name, type=str, default="", help="a secret")
    outcomes = wrong(found("Sound", options=(option,)))
    assert list(outcomes) == ["secrets"]
    assert f"option {name} asks for a secret" in outcomes["secrets"]


def test_what_is_not_installed_skips_what_rests_on_it() -> None:
    outcomes = found("Sound", needs=("no_such_module",), install="pip install it")
    assert outcomes["needs"] == ("skipped", "no_such_module is not installed: pip install it")
    assert outcomes["build"][0] == "skipped"
    assert "does not say how to get it" in wrong(found("Sound", needs=("no_such_module",)))["needs"]


@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_those_that_come_with_arcterm_pass(name: str) -> None:
    from arcterm_registry import get

    made: Callable[..., Any] = check
    outcomes = {f.check: (f.outcome, f.detail) for f in made("tracker", get("tracker", name))}
    assert wrong(outcomes) == {}
