"""Watching a run from the command line until it ends: drawn in a terminal, in lines elsewhere."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Protocol

from arcterm.errors import ArctermError
from arcterm.launch import start
from arcterm.launch.launchers.refreshing import Refresher
from arcterm.processes import termination
from arcterm.runs import advice, trackers
from arcterm.runs.describe import describe
from arcterm.runs.events import (
    AnyEvent,
    Checkpoint,
    Gpus,
    Message,
    Mined,
    MxnetFile,
    Phase,
    Skipped,
    Start,
    Step,
    Verify,
)
from arcterm.runs.reader import Events, Reader, RunGoneError
from arcterm.runs.reading.summary import Summary
from arcterm.runs.report import read_report
from arcterm.runs.state import LIVE, State, check_whole, read_state
from arcterm.runs.store import Run, RunRecord
from arcterm.show import words
from arcterm.show.output import put, put_json, say
from arcterm.show.streams import ReaderGoneError
from arcterm.text import clean, duration

_LOOK_SECONDS = 0.25
_FIRST_SECONDS, _FIRST_LOOK_SECONDS = 3.0, 0.05  # many a job is over by then, and its person waits
_LINE_SECONDS = 5.0
_AGAIN_SECONDS = 2.0


class View(Protocol):
    """A way to show a run."""

    def show(self, state: State, summary: Summary, events: Events, note: str) -> None:
        """Show what is new; `note` answers the last Ctrl-C."""

    def close(self) -> None:
        """Give the terminal back."""


def watch(
    run: Run,
    *,
    plain: bool,
    as_json: bool,
    owner: bool,
    after: int = -1,
    talk: bool = False,
    view: View | None = None,
) -> None:
    """Follow `run` until it ends; raises `RunFailedError` if it is not done then.

    The `owner` stops the run by Ctrl-C or SIGTERM: once after a checkpoint, twice at once. Others only leave.
    `after` is the attempt that is already over, when a new one was just started. With `talk` its lines go to
    stderr, and a `view` of the caller's is shown in place of the usual one.
    Others that want JSON get nothing else: what is known of the run when it ends, or when they leave.
    """
    check_whole(run)
    name = run.name
    if view is None:
        view = _Silent() if as_json and not owner else _view(run, plain or as_json, as_json or talk, owner)
    began = time.monotonic()
    interrupts = _Interrupts(run, owner)
    previous = interrupts.install()
    reader = Reader(run, curve=True)
    engines = Refresher(lambda: [run])
    try:
        while True:
            engines.look()
            state = read_state(run)
            try:
                paused = state.reason if state.state == "paused" else ""  # its events find no room
                note = interrupts.note or paused or "; ".join(engines.troubles)
                view.show(state, reader.refresh(), reader.events(), note)
            except ReaderGoneError:
                say(f"{run.name}: {state.state}; `arcterm attach {run.id}` shows it again")
                raise
            if state.attempt > after and state.state not in LIVE:
                break
            if interrupts.leave:
                view.close()
                if as_json and not owner:
                    put_json(describe(Reader(run, check=True)))
                say(f"{name} goes on; `arcterm attach {run.id}` comes back to it")
                raise KeyboardInterrupt
            early = time.monotonic() - began < _FIRST_SECONDS
            time.sleep(_FIRST_LOOK_SECONDS if early else _LOOK_SECONDS)
    except (ArctermError, OSError):
        if run.removed:  # its files went while they were read
            raise RunGoneError.of(run) from None
        raise
    finally:
        with contextlib.suppress(OSError):  # the terminal may be gone
            view.close()
        for number, handler in previous.items():
            signal.signal(number, handler)
    if run.removed:
        raise RunGoneError.of(run)
    check_whole(run)
    if owner and not interrupts.leaves_soon:
        _wait_for_trackers(run)
    with interrupts.noted():
        _conclude(run, state, as_json, talk)


def _wait_for_trackers(run: Run) -> None:
    """Give the trackers a moment to get the last values; says which go on without this process."""
    try:
        left = trackers.wait_for(run)
    except KeyboardInterrupt:
        return
    for tracker in left:
        say(f"{words.tracked(tracker)}; it goes on by itself, `arcterm show {run.id}` says how far it is")


def _conclude(run: Run, state: State, as_json: bool, talk: bool) -> None:
    """Say how the run ended; raises `RunFailedError` if it isn't done."""
    if run.record.config.kind == "job":
        _conclude_job(run, state, as_json, talk)
        return
    if as_json:
        put_json(describe(Reader(run, check=True)))
    if state.state == "done":
        but = f", {'' if run.record.log else 'but '}{state.reason}" if state.reason else ""
        say(f"{run.name} is done{but}: {run.path}")
        return
    if state.state == "stopped":
        raise RunFailedError(f"{run.name} is stopped: {state.reason}", advice.resuming(run), 130)
    failure = state.failure
    if failure is None:
        log = run.attempt_dir(run.attempts()) / "agent.log"
        raise RunFailedError(
            f"{run.name} is {state.state}: {state.reason}", f"{advice.resuming(run)}; its log: {log}", 5
        )
    say(*failure.traceback.splitlines())
    hint = "; ".join(filter(None, (failure.hint, f"its log: {failure.log}")))
    raise RunFailedError(f"{run.name} failed on {failure.where}: {state.reason or failure.cause}", hint, 5)


def _conclude_job(run: Run, state: State, as_json: bool, talk: bool) -> None:
    """Print a job's report, to stderr if it is talk, or raise its error."""
    report = read_report(run) if state.state == "done" else None
    if report is not None:
        if as_json:
            put_json(report.data)
        elif report.result:
            say(*report.lines)
            put(report.result)
        else:
            (say if talk else put)(*report.lines)
        if report.problems:
            raise RunFailedError(f"{report.problems:,} problem{'s' * (report.problems != 1)} found", "", 3)
        return
    if state.state == "done":  # the verification of an older arcterm has no report
        say(f"{run.name} is done: {run.path}")
        return
    if state.state == "stopped":
        raise RunFailedError(f"stopped: {state.reason}", advice.resuming(run), 130)
    failure = state.failure
    if failure is None:
        raise RunFailedError(f"the job is {state.state}: {state.reason}", advice.resuming(run), 5)
    say(*failure.traceback.splitlines())
    hint = failure.hint or f"its log: {failure.log}"
    code = failure.exit_code if failure.exit_code in (1, 2, 3, 4, 5) else 5
    raise RunFailedError(failure.error or failure.cause, hint, code)


class RunFailedError(ArctermError):
    """A run that did not end well: failed, lost or stopped, with the exit code of what it met.

    `interrupted` if it was stopped from where it was watched.
    """

    def __init__(self, message: str, hint: str, exit_code: int = 5) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code
        self.interrupted = False


def _end(number: int, frame: FrameType | None) -> None:
    """Handle a signal: leave after giving the terminal back. The run goes on."""
    raise SystemExit(128 + number)


class _Silent:
    """Shows nothing."""

    def show(self, state: State, summary: Summary, events: Events, note: str) -> None:
        """Print nothing before the end."""

    def close(self) -> None:
        """There is nothing to give back."""


class _Interrupts:
    """The handling of Ctrl-C."""

    def __init__(self, run: Run, owner: bool) -> None:
        self._run = run
        self._owner = owner
        self._count = 0
        self._terminated: float | None = None
        self.leave = False
        self.note = ""

    def install(self) -> dict[int, Any]:
        """Handle signals from now on, and one that came as the run was started; returns the handlers before.

        A terminal that is closed, and signals to one who only watches, leave the run running.
        """
        handlers: dict[int, Any] = {signal.SIGINT: self.handle}
        handlers |= dict.fromkeys(termination.NUMBERS, self.terminate if self._owner else _end)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            handlers[signal.SIGHUP] = _end
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        if self._owner and (early := termination.seen()):
            self.terminate(early, None)
        return previous

    @property
    def leaves_soon(self) -> bool:
        """Whether something ends this process, which may not wait for long."""
        return self.leave or self._terminated is not None

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note on a `RunFailedError` whether the run was stopped from here."""
        try:
            yield
        except RunFailedError as error:
            error.interrupted = self._count > 0 or self._terminated is not None
            raise

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler for SIGINT."""
        self._count += 1
        if not self._owner or self._count > 2:
            self.leave = True
            return
        try:
            start.stop(self._run, now=self._count == 2)
            softly = f"stopping {self._run.record.config.stop_words.softly}"
            self.note = f"{softly}; Ctrl-C again stops at once" if self._count == 1 else "stopping at once"
        except ArctermError as error:
            self.note = error.message

    def terminate(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: save, then stop, within the run's grace; at once if it comes again later.

        A scheduler may send it to a group and to its members, which is one request.
        """
        name, now = signal.Signals(number).name, time.monotonic()
        again = self._terminated is not None and now - self._terminated > _AGAIN_SECONDS
        if self._terminated is not None and not again:
            return
        self._terminated = now
        try:
            start.stop(self._run, now=True) if again else start.terminate(self._run)
            softly = f"stopping {self._run.record.config.stop_words.softly}; again stops at once"
            self.note = f"{name}: {'stopping at once' if again else softly}"
        except ArctermError as error:
            self.note = error.message


class Lines:
    """Appends lines: every verification, checkpoint, skipped record and message, a step every few seconds.

    Of a run whose `record` has another program's log they leave out what that does not say.
    """

    def __init__(self, to_stderr: bool, record: RunRecord | None = None) -> None:
        self._put = say if to_stderr else put
        self._record = record
        self._last = 0.0
        self._note = self._held = ""

    def show(self, state: State, summary: Summary, events: Events, note: str) -> None:
        """Print what is new."""
        if state.state in ("queued", "starting") and state.reason not in ("", self._held):
            self._held = state.reason
            say(f"{state.state} {state.reason}")
        if note != self._note:
            self._note = note
            say(note)
        for _, event in events:
            text = self._line(event, summary)
            if text:
                self._put(text)

    def close(self) -> None:
        """There is nothing to give back."""

    def _line(self, event: AnyEvent, summary: Summary) -> str:  # noqa: PLR0911  one a kind of event
        match event:
            case Step():
                return self._step(event, summary)
            case Mined():
                return f"mined   step {event.step:,}  {mined_words(event)}"
            case Verify():
                return f"verify  step {event.step:,}  {event.line}"
            case Skipped():
                return f"skip    {words.skip(event)} ({event.count:,} of {event.total:,})"
            case Checkpoint():
                return f"saved   step {event.step:,}  {words.saved(event)}"
            case MxnetFile():
                size, seconds = event.bytes / 2**20, event.seconds
                return f"saved   step {event.step:,}  {event.path}  {size:.1f} MiB in {seconds:.1f} s"
            case Start(rank=0):
                ranks = f"{event.world_size} × {event.device or 'ranks'}"
                return f"start   {ranks}, from step {event.step:,} of {event.steps:,}"
            case Gpus(note=note) if note:
                return f"info    {note}"
            case Message():
                text = event.text.partition("\n")[0]
                return f"{event.level:<7} {text}"
            case Phase(phase="loading" | "compiling", detail=detail):
                return f"wait    {event.phase} {detail}"
            case _:
                return ""

    def _step(self, event: Step, summary: Summary) -> str:
        if event.t - self._last < _LINE_SECONDS and event.step not in (1, summary.total_steps):
            return ""
        self._last = event.t
        eta = summary.eta()
        left = f"  {duration(eta)} left" if eta else ""
        active = "" if event.active is None else f"active {event.active:.0%}  "
        active += "" if event.teacher is None else f"teacher {event.teacher:.3f}  "
        active += "" if event.margin is None else f"margin {event.margin:.3g}  "
        active += "" if event.scale is None else f"scale {event.scale:.3g}  "
        wait = "" if event.data_wait is None else f"  wait {event.data_wait:.0%}"
        scores = [
            ("loss", event.loss, ".4f", ""),
            ("acc", event.accuracy, ".3f", ""),
            ("angle", event.angle, ".1f", "°"),
        ]
        said = "".join(
            f"{name} {number:{digits}}{unit}  "
            for name, value, digits, unit in scores
            if (number := self._record.number(value) if self._record else float(value)) is not None
        )
        return (
            f"step    {event.step:,}/{summary.total_steps:,}  epoch {event.epoch}  {said}{active}"
            f"lr {event.lr:.4g}  {event.images_per_second:.0f} img/s{wait}{left}"
        )


class JobLines(Lines):
    """Appends lines of a job: each of its phases as it begins and ends, and every few seconds."""

    def __init__(self, to_stderr: bool) -> None:
        super().__init__(to_stderr)
        self._phase: Phase | None = None

    def _line(self, event: AnyEvent, summary: Summary) -> str:
        match event:
            case Phase():
                return self._of_phase(event, summary)
            case Message(level="error"):  # its last word, which is said when it has ended
                return ""
            case _:
                return super()._line(event, summary)

    def _of_phase(self, event: Phase, summary: Summary) -> str:
        before, self._phase = self._phase, event
        same = before is not None and before.phase == event.phase
        ended = event.done == event.total and not (before and same and before.done == before.total)
        if same and not ended and event.t - self._last < _LINE_SECONDS:
            return ""
        self._last = event.t
        eta = summary.phase_eta() if event == summary.phase else None  # of earlier ones it isn't known
        left = f"{duration(eta)} left" if eta else ""
        return "  ".join(filter(None, (f"{clean(event.phase):<7} {words.counted(event)}", left)))


def mined_words(mined: Mined) -> str:
    """A round of mining in words."""
    return (
        f"round {mined.round}: {mined.triplets:,} triplets of {mined.pairs:,} pairs "
        f"in {mined.images:,} images, {mined.steps:,} steps, {mined.seconds:.1f} s"
    )


def _view(run: Run, plain: bool, to_stderr: bool, owner: bool) -> View:
    """Return the view of `run`. stdout is for what a job makes, so its lines go to stderr."""
    kind = run.record.config.kind
    if plain or not sys.stdout.isatty():
        return JobLines(to_stderr=True) if kind == "job" else Lines(to_stderr, run.record)
    from arcterm.cli.runs.live import JobLive, Live

    return JobLive(run, owner) if kind == "job" else Live(run, owner)
