"""How many hosts a command asks for, where they meet, and whether this one is the first."""

from __future__ import annotations

import re
from dataclasses import dataclass

from arcterm.errors import ConfigError
from arcterm.processes.hosts import address
from arcterm.processes.hosts.address import Meeting

_COUNT = re.compile(r"(\d{1,4})(?::(\d{1,4}))?")


@dataclass(frozen=True, kw_only=True)
class AskedHosts:
    """`least` to `most` hosts that meet at `meeting`, None where a launcher starts them.

    `local` is the address or the interface by which others reach this machine; "" finds one.
    """

    least: int = 1
    most: int = 1
    meeting: Meeting | None = None
    local: str = ""

    @property
    def several(self) -> bool:
        return self.most > 1

    @property
    def numbers(self) -> tuple[int, int, int]:
        """How many hosts a run begins with, and its range, 0 and 0 if that is all."""
        return (self.most, self.least, self.most) if self.least != self.most else (self.most, 0, 0)

    @property
    def options(self) -> tuple[str, ...]:
        """The option of the supervisor that says where the others find it."""
        return ("--listen", str(self.meeting)) if self.meeting and self.most != 1 else ()

    def is_first(self) -> bool:
        """Whether this machine is where they meet; raises `ConfigError` for a name without an address."""
        return self.meeting is None or address.is_here(address.resolve(self.meeting.host))

    def check_place(self) -> None:
        """Raise `ConfigError` if several have no place to meet, `RunError` if its port is taken."""
        if self.meeting and not self.most:
            raise ConfigError("--rdzv without --nnodes", "give --nnodes N too: how many hosts there are")
        if self.several and self.meeting is None:
            raise ConfigError(
                f"--nnodes {self.most} needs a place where the hosts meet",
                "give --rdzv HOST:PORT on each: an address of the first host and a free port",
            )
        if self.meeting:
            address.listen(address.resolve(self.meeting.host), self.meeting.port).close()


ONE = AskedHosts()
"""One host: this one."""


def parse(nnodes: str | None, rdzv: str | None, local: str | None) -> AskedHosts:
    """Return what --nnodes, --rdzv and --local-addr ask for; raises `ConfigError`.

    Without --nnodes, as a resume may be, the numbers of hosts are 0.
    """
    if local is not None and rdzv is None and nnodes is None:
        raise ConfigError("--local-addr without --rdzv", "give --nnodes and --rdzv too, or leave it out")
    found = _COUNT.fullmatch((nnodes or "").strip())
    if nnodes is not None and (found is None or int(found[1]) < 1):
        raise ConfigError(f"--nnodes {nnodes} is no number of hosts", "write --nnodes 2, or --nnodes 1:2")
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if least > most:
        raise ConfigError(f"--nnodes {nnodes} falls", f"write --nnodes {most}:{least}")
    meeting = address.parse(rdzv) if rdzv is not None else None
    if meeting and meeting.port == 0:
        raise ConfigError(f"--rdzv {rdzv} names no port", "choose a free one, e.g. 29400")
    return AskedHosts(least=least, most=most, meeting=meeting, local=local or "")
