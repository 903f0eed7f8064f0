"""Which runs are meant: `language` parses a filter, `facts` is what is known of a run by key."""

from __future__ import annotations

from arcterm.runs.query.language import Percent, Query, Value, parse
from arcterm.runs.query.order import arrange, sort

__all__ = ["Percent", "Query", "Value", "arrange", "parse", "sort"]
