"""One attempt at a run: its processes are started, watched, ended where needed, and their end explained."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from arcterm.config import Config
from arcterm.processes import command, family, hang
from arcterm.processes.hosts import elastic, rendezvous
from arcterm.processes.hosts.crew import LEFT_SECONDS, Crew
from arcterm.processes.hosts.place import ALONE, HostPlace
from arcterm.processes.hosts.roll import Lost, Roll, digest_of
from arcterm.runs import advice, checkpoints, control, diagnosis, space, state
from arcterm.runs.checkpoints import Newest
from arcterm.runs.diagnosis import AgentReport, AttemptEnd, Exit
from arcterm.runs.pulse import Beat
from arcterm.runs.state import Failure, Launch, LaunchHost
from arcterm.runs.store import Run

TICK_SECONDS = 0.2
_SAVED = ("loading", "compile", "verify")
"""Phases in which everything is saved: before the first step, and right after a checkpoint."""
_DOING = {"compile": "compiling", "checkpoint": "saving", "verify": "verifying"}
"""What a phase is called in a sentence, where it has another name."""

Cut = Literal["", "at once", "saved", "grace", "hang", "host"]
"""Why an attempt was ended: by SIGQUIT, with nothing to save, after the grace, for a hang, or because another
host was lost or its ranks fell; or by itself."""


@dataclass
class StopAsked:
    """Signals that this process got: `name` asks for a checkpoint and a stop since `at`; or `at_once`."""

    name: str = ""
    at: float = 0.0
    at_once: bool = False

    def take(self, name: str) -> None:
        """Note a signal; it may come again, from a scheduler that sends it to all. SIGQUIT ends at once."""
        if name == "SIGQUIT":
            self.at_once = True
        elif not self.name:
            self.at, self.name = time.monotonic(), name

    def any(self) -> bool:
        """Whether a stop of either kind is asked for."""
        return bool(self.name) or self.at_once


class Attempt:
    """Attempt `number` at `run`, on the hosts of `roll` if there are several; `asked` says what to do."""

    def __init__(self, run: Run, number: int, asked: StopAsked, roll: Roll | None = None) -> None:
        self.run = run
        self.number = number
        self.waited = ""  # how the run ended that it was queued after
        self._asked = asked
        self._folder = run.attempt_dir(number)
        self._hung: Failure | None = None
        self._roll = roll
        self._fell_at = 0.0
        self._met = False
        self._cut_at = float("inf")  # when one host was ended for another
        self._first: tuple[str, int] | None = None  # the host whose agent ended badly first, and how
        self.grows = ""  # the request to stop by which it makes place for one on more hosts
        self._crew = Crew(run, number, ALONE)  # which has no ranks before the start

    def start(self, meeting: Path, found: Newest, notes: list[str]) -> None:
        """Start the agent, or the only process, from the checkpoint that was `found`.

        `meeting` is where its processes find each other, `notes` are for the user.
        """
        self._meeting, roll = meeting, self._roll
        places = [HostPlace(ranks=range(self._config.nproc))]
        if roll:
            places = roll.places(self._config.ranks_each, self._config.hosts)
        self._crew = Crew(self.run, self.number, places[0])
        argv, environ = command.argv(self.run, self.number), command.environ(self.run, meeting, places[0])
        launch = Launch(
            argv=argv,
            env=command.recorded_part(environ),
            resume=found.path.name if found.path else "",
            notes=[*notes, *found.notes, *(roll.notes() if roll else [])],
            after=self.waited,
            hosts=[
                LaunchHost(name=each.name, address=each.address, ranks=list(each.ranks))
                for each in (places if roll else [])
            ],
        )
        space.write_json(self.run, self._folder / "launch.json", launch)
        self._crew.start(argv, environ)
        if roll:
            roll.begin(self.number, places, digest_of(self.run))

    def watch(self, beat: Callable[[], None]) -> Cut:
        """Wait for the end of its processes, or for a reason to end them; calls `beat` all the time."""
        watch = hang.Watch(self._config.hang_seconds) if self._config.hang_seconds else None
        looked, passed_on = 0.0, False
        while not self._has_ended():
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
            now = time.monotonic()
            if self._roll and self._is_cut_off(self._roll, now):
                self._cut_at = time.time()
                return "host"
            if self._roll and not self.grows and self._could_grow(self._roll):
                self.grows = control.ask(self.run, "stop")
            if now - looked >= hang.LOOK_SECONDS:
                looked, beats = now, self._beats()
                self._crew.end_those_left(now)
                if watch and (silent := watch.look(beats, now, self._any_stopped())) is not None:
                    self._hung = self._examine(beats, silent, beat)
                    return "hang"
        return ""

    def _has_ended(self) -> bool:
        """Wait a moment; whether the processes on all hosts have ended."""
        ended = self._crew.wait(TICK_SECONDS)
        if self._roll is None:
            return ended
        self._roll.look()
        if ended and not self._roll.ended():
            time.sleep(TICK_SECONDS)
        return ended and self._roll.ended()

    def _is_cut_off(self, roll: Roll, now: float) -> bool:
        """Whether a host was lost, or ranks fell on one host and those on others had time to say so."""
        if not self._met and (where := rendezvous.announced(self._meeting)):
            roll.meet(where)
            self._met = True
        self._first = self._first or self._fallen(roll)
        if self._first and not self._fell_at:
            self._fell_at = now
        return bool(roll.lost) or (self._first is not None and now - self._fell_at > LEFT_SECONDS)

    def _fallen(self, roll: Roll) -> tuple[str, int] | None:
        """Name and exit code of a host whose agent ended badly, first of one that was killed."""
        own = [(roll.own.name, self._crew.code)] if self._crew.wait(0) else []
        bad = [(name, code) for name, code in [*own, *roll.codes()] if code]
        return min(bad, key=lambda one: one[1] > 0, default=None)

    def _could_grow(self, roll: Roll) -> bool:
        """Whether hosts have come with which an elastic training could go on faster."""
        config = self._config
        if roll.count <= config.hosts or config.hosts >= config.most_hosts or self._phase() != "training":
            return False
        fitted = elastic.fit(config, roll.count)
        return fitted is not None and fitted.hosts > config.hosts

    def conclude(self, cut: Cut) -> AttemptEnd:
        """Find out how the attempt ended, after all of its processes have."""
        roll = self._roll
        exits = {**self._crew.exits(), **(roll.exits() if roll else {})}
        ended = exits.get(0)
        good = len(exits) == self._config.nproc and all(e.reason != "error" for e in exits.values())
        left_well = self._crew.code == 0 and not (roll and (roll.lost or self._fallen(roll)))
        if ended is not None and ended.reason != "error" and (good or left_well):
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
        failure = self._hung or self._diagnose(exits)
        if self._is_stopping() and not failure.repeats:
            asked = self._asked.name or "stop asked"
            return self.end("stopped", reason=f"{asked}, and {failure.cause}; {lost}")
        return self.end("failed", failure=failure)

    def _diagnose(self, exits: Mapping[int, Exit]) -> Failure:
        """Find who failed first, on whichever host."""
        report, roll = self._crew.report(), self._roll
        if roll is None:
            return diagnosis.diagnose(self.run, self.number, self._crew.code)
        theirs = roll.report()
        fallen = sorted([*report.ranks, *theirs.ranks], key=lambda one: one.t)
        report = AgentReport(
            # those that the supervisor killed on one host fell because of another
            ranks=[one for one in fallen if one.exit_code != -signal.SIGKILL or one.t < self._cut_at],
            signal=report.signal or theirs.signal,
            error=report.error or theirs.error,
        )
        name, code = self._first or self._fallen(roll) or ("", 0)
        lost = _failure_of_host(self.run, roll.lost) if roll.lost else None
        if code < 0 and not lost:
            lost = _failure_of_agent(self.run, name, signal.Signals(-code).name)
        failure = diagnosis.diagnose(
            self.run,
            self.number,
            code,
            report,
            exits,
            lost,
        )
        if failure.rank is None:
            return failure
        return msgspec.structs.replace(failure, host=roll.name_of(failure.rank))

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

    def _any_stopped(self) -> bool:
        """Whether the process of a rank is stopped by a signal."""
        return self._crew.any_stopped() or bool(self._roll and self._roll.any_stopped())

    def _examine(self, beats: Mapping[int, Beat], silent: float, beat: Callable[[], None]) -> Failure:
        """Find the rank that the others wait for, and keep what it is doing."""
        examined = self._crew.examine() if self._crew.beats() else []
        examined += self._roll.examine(beat) if self._roll else []
        found = hang.find_silent(examined) if examined else None
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
            host=found.host,
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
        return self._crew.beats() | (self._roll.beats() if self._roll else {})

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


def _failure_of_agent(run: Run, host: str, name: str) -> Failure:
    cause = f"the launcher on {host} was killed ({name})"
    return Failure(host=host, cause=cause, hint=advice.resuming(run), signal=name)


def _failure_of_host(run: Run, lost: Lost) -> Failure:
    return Failure(
        host=lost.name,
        cause=f"host {lost.name} was lost: {lost.why}",
        hint=f"look at that host and its network, then start the same command there; {advice.resuming(run)}",
    )
