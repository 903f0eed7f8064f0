"""One rank of a run, as torchrun starts it.

python -m arcterm.worker RUN ATTEMPT
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from arcterm import lifeline
from arcterm.config import DataConfig
from arcterm.errors import ArctermError
from arcterm.runs.diagnosis import Exit
from arcterm.runs.files import write_json
from arcterm.runs.store import Run

if TYPE_CHECKING:
    from arcterm.runs.journal import Journal


def main() -> int:
    """Do the run's job; leaves ``exit.json`` with the reason. 0 if it ended in good order."""
    lifeline.tie_to(int(os.environ["ARCTERM_AGENT_PID"]))
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    rank = int(os.environ["RANK"])
    folder = run.rank_dir(attempt, rank)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _redirect(folder)
    try:
        ended = _work(run, attempt, rank)
    except Exception as error:  # noqa: BLE001  a rank's last word, whatever it is
        sys.stderr.write(traceback.format_exc())
        write_json(folder / "exit.json", _last_word(run, error))
        return 1
    write_json(folder / "exit.json", ended)
    return 0


def _last_word(run: Run, error: Exception) -> Exit:
    """What went wrong; without a traceback where a job on data met what its user has to mend."""
    trace = traceback.format_exc()
    if not isinstance(error, ArctermError):
        text = f"{type(error).__name__}: {error}"
        return Exit(reason="error", error=text, traceback=trace, t=time.time())
    if isinstance(run.record.config, DataConfig):
        return Exit(
            reason="error", error=error.message, hint=error.hint, exit_code=error.exit_code, t=time.time()
        )
    text = f"{error.message}\n{error.hint}".strip()
    return Exit(reason="error", error=text, traceback=trace, t=time.time())


def _redirect(folder: Path) -> None:
    """Send what this process prints to files of its own, and stacks to a third on SIGUSR2."""
    for number, name in ((1, "stdout.log"), (2, "stderr.log")):
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    faulthandler.enable(file=2)
    stacks = os.open(folder / "stack.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=True)


def _work(run: Run, attempt: int, rank: int) -> Exit:
    from arcterm.runs.events import End, Message
    from arcterm.runs.journal import Journal

    journal = Journal(run.events, attempt, rank)
    try:
        ended = _job(run, attempt, journal)
        journal.write(End(reason=ended.reason, step=ended.step))
        return ended
    except Exception as error:
        journal.write(Message(level="error", text=f"rank {rank}: {str(error)[:2000]}"))
        raise
    finally:
        journal.close()


def _job(run: Run, attempt: int, journal: Journal) -> Exit:
    config = run.record.config
    if isinstance(config, DataConfig):
        from arcterm.data.running import run_task

        return run_task(run, attempt, config, journal)
    import torch

    from arcterm.config import TrainConfig
    from arcterm.runs.files import read_json
    from arcterm.runs.state import Launch
    from arcterm.train.telemetry import Telemetry
    from arcterm.train.world import World

    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # a CPU is far slower on what is as good as 0 in a softmax
    world = World.join(config.device)
    try:
        with Telemetry(journal, world):
            if isinstance(config, TrainConfig):
                from arcterm.train.loop import train

                resume = read_json(run.attempt_dir(attempt) / "launch.json", Launch).resume
                return train(
                    run, attempt, config, world, journal, run.checkpoints / resume if resume else None
                )
            from arcterm.train.verification import verify

            return verify(run, attempt, config, world, journal)
    finally:
        world.leave()


if __name__ == "__main__":
    sys.exit(main())
