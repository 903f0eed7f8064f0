"""Messages from worker threads to the screens. Threads post these; only handlers touch widgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from arcterm.errors import ArctermError

if TYPE_CHECKING:  # what checks a form takes a fifth of a second to import
    from arcterm.console.forms.draft import Verdict
    from arcterm.runs.query.facts import RunFacts
    from arcterm.runs.reader import Look


@dataclass
class Listed(Message):
    """The runs were read; `runs` is None if nothing changed, `more`: some were left for lack of time.

    `others` is the number of entries beside them that are no runs.
    """

    runs: list[RunFacts] | None
    more: bool
    others: int


@dataclass
class Looked(Message):
    """One run was read."""

    look: Look


@dataclass
class LookFailed(Message):
    """A run could not be read; the next attempt may succeed, unless the run is `gone`."""

    problem: str
    gone: bool = False


@dataclass
class Judged(Message):
    """The whole form was checked, as it was at change number `serial`."""

    serial: int
    verdict: Verdict


@dataclass
class Succeeded(Message):
    """An action succeeded; `then` runs in the UI's thread."""

    then: Callable[[], None]


@dataclass
class Refused(Message):
    """An action failed."""

    error: ArctermError
