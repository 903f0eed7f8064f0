"""Two hosts: network namespaces of this machine with a cable between them."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

_numbers = itertools.count()


class Host:
    """A network namespace with an address of its own."""

    def __init__(self, name: str, interface: str, address: str) -> None:
        self.name = name
        self.interface = interface
        self.address = address
        self.started: list[subprocess.Popen[str]] = []

    def argv(self, *words: str) -> list[str]:
        """The command that runs `words` on this host."""
        return ["ip", "netns", "exec", self.name, *words]

    def start(self, *words: str, folder: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command; its output goes into files of `folder`."""
        out = (folder / f"{self.name}.{len(self.started)}.log").open("w")
        process = subprocess.Popen(
            self.argv(*words), stdout=out, stderr=subprocess.STDOUT, text=True, cwd=folder,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        out.close()
        self.started.append(process)
        return process

    def python(self, *words: str, folder: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start ``python -m …``."""
        return self.start(sys.executable, "-m", *words, folder=folder, env=env)

    def log(self, folder: Path, number: int = -1) -> str:
        """What the last command that was started here said."""
        count = len(self.started)
        return (folder / f"{self.name}.{number % count}.log").read_text()

    def pids(self) -> list[int]:
        """The processes on this host."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True)
        return [int(word) for word in found.stdout.split()]

    def listening(self) -> set[str]:
        """The addresses on which something listens here, TCP and UDP."""
        shown = subprocess.run(self.argv("ss", "-Hlntu"), capture_output=True, text=True, check=True)
        return {line.split()[4].rpartition(":")[0] for line in shown.stdout.splitlines()}

    def sent_again(self) -> int:
        """How often the system here has sent something again that the other side has not taken; the most."""
        shown = subprocess.run(self.argv("ss", "-Hnto"), capture_output=True, text=True, check=True)
        return max(map(int, re.findall(r"timer:\((?:on|persist),[^,]*,(\d+)\)", shown.stdout)), default=0)

    def cable(self, way: str) -> None:
        """Plug the cable in, ``up``, or out, ``down``."""
        subprocess.run(self.argv("ip", "link", "set", self.interface, way), check=True)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def _connect(hosts: Sequence[Host]) -> None:
    first, second = hosts
    for host in hosts:
        _run("ip", "netns", "add", host.name)
    _run(
        *("ip", "link", "add", first.interface, "netns", first.name),
        *("type", "veth", "peer", "name", second.interface, "netns", second.name),
    )
    for host in hosts:
        _run(*host.argv("ip", "address", "add", f"{host.address}/24", "dev", host.interface))
        _run(*host.argv("ip", "link", "set", host.interface, "up"))
        _run(*host.argv("ip", "link", "set", "lo", "up"))


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts on one network; what was started there is ended, and nothing is left."""
    if os.getuid() != 0 or not shutil.which("ip") or not shutil.which("ss"):
        pytest.skip("hosts are network namespaces here, which takes root and iproute2")
    mark = f"{os.getpid() % 100_000}x{next(_numbers)}"
    pair = (
        Host(f"arc{mark}a", f"av{mark}a", "10.77.0.1"),
        Host(f"arc{mark}b", f"av{mark}b", "10.77.0.2"),
    )
    try:
        try:
            _connect(pair)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces can't be made here: {error.stderr}")
        yield pair
    finally:
        for host in pair:
            _clear(host)


def _clear(host: Host) -> None:
    """End what runs on a host, and remove it."""
    if not Path("/run/netns", host.name).exists():
        return
    while left := host.pids():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in host.started:
            process.wait()
    for process in host.started:
        process.wait()
    _run("ip", "netns", "delete", host.name)
