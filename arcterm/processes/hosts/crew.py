"""The processes of one attempt on one host: the agent, or the only process, and the ranks."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import BinaryIO

from arcterm.processes import command, family, signals, stacks
from arcterm.processes.hang import Examined
from arcterm.processes.hosts.place import HostPlace
from arcterm.runs import diagnosis, pulse, space
from arcterm.runs.diagnosis import AgentReport, Exit, Fallen
from arcterm.runs.pulse import Beat
from arcterm.runs.store import Run

LEFT_SECONDS, _AGENT_SECONDS = 6.0, 40.0
"""How long ranks may outlive one that died, and the agent may outlive it or all of them."""


class Crew:
    """The processes of attempt `number` at `place`."""

    def __init__(self, run: Run, number: int, place: HostPlace) -> None:
        self.run = run
        self.number = number
        self.place = place
        self._alone_since = 0.0

    def start(self, argv: list[str], environ: Mapping[str, str], log: BinaryIO | None = None) -> None:
        """Start the agent, or the only process; what it says goes to `log`, else where this one's does."""
        with signals.blocked():
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, close_fds=True
            )

    def wait(self, seconds: float) -> bool:
        """Whether they have ended, or do so within `seconds`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)
            return True
        return False

    @property
    def code(self) -> int:
        """The exit code of the agent, or of the only process; 0 too where this process has killed it."""
        return self._process.returncode or 0

    def beats(self) -> dict[int, Beat]:
        """The last beats of the ranks here."""
        found = {}
        for rank in self.place.ranks:
            if (beat := pulse.read(self.run.rank_dir(self.number, rank))) is not None:
                found[rank] = beat
        return found

    def any_stopped(self) -> bool:
        """Whether the process of a rank here is stopped by a signal."""
        return stacks.any_stopped(self.beats())

    def examine(self) -> list[Examined]:
        """Find out what the ranks here are doing."""
        found = stacks.examine(self.run, self.number, self.beats())
        return [each._replace(host=self.place.name) for each in found]

    def end_those_left(self, now: float) -> None:
        """End ranks that outlive one that died, and an agent that outlives its ranks.

        The agent ends ranks that are left, but gives them half a minute; it does nothing while it is stopped.
        """
        beats = self.beats()
        left = {rank: beat.pid for rank, beat in beats.items() if family.is_alive(beat.pid)}
        exits = {
            rank: diagnosis.read_exit(self.run, self.number, rank) for rank in beats.keys() - left.keys()
        }
        died = any(ended is None or ended.reason == "error" for ended in exits.values())
        if not died and (left or len(beats) < len(self.place.ranks)):
            self._alone_since = 0.0
            return
        self._alone_since = self._alone_since or now
        self._process.send_signal(signal.SIGCONT)
        if now - self._alone_since > LEFT_SECONDS:
            family.send(signal.SIGKILL, set(left.values()))
        if now - self._alone_since > _AGENT_SECONDS:
            self._process.kill()

    def exits(self) -> dict[int, Exit]:
        """The records that the ranks here left of their end."""
        found = ((rank, diagnosis.read_exit(self.run, self.number, rank)) for rank in self.place.ranks)
        return {rank: ended for rank, ended in found if ended is not None}

    def report(self) -> AgentReport:
        """Read the agent's record of how ranks fell; that of the only process is made here.

        There is none of a process that never began.
        """
        folder = self.place.folder(self.run, self.number)
        code, first = self.code, self.place.ranks.start
        began = self.run.rank_dir(self.number, first).exists()
        if not command.has_agent(self.run.record.config) and (code < 0 or (code and began)):
            now = time.time()
            fallen = Fallen(rank=first, pid=self._process.pid, exit_code=code, t=now)
            space.write_json(self.run, folder / "failure.json", AgentReport(ranks=[fallen], t=now))
        return diagnosis.read_report(folder)
