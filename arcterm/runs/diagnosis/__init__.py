"""The end of an attempt: what ranks and agent leave behind (`records`), and its meaning (`verdict`)."""

from arcterm.runs.diagnosis.records import (
    AgentReport,
    AttemptEnd,
    Exit,
    Fallen,
    read_ends,
    read_exit,
    read_exits,
    read_report,
    write_end,
)
from arcterm.runs.diagnosis.verdict import diagnose

__all__ = [
    "AgentReport",
    "AttemptEnd",
    "Exit",
    "Fallen",
    "diagnose",
    "read_ends",
    "read_exit",
    "read_exits",
    "read_report",
    "write_end",
]
