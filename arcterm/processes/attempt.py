"""One attempt at a run: its processes are started, watched, ended where needed, and their end explained."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from arcterm.config import Config
from arcterm.processes import command, family, hang, signals, stacks
from arcterm.runs import advice, checkpoints, control, diagnosis, pulse, space, state
from arcterm.runs.checkpoints import Newest
from arcterm.runs.diagnosis import AgentReport, AttemptEnd, Fallen
from arcterm.runs.pulse import Beat
from arcterm.runs.state import Failure, Launch
from arcterm.runs.store import Run

TICK_SECONDS = 0.2
_SAVED = ("loading", "compile", "verify")
"""Phases in which everything is saved: before the first step, and right after a checkpoint."""
_DOING = {"compile": "compiling", "checkpoint": "saving", "verify": "verifying"}
"""What a phase is called in a sentence, where it has another name."""
_LEFT_SECONDS, _AGENT_SECONDS = 6.0, 40.0
"""How long ranks may outlive one that died, and the agent may outlive it or all of them."""

Cut = Literal["", "at once", "saved", "grace", "hang"]
"""Why an attempt was ended: by SIGQUIT, with nothing to save, after the grace, for a hang; or by itself."""


@dataclass
class StopAsked:
    """Signals that this process got: `name` asks for a checkpoint and a stop since `at`; or `at_once`."""

    name: str = ""
    at: float = 0.0
    at_once: bool = False

    def any(self) -> bool:
        """Whether a stop of either kind is asked for."""
        return bool(self.name) or self.at_once


class Attempt:
    """Attempt `number` at `run`; `asked` says what is to become of it."""

    def __init__(self, run: Run, number: int, asked: StopAsked) -> None:
        self.run = run
        self.number = number
        self.waited = ""  # how the run ended that it was queued after
        self._asked = asked
        self._folder = run.attempt_dir(number)
        self._hung: Failure | None = None
        self._alone_since = 0.0

    def start(self, meeting: Path, found: Newest, notes: list[str]) -> None:
        """Start the agent, or the only process, from the checkpoint that was `found`.

        `meeting` is where its processes find each other, `notes` are for the user.
        """
        argv, environ = command.argv(self.run, self.number), command.environ(self.run, meeting)
        launch = Launch(
            argv=argv,
            env=command.recorded_part(environ),
            resume=found.path.name if found.path else "",
            notes=[*notes, *found.notes],
            after=self.waited,
        )
        space.write_json(self.run, self._folder / "launch.json", launch)
        with signals.blocked():
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environ, close_fds=True)

    def watch(self, beat: Callable[[], None]) -> Cut:
        """Wait for the agent's end, or for a reason to end the attempt; calls `beat` all the time."""
        watch = hang.Watch(self._config.hang_seconds) if self._config.hang_seconds else None
        looked, passed_on = 0.0, False
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=TICK_SECONDS)
                return ""
            beat()
            if self._asked.at_once:
                return "at once"
            if self._asked.name:
                if not passed_on:
                    self._ask_ranks()
                    passed_on = True
                if self._is_all_saved():
                    return "saved"
                if time.monotonic() - self._asked.at > self._config.grace:
                    return "grace"
            if (now := time.monotonic()) - looked >= hang.LOOK_SECONDS:
                looked, beats = now, self._beats()
                self._end_those_left(beats, now)
                if watch and (silent := watch.look(beats, now, stacks.any_stopped(beats))) is not None:
                    self._hung = self._examine(beats, silent)
                    return "hang"

    def conclude(self, cut: Cut) -> AttemptEnd:
        """Find out how the attempt ended, after all of its processes have."""
        exits = diagnosis.read_exits(self.run, self.number)
        ended = exits.get(0)
        good = len(exits) == self._config.nproc and all(e.reason != "error" for e in exits.values())
        if ended is not None and ended.reason != "error" and (good or self._process.returncode == 0):
            named = f"{self._asked.name}: " if self._asked.name and ended.reason == "stopped" else ""
            return self.end(ended.reason, step=ended.step, reason=named + ended.detail)
        if cut == "at once":
            return self.end("stopped", reason=f"stopped at once; {advice.cost(self.run)}")
        if cut == "saved":
            return self.end("stopped", reason=f"{self._asked.name} while {self._doing()}; nothing is lost")
        lost = advice.lost(self.run, self._step())
        if cut == "grace":
            grace = f"{self._config.grace:g} s"
            return self.end("stopped", reason=f"{self._asked.name}, and no checkpoint within {grace}; {lost}")
        if not cut and not command.has_agent(self._config):
            self._report()
        failure = self._hung or diagnosis.diagnose(self.run, self.number, self._process.returncode)
        if self._is_stopping() and not failure.repeats:
            asked = self._asked.name or "stop asked"
            return self.end("stopped", reason=f"{asked}, and {failure.cause}; {lost}")
        return self.end("failed", failure=failure)

    def end(
        self,
        name: Literal["done", "stopped", "failed"],
        *,
        step: int | None = None,
        reason: str = "",
        failure: Failure | None = None,
    ) -> AttemptEnd:
        """Return the record of an end, after the last known step unless one is given."""
        return AttemptEnd(
            attempt=self.number,
            state=name,
            step=self._step() if step is None else step,
            reason=failure.cause if failure else reason,
            failure=failure,
            t=time.time(),
        )

    def _report(self) -> None:
        """Record how the only process fell, as an agent does of its ranks, unless it never began."""
        process, began = self._process, self.run.rank_dir(self.number, 0).exists()
        if process.returncode < 0 or (process.returncode and began):
            fallen = Fallen(rank=0, pid=process.pid, exit_code=process.returncode, t=time.time())
            report = AgentReport(ranks=[fallen], t=fallen.t)
            space.write_json(self.run, self._folder / "failure.json", report)

    def _ask_ranks(self) -> None:
        """Ask for a checkpoint and the end of the attempt, as `arcterm stop` does."""
        try:
            control.ask(self.run, "stop")
            state.write_state(self.run, "stopping", attempt=self.number, step=self._step())
        except OSError:  # a full disk
            family.send(signal.SIGTERM, {beat.pid for beat in self._beats().values()})

    def _is_all_saved(self) -> bool:
        """Whether a training has nothing to save; if so its processes are left frozen, to keep it true."""
        if self._config.kind != "training" or self._phase() not in _SAVED:
            return False
        family.send(signal.SIGSTOP)
        if self._phase() in _SAVED:
            return True
        family.send(signal.SIGCONT)
        return False

    def _end_those_left(self, beats: dict[int, Beat], now: float) -> None:
        """End ranks that outlive one that died, and an agent that outlives its ranks.

        The agent ends ranks that are left, but gives them half a minute; it does nothing while it is stopped.
        """
        left = {rank: beat.pid for rank, beat in beats.items() if family.is_alive(beat.pid)}
        exits = {
            rank: diagnosis.read_exit(self.run, self.number, rank) for rank in beats.keys() - left.keys()
        }
        died = any(ended is None or ended.reason == "error" for ended in exits.values())
        if not died and (left or len(beats) < self._config.nproc):
            self._alone_since = 0.0
            return
        self._alone_since = self._alone_since or now
        self._process.send_signal(signal.SIGCONT)
        if now - self._alone_since > _LEFT_SECONDS:
            family.send(signal.SIGKILL, set(left.values()))
        if now - self._alone_since > _AGENT_SECONDS:
            self._process.kill()

    def _examine(self, beats: dict[int, Beat], silent: float) -> Failure:
        """Find the rank that the others wait for, and keep what it is doing."""
        found = hang.find_silent(stacks.examine(self.run, self.number, beats)) if beats else None
        since = f"no step for {silent:.0f} s"
        if not any(beat.phase == "training" for beat in beats.values()):
            since = f"no sign of life for {silent:.0f} s while {self._doing()}"
        if found is None:
            log = self._folder / "agent.log"
            return Failure(
                cause=f"no rank has started: {since}", hint=advice.resuming(self.run), log=str(log)
            )
        return Failure(
            rank=found.rank,
            cause=f"{found.words}: {since}",
            hint=advice.resuming(self.run),
            traceback=found.evidence,
            signal="SIGSTOP" if found.state == "T" else "",
            log=str(self.run.rank_dir(self.number, found.rank) / "stack.txt"),
        )

    @property
    def _config(self) -> Config:
        return self.run.record.config

    def _beats(self) -> dict[int, Beat]:
        return dict(pulse.read_all(self._folder))

    def _phase(self) -> str:
        """What rank 0 is at, without which no other makes a step."""
        beats = self._beats()
        return beats[0].phase if 0 in beats else "loading"

    def _doing(self) -> str:
        phase = self._phase()
        return _DOING.get(phase, phase)

    def _step(self) -> int:
        """The last step that this attempt made, or went on from."""
        steps = [beat.step for beat in self._beats().values()]
        return max([*steps, checkpoints.newest_step(self.run) or 0])

    def _is_stopping(self) -> bool:
        """Whether a stop was asked for, by a signal or a request."""
        pending = any(request.verb == "stop" for _, request in control.pending(self.run))
        return bool(self._asked.name) or pending or state.read_state(self.run).state == "stopping"
