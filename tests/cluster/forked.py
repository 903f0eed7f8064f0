"""An attempt at a run whose ranks are forked from one process, so that torch is loaded once for all of them.

python -m tests.cluster.forked RUN ATTEMPT [CHECKPOINT]

What a rank does is `arcterm.processes.rank`, but for its backbone: batch norms see each rank's images
alone, so a network without any is what any number of ranks trains alike. Prints, as JSON, the seconds until
all had ended, the exit codes, and the least memory that was free meanwhile.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path

import psutil
from torch import nn

from arcterm.files import write_json
from arcterm.processes import command, rank
from arcterm.runs.state import Launch
from arcterm.runs.store import Run
from arcterm.train import build, loop  # noqa: F401  the ranks find it loaded

_LEAST_MEMORY = 1 << 30


def network(config: object, device: object) -> nn.Module:
    """Make a network that takes each image alone: (B, 3, 112, 112) to (B, 16)."""
    build.torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(14), nn.Flatten(), nn.Linear(192, 32), nn.PReLU(32), nn.Linear(32, 16))


def main() -> None:
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    build.backbone = network
    build.dataset(run.config)  # drawn once, and with it all is imported that opening it takes
    count = run.config.nproc
    folder = run.attempt_dir(attempt)
    folder.mkdir(parents=True)
    write_json(folder / "launch.json", Launch(argv=[], env={}, resume=(sys.argv[3:] or [""])[0]))
    meeting = Path(os.environ["TMPDIR"]) / f"meeting-{attempt}"
    meeting.mkdir()
    os.environ |= command.environ(run, meeting) | {"WORLD_SIZE": str(count)}
    gc.collect()
    gc.freeze()  # else a collection writes to every page that the ranks share
    began = time.monotonic()
    pids = [_fork(number, run, attempt) for number in range(count)]
    codes, least = _wait(pids)
    print(json.dumps({"seconds": time.monotonic() - began, "codes": codes, "least_memory": least}))


def _fork(number: int, run: Run, attempt: int) -> int:
    pid = os.fork()
    if pid == 0:
        os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number)}
        os.environ["ARCTERM_PARENT_PID"] = str(os.getppid())
        sys.argv = ["rank", str(run.path), str(attempt)]
        os._exit(rank.main())
    return pid


def _wait(pids: list[int]) -> tuple[list[int], int]:
    """Wait for all; kills them where the machine's memory, which others share, comes to its end."""
    left, codes, least = set(pids), [], psutil.virtual_memory().available
    while left:
        least = min(least, psutil.virtual_memory().available)
        if least < _LEAST_MEMORY:
            for pid in left:
                os.kill(pid, 9)
        for pid in list(left):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                left.remove(pid)
                codes.append(os.waitstatus_to_exitcode(status))
        time.sleep(0.1)
    return codes, least


if __name__ == "__main__":
    main()
