"""What came of a job: ``report.json`` in its run directory."""

from __future__ import annotations

from typing import Any

import msgspec

from arcterm.errors import DataError
from arcterm.files import read_json, write_json
from arcterm.runs.store import Run


class Report(msgspec.Struct, kw_only=True, frozen=True):
    """`lines` are for a person, `data` for a script.

    `problems` counts what is wrong with the data that was looked at; a command that finds some ends with exit
    code 3. `result` is the path that was made, if one was.
    """

    lines: list[str]
    data: dict[str, Any] = {}
    problems: int = 0
    result: str = ""


def write_report(run: Run, report: Report) -> None:
    """Keep a job's report."""
    write_json(run.path / "report.json", report)


def read_report(run: Run) -> Report | None:
    """A job's report; None before it has ended. Raises `DataError` if it can't be read."""
    path = run.path / "report.json"
    try:
        return read_json(path, Report)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "look at its owner and mode") from None
