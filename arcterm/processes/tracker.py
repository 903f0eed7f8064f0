"""The process that feeds one tracker of a run: ``python -m arcterm.processes.tracker RUN NAME``.

It is no child of the run's supervisor, reads what the run writes, and writes below ``trackers/NAME/`` only.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from pathlib import Path

from arcterm.errors import ArctermError
from arcterm.runs import trackers
from arcterm.runs.store import Run
from arcterm.tracking.feeder import Feeder


def main() -> int:
    """Feed the tracker until the run has ended; another process that does so is waited for."""
    run, name = Run(Path(sys.argv[1])), sys.argv[2]
    faulthandler.enable()
    with contextlib.suppress(OSError):
        os.nice(10)  # the training comes first
    try:
        with trackers.lock(run, name):
            return 0 if Feeder(run, name).feed() else 1
    except (ArctermError, OSError) as error:
        if run.removed:
            return 0
        sys.stderr.write(f"{error}\n")
        return error.exit_code if isinstance(error, ArctermError) else 5


if __name__ == "__main__":
    sys.exit(main())
