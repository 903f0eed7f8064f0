"""What a person can do to a run, the same on every screen that shows one."""

from __future__ import annotations

from collections.abc import Callable

from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.screens.boxes import StopBox
from arcterm.launch import start
from arcterm.runs import checkpoints, control
from arcterm.runs.control import Verb
from arcterm.runs.state import LIVE, read_state
from arcterm.runs.store import Run

_ON_LIVE = ("stop", "checkpoint", "verify")


class Acting(ConsoleScreen):
    """Actions on `target()`; each is done in a thread and says what came of it."""

    def target(self) -> Run | None:
        """The run that actions act on."""
        raise NotImplementedError

    @staticmethod
    def may(action: str, state: str) -> bool:
        """Whether `action` makes sense for a run in `state`."""
        if action in _ON_LIVE:
            return state in LIVE
        return action != "resume" or (state not in LIVE and state != "done")

    def action_stop(self) -> None:
        """Ask how, then stop."""
        run = self.target()
        if run is None:
            return
        saved = checkpoints.list_checkpoints(run)
        last = saved[-1][1].step if saved else None

        def answer(how: object) -> None:
            if how:
                self._stop(run, now=how == "now")

        self.app.push_screen(StopBox(run.name, last, self.steps_made(run)), answer)

    def steps_made(self, run: Run) -> int:
        """The last step known of the run."""
        return read_state(run).step

    def action_resume(self) -> None:
        """Go on from the newest checkpoint."""
        run = self.target()
        if run is None:
            return

        def resume() -> Callable[[], None]:
            start.resume(run)
            return self._told(f"{run.name} goes on from its newest checkpoint")

        self.perform(resume)

    def action_checkpoint(self) -> None:
        """Ask for a checkpoint now."""
        self._ask("checkpoint", "a checkpoint is asked for")

    def action_verify(self) -> None:
        """Ask for a verification now."""
        self._ask("verify", "a verification is asked for")

    def _stop(self, run: Run, now: bool) -> None:
        def stop() -> Callable[[], None]:
            start.stop(run, now=now)
            return self._told("stopping at once" if now else "stopping after a checkpoint")

        self.perform(stop)

    def _ask(self, verb: Verb, text: str) -> None:
        run = self.target()
        if run is None:
            return

        def ask() -> Callable[[], None]:
            control.ask(run, verb)
            return self._told(text)

        self.perform(ask)

    def _told(self, text: str) -> Callable[[], None]:
        return lambda: self.notify(text, timeout=3, markup=False)
