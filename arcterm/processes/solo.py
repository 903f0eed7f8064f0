"""A job in one process, without torch and without other ranks.

python -m arcterm.processes.solo RUN ATTEMPT
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from arcterm_registry import get

from arcterm import parent_death
from arcterm.config import JobConfig
from arcterm.errors import DataError, StopAskedError
from arcterm.processes.work import perform
from arcterm.runs import state
from arcterm.runs.context import JobContext
from arcterm.runs.diagnosis import Exit
from arcterm.runs.journal import Journal
from arcterm.runs.report import write_report
from arcterm.runs.store import Run

if TYPE_CHECKING:
    from arcterm.train.world import World


def main() -> int:
    """Do the run's job; leaves ``exit.json`` with the reason. 0 if it ended in good order."""
    parent_death.tie_to(int(os.environ["ARCTERM_SUPERVISOR_PID"]))
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    return perform(run, attempt, 0, lambda journal: (do_job(run, attempt, journal), lambda: None))


def do_job(run: Run, attempt: int, journal: Journal, world: World | None = None) -> Exit:
    """A job from its config to its report, alone or on every rank of `world`; raises `ArctermError`."""
    config = cast(JobConfig, run.record.config)
    declared = get("job", config.name)
    first = world is None or world.first
    if first:
        state.write_state(run, "running", attempt=attempt)
    context = JobContext(run, journal, config.threads, world)
    given = {option.name: config.options.get(option.name) for option in declared.options}
    try:
        report = declared.load()(context, *config.paths, **given)
    except StopAskedError:
        return Exit(reason="stopped", detail=f"on request; {config.stop_words.kept}", t=time.time())
    except UnicodeEncodeError as error:
        raise DataError(
            f"the name of a file or a folder is not UTF-8: {error.object!r:.200}",
            "rename it: names are written down, and stand in lists",
        ) from None
    if first:
        write_report(run, report)
        shutil.rmtree(context.work)  # an unpacked archive may be as large as the pack
    return Exit(reason="done", step=context.step, detail=report.reason, t=time.time())


if __name__ == "__main__":
    sys.exit(main())
