"""torchrun with a report: starts the ranks of one attempt, two or more, and records which failed and how.

Signals to stop are for the ranks and the supervisor, also where a scheduler sends them to all: they stay
blocked here, and the agent ends when its ranks have.

    python -m arcterm.processes.agent RUN ATTEMPT

torchrun's exit code does not tell a crash from a signal, and for a killed rank it writes no error file.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from arcterm import parent_death
from arcterm.processes.hosts import rendezvous
from arcterm.processes.hosts.place import HostPlace
from arcterm.processes.startup import imports
from arcterm.runs import space
from arcterm.runs.diagnosis import AgentReport, Fallen
from arcterm.runs.store import Run


def main() -> int:
    """Run the ranks; 0 if all ended well, 10 if a rank failed, 11 after a signal."""
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    parent_death.tie_to(int(os.environ["ARCTERM_PARENT_PID"]))
    os.environ["ARCTERM_PARENT_PID"] = str(os.getpid())

    with imports.lasting():
        from torch.distributed.elastic.multiprocessing.api import SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.run import parse_args
        from torch.distributed.run import run as run_agent

    first, address = int(os.environ.get("ARCTERM_FIRST_RANK", "0")), os.environ.get("ARCTERM_ADDRESS", "")
    folder = HostPlace(first // run.record.config.ranks_each, address=address).folder(run, attempt)
    meeting = Path(os.environ["ARCTERM_RENDEZVOUS"])
    arguments = [
        "--nnodes=1",
        "--rdzv-backend=c10d",
        # a file only grows, and every sign of life is written to it: with one agent none is needed
        "--rdzv-conf=store_type=file,keep_alive_interval=3600",
        f"--rdzv-endpoint={meeting / rendezvous.AGENT}",
        "--local-addr=127.0.0.1",
        f"--nproc-per-node={run.record.config.ranks_each}",
        "--max-restarts=0",
        "--monitor-interval=0.1",
        "--signals-to-handle=SIGQUIT",
        f"--log-dir={folder / 'torchrun'}",
        "--module",
        "arcterm.processes.rank",
        str(run.path),
        str(attempt),
    ]
    try:
        run_agent(parse_args(arguments))
    except ChildFailedError as error:
        fallen = [
            Fallen(rank=first + rank, pid=failure.pid, exit_code=failure.exitcode, t=failure.timestamp)
            for rank, failure in error.failures.items()  # in the order in which they were seen to end
        ]
        space.write_json(run, folder / "failure.json", AgentReport(ranks=fallen, t=time.time()))
        return 10
    except SignalException as error:
        space.write_json(run, folder / "failure.json", AgentReport(signal=error.sigval.name, t=time.time()))
        return 11
    return 0


if __name__ == "__main__":
    sys.exit(main())
