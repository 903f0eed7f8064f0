"""What a config is in a form, and what stopping its run means."""

from __future__ import annotations

from typing import NamedTuple

from arcterm.commandline import Value, written

PATH_FIELD, PLACE_FIELD = "path.", "run."
"""Prefixes of the keys of a form's fields: for a job's path, and for what says where and when it runs."""


def field_text(value: Value) -> str:
    """A value as text in a form's field."""
    return ("yes" if value else "no") if isinstance(value, bool) else written(value)


class StopWords(NamedTuple):
    """When a soft request to stop is obeyed, what is `kept` then, and what stopping `at_once` costs."""

    softly: str
    kept: str
    at_once: str
