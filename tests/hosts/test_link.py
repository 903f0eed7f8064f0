"""The link: whoever does not read the run's directory says nothing, and one that is silent is lost."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from arcterm.processes.hosts import link as links
from arcterm.processes.hosts.link import Call, HostLink, LinkError, greet

KEY = secrets.token_hex(32)


@pytest.fixture
def linked() -> Iterator[Callable[..., tuple[HostLink, HostLink]]]:
    """``linked(key)``: both sides of a link over loopback, whose member has that key."""
    made: list[HostLink] = []
    sockets: list[socket.socket] = []

    def connect(key: str = KEY) -> tuple[HostLink, HostLink]:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)
        taken: list[HostLink] = []
        thread = threading.Thread(target=lambda: taken.append(greet(listener.accept()[0], "a-run", KEY)))
        thread.start()
        call = Call("127.0.0.1", listener.getsockname()[1], "127.0.0.1")
        assert call.run_id == "a-run"
        member = call.answer(key)
        thread.join()
        made.extend((taken[0], member))
        return taken[0], member

    yield connect
    for each in (*made, *sockets):
        each.close()


def test_both_sides_prove_that_they_have_the_key(linked):
    supervisor, member = linked()
    member.send({"name": "b"})
    assert supervisor.receive() == {"name": "b"}
    supervisor.send({"accepted": "a-run"})
    assert member.receive() == {"accepted": "a-run"}
    supervisor, member = linked("00" * 32)
    member.send({"name": "b"})
    with pytest.raises(LinkError, match="does not prove"):
        supervisor.receive()
    supervisor.send({"accepted": "a-run"})
    with pytest.raises(LinkError, match="does not prove"):
        member.receive()


def test_little_is_kept_of_one_that_proves_nothing(linked):
    supervisor, member = linked()
    sending = threading.Thread(target=lambda: member.send({"name": "x" * (1 << 20)}))
    sending.start()
    with pytest.raises(LinkError, match="closed the connection"):
        supervisor.receive()
    supervisor.close()
    sending.join()


@pytest.mark.parametrize("how", ["changed", "again", "turned round", "no JSON object"])
def test_no_line_can_be_changed_or_sent_again(linked, how):
    supervisor, member = linked()
    line = member._sealed({"do": "something"})
    if how == "changed":
        line = line.replace(b"something", b"anything!")
    if how == "again":
        line += line
    if how == "no JSON object":
        member._sent = 0
        line = member._sealed([])  # type: ignore[arg-type]
    if how == "turned round":
        line = supervisor._sealed({"do": "something"})
    member._connection.sendall(line)
    if how == "again":
        supervisor.receive()
    with pytest.raises(LinkError):
        supervisor.receive()


def test_one_that_is_silent_is_lost_and_one_that_closes_is_at_once(linked, monkeypatch):
    monkeypatch.setattr(links, "SILENCE_SECONDS", 0.05)
    supervisor, member = linked()
    supervisor.open()
    while not supervisor.lost:
        pass
    assert supervisor.lost == "silent for 0 s"
    monkeypatch.setattr(links, "SILENCE_SECONDS", 15.0)
    supervisor, member = linked()
    supervisor.open()
    member.send({"beats": {}})
    member.close()
    while not supervisor.lost:
        pass
    assert supervisor.lost == "closed the connection"
    assert supervisor.messages() == [{"beats": {}}]
    supervisor.send({"do": "end"})  # says nothing, and raises nothing


def test_what_is_no_supervisor_is_none():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            taken = listener.accept()[0]
            taken.sendall(b"HTTP/1.1 400 Bad Request\r\n" + json.dumps({"run": "x"}).encode())
            taken.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(LinkError, match="is no supervisor"):
            Call("127.0.0.1", listener.getsockname()[1], "127.0.0.1")
        thread.join()
