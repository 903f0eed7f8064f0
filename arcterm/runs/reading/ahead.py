"""The essentials of a run, found by another process while this one imports what shows them.

In a thread of this one that would take turns with the imports: a long file is searched by one call of Python
after another.
"""

from __future__ import annotations

import contextlib
import os
from typing import NoReturn

import msgspec

from arcterm.runs.events import AnyEvent
from arcterm.runs.reading.follow import Follower
from arcterm.runs.store import Run

Found = list[tuple[int, AnyEvent]]


class EssentialsAhead:
    """Begins to look for the essentials of `run`; made where there is one thread yet, since it forks."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._pipe, writing = os.pipe()
        self._process = os.fork()
        if not self._process:
            self._find(writing)
        os.close(writing)

    def _find(self, writing: int) -> NoReturn:
        """Write them, and how far they were read; nothing where a file is damaged, and for any error."""
        with contextlib.suppress(BaseException):
            os.close(self._pipe)
            follower = Follower(self.run)
            found = follower.essentials()
            if not follower.damaged and not follower.unreadable:
                with os.fdopen(writing, "wb") as file:
                    file.write(msgspec.msgpack.encode((found, follower.position())))
        os._exit(0)

    def take(self, follower: Follower) -> Found | None:
        """Wait for them, and let `follower`, which has read nothing, go on after them; to be called once.

        None if it did not find them: then they are still to be looked for.
        """
        with os.fdopen(self._pipe, "rb") as file:
            written = file.read()
        os.waitpid(self._process, 0)
        try:
            found, position = msgspec.msgpack.decode(written, type=tuple[Found, dict[str, int]])
        except msgspec.DecodeError:
            return None
        follower.seek(position)
        return found
