"""Requests to a running run: small files dropped into ``control/``, moved to ``control/done/`` when taken."""

from __future__ import annotations

import os
import time
from typing import Literal

import msgspec

from arcterm.errors import DataError
from arcterm.files import read_json, ulid, write_json
from arcterm.runs.store import Run

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


def take(run: Run, request_id: str) -> None:
    """Move a request to ``control/done/``."""
    name = f"{request_id}.json"
    (run.path / "control" / name).replace(run.path / "control" / "done" / name)


def clear(run: Run) -> None:
    """Take the requests to an attempt that is over."""
    for request_id, _ in pending(run):
        take(run, request_id)
