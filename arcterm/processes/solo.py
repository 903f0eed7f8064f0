"""A job in one process, without torch and without other ranks.

python -m arcterm.processes.solo RUN ATTEMPT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from arcterm import parent_death
from arcterm.processes import signals
from arcterm.processes.work import do_job, perform
from arcterm.runs.store import Run


def main() -> int:
    """Do the run's job; leaves ``exit.json`` with the reason. 0 if it ended in good order."""
    signals.listen()
    parent_death.tie_to(int(os.environ["ARCTERM_PARENT_PID"]))
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    return perform(run, attempt, 0, lambda journal: (do_job(run, attempt, journal), lambda: None))


if __name__ == "__main__":
    sys.exit(main())
