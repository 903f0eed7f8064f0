"""The supervisor's side of a run on several hosts: who takes part, and what goes on there.

Threads of its own take connections and read them; everything else happens where the supervisor calls it.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from arcterm.errors import ArctermError
from arcterm.processes.hang import Examined
from arcterm.processes.hosts import address, hello
from arcterm.processes.hosts.hello import Hello
from arcterm.processes.hosts.link import HostLink, Key, LinkError, Message, ProofError, greet, hang_up
from arcterm.processes.hosts.place import HostPlace
from arcterm.runs import space
from arcterm.runs.diagnosis import AgentReport, Exit
from arcterm.runs.pulse import Beat
from arcterm.runs.store import Run
from arcterm.text import clean

FILE = "link.json"
_LOOK_SECONDS = 0.2
_ELASTIC_SECONDS = 30.0
_END_SECONDS, _STACK_SECONDS = 30.0, 8.0
_MOST_STRANGERS = 16


def digest_of(run: Run) -> str:
    """The digest of a run's config as this host sees it."""
    return hashlib.sha256(msgspec.json.encode(run.record.config)).hexdigest()


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How the processes of an attempt on one host ended."""

    attempt: int
    code: int
    exits: dict[int, Exit] = {}
    report: AgentReport = AgentReport()


class Lost(NamedTuple):
    """A host that an attempt lost: its name, and why nothing comes from it any more."""

    name: str
    why: str


@dataclass
class Seat:
    """A member: its link, what it said of itself, and how far its clock is ahead, in seconds."""

    link: HostLink
    said: Hello
    apart: float
    name: str = ""
    beats: dict[int, Beat] = field(default_factory=dict)
    stopped: bool = False
    examined: list[Examined] | None = None
    ended: Ended | None = None


class Roll:
    """The hosts of a run, of which this one is the first; it listens at a meeting place while it is open.

    `asked` is called with the name of a signal that a member got, "SIGQUIT" for the end at once.
    """

    def __init__(self, run: Run, meeting: address.Meeting, asked: Callable[[str], None]) -> None:
        self.run = run
        self.own = hello.describe_software(run, address.resolve(meeting.host))
        self.seats: list[Seat] = []
        self.remarks: dict[str, str] = {}  # why a host does not take part, by its name or address
        self.lost: Lost | None = None
        self._asked = asked
        self._attempt = 0  # that goes on now
        self._taking_part: list[Seat] = []
        self._places: list[HostPlace] = []
        self._arrived: queue.SimpleQueue[Seat] = queue.SimpleQueue()
        self._strangers = threading.Semaphore(_MOST_STRANGERS)
        self._listener = address.listen(self.own.address, meeting.port)
        self._key = secrets.token_hex(32)
        self.port = int(self._listener.getsockname()[1])
        key = Key(address=self.own.address, port=self.port, key=self._key)
        space.write_json(run, run.path / FILE, key)
        self._changed = time.monotonic()
        threading.Thread(target=self._take, name="roll", daemon=True).start()

    def close(self, code: int, words: str) -> None:
        """Let the members go, with the run's exit code."""
        self._listener.close()
        self.look()
        for seat in self.seats:
            seat.link.send({"do": "leave", "code": code, "words": words})
        for seat in self.seats:
            seat.link.finish()
        with contextlib.suppress(OSError):
            (self.run.path / FILE).unlink()

    @property
    def count(self) -> int:
        """Hosts that could take part now, this one among them."""
        return 1 + len(self.seats)

    @property
    def names(self) -> list[str]:
        """The names of the hosts, this one's first."""
        return [self.own.name, *(seat.name for seat in self.seats)]

    def look(self) -> None:
        """Take in who has come, who is gone and what they say."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._seat(self._arrived.get_nowait())
        for seat in list(self.seats):
            for message in seat.link.messages():
                self._hear(seat, message)
            if seat.link.lost:
                self._unseat(seat)

    def missing(self, least: int, most: int) -> str:
        """Say who is waited for; empty once an attempt can begin: all have come, or enough and long ago."""
        self.look()
        if self.count >= most:
            return ""
        if self.count >= least and time.monotonic() - self._changed > _ELASTIC_SECONDS:
            return ""
        place = address.Meeting(self.own.address, self.port)
        words = f"waits for {most - self.count} of {most} hosts at {place}"
        return "; ".join([words, *(f"{name}: {why}" for name, why in self.remarks.items())])

    def places(self, each: int, hosts: int) -> list[HostPlace]:
        """The places of the next attempt on `hosts` hosts with `each` rank, this one's first."""
        first = HostPlace(0, range(each), self.own.name, self.own.address)
        others = self.seats[: hosts - 1]
        return [first] + [
            HostPlace(number, range(number * each, (number + 1) * each), seat.name, seat.said.address)
            for number, seat in enumerate(others, start=1)
        ]

    def begin(self, attempt: int, places: list[HostPlace], config: str) -> None:
        """Have the members begin an attempt; `config` is the digest of the config that they must see."""
        self._attempt, self.lost, self._places = attempt, None, places
        self._taking_part = self.seats[: len(places) - 1]
        for seat, place in zip(self._taking_part, places[1:], strict=True):
            seat.beats, seat.ended, seat.stopped = {}, None, False
            seat.link.send(
                {
                    "do": "start",
                    "attempt": attempt,
                    "place": [place.number, place.ranks.start, len(place.ranks), place.name],
                    "config": config,
                }
            )

    def meet(self, where: str) -> None:
        """Pass on where rank 0 listens for the others."""
        self._send({"do": "meet", "where": where})

    def end(self, beat: Callable[[], None]) -> None:
        """Have the members end the processes of the attempt, and wait for what they report."""
        self._send({"do": "end"})
        until = time.monotonic() + _END_SECONDS
        while time.monotonic() < until and any(not seat.ended for seat in self._there()):
            self.look()
            beat()
            time.sleep(_LOOK_SECONDS)
        for seat in self._there():
            if not seat.ended:  # it lives and does not obey: its ranks may still run
                seat.link.close()
                self._unseat(seat, "does not end its ranks")
        self._attempt = 0

    def ended(self) -> bool:
        """Whether all members' processes of the attempt have ended."""
        return all(seat.ended for seat in self._there())

    def beats(self) -> dict[int, Beat]:
        """The last beats of the ranks on other hosts, by their own clocks."""
        return {rank: beat for seat in self._there() for rank, beat in seat.beats.items()}

    def any_stopped(self) -> bool:
        return any(seat.stopped for seat in self._there())

    def examine(self, beat: Callable[[], None]) -> list[Examined]:
        """Find out what the ranks on other hosts are doing."""
        for seat in self._there():
            seat.examined = None
        self._send({"do": "examine"})
        until = time.monotonic() + _STACK_SECONDS
        while time.monotonic() < until and any(seat.examined is None for seat in self._there()):
            self.look()
            beat()
            time.sleep(_LOOK_SECONDS)
        return [found for seat in self._there() for found in seat.examined or []]

    def exits(self) -> dict[int, Exit]:
        """How the ranks on other hosts say that they ended, by the clock of this one."""
        found = {}
        for seat in self._taking_part:
            for rank, ended in (seat.ended.exits if seat.ended else {}).items():
                found[rank] = msgspec.structs.replace(ended, t=ended.t - seat.apart)
        return found

    def report(self) -> AgentReport:
        """How the ranks on other hosts fell, as their agents saw it, by the clock of this one."""
        fallen, signals, errors = [], [], []
        for seat in self._taking_part:
            if seat.ended is None:
                continue
            report = seat.ended.report
            fallen += [msgspec.structs.replace(each, t=each.t - seat.apart) for each in report.ranks]
            signals += [report.signal] if report.signal else []
            errors += [f"{seat.name}: {report.error}"] if report.error else []
        return AgentReport(ranks=fallen, signal=(signals or [""])[0], error="; ".join(errors))

    def codes(self) -> list[tuple[str, int]]:
        """The names of the members whose processes have ended, and the exit codes of these."""
        return [(seat.name, seat.ended.code) for seat in self._taking_part if seat.ended]

    def name_of(self, rank: int) -> str:
        """The name of the host of a rank in the last attempt."""
        return next((place.name for place in self._places if rank in place.ranks), "")

    def notes(self) -> list[str]:
        """Notes for the user on hosts that take part."""
        return [
            f"the clock of {seat.name} is {abs(seat.apart):.1f} s "
            f"{'ahead of' if seat.apart > 0 else 'behind'} that of {self.own.name}"
            for seat in self.seats
            if abs(seat.apart) > hello.NOTED_APART
        ]

    def _there(self) -> list[Seat]:
        return [seat for seat in self._taking_part if seat in self.seats]

    def _send(self, message: Message) -> None:
        for seat in self._there():
            seat.link.send(message)

    def _take(self) -> None:
        """Take connections, each in a thread of its own, until the listening socket is closed."""
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            if not self._strangers.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._admit, args=(connection, peer[0]), daemon=True).start()

    def _admit(self, connection: socket.socket, peer: str) -> None:
        """Take in a host that proves itself and fits, or say why it can't take part."""
        link = None
        try:
            link = greet(connection, self.run.id, self._key)
            if link is None:
                hang_up(connection)
                return
            said = msgspec.convert(link.receive(), Hello)
            apart = said.t - time.time()
            why, hint = hello.refusal(said, self.own, apart)
            if why:
                link.send({"refused": why, "hint": hint})
                link.finish()
                self._remark(said.name, why)
                return
            link.send({"accepted": self.run.id, "supervisor": self.own.name})
            self._arrived.put(Seat(link, said, apart))
            link.open()
        except (LinkError, OSError, msgspec.ValidationError, ArctermError) as error:
            if link is not None and isinstance(error, ProofError):
                # by its own key: a member that has another learns that it does not read the same file
                link.send({"refused": str(error)})
                link.finish()
            hang_up(connection)
            self._remark(peer, f"it {error}" if isinstance(error, LinkError) else str(error))
        finally:
            self._strangers.release()

    def _remark(self, name: str, why: str) -> None:
        name, why = clean(name)[:100], clean(why)[:500]
        if self.remarks.get(name) != why and len(self.remarks) < _MOST_STRANGERS:
            self.remarks[name] = why
            sys.stderr.write(f"{name}: {why}\n")

    def _seat(self, seat: Seat) -> None:
        taken = {self.own.name, *(other.name for other in self.seats)}
        name, number = clean(seat.said.name)[:60], 1
        while (seat.name or name) in taken:
            number += 1
            seat.name = f"{name}-{number}"
        seat.name = seat.name or name
        for known in (name, seat.name, seat.said.address):
            self.remarks.pop(known, None)
        self.seats.append(seat)
        self._changed = time.monotonic()
        sys.stderr.write(f"{seat.name} ({seat.said.address}) takes part\n")

    def _unseat(self, seat: Seat, why: str = "") -> None:
        why = why or seat.link.lost
        self.seats.remove(seat)
        self._changed = time.monotonic()
        if self._attempt and seat in self._taking_part and not (seat.ended and seat.ended.code == 0):
            self.lost = self.lost or Lost(seat.name, why)
        self.remarks[seat.name] = why
        sys.stderr.write(f"{seat.name} is lost: {why}\n")
        seat.link.close()

    def _hear(self, seat: Seat, message: Mapping[str, Any]) -> None:
        """Take in a message of a member."""
        if "beats" in message:
            seat.beats = {int(rank): Beat(*beat) for rank, beat in message["beats"].items()}
            seat.stopped = bool(message["stopped"])
        elif "ended" in message:
            ended = msgspec.convert(message["ended"], Ended, strict=False)
            if ended.attempt == self._attempt:
                seat.ended = ended
        elif "examined" in message:
            seat.examined = [Examined(*found) for found in message["examined"]]
        elif "asked" in message:
            self._asked(str(message["asked"]))
