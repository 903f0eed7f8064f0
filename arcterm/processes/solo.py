"""A job on data from its config to its report, as the worker runs it."""

from __future__ import annotations

import shutil
import time

from arcterm_registry.declare import resolve

from arcterm.config import DataConfig
from arcterm.errors import DataError, StopAskedError
from arcterm.jobs import TASKS
from arcterm.runs import state
from arcterm.runs.context import JobContext
from arcterm.runs.diagnosis import Exit
from arcterm.runs.journal import Sink
from arcterm.runs.report import write_report
from arcterm.runs.store import Run


def run_task(run: Run, attempt: int, config: DataConfig, journal: Sink) -> Exit:
    """Do the job; raises `ArctermError` where it can't be done."""
    task = TASKS[config.task]
    given = {option.name: config.options.get(option.name) for option in task.options}
    state.write_state(run, "running", attempt=attempt)
    job = JobContext(run, journal, config.threads)
    try:
        report = resolve(task.run)(job, *config.paths, **given)
    except StopAskedError:
        return Exit(reason="stopped", detail="on request; what was done is kept", t=time.time())
    except UnicodeEncodeError as error:
        raise DataError(
            f"the name of a file or a folder is not UTF-8: {error.object!r:.200}",
            "rename it: names are written down, and stand in lists",
        ) from None
    write_report(run, report)
    shutil.rmtree(job.work)  # an unpacked archive may be as large as the pack
    return Exit(reason="done", t=time.time())
