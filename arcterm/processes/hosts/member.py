"""A run's part on a host that is not the first: it does what the supervisor asks for over the link.

    python -m arcterm.processes.hosts.member RUN ADDRESS [SETTINGS]

Its processes end with the link: at once if that is closed, and when the supervisor is silent for too long.
Then it tries to come back for a while.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from arcterm import parent_death
from arcterm.errors import ArctermError, RunError
from arcterm.files import read_json
from arcterm.processes import command, family, signals
from arcterm.processes.hosts import address, hello, rendezvous
from arcterm.processes.hosts.crew import Crew
from arcterm.processes.hosts.link import Call, HostLink, Key, LinkError, ProofError
from arcterm.processes.hosts.place import HostPlace
from arcterm.processes.hosts.roll import FILE, Ended, digest_of
from arcterm.runs import state
from arcterm.runs.diagnosis import AgentReport
from arcterm.runs.store import Run

_TICK_SECONDS = 0.1
_BEAT_SECONDS = 1.0
_AGAIN_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0
_SEEN_SECONDS = 60.0
_STALE_SECONDS = 10.0
"""How long a network file system may still show the key of a supervisor before."""
JOINED = "takes part in"
"""How a member's words begin once it is taken in."""

Say = Callable[[str], None]


def main() -> int:
    """Take part until the run has ended."""
    run = Run(Path(sys.argv[1]).resolve())

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    try:
        return HostMember(run, sys.argv[2], say, sys.argv[3]).serve()
    except (ArctermError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code if isinstance(error, ArctermError) else 5


class HostMember:
    """This host's part of `run`; others reach it on the address or interface `local`, "" to find one.

    `say` gets lines for a person; `settings` are those asked for here that are not the run's, in words.
    """

    def __init__(self, run: Run, local: str, say: Say, settings: str = "") -> None:
        self.run = run
        self._local = local
        self._say = say
        self._settings = settings
        self._said = ""
        self._asked: list[str] = []
        self._place = HostPlace()
        self._meeting: Path | None = None
        self._crew: Crew | None = None

    def serve(self) -> int:
        """Take part until the run has ended; returns its exit code.

        Raises `RunError` if the supervisor refuses this host, or can't be reached for long.
        """
        for number in (*signals.STOPPING, signal.SIGQUIT):
            signal.signal(number, self._note)
        signals.unblock()
        parent_death.adopt_orphans()
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                link = self._join()
            except (LinkError, OSError) as error:
                code = self._give_up(error, until)
            else:
                code = self._work(link)
                until = time.monotonic() + _PATIENCE_SECONDS
            if code is not None:
                return code
            time.sleep(_AGAIN_SECONDS)

    def _join(self) -> HostLink:
        """Connect, prove who this is, and be taken in."""
        key = read_json(self.run.path / FILE, Key)
        local = address.choose(self._local, key.address)
        said = hello.describe(self.run, local, self._settings)
        call = Call(key.address, key.port, local)
        try:
            if call.run_id != self.run.id:
                raise LinkError(f"is of another run, {call.run_id}")
            link = call.answer(key.key)
            link.send(msgspec.to_builtins(msgspec.structs.replace(said, t=time.time())))
            answer = link.receive()
        except BaseException:
            call.close()
            raise
        if why := answer.get("refused"):
            call.close()
            raise RunError(f"{self.run.name} can't go on here: {why}", answer.get("hint", ""))
        self._report(f"{JOINED} {self.run.name}, which {answer.get('supervisor')} supervises")
        self._place = HostPlace(address=local)
        link.open()
        return link

    def _give_up(self, error: Exception, until: float) -> int | None:
        """The exit code where there is nothing to come back to; None to try again."""
        if self._asked:
            return 130
        now = state.read_state(self.run)
        if now.state == "done":
            self._report(f"{self.run.name} is done")
            return 0
        why = str(error)
        if isinstance(error, FileNotFoundError):
            why = "no supervisor has begun"
        elif isinstance(error, LinkError):
            why = f"the supervisor {error}"
        elif isinstance(error, OSError):
            why = f"the supervisor can't be reached: {error.strerror or error}"
        if isinstance(error, ProofError) and time.monotonic() > until - _PATIENCE_SECONDS + _STALE_SECONDS:
            raise RunError(
                f"{self.run.name}: the supervisor {error}",
                f"{self.run.path} here must be the directory that the first host uses, not a copy of it",
            )
        if time.monotonic() > until:
            raise RunError(f"{self.run.name}: {why}", "start it on the first host, then this again")
        self._report(f"{why}; trying for {_PATIENCE_SECONDS:.0f} s")
        return None

    def _work(self, link: HostLink) -> int | None:
        """Do what is asked for; returns the run's exit code, None if the link is lost."""
        passed_on, beaten = 0, 0.0
        with contextlib.ExitStack() as held:
            held.callback(link.close)
            held.callback(family.kill)
            self._crew = None
            while True:
                lost = link.lost  # before the messages: the last of them may be a farewell
                for message in link.messages():
                    if message.get("do") == "leave":
                        self._report(str(message["words"]))
                        return int(message["code"])
                    self._obey(link, message, held)
                if lost:
                    self._report(f"lost the supervisor: {lost}")
                    return None
                for name in self._asked[passed_on:]:
                    link.send({"asked": name})
                    passed_on += 1
                if (now := time.monotonic()) - beaten > _BEAT_SECONDS:
                    beaten = now
                    self._beat(link, now)
                self._wait(link)

    def _obey(self, link: HostLink, message: dict[str, Any], held: contextlib.ExitStack) -> None:
        """Do what the supervisor asks for; folders are `held` until the link is left."""
        what = message.get("do")
        if what == "start":
            self._meeting = held.enter_context(rendezvous.folder())
            self._crew = self._start(link, message)
        elif what == "meet" and self._meeting:
            rendezvous.announce(self._meeting, str(message["where"]))
        elif what == "end":
            family.kill()
        elif what == "examine":
            found = self._crew.examine() if self._crew else []
            link.send({"examined": [list(each) for each in found]})

    def _beat(self, link: HostLink, now: float) -> None:
        """Show how far the ranks here are."""
        if self._crew is not None:
            self._crew.end_those_left(now)
            beats = {rank: list(beat) for rank, beat in self._crew.beats().items()}
            link.send({"beats": beats, "stopped": self._crew.any_stopped()})

    def _wait(self, link: HostLink) -> None:
        """Wait a moment, and report the end of an attempt's processes."""
        crew = self._crew
        if crew is None:
            time.sleep(_TICK_SECONDS)
        elif crew.wait(_TICK_SECONDS):
            family.kill()
            ended = Ended(attempt=crew.number, code=crew.code, report=crew.report(), exits=crew.exits())
            link.send({"ended": msgspec.to_builtins(ended, str_keys=True)})
            self._report(f"attempt {crew.number} ended with {crew.code}")
            self._crew = None

    def _start(self, link: HostLink, message: dict[str, Any]) -> Crew | None:
        """Start the processes of an attempt, once this host sees what the supervisor wrote."""
        number, first, count, name = message["place"]
        place = HostPlace(number, range(first, first + count), name, self._place.address)
        crew = Crew(self.run, int(message["attempt"]), place)
        assert self._meeting is not None
        try:
            self._wait_until_seen(crew.number, str(message["config"]))
            folder = place.folder(self.run, crew.number)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            environ = command.environ(self.run, self._meeting, place)
            with (folder / "agent.log").open("ab") as log:
                crew.start(command.argv(self.run, crew.number), environ, log)
        except (ArctermError, OSError) as error:
            text = error.message if isinstance(error, ArctermError) else str(error)
            report = AgentReport(error=text, t=time.time())
            ended = Ended(attempt=crew.number, code=1, report=report)
            link.send({"ended": msgspec.to_builtins(ended)})
            return None
        self._report(f"attempt {crew.number}: {_ranks(place.ranks)}; {folder / 'agent.log'}")
        return crew

    def _wait_until_seen(self, attempt: int, config: str) -> None:
        """Wait until the files of an attempt are seen here: a network file system may be behind."""
        until = time.monotonic() + _SEEN_SECONDS
        while time.monotonic() < until:
            launched = self.run.attempt_dir(attempt) / "launch.json"
            if launched.exists() and digest_of(self.run) == config:
                return
            time.sleep(_TICK_SECONDS)
        raise RunError(
            f"{launched} is not seen, {_SEEN_SECONDS:.0f} s after it was written on the first host"
        )

    def _report(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: the supervisor decides what becomes of it."""
        self._asked.append(signal.Signals(number).name)


def _ranks(ranks: range) -> str:
    return f"rank {ranks.start}" if len(ranks) == 1 else f"ranks {ranks.start} to {ranks.stop - 1}"


if __name__ == "__main__":
    sys.exit(main())
