"""One working process of an attempt: its output, its journal, its job, and its last word in ``exit.json``."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import msgspec
from arcterm_registry import PluginError, get, locate
from arcterm_registry.contracts import JobReport

from arcterm.config import JobConfig
from arcterm.errors import (
    ArctermError,
    DataError,
    FailedError,
    NotFiniteError,
    StopAskedError,
    is_out_of_memory,
)
from arcterm.files import read_json
from arcterm.processes import signals
from arcterm.runs import space, state
from arcterm.runs.context import JobContext
from arcterm.runs.diagnosis import Exit
from arcterm.runs.events import End, Message
from arcterm.runs.journal import Journal
from arcterm.runs.report import write_report
from arcterm.runs.store import Run

if TYPE_CHECKING:
    from arcterm.train.world import World

_LOOK_SECONDS = 1.0

Work = Callable[[Journal], tuple[Exit, Callable[[], None]]]
"""Does the run's work; returns how it ended, and how to leave the other processes that did it."""


def perform(run: Run, attempt: int, rank: int, work: Work) -> int:
    """Do `work` as process number `rank`; 0 if it ended in good order, else the process ends here."""
    folder = run.rank_dir(attempt, rank)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _redirect(folder)
    journal = None
    try:
        journal = Journal(run.events, attempt, rank)
        launch = read_json(run.attempt_dir(attempt) / "launch.json", state.Launch)
        for note in launch.notes if rank == 0 else []:
            journal.write(Message(level="warning", text=note))
        ended, leave = work(journal)
        # all of it before the process group is left
        journal.write(End(reason=ended.reason, step=ended.step))
        space.write_json(run, folder / "exit.json", ended)
    except BaseException as error:  # noqa: BLE001  the process's last word, whatever it is
        _die(run, rank, error, journal, folder)
    try:
        leave()
    except Exception as error:  # noqa: BLE001  the work is done, and its result is what it is
        traceback.print_exc()
        journal.write(Message(level="warning", text=f"rank {rank}: leaving the other ranks failed: {error}"))
    while not journal.flush():  # the disk is full; nothing waits for this process any more
        time.sleep(_LOOK_SECONDS)
    journal.close()
    return 0


def do_job(run: Run, attempt: int, journal: Journal, world: World | None = None) -> Exit:
    """A job from its config to its report, alone or on every rank of `world`; raises `ArctermError`."""
    config = cast(JobConfig, run.record.config)
    first = world is None or world.first
    if first:
        state.write_state(run, "running", attempt=attempt)
    context = JobContext(run, journal, config.threads, world, signals.stop_asked)
    try:
        report = _call(context, config)
    except StopAskedError:
        return Exit(reason="stopped", detail=f"on request; {config.stop_words.kept}", t=time.time())
    except UnicodeEncodeError as error:
        raise DataError(
            f"the name of a file or a folder is not UTF-8: {error.object!r:.200}",
            "rename it: names are written down, and stand in lists",
        ) from None
    if world is not None:
        world.barrier()  # no rank needs the directory any more, and none has failed
    if first:
        write_report(run, report)
        shutil.rmtree(context.work)  # an unpacked archive may be as large as the pack
    return Exit(reason="done", step=context.step, detail=report.reason, t=time.time())


def _call(context: JobContext, config: JobConfig) -> JobReport:
    """Call a job's function; raises `FailedError` for what the code of another package raises."""
    declared, plugin = get("job", config.plugin), locate("job", config.plugin)
    given = {option.name: config.options.get(option.name, option.default) for option in declared.options}
    try:
        report = declared.load()(context, *config.paths, **given)
        if not isinstance(report, JobReport):
            raise TypeError(f"it returned {type(report).__name__}, not a JobReport")
        msgspec.json.encode(report)
        return report
    except (ArctermError, PluginError, StopAskedError, UnicodeEncodeError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if plugin.distribution == "arcterm":
            raise
        raise FailedError(
            f"job {config.name} of {plugin.distribution} {plugin.version} failed: "
            f"{type(error).__name__}: {error}",
            "tell its author, with the traceback that `arcterm show` has",
        ) from error


def _die(run: Run, rank: int, error: BaseException, journal: Journal | None, folder: Path) -> NoReturn:
    """Record the error wherever possible, and end at once.

    Python's usual ending would leave the process group, which may wait for ranks that wait for this one.
    """
    ended = _last_word(run, error)

    def to_journal() -> None:
        if journal is not None:
            text = f"rank {rank}: {ended.error}\n{ended.hint}".strip()
            journal.write(Message(level="error", text=text[:2000]))
            journal.sync()

    def to_log() -> None:
        sys.stderr.write("".join(traceback.format_exception(error)))
        sys.stderr.flush()
        sys.stdout.flush()

    def to_file() -> None:
        space.write_json(run, folder / "exit.json", ended)

    for record in (to_file, to_log, to_journal):
        with contextlib.suppress(Exception):  # a full disk takes one of them, or all
            record()
    os._exit(1)


def _last_word(run: Run, error: BaseException) -> Exit:
    """The error as `Exit`; without a traceback if its words are enough for a user."""
    if not isinstance(error, ArctermError | PluginError):
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, SystemExit):
            text = f"sys.exit({error.code!r}) was called, which nothing in a rank may do"
        return Exit(reason="error", error=text, traceback=_trace(error), t=time.time())
    cause = error.__cause__
    # the system's errors are in the message
    shown = isinstance(error, FailedError) or (run.record.config.ranks and not isinstance(cause, OSError))
    return Exit(
        reason="error",
        error=error.message,
        hint=error.hint,
        # a plug-in's author has to find what it raised
        traceback=_trace(error) if cause is not None and shown else "",
        exit_code=error.exit_code if isinstance(error, ArctermError) else 2,
        remedy=error.remedy if isinstance(error, NotFiniteError) else "",
        t=time.time(),
    )


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _redirect(folder: Path) -> None:
    """Send stdout and stderr to files, and stacks to a third on SIGUSR2."""
    for number, name in ((1, "stdout.log"), (2, "stderr.log")):
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    faulthandler.enable(file=2)
    stacks = os.open(folder / "stack.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=True)
