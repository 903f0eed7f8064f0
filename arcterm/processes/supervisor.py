"""The process that owns a run: it starts the ranks' agent, watches them, and records how it ended.

    python -m arcterm.processes.supervisor RUN ATTEMPT [LOCK PIPE OPTIONS]

LOCK is a descriptor of the run's lock, already held; PIPE receives a word when the run is owned, or why not.
Options: --from-start, --change NAME (a planned change, see `runs.history`), --after RUN (wait for it first),
--listen HOST:PORT (where the other hosts of a run on several find this one).

One per run, in a session of its own. torch runs in its children only. After a failure from outside the ranks
are launched again, in a new attempt, from the newest whole checkpoint. SIGTERM, SIGUSR1 and SIGINT mean:
save, then stop, within a grace time; SIGQUIT ends the run at once.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import msgspec

from arcterm import parent_death
from arcterm.config import TrainConfig
from arcterm.errors import ArctermError, RunError
from arcterm.processes import family, queue, signals
from arcterm.processes.attempt import TICK_SECONDS, Attempt, StopAsked
from arcterm.processes.hosts import address, elastic, rendezvous
from arcterm.processes.hosts.roll import Roll
from arcterm.processes.retries import Retries
from arcterm.runs import advice, checkpoints, control, diagnosis, history, space, state
from arcterm.runs.diagnosis import AttemptEnd
from arcterm.runs.state import Failure
from arcterm.runs.store import Run

_EXIT_CODES = {"done": 0, "stopped": 130, "failed": 1}


def main() -> int:
    """Supervise one run until it is done, stopped or failed."""
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    lock, pipe = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 3 else (None, None)
    try:
        with state.lock(run, lock):
            return own(run, attempt, sys.argv[5:], pipe)
    except (ArctermError, OSError) as error:
        _report(pipe, str(error))
        with contextlib.suppress(OSError):  # the log is on the disk that may be full
            sys.stderr.write(f"{error}\n")
        return error.exit_code if isinstance(error, ArctermError) else 5


def own(run: Run, attempt: int, options: Sequence[str], pipe: int | None = None) -> int:
    """Supervise a run whose lock is held from `attempt` on; returns the exit code.

    Raises `ArctermError` or OSError if it can't begin.
    """
    named, asked = dict(itertools.pairwise(options)), StopAsked()
    after = Run(Path(named["--after"])) if "--after" in named else None
    if "--change" in named:  # before READY: a start that fails changes nothing
        history.accept(run, named["--change"], checkpoints.newest_step(run))
    _take_signals(asked)
    roll = _open_roll(run, named.get("--listen"), asked)
    supervisor = Supervisor(run, attempt, asked, roll, from_start="--from-start" in options, after=after)
    code = supervisor.supervise(pipe)
    space.drop_reserve(run)
    return code


def _take_signals(asked: StopAsked) -> None:
    """Note in `asked` from now on what signals ask for."""

    def note(number: int, frame: FrameType | None) -> None:
        asked.take(signal.Signals(number).name)

    for number in (*signals.STOPPING, signal.SIGQUIT):
        signal.signal(number, note)
    signals.unblock()


def _open_roll(run: Run, place: str | None, asked: StopAsked) -> Roll | None:
    """Listen at `place` for the other hosts of a run, if it is to have some; raises `ArctermError`."""
    config = run.record.config
    most = max(config.hosts, config.most_hosts)
    if most == 1:
        return None
    if place is None:
        raise RunError(
            f"{run.name} works on {most} hosts, and no place to meet is named",
            f"`arcterm resume {run.id} --rdzv HOST:PORT` on each, with an address of this one",
        )
    return Roll(run, address.parse(place), asked.take)


class Supervisor:
    """A run from one attempt on, under one lock; it first waits for the run `after` which it is queued.

    `asked` is what signals ask for, `roll` the other hosts of the run, if it has some.
    """

    def __init__(
        self,
        run: Run,
        attempt: int,
        asked: StopAsked,
        roll: Roll | None = None,
        *,
        from_start: bool = False,
        after: Run | None = None,
    ) -> None:
        self.run = run
        self.asked = asked
        self.roll = roll
        self.from_start = from_start
        self.after = after
        self.attempt = Attempt(run, attempt, asked, roll)
        self.notes: list[str] = []
        self._beaten = 0.0

    def supervise(self, pipe: int | None) -> int:
        """Launch the ranks until the run needs no further attempt, and write its final state."""
        self._own()
        _report(pipe, state.READY)
        try:
            parent_death.adopt_orphans()
            checkpoints.sweep(self.run)
            control.clear(self.run)
            ended = self._wait_in_queue() or self._attempts()
        except (ArctermError, OSError) as error:
            ended = self.attempt.end("failed", failure=self._own_failure(error))
        finally:
            family.kill()
        state.write_state(
            self.run,
            ended.state,
            attempt=ended.attempt,
            step=ended.step,
            reason=ended.reason,
            failure=ended.failure,
        )
        code = _EXIT_CODES[ended.state]
        if self.roll:
            words = ": ".join(filter(None, (f"{self.run.name} is {ended.state}", ended.reason)))
            self.roll.close(code, words)
        return code

    def _own(self) -> None:
        """Take the run for this attempt, as readers see it."""
        number, step = self.attempt.number, checkpoints.newest_step(self.run) or 0
        state.take_ownership(self.run, number, "local")
        state.beat(self.run)
        space.keep_reserve(self.run)
        word: state.StateName = "queued" if self.after else "starting"
        reason = f"after {queue.called(self.after)}" if self.after else self.attempt.waited
        state.write_state(self.run, word, attempt=number, step=step, reason=reason)

    def _wait_in_queue(self) -> AttemptEnd | None:
        """Wait for the run that this one is queued after; returns the end of one that was stopped by then."""
        if self.after is None:
            return None
        other, self.after = self.after, None
        called = queue.called(other)
        ended = queue.wait_for(self.run, other, asked=self.asked.any, beat=self._beat)
        if not ended:
            stopped = self.attempt.end("stopped", reason=f"stopped while it waited for {called}")
            diagnosis.write_end(self.run, stopped)
            return stopped
        queue.check_data(self.run)
        self.attempt.waited = f"{called} is {ended}"
        self._own()
        return None

    def _attempts(self) -> AttemptEnd:
        """Launch the ranks again and again, as long as it makes sense; returns how the last attempt ended."""
        config = self.run.record.config
        retries = Retries(config.retries if config.resumes else 0, checkpoints.newest_step(self.run))
        while True:
            ended = self._once()
            growing = bool(self.attempt.grows) and ended.state == "stopped" and not self._is_stop_asked()
            if growing:
                ended = msgspec.structs.replace(ended, reason=f"another host came; {ended.reason}")
            with contextlib.suppress(OSError):  # a full disk; the run's state matters more
                diagnosis.write_end(self.run, ended)
            if growing:
                self._begin_again(ended, remedied=False)
                continue
            if ended.state != "failed":
                return ended
            remedied = self._is_remedied()
            if self.roll and self.roll.lost:  # no fault of the run's: it waits for that host
                self._begin_again(ended, remedied=False)
                continue
            refusal = retries.refusal(ended, checkpoints.newest_step(self.run), mended=remedied)
            if refusal is not None:
                reason = "; ".join(filter(None, (ended.reason, refusal)))
                return msgspec.structs.replace(ended, reason=reason)
            if not self._finds_room(ended):
                return self.attempt.end(
                    "stopped", reason=f"stopped while its disk was full, after: {ended.reason}"
                )
            self._begin_again(ended, remedied)
            self._pause(retries.pause)

    def _once(self) -> AttemptEnd:
        """Start the ranks, watch them until they have ended, and find out how."""
        if self.roll and not self._gather(self.roll):
            return self.attempt.end("stopped", reason="stopped while it waited for other hosts")
        with state.beating(self.run):  # gigabytes are read
            found = checkpoints.newest_valid(self.run, from_start=self.from_start)
        with rendezvous.folder() as meeting:
            self.attempt.start(meeting, found, self.notes)
            cut = self.attempt.watch(self._beat)
            left = family.kill()
            if self.roll:
                self.roll.end(self._beat)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            hint = f"look at `dmesg`, disks and GPUs; then {advice.resuming(self.run)}"
            failure = Failure(
                cause=f"process {pids} can't be ended: it waits for the kernel", hint=hint, repeats=True
            )
            return self.attempt.end("failed", failure=failure)
        return self.attempt.conclude(cut)

    def _gather(self, roll: Roll) -> bool:
        """Wait until enough hosts are there for an attempt; False if a stop is asked for before."""
        config, said = self.run.record.config, ""
        most = config.most_hosts or config.hosts
        while True:
            words = roll.missing(config.least_hosts or most, most)
            if not words and (fitted := elastic.fit(config, roll.count)) is not None:
                break
            words = words or f"{config.product} images a step can't be shared by {roll.count} hosts"
            if self.asked.any() or any(request.verb == "stop" for _, request in control.pending(self.run)):
                return False
            if words != said:
                step, number = checkpoints.newest_step(self.run) or 0, self.attempt.number
                state.write_state(self.run, "starting", attempt=number, step=step, reason=words)
                said = words
            self._beat()
            time.sleep(TICK_SECONDS)
        if isinstance(fitted, TrainConfig) and fitted != config:
            names = ", ".join(roll.names[: fitted.hosts])
            why = f"{fitted.hosts} of {most} hosts: {names}"
            history.record(self.run, fitted, why, checkpoints.newest_step(self.run) or 0)
            self.notes.append(f"goes on on {why}; {fitted.product} = {fitted.global_batch} images a step")
        return True

    def _begin_again(self, ended: AttemptEnd, remedied: bool) -> None:
        """Make the next attempt ready."""
        step = checkpoints.newest_step(self.run) or 0
        changed = ""
        if remedied:
            config = msgspec.structs.replace(self.run.config, lr=self.run.config.lr / 2)
            history.record(self.run, config, f"lower-lr: {ended.reason}", step)
            changed = f" with lr {config.lr:g}"
        where = f"from step {step:,}" if self.run.record.config.kind == "training" else "where it was"
        self.notes = [f"relaunched {where}{changed}: {ended.reason}"]
        self.attempt = Attempt(self.run, ended.attempt + 1, self.asked, self.roll)
        log_into(self.run.attempt_dir(ended.attempt + 1))
        self._own()

    def _is_stop_asked(self) -> bool:
        """Whether a person asked for a stop since the attempt began to make place for another host."""
        own = self.attempt.grows
        return self.asked.any() or any(name > own for name in control.stops(self.run))

    def _finds_room(self, ended: AttemptEnd) -> bool:
        """Wait until the disk takes the files of another attempt; False if a stop is asked for before."""
        paused = False
        while not (room := space.to_write(self.run, 1)).suffices:
            stop = any(request.verb == "stop" for _, request in control.pending(self.run))
            if stop or self.asked.name or self.asked.at_once:
                return False
            if not paused:
                reason = f"{room}; before it goes on after: {ended.reason}"
                state.write_state(self.run, "paused", attempt=ended.attempt, step=ended.step, reason=reason)
                paused = True
            self._pause(1.0)
        return True

    def _pause(self, seconds: float) -> None:
        """Wait before a relaunch; a stop ends it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.asked.any():
            self._beat()
            time.sleep(TICK_SECONDS)

    def _beat(self) -> None:
        """Show readers on other hosts that the supervisor lives."""
        now = time.monotonic()
        if now - self._beaten >= state.HEARTBEAT_SECONDS:
            self._beaten = now
            state.beat(self.run)
            if control.is_end_asked(self.run):
                self.asked.at_once = True

    def _is_remedied(self) -> bool:
        """Whether a rank says that half the learning rate may help."""
        exits = diagnosis.read_exits(self.run, self.attempt.number).values()
        return any(ended.remedy == "lower-lr" for ended in exits)

    def _own_failure(self, error: ArctermError | OSError) -> Failure:
        """The failure of this process itself."""
        if isinstance(error, ArctermError):
            return Failure(cause=error.message, hint=error.hint, exit_code=error.exit_code, repeats=True)
        cause = f"the supervisor could not go on: {error}"
        return Failure(cause=cause, hint=advice.resuming(self.run), repeats=True)


def log_into(folder: Path) -> None:
    """Send what this process and the agent say into the log of a new attempt."""
    folder.mkdir(parents=True, mode=0o700)
    log = os.open(folder / "agent.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)


def _report(pipe: int | None, word: str) -> None:
    """Report to the process that started this one, if it still reads."""
    if pipe is not None:
        with contextlib.suppress(OSError):  # gone, or already closed
            os.write(pipe, word.encode())
            os.close(pipe)


if __name__ == "__main__":
    sys.exit(main())
