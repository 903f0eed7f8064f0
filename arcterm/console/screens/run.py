"""Base of the screens of one run: it is read again and again, and acted on."""

from __future__ import annotations

from typing import ClassVar

from arcterm.console.keystrokes import READERS
from arcterm.console.messages import Looked, LookFailed
from arcterm.console.screens.actions import RunActions
from arcterm.console.screens.polling import Polling
from arcterm.console.view import View
from arcterm.runs.reader import Look, Reader
from arcterm.runs.reading.ahead import EssentialsAhead
from arcterm.runs.state import read_state
from arcterm.runs.store import Run

IDLE_SECONDS = 2.0


class RunScreen(RunActions, Polling):
    """Shows `view`, which each look updates; `repaint` draws it."""

    enlargements: ClassVar[tuple[str, ...]] = ("-output",)
    """Classes of the screen while one panel fills it."""
    leaving: ClassVar[str]
    """Remark on leaving a live run; ``{}`` is its name."""

    def __init__(self, run: Run, ahead: EssentialsAhead | None = None) -> None:
        super().__init__()
        self.view = View(run=run, record=run.record, state=read_state(run))
        self._reader = Reader(run, ahead=ahead, rest=READERS.rest)
        self.read_ahead()

    def on_mount(self) -> None:
        """Show what is read by now, in the first frame."""
        if isinstance(found := self.found_ahead(), Looked):
            self.take(found.look)
        else:
            self.look()

    def read(self) -> Looked:
        return Looked(self._reader.look())

    def on_looked(self, message: Looked) -> None:
        self.take(message.look)

    def take(self, look: Look) -> None:
        """Show it, and look again later: at once while there is more to read."""
        raise NotImplementedError

    def repaint(self) -> None:
        """Draw every panel."""
        raise NotImplementedError

    def on_look_failed(self, message: LookFailed) -> None:
        """Show why, and try again; go back where the run is gone."""
        if message.gone:
            self.leave_removed()
            return
        self.view.problem = message.problem
        self.repaint()
        self.look_in(IDLE_SECONDS)

    def target(self) -> Run:
        return self.view.run

    def refusal(self, action: str) -> str:
        """What the run's state does not allow."""
        refused = self.refused(action, self.view.state.state, self.view.record.config)
        return refused or super().refusal(action)

    def enlarge(self, name: str) -> None:
        """Let a panel fill the screen, or put it back."""
        self.remove_class(*(other for other in self.enlargements if other != name))
        self.toggle_class(name)
        self.call_after_refresh(self.repaint)

    def action_output(self) -> None:
        """Enlarge the log, or put it back."""
        self.enlarge("-output")

    def action_back(self) -> None:
        """Put an enlarged panel back; then leave, and remark that the run goes on."""
        if any(self.has_class(name) for name in self.enlargements):
            self.remove_class(*self.enlargements)
            self.call_after_refresh(self.repaint)
            return
        if owner := self.view.supervisor:
            remark = self.leaving.format(self.view.run.name)
            self.app.notify(f"{remark} (pid {owner.pid})", timeout=3, markup=False)
        super().action_back()
