"""Addresses of hosts: the one to meet at, the one of this machine, and the interface that has it."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import re
import socket
from typing import NamedTuple

import psutil

from arcterm.errors import ConfigError, RunError

_PORTS = range(1 << 16)
_TEXT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:\[\]]+)):(?P<port>\d{1,5})")


class Meeting(NamedTuple):
    """Where hosts meet: a name or an address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Meeting:
    """Parse ``HOST:PORT`` or ``[IPV6]:PORT``; raises `ConfigError`."""
    found = _TEXT.fullmatch(text.strip())
    if found is None or int(found["port"]) not in _PORTS:
        raise ConfigError(
            f"--rdzv {text!r} is no place to meet",
            "write --rdzv HOST:PORT, an address of the first host and a free port, e.g. 10.0.0.1:29400, "
            "or [fd00::1]:29400",
        )
    return Meeting(found["v6"] or found["name"], int(found["port"]))


def resolve(host: str) -> str:
    """Return the address of a name; raises `ConfigError` if there is none."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise ConfigError(
            f"{host} has no address: {error.strerror}", "name an address of the first host in --rdzv"
        ) from None


def interfaces() -> dict[str, str]:
    """The name of the interface that has each address of this machine."""
    return {
        address.address.partition("%")[0]: name
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    }


def is_here(address: str) -> bool:
    """Whether this machine has the address."""
    return address in interfaces()


def choose(wanted: str, towards: str) -> str:
    """Return the address on which this machine is reached: `wanted`, an address or an interface's name.

    An IPv6 address may be in brackets, as in --rdzv. If nothing is wanted it is the one that routes `towards`
    another address. Raises `ConfigError`.
    """
    known = interfaces()
    wanted = wanted.strip("[]")
    if wanted:
        named = [address for address, name in known.items() if name == wanted]
        same = [address for address in named if (":" in address) == (":" in towards)] or named
        address = same[0] if same else resolve(wanted)
    else:
        address = _routing_to(towards)
    if address not in known:
        here = ", ".join(f"{address} ({name})" for address, name in known.items())
        raise ConfigError(
            f"this machine has no address {wanted or address}", f"name one of it in --local-addr: {here}"
        )
    if ipaddress.ip_address(address).is_unspecified:
        raise ConfigError(f"{address} is every address", "name the one of the network that hosts share")
    return address


def usual() -> str:
    """The address by which other hosts know this one: of its name, or the first that is not loopback's."""
    with contextlib.suppress(ConfigError):
        named = resolve(socket.gethostname())
        if is_here(named) and not ipaddress.ip_address(named).is_loopback:
            return named
    for address in interfaces():
        known = ipaddress.ip_address(address)
        if not known.is_loopback and not known.is_link_local:
            return address
    raise ConfigError("this machine has no address on a network", "name one in --local-addr")


def interface_of(address: str) -> str:
    """The name of the interface that has an address of this machine."""
    return interfaces()[address]


def listen(address: str, port: int) -> socket.socket:
    """Listen on exactly this address; raises `RunError` if the port is in use."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family)
    except OSError as error:
        place = Meeting(address, port)
        if error.errno == errno.EADDRINUSE:
            raise RunError(
                f"{place} is in use by another program", "choose another port in --rdzv, on every host"
            ) from None
        raise RunError(f"can't listen on {place}: {error.strerror}", "name another in --rdzv") from None


def _routing_to(address: str) -> str:
    """The address that this machine would use for `address`; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError as error:
            raise ConfigError(
                f"no network of this machine leads to {address}: {error.strerror}",
                "name an address that it reaches in --rdzv",
            ) from None
        return str(probe.getsockname()[0])
