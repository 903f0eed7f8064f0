"""One rank of a training or of a job on ranks, started by torchrun, or alone by the supervisor.

python -m arcterm.processes.rank RUN ATTEMPT
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from arcterm import parent_death
from arcterm.processes import signals
from arcterm.processes.startup import imports
from arcterm.processes.work import do_job, perform
from arcterm.runs.diagnosis import Exit
from arcterm.runs.store import Run

if TYPE_CHECKING:
    from arcterm.runs.journal import Journal


def main() -> int:
    """Do the run's work; leaves ``exit.json`` with the reason. 0 if it ended in good order."""
    signals.listen()
    parent_death.tie_to(int(os.environ["ARCTERM_PARENT_PID"]))
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    if first := os.environ.get("ARCTERM_FIRST_RANK"):  # torchrun knows of the ranks of this host only
        os.environ["RANK"] = str(int(first) + int(os.environ["LOCAL_RANK"]))
        os.environ["WORLD_SIZE"] = os.environ["ARCTERM_WORLD_SIZE"]
    return perform(run, attempt, int(os.environ["RANK"]), lambda journal: _work(run, attempt, journal))


def _work(run: Run, attempt: int, journal: Journal) -> tuple[Exit, Callable[[], None]]:
    """How the work ended, and a function to leave the ranks that did it."""
    config = run.record.config
    with imports.lasting():
        import torch

        from arcterm.errors import StopAskedError
        from arcterm.files import read_json
        from arcterm.runs import checkpoints
        from arcterm.runs.pulse import Pulse
        from arcterm.runs.state import Launch
        from arcterm.train.feed.pace import OwnTimes
        from arcterm.train.telemetry import Telemetry
        from arcterm.train.world import World

        if config.kind == "training":
            from arcterm.train.loop import train

            if config.nproc > 1:
                import torch._dynamo  # as torch's DistributedDataParallel does

    pulse = Pulse(run.rank_dir(attempt, int(os.environ["RANK"])))
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # a CPU is far slower on what is as good as 0 in a softmax
    world = World.join(config.device, supervised=config.kind == "training")
    own = OwnTimes()
    with Telemetry(journal, world, own):
        if config.kind == "job":
            return do_job(run, attempt, journal, world), world.leave
        launch = read_json(run.attempt_dir(attempt) / "launch.json", Launch)
        found = run.checkpoints / launch.resume if launch.resume else None
        try:
            return train(run, attempt, run.config, world, journal, found, pulse, own), world.leave
        except StopAskedError as asked:  # while it was paused: all ranks leave together
            step = checkpoints.newest_step(run) or 0
            return Exit(reason="stopped", step=step, detail=str(asked), t=time.time()), world.leave


if __name__ == "__main__":
    sys.exit(main())
