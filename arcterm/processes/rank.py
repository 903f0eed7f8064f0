"""One rank of a run, as torchrun starts it.

python -m arcterm.processes.rank RUN ATTEMPT
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from arcterm import parent_death
from arcterm.config import DataConfig
from arcterm.errors import ArctermError
from arcterm.files import write_json
from arcterm.runs.diagnosis import Exit
from arcterm.runs.store import Run

if TYPE_CHECKING:
    from arcterm.runs.journal import Journal


def main() -> int:
    """Do the run's job; leaves ``exit.json`` with the reason. 0 if it ended in good order."""
    parent_death.tie_to(int(os.environ["ARCTERM_AGENT_PID"]))
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    rank = int(os.environ["RANK"])
    folder = run.rank_dir(attempt, rank)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _redirect(folder)
    try:
        _work(run, attempt, rank)
    except Exception as error:  # noqa: BLE001  a rank's last word, whatever it is
        _die(run, folder, error)
    return 0


def _die(run: Run, folder: Path, error: BaseException, journal: Journal | None = None) -> NoReturn:
    """Say what went wrong wherever it can be said, and end at once.

    What others do at the end of a process, leaving its process group first of all, may wait for ranks that
    wait for this one.
    """
    from arcterm.runs.events import Message

    said = _last_word(run, error)

    def to_journal() -> None:
        if journal is not None:
            text = f"rank {os.environ['RANK']}: {said.error}\n{said.hint}".strip()
            journal.write(Message(level="error", text=text[:2000]))
            journal.sync()

    def to_log() -> None:
        sys.stderr.write("".join(traceback.format_exception(error)))
        sys.stderr.flush()
        sys.stdout.flush()

    def to_file() -> None:
        write_json(folder / "exit.json", said)

    for speak in (to_file, to_log, to_journal):
        with contextlib.suppress(Exception):  # a full disk takes one of them, or all
            speak()
    os._exit(1)


def _last_word(run: Run, error: BaseException) -> Exit:
    """What went wrong; without a traceback where it is told in words that a person can act on."""
    if not isinstance(error, ArctermError):
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, SystemExit):
            text = f"sys.exit({error.code!r}) was called, which nothing in a rank may do"
        return Exit(reason="error", error=text, traceback=_trace(error), t=time.time())
    is_job = isinstance(run.record.config, DataConfig)
    return Exit(
        reason="error",
        error=error.message,
        hint=error.hint,
        # what a plug-in raised is told in words and shown, since its author has to find it
        traceback=_trace(error) if error.__cause__ is not None and not is_job else "",
        exit_code=error.exit_code,
        t=time.time(),
    )


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _redirect(folder: Path) -> None:
    """Send what this process prints to files of its own, and stacks to a third on SIGUSR2."""
    for number, name in ((1, "stdout.log"), (2, "stderr.log")):
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    faulthandler.enable(file=2)
    stacks = os.open(folder / "stack.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=True)


def _work(run: Run, attempt: int, rank: int) -> None:
    """Do the job and say how it ended, all of it before the process group is left."""
    from arcterm.runs.events import End, Message
    from arcterm.runs.journal import Journal

    folder = run.rank_dir(attempt, rank)
    journal = Journal(run.events, attempt, rank)
    try:
        ended, leave = _job(run, attempt, journal)
        journal.write(End(reason=ended.reason, step=ended.step))
        write_json(folder / "exit.json", ended)
    except BaseException as error:  # noqa: BLE001  see main
        _die(run, folder, error, journal)
    try:
        leave()
    except Exception as error:  # noqa: BLE001  the job is done, and its result is what it is
        traceback.print_exc()
        journal.write(Message(level="warning", text=f"rank {rank}: leaving the other ranks failed: {error}"))
    journal.close()


def _job(run: Run, attempt: int, journal: Journal) -> tuple[Exit, Callable[[], None]]:
    """How the job ended, and how to leave the ranks that did it."""
    config = run.record.config
    if isinstance(config, DataConfig):
        from arcterm.processes.solo import run_task

        return run_task(run, attempt, config, journal), lambda: None
    import torch

    from arcterm.config import TrainConfig
    from arcterm.files import read_json
    from arcterm.runs.events import Message
    from arcterm.runs.state import Launch
    from arcterm.train.telemetry import Telemetry
    from arcterm.train.world import World

    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # a CPU is far slower on what is as good as 0 in a softmax
    world = World.join(config.device)
    with Telemetry(journal, world):
        if isinstance(config, TrainConfig):
            from arcterm.train.loop import train

            launch = read_json(run.attempt_dir(attempt) / "launch.json", Launch)
            for note in launch.notes if world.first else []:
                journal.write(Message(level="warning", text=note))
            found = run.checkpoints / launch.resume if launch.resume else None
            return train(run, attempt, config, world, journal, found), world.leave
        from arcterm.train.verification import verify

        return verify(run, attempt, config, world, journal), world.leave


if __name__ == "__main__":
    sys.exit(main())
