"""Reading files again and again: one read at a time, the next scheduled when the last one came back."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait

from textual.message import Message
from textual.timer import Timer

from arcterm.console.messages import LookFailed
from arcterm.console.screens.base import ConsoleScreen
from arcterm.errors import ArctermError
from arcterm.runs.reader import RunGoneError


class Polling(ConsoleScreen):
    """`read` runs in a thread and its message is posted; the handler calls `look_in`."""

    _timer: Timer | None = None
    _looking = False
    _ahead: Future[Message] | None = None

    def read(self) -> Message:
        """Read the files and return a message, in a thread."""
        raise NotImplementedError

    def read_ahead(self) -> None:
        """Read for the first time while the screen is put together."""
        reading = ThreadPoolExecutor(1)
        self._ahead = reading.submit(self.read)
        reading.shutdown(wait=False)

    def found_ahead(self, seconds: float = 0.0) -> Message | None:
        """Return what was read ahead, after so many `seconds` at most; else the next look waits for it."""
        if self._ahead is None or not wait([self._ahead], seconds).done or self._ahead.exception():
            return None
        found, self._ahead = self._ahead.result(), None
        return found

    def look(self) -> None:
        """Read now, unless a read is under way."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self._looking:
            self._looking = True
            self.run_worker(self._work, thread=True, group="look", exit_on_error=False)

    def look_in(self, seconds: float) -> None:
        """Read again after a while, or at once for 0; called when a read has come back.

        While another tab is open nothing is read; `on_screen_resume` reads at once.
        """
        self._looking = False
        if self not in self.app.screen_stack:
            return
        if self._timer is not None:
            self._timer.stop()
        if seconds:
            self._timer = self.set_timer(max(seconds, self.console_app.refresh_seconds), self.look)
        else:  # a timer drops its tick where it comes late by more than its interval
            self.call_later(self.look)

    def on_screen_resume(self) -> None:
        """Read at once, also after being covered."""
        self.look()

    def rest(self) -> None:
        """Don't read again until `look` is called."""
        self._looking = False

    def _work(self) -> None:
        try:
            ahead, self._ahead = self._ahead, None
            message = ahead.result() if ahead else self.read()
        except RunGoneError as error:
            message = LookFailed(error.message, gone=True)
        except (ArctermError, OSError) as error:
            message = LookFailed(str(error))
        self.post_message(message)
