"""Keys that come faster than they are handled: pasted, replayed, or typed over a slow connection."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from textual.app import App
from textual.events import Event
from textual.message_pump import MessagePump

_PATIENCE_SECONDS = 3.0
_REST_SECONDS = 0.03


class Courtesy:
    """Lets threads that read rest while a key is answered, which else would take turns with them."""

    def __init__(self) -> None:
        self._until = self._after = 0.0

    def note(self) -> None:
        """Note that there is a key."""
        self._until = time.monotonic() + _REST_SECONDS

    def rest(self) -> None:
        """Wait while a key is answered, but not before as much time has passed since the last wait."""
        now = time.monotonic()
        if self._after < now < self._until:
            time.sleep(self._until - now)
            self._after = time.monotonic() + _REST_SECONDS


READERS = Courtesy()
"""That of all threads of this process that read runs."""


class Keystrokes:
    """Handles keys one at a time, so that each finds the focus where the one before left it.

    A key that the focused widget has no use for bubbles through the queues of its ancestors up to the app,
    where it may move the focus; the next one is handled when those queues are empty. A screen that has just
    been opened is given its focus before its first key, though it may be seen before.
    """

    def __init__(self, app: App[Any], hand_on: Callable[[Event], Awaitable[None]]) -> None:
        self._app, self._hand_on = app, hand_on
        self._waiting: deque[Event] = deque()
        self._under_way = False
        self._since = 0.0
        self._screen: MessagePump | None = None

    async def take(self, event: Event) -> None:
        """Handle `event` when its turn comes."""
        self._waiting.append(event)
        if not self._under_way or time.monotonic() - self._since > _PATIENCE_SECONDS:
            await self._next()

    async def _next(self) -> None:
        self._under_way = bool(self._waiting)
        if self._waiting:
            self._since = time.monotonic()
            READERS.note()
            before, self._screen = self._screen, self._app.screen
            if self._screen is not before and self._screen.call_later(self._next):
                return  # its queue has what opens it
            queues = (self._app.focused or self._app.screen).ancestors_with_self
            await self._hand_on(self._waiting.popleft())
            self._after(queues)

    def _after(self, queues: Sequence[MessagePump]) -> None:
        """Go on once these `queues` have handled their present contents, one after the other."""
        for index, queue in enumerate(queues):
            rest = queues[index + 1 :]
            if queue.call_later(self._after, rest) if rest else queue.call_later(self._next):
                return  # else it is closed
