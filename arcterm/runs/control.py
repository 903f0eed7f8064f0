"""Requests to a running run: small files dropped into ``control/``, moved to ``control/done/`` when taken."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Literal

import msgspec

from arcterm.errors import DataError
from arcterm.files import read_json, ulid, write_json
from arcterm.runs.store import Run

_END = ".end.json"

Verb = Literal["stop", "checkpoint", "verify"]


class Request(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``stop``: checkpoint and leave; ``checkpoint``: save and go on; ``verify``: verify and go on."""

    verb: Verb
    t: float


def ask(run: Run, verb: Verb) -> str:
    """Drop a request; returns its id."""
    request_id = ulid()
    write_json(run.path / "control" / f"{request_id}.json", Request(verb=verb, t=time.time()))
    return request_id


def pending(run: Run) -> list[tuple[str, Request]]:
    """Requests not yet taken, oldest first, as (id, request); other users' and unknown verbs are left out."""
    found = []
    for path in sorted((run.path / "control").glob("[0-9a-z]*.json")):
        try:
            if path.stat().st_uid == os.getuid():
                found.append((path.stem, read_json(path, Request)))
        except (OSError, DataError):
            continue
    return found


def stops(run: Run) -> list[str]:
    """The ids of all requests to stop, taken or not, oldest first."""
    found = []
    for path in sorted((run.path / "control").rglob("[0-9a-z]*.json"), key=lambda each: each.name):
        with contextlib.suppress(OSError, DataError):
            if read_json(path, Request).verb == "stop":
                found.append(path.stem)
    return found


def ask_end(run: Run) -> None:
    """Ask the supervisor, wherever it is, to end the run at once."""
    write_json(run.path / "control" / _END, Request(verb="stop", t=time.time()))


def is_end_asked(run: Run) -> bool:
    """Whether the end at once is asked for, by this user."""
    try:
        return (run.path / "control" / _END).stat().st_uid == os.getuid()
    except OSError:
        return False


def take(run: Run, request_id: str) -> None:
    """Move a request to ``control/done/``."""
    name = f"{request_id}.json"
    (run.path / "control" / name).replace(run.path / "control" / "done" / name)


def clear(run: Run) -> None:
    """Take the requests to an attempt that is over."""
    for request_id, _ in pending(run):
        take(run, request_id)
    (run.path / "control" / _END).unlink(missing_ok=True)
