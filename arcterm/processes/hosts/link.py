"""The connection between the supervisor and the member of another host.

It carries JSON lines, each with an HMAC-SHA256. The key lies in the run's directory, ``link.json``, so that
each side proves to the other that it reads that directory and is this user. Both sides send a random number
first, and the lines of a connection are counted: none can be repeated or taken from another connection.

A side that sends nothing for `SILENCE_SECONDS` is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import queue
import secrets
import socket
import threading
import time
from typing import Any, BinaryIO, Literal

import msgspec

SILENCE_SECONDS = 15.0
BEAT_SECONDS = 2.0
_FIRST_SECONDS = 10.0
_GREETING_BYTES = 1 << 10
_FIRST_BYTES, _LINE_BYTES = 64 << 10, 16 << 20

Side = Literal["supervisor", "member"]
Message = dict[str, Any]


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """``link.json``: where the supervisor listens, and the secret of the connections to it."""

    address: str
    port: int
    key: str


class LinkError(Exception):
    """A connection that could not be made, or whose other side proves nothing."""


class ProofError(LinkError):
    """The other side does not prove that it reads the run's directory."""


class HostLink:
    """One side of a connection; threads of its own read it and send signs of life."""

    def __init__(self, connection: socket.socket, file: BinaryIO, key: bytes, side: Side) -> None:
        self.lost = ""  # why nothing comes any more
        self._connection = connection
        self._file = file
        self._key = key
        self._side = side
        self._sent = self._taken = 0
        self._lock = threading.Lock()
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._closed = threading.Event()

    def open(self) -> None:
        """Start to read, and to send signs of life."""
        self._connection.settimeout(SILENCE_SECONDS)
        for work in (self._read, self._beat):
            threading.Thread(target=work, name="link", daemon=True).start()

    def send(self, message: Message) -> None:
        """Send a message, unless the other side is lost."""
        with self._lock:
            if self.lost:
                return
            try:
                self._connection.sendall(self._sealed(message))
            except OSError as error:
                self._lose(error)

    def receive(self) -> Message:
        """Wait for one line, before the link is open; raises `LinkError` if it proves nothing."""
        # little is kept of one that has not proved itself yet
        line = self._file.readline(_LINE_BYTES if self._taken else _FIRST_BYTES)
        if not line.endswith(b"\n"):
            raise LinkError("closed the connection")
        return self._opened(line)

    def messages(self) -> list[Message]:
        """Return what has come since the last call."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._messages.get_nowait())
        return found

    def finish(self) -> None:
        """Close once the other side has taken what was sent, but do not wait long for it."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        until = time.monotonic() + BEAT_SECONDS
        while not self.lost and time.monotonic() < until:
            time.sleep(0.02)
        self.close()

    def close(self) -> None:
        """Close at once."""
        self._closed.set()
        hang_up(self._connection)
        self._file.close()

    def _read(self) -> None:
        while not self.lost:
            try:
                message = self.receive()
            except (LinkError, OSError) as error:
                self._lose(error)
                return
            if message:
                self._messages.put(message)

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_SECONDS) and not self.lost:
            self.send({})

    def _lose(self, error: Exception) -> None:
        if isinstance(error, TimeoutError):
            self.lost = f"silent for {SILENCE_SECONDS:.0f} s"
        elif isinstance(error, OSError):
            self.lost = f"the connection broke: {error.strerror or error}"
        else:
            self.lost = str(error)

    def _sealed(self, message: Message) -> bytes:
        text = json.dumps(message, separators=(",", ":")).encode()
        mark = _mark(self._key, self._side, self._sent, text)
        self._sent += 1
        return mark + b" " + text + b"\n"

    def _opened(self, line: bytes) -> Message:
        mark, _, text = line.rstrip(b"\n").partition(b" ")
        other: Side = "member" if self._side == "supervisor" else "supervisor"
        if not hmac.compare_digest(mark, _mark(self._key, other, self._taken, text)):
            raise ProofError("does not prove that it reads the run's directory: is that shared?")
        self._taken += 1
        message = json.loads(text)
        if not isinstance(message, dict):
            raise LinkError("sent what is no message")
        return message


def greet(connection: socket.socket, run_id: str, key: str) -> HostLink | None:
    """Take a connection of a member: name the run, exchange random numbers.

    None for one that only asked which run this is. Raises `LinkError` or OSError.
    """
    own = secrets.token_hex(16)
    connection.settimeout(_FIRST_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(json.dumps({"run": run_id, "nonce": own}).encode() + b"\n")
    file = connection.makefile("rb")
    said = _greeting(file)
    if said.get("found") is False:
        raise LinkError("does not find the run in its directory of runs: is that shared?")
    if said.get("found"):
        return None
    other = _nonce(said)
    return HostLink(connection, file, _of_connection(key, own, other), "supervisor")


class Call:
    """A member's connection before it knows the key: the supervisor has named its run, `run_id`."""

    def __init__(self, address: str, port: int, local: str) -> None:
        """Connect from the `local` address; raises `LinkError` or OSError."""
        self._connection = socket.create_connection((address, port), _FIRST_SECONDS, (local, 0))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._connection.makefile("rb")
        try:
            said = _greeting(self._file)
            self.run_id, self._nonce = str(said.get("run", "")), _nonce(said)
        except BaseException:
            self.close()
            raise

    def answer(self, key: str) -> HostLink:
        """Go on with the key of the run's directory."""
        own = secrets.token_hex(16)
        self._connection.sendall(json.dumps({"nonce": own}).encode() + b"\n")
        return HostLink(self._connection, self._file, _of_connection(key, self._nonce, own), "member")

    def leave(self, *, found: bool) -> None:
        """Say whether the run is where this host looks for it, and close."""
        with contextlib.suppress(OSError):
            self._connection.sendall(json.dumps({"found": found}).encode() + b"\n")
        self.close()

    def close(self) -> None:
        hang_up(self._connection)
        self._file.close()


def hang_up(connection: socket.socket) -> None:
    """Close a connection, whoever still reads it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _greeting(file: BinaryIO) -> Message:
    line = file.readline(_GREETING_BYTES)
    if not line:
        raise LinkError("closed the connection")
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise LinkError("is no supervisor or member of a run")
    return said


def _nonce(said: Message) -> str:
    nonce = said.get("nonce")
    if not isinstance(nonce, str) or len(nonce) != 32:
        raise LinkError("is no supervisor or member of a run")
    return nonce


def _of_connection(key: str, supervisors: str, members: str) -> bytes:
    """The key of one connection."""
    return hmac.digest(bytes.fromhex(key), f"{supervisors} {members}".encode(), hashlib.sha256)


def _mark(key: bytes, side: Side, number: int, text: bytes) -> bytes:
    return hmac.new(key, f"{side} {number} ".encode() + text, hashlib.sha256).hexdigest().encode()
