"""Trackers get every number of a step."""

from __future__ import annotations

import msgspec

from arcterm.runs.events import Step
from arcterm.tracking.points import values_of

NO_NUMBERS = {"step", "t", "times", "skipped", "overflow"}
"""The place of a value, and what is tracked under other names."""


def test_every_number_of_a_step_is_tracked():
    names = {field.name for field in msgspec.structs.fields(Step)} - NO_NUMBERS
    step = Step(step=3, times={"data": 1.5}, **dict.fromkeys(names, 2))
    assert values_of(step) == {f"train/{name}": 2.0 for name in names} | {
        "time/data": 1.5,
        "train/skipped": 0.0,
        "train/overflow": 0.0,
    }
