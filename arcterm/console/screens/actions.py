"""The actions on a run, the same on every screen that shows one."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from arcterm.config import Config
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.screens.boxes import StopBox
from arcterm.runs import advice, control
from arcterm.runs.advice import StopCosts
from arcterm.runs.control import Verb
from arcterm.runs.reader import Reader, RunGoneError
from arcterm.runs.state import LIVE
from arcterm.runs.store import Run

_CHANGING = frozenset(
    {"stop", "checkpoint", "verify", "resume", "resume_changed", "use", "delete", "note", "tag"}
)


class RunActions(ConsoleScreen):
    """Actions on `target()`; each is done in a thread and notifies of its result."""

    changes = _CHANGING
    _removed = False

    def target(self) -> Run | None:
        """The run to act on."""
        raise NotImplementedError

    def copies(self) -> list[tuple[str, str]]:
        run = self.target()
        if run is None:
            return []
        found = [("run id", run.id), ("path", str(run.path.absolute()))]
        if run.record.argv:
            found.append(("command", shlex.join(run.record.argv)))
        return [*found, ("attach command", shlex.join(["arcterm", "attach", run.id]))]

    def leave_removed(self) -> None:
        """Notify that the run was removed, and go back as soon as no box is open."""
        self._removed = True
        run = self.target()
        if self.is_active and run is not None:
            self.app.notify(f"{run.name} was removed", severity="warning", markup=False)
            self.console_app.leave()

    def on_screen_resume(self) -> None:
        """Go back if the run was removed meanwhile."""
        if self._removed:
            self.leave_removed()

    @staticmethod
    def refused(action: str, state: str, config: Config | None) -> str:
        """Why a run of `config` in `state` does not allow `action`; empty if it does."""
        refusal = _REFUSALS.get(action)
        if refusal is None:
            return ""
        if config is None or (state == "damaged" and action not in ("fork", "pictures")):
            return "the run is damaged; `arcterm show` says what can be read of it"
        return refusal(state, config)

    def action_stop(self) -> None:
        """Say what each way of stopping costs, ask which, then stop."""
        run = self._existing_run()
        if run is None:
            return

        def costs() -> Callable[[], None]:
            found = advice.stopping(run, Reader(run).refresh())
            return lambda: self._ask_how(run, found)

        self.perform(costs)

    def _ask_how(self, run: Run, costs: StopCosts) -> None:
        def answer(how: object) -> None:
            if how:
                self._stop(run, now=how == "now")

        name = run.title if run.record.config.kind == "job" else run.name
        self.app.push_screen(StopBox(name, *costs), answer)

    def _existing_run(self) -> Run | None:
        """The run to act on; None, with an error shown, if it was removed."""
        run = self.target()
        if run is not None and run.removed:
            self.console_app.show_error(RunGoneError.of(run))
            return None
        return run

    def action_resume(self) -> None:
        """Go on from the newest checkpoint, or from where a job was stopped."""
        run = self._existing_run()
        if run is None:
            return
        config = run.record.config
        done = advice.resuming(run).partition("` ")[2]

        def resume() -> Callable[[], None]:
            from arcterm.launch import devices  # what starts a run is imported when one is started
            from arcterm.launch.resume import resumption

            begun = resumption.prepare(run)
            begun.start()
            moved = devices.moved(config, devices.today(config))
            notes = [f"{run.title} {done}{f', {moved}' if moved else ''}", *begun.warnings]
            return self._notifier("; ".join(notes))

        self.act(resume)

    def action_resume_changed(self) -> None:
        """Fill in the form of a resume with other devices, batch, rate or length."""
        if (run := self._existing_run()) is not None:
            self.console_app.open_resume(run)

    def action_checkpoint(self) -> None:
        self._ask("checkpoint", "a checkpoint is asked for")

    def action_verify(self) -> None:
        self._ask("verify", "a verification is asked for")

    def _stop(self, run: Run, now: bool) -> None:
        softly = run.record.config.stop_words.softly

        def stop() -> Callable[[], None]:
            from arcterm.launch import start

            start.stop(run, now=now)
            return self._notifier("stopping at once" if now else f"stopping {softly}")

        self.act(stop)

    def _ask(self, verb: Verb, text: str) -> None:
        run = self._existing_run()
        if run is None:
            return

        def ask() -> Callable[[], None]:
            control.ask(run, verb)
            return self._notifier(text)

        self.act(ask)

    def _notifier(self, text: str) -> Callable[[], None]:
        return lambda: self.notify(text, timeout=3, markup=False)


def _not_live(state: str, config: Config) -> str:
    return "" if state in LIVE else f"the run is {state}: only a live one takes this"


def _not_resumed(state: str, config: Config) -> str:
    if state in LIVE:
        return "the run is live; S stops it"
    more = "^r goes on with more" if config.kind == "training" else "f begins it again"
    return f"there is nothing left to do; {more}" if state == "done" else ""


def _not_changed(state: str, config: Config) -> str:
    if config.kind != "training":
        return _NO_TRAINING
    return "the run is live; S stops it first" if state in LIVE else ""


def _no_model(state: str, config: Config) -> str:
    if config.kind != "training":
        return _NO_TRAINING
    return "the run waits in a queue" if state == "queued" else ""


_NO_TRAINING = "only a training has this; f begins a job again with other settings"
_REFUSALS: dict[str, Callable[[str, Config], str]] = {
    "stop": _not_live,
    "checkpoint": _not_live,
    "resume": _not_resumed,
    "resume_changed": _not_changed,
    "verify": _no_model,
    "use": _no_model,
    "fork": lambda _, config: "" if config.has_form else "there is no form for this kind of job",
    "pictures": lambda _, config: "" if config.pictured else "it has no pictures",
}
"""Why a run in a state, asked for by a config, does not allow an action; empty if it does."""
