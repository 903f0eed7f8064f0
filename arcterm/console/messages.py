"""What worker threads tell the screens. Threads post these; only handlers touch widgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.message import Message

from arcterm.console.catalogue import Entry
from arcterm.console.trainform import Verdict
from arcterm.errors import ArctermError
from arcterm.runs.reader import Look


@dataclass
class Listed(Message):
    """The runs were looked at; `more` tells that some were left unread for lack of time.

    `others` is the number of entries beside them that are no runs.
    """

    entries: list[Entry]
    more: bool
    others: int


@dataclass
class Looked(Message):
    """One run was looked at."""

    look: Look


@dataclass
class LookFailed(Message):
    """A look at a run failed; the next may succeed, unless the run is `gone`."""

    problem: str
    gone: bool = False


@dataclass
class Judged(Message):
    """The whole form was checked. `serial` tells an answer to an older state of the form."""

    serial: int
    verdict: Verdict


@dataclass
class Succeeded(Message):
    """What was asked for was done; `then` goes on in the UI's thread."""

    then: Callable[[], None]


@dataclass
class Refused(Message):
    """What was asked for can't be."""

    error: ArctermError
