"""The process that owns a run: it starts the ranks' agent, watches them, and records how it ended.

    python -m arcterm.processes.supervisor RUN ATTEMPT [LOCK PIPE [--from-start] [--change NAME]]

LOCK is a descriptor of the run's lock, already held; PIPE receives a word when the run is owned, or why not;
NAME is that of a planned change (`runs.history`). One per run, in a session of its own. torch runs in its
children only. After a failure from outside the ranks are launched again, in a new attempt, from the newest
whole checkpoint. SIGTERM, SIGUSR1 and SIGINT mean: save, then stop, within a grace time; SIGQUIT ends the run
at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Literal

import msgspec

from arcterm import parent_death
from arcterm.errors import ArctermError
from arcterm.processes import command, family, rendezvous
from arcterm.processes.retries import Retries
from arcterm.processes.signals import STOPPING
from arcterm.runs import advice, checkpoints, control, diagnosis, history, pulse, space, state
from arcterm.runs.diagnosis import AttemptEnd
from arcterm.runs.state import Failure, Launch
from arcterm.runs.store import Run

_TICK_SECONDS = 0.2
_SAVED = {"loading": "loading", "compile": "compiling", "verify": "verifying"}
"""Phases in which everything is saved: before the first step, and right after a checkpoint."""
_EXIT_CODES = {"done": 0, "stopped": 130, "failed": 1}

Cut = Literal["", "at once", "saved", "grace"]
"""Why the supervisor itself ended an attempt: by SIGQUIT, with nothing to save, or after the grace."""


def main() -> int:
    """Supervise one run until it is done, stopped or failed."""
    run, attempt = Run(Path(sys.argv[1])), int(sys.argv[2])
    lock, pipe = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 3 else (None, None)
    supervisor = Supervisor(run, attempt, from_start="--from-start" in sys.argv)
    try:
        with state.lock(run, lock):
            if "--change" in sys.argv:  # before READY: a start that fails changes nothing
                history.accept(run, sys.argv[sys.argv.index("--change") + 1], checkpoints.newest_step(run))
            code = supervisor.supervise(pipe)
            space.drop_reserve(run)
            return code
    except (ArctermError, OSError) as error:
        _report(pipe, str(error))
        with contextlib.suppress(OSError):  # the log is on the disk that may be full
            sys.stderr.write(f"{error}\n")
        return error.exit_code if isinstance(error, ArctermError) else 5


class Supervisor:
    """A run from its first attempt on, under one lock."""

    def __init__(self, run: Run, attempt: int, *, from_start: bool = False) -> None:
        self.run = run
        self.attempt = attempt
        self.from_start = from_start
        self.notes: list[str] = []
        self.agent: subprocess.Popen[bytes] | None = None
        self.asked = ""  # the signal that asked for a stop
        self.asked_at = 0.0
        self.at_once = False
        self._beaten = 0.0

    def supervise(self, pipe: int | None) -> int:
        """Launch the ranks until the run needs no further attempt, and write its final state."""
        for number in (*STOPPING, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGQUIT, self._stop_at_once)
        self._own()
        _report(pipe, state.READY)
        try:
            parent_death.adopt_orphans()
            checkpoints.sweep(self.run)
            control.clear(self.run)
            ended = self._attempts()
        except (ArctermError, OSError) as error:
            ended = self._end("failed", failure=self._own_failure(error))
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
        return _EXIT_CODES[ended.state]

    def _own(self) -> None:
        """Take the run for this attempt, as readers see it."""
        state.take_ownership(self.run, self.attempt, "local")
        state.beat(self.run)
        space.keep_reserve(self.run)
        state.write_state(
            self.run, "starting", attempt=self.attempt, step=checkpoints.newest_step(self.run) or 0
        )

    def _attempts(self) -> AttemptEnd:
        """Launch the ranks again and again, as long as it makes sense; returns how the last attempt ended."""
        config = self.run.record.config
        allowed = config.retries if config.resumes else 0
        retries = Retries(allowed, checkpoints.newest_step(self.run))
        while True:
            ended = self._once()
            with contextlib.suppress(OSError):  # a full disk; the run's state matters more
                diagnosis.write_end(self.run, ended)
            if ended.state != "failed":
                return ended
            remedied = self._is_remedied()
            refusal = retries.refusal(ended, checkpoints.newest_step(self.run), mended=remedied)
            if refusal is not None:
                reason = "; ".join(filter(None, (ended.reason, refusal)))
                return msgspec.structs.replace(ended, reason=reason)
            self._begin_again(ended, remedied)
            self._pause(retries.pause)

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
        self.attempt += 1
        folder = self.run.attempt_dir(self.attempt)
        folder.mkdir(parents=True, mode=0o700)
        log = os.open(folder / "agent.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        for number in (1, 2):
            os.dup2(log, number)
        os.close(log)
        self._own()

    def _pause(self, seconds: float) -> None:
        """Wait before a relaunch; a stop ends it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.asked and not self.at_once:
            self._beat()
            time.sleep(_TICK_SECONDS)

    def _once(self) -> AttemptEnd:
        """Start the ranks, watch them until they have ended, and find out how."""
        with rendezvous.folder() as meeting:
            self._start(meeting)
            cut = self._watch()
            left = family.kill()
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            failure = Failure(
                cause=f"process {pids} can't be ended: it waits for the kernel",
                hint=f"look at `dmesg`, disks and GPUs; then {advice.resuming(self.run)}",
                repeats=True,
            )
            return self._end("failed", failure=failure)
        return self._conclude(cut)

    def _start(self, meeting: Path) -> None:
        found = checkpoints.newest_valid(self.run, from_start=self.from_start)
        argv, environ = command.argv(self.run, self.attempt), command.environ(self.run, meeting)
        launch = Launch(
            argv=argv,
            env=command.recorded_part(environ),
            resume=found.path.name if found.path else "",
            notes=[*self.notes, *found.notes],
        )
        space.write_json(self.run, self.run.attempt_dir(self.attempt) / "launch.json", launch)
        self.agent = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environ, close_fds=True)

    def _watch(self) -> Cut:
        """Wait for the agent's end, or for a reason to end the attempt."""
        assert self.agent is not None
        passed_on = False
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.agent.wait(timeout=_TICK_SECONDS)
                return ""
            self._beat()
            if self.at_once:
                return "at once"
            if self.asked:
                if not passed_on:
                    self._ask_ranks()
                    passed_on = True
                if self._is_all_saved():
                    return "saved"
                if time.monotonic() - self.asked_at > self.run.record.config.grace:
                    return "grace"

    def _beat(self) -> None:
        """Show readers on other hosts that the supervisor lives."""
        now = time.monotonic()
        if now - self._beaten >= state.HEARTBEAT_SECONDS:
            self._beaten = now
            state.beat(self.run)

    def _ask_ranks(self) -> None:
        """Ask for a checkpoint and the end of the attempt, as `arcterm stop` does."""
        try:
            control.ask(self.run, "stop")
            state.write_state(self.run, "stopping", attempt=self.attempt, step=self._step())
        except OSError:  # a full disk
            family.send(signal.SIGTERM, {beat.pid for beat in self._beats().values()})

    def _is_all_saved(self) -> bool:
        """Whether a training has nothing to save; if so its processes are left frozen, to keep it true."""
        if self.run.record.config.kind != "training" or self._phase() not in _SAVED:
            return False
        family.send(signal.SIGSTOP)
        if self._phase() in _SAVED:
            return True
        family.send(signal.SIGCONT)
        return False

    def _beats(self) -> dict[int, pulse.Beat]:
        return dict(pulse.read_all(self.run.attempt_dir(self.attempt)))

    def _phase(self) -> str:
        """What rank 0 is at, without which no other makes a step."""
        beats = self._beats()
        return beats[0].phase if 0 in beats else "loading"

    def _step(self) -> int:
        """The last step that this attempt made, or went on from."""
        steps = [beat.step for beat in self._beats().values()]
        return max([*steps, checkpoints.newest_step(self.run) or 0])

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: save, then stop. It may come again, from a scheduler that sends it to all."""
        if not self.asked:
            self.asked, self.asked_at = signal.Signals(number).name, time.monotonic()

    def _stop_at_once(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: end everything at once."""
        self.at_once = True

    def _conclude(self, cut: Cut) -> AttemptEnd:
        """Find out how the attempt ended."""
        ended = diagnosis.read_exit(self.run, self.attempt, rank=0)
        code = self.agent.returncode if self.agent else 1
        if code == 0 and ended is not None and ended.reason in ("done", "stopped"):
            detail = ended.detail
            if self.asked and ended.reason == "stopped":
                detail = f"{self.asked}: {detail}"
            return self._end(ended.reason, step=ended.step, reason=detail)
        if cut == "at once":
            return self._end("stopped", reason=f"stopped at once; {advice.cost(self.run)}")
        if cut == "saved":
            what = _SAVED[self._phase()]
            return self._end("stopped", reason=f"{self.asked} while {what}; nothing is lost")
        lost = advice.lost(self.run, self._step())
        if cut == "grace":
            grace = f"{self.run.record.config.grace:g} s"
            return self._end("stopped", reason=f"{self.asked}, and no checkpoint within {grace}; {lost}")
        failure = diagnosis.diagnose(self.run, self.attempt, code)
        if self._is_stopping() and not failure.repeats:
            asked = self.asked or "stop asked"
            return self._end("stopped", reason=f"{asked}, and {failure.cause}; {lost}")
        return self._end("failed", failure=failure)

    def _end(
        self,
        name: Literal["done", "stopped", "failed"],
        *,
        step: int | None = None,
        reason: str = "",
        failure: Failure | None = None,
    ) -> AttemptEnd:
        return AttemptEnd(
            attempt=self.attempt,
            state=name,
            step=self._step() if step is None else step,
            reason=failure.cause if failure else reason,
            failure=failure,
            t=time.time(),
        )

    def _is_stopping(self) -> bool:
        """Whether a stop was asked for, by a signal or a request."""
        pending = any(request.verb == "stop" for _, request in control.pending(self.run))
        return bool(self.asked) or pending or state.read_state(self.run).state == "stopping"

    def _is_remedied(self) -> bool:
        """Whether a rank says that half the learning rate may help."""
        exits = diagnosis.read_exits(self.run, self.attempt).values()
        return any(ended.remedy == "lower-lr" for ended in exits)

    def _own_failure(self, error: ArctermError | OSError) -> Failure:
        """The failure of this process itself."""
        if isinstance(error, ArctermError):
            return Failure(cause=error.message, hint=error.hint, exit_code=error.exit_code, repeats=True)
        cause = f"the supervisor could not go on: {error}"
        return Failure(cause=cause, hint=advice.resuming(self.run), repeats=True)


def _report(pipe: int | None, word: str) -> None:
    """Report to the process that started this one, if it still reads."""
    if pipe is not None:
        with contextlib.suppress(OSError):  # gone, or already closed
            os.write(pipe, word.encode())
            os.close(pipe)


if __name__ == "__main__":
    sys.exit(main())
