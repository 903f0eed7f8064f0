"""Reports of jobs: ``report.json`` in the run directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcterm.errors import DataError
from arcterm.files import read_json, write_json
from arcterm.runs.store import Run

if TYPE_CHECKING:  # the contracts take their time to import
    from arcterm_registry.contracts import JobReport


def write_report(run: Run, report: JobReport) -> None:
    write_json(run.path / "report.json", report)


def read_report(run: Run) -> JobReport | None:
    """A job's report; None before it has ended. Raises `DataError` if it can't be read."""
    from arcterm_registry.contracts import JobReport

    path = run.path / "report.json"
    try:
        return read_json(path, JobReport)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "look at its owner and mode") from None
