"""The console: run list, launch form and dashboard over the run directories of one root."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.geometry import Size
from textual.screen import Screen

from arcterm.config import Config
from arcterm.console import ending, remembered, terminal
from arcterm.console.keys import HELP, described, name_of
from arcterm.console.keystrokes import Keystrokes
from arcterm.console.screens.actions import RunActions
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.screens.boxes import SMALLEST, Help, Problem, TooSmall
from arcterm.console.tabs import DASH, JOBS, LAUNCH, RUNS, TABS
from arcterm.errors import ArctermError, RunError
from arcterm.runs import store
from arcterm.runs.state import check_whole
from arcterm.runs.store import Run

_TWICE_SECONDS = 2.0


class Console(App[None]):
    """The app over the runs in `root`; with `run` it opens that run's screen."""

    TITLE = "arcterm"
    CSS_PATH = [  # noqa: RUF012  Textual declares its type
        f"styles/{name}.tcss"
        for name in (
            "app",
            "runs",
            "compare",
            "dashboard",
            "jobs",
            "data",
            "forms",
            "registry",
            "boxes",
            "charts",
        )
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        HELP,
        Binding(
            "colon", "app.command_palette", "commands", show=False, tooltip="every action by name; also ^p"
        ),
        *(Binding(str(n), f"app.go({n})", tab.name.lower(), show=False) for n, tab in TABS.items()),
    ]

    def __init__(self, root: Path, run: str | None = None, *, readonly: bool = False) -> None:
        self.ascii = terminal.ascii_only()
        super().__init__(driver_class=None if os.environ.get("TEXTUAL_DRIVER") else ending.Driver)
        self.animation_level = "none"
        self.root = root
        self.readonly = readonly
        self._first = run
        self._interrupted = 0.0
        self._warned = False
        self._visited: list[int] = []
        self._keystrokes = Keystrokes(self, super().on_event)

    async def on_event(self, event: events.Event) -> None:
        """Take keys one at a time; Textual handles other events."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._keystrokes.take(event)
        else:
            await super().on_event(event)

    def on_mount(self) -> None:
        """Open the run that was asked for, else the screen that was open last."""
        try:
            first = store.find(self.root, self._first) if self._first is not None else None
        except ArctermError:  # removed since `run_console` looked
            first = None
        if first is None or not self.open_run(first):
            self.go(RUNS)

    def on_resize(self, event: events.Resize) -> None:
        """Cover everything when the terminal becomes too small."""
        self._fit(event.size)

    @property
    def tab(self) -> int:
        """The number of the screen that is open; 0 before there is one."""
        return self._visited[-1] if self._visited else 0

    def go(self, number: int) -> None:
        """Show one of the seven screens as it was left, or make it; other numbers do nothing."""
        if number not in TABS:
            return
        run = self._run_at_cursor() if number == DASH and self.tab != DASH else None
        if run is not None:
            self.open_run(run)
        else:
            self._show(number, partial(TABS[number].make, self))

    def warn_once(self) -> None:
        """Notify of a file of the console's own that can't be read; called by the first screen there is."""
        if not self._warned and (problem := remembered.problem()):
            self.notify(problem, severity="warning", markup=False)
        self._warned = True

    def action_go(self, number: int) -> None:
        self.go(number)

    def require_actions(self) -> None:
        """Raise `ArctermError` if this console only watches."""
        if self.readonly:
            raise RunError("this console only watches", "start it without --readonly to act on runs")

    def open_run(self, run: Run) -> bool:
        """Show a run's dashboard, or a job's screen; False, with the error shown, if it can't be read."""
        return self._show(DASH, partial(self.screen_of, run), anew=True)

    def open_form(self, texts: Mapping[str, str] | None = None) -> None:
        """Show the launch form, filled anew with `texts` by field."""
        if texts is None:
            self.go(LAUNCH)
            return
        from arcterm.console.forms.launch import LaunchForm

        self._show(LAUNCH, partial(LaunchForm, self.root, texts), anew=True)

    def open_jobs(self) -> None:
        self.go(JOBS)

    def open_job(self, name: str, texts: Mapping[str, str] | None = None) -> None:
        """Show the form of a job, filled with `texts` by field."""
        from arcterm.console.forms.jobscreen import JobForm

        self._open(JobForm(self.root, name, texts or {}))

    def open_resume(self, run: Run) -> None:
        """Show the form that resumes a training with changes."""
        from arcterm.console.forms.resume import ResumeForm

        self._open(ResumeForm(run))

    def open_again(self, config: Config) -> None:
        """Show the form that would ask for `config` again, if there is one."""
        if (form := config.form) is not None:
            name, texts = form
            self.open_job(name, texts) if name else self.open_form(texts)

    def open_pictures(self, source: str = "") -> None:
        """Show a data set as pictures, or ask which."""
        from arcterm.console.screens.pictures import PictureScreen

        self._open(PictureScreen(source))

    def _open(self, screen: Screen[None]) -> None:
        self.push_screen(screen)
        self._fit()

    @staticmethod
    def screen_of(run: Run) -> ConsoleScreen:
        """The screen of one run; raises `ArctermError` if it can't be read."""
        check_whole(run)
        if run.record.config.kind == "job":
            from arcterm.console.screens.job import JobScreen

            return JobScreen(run)
        from arcterm.console.screens.dashboard import Dashboard  # numpy: the run list does without

        return Dashboard(run)

    def leave(self) -> None:
        """Close the top screen; below the last one of a tab is the tab before, and below that the shell."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
            return
        left = self._visited.pop()
        if left == RUNS:
            self.exit()
            return
        self.go(self._visited[-1] if self._visited else RUNS)
        self.remove_mode(str(left))

    def _show(self, number: int, make: Callable[[], ConsoleScreen], anew: bool = False) -> bool:
        """Show tab `number`, each of which is a mode of the app; `anew` replaces its screens."""
        mode = str(number)
        if anew or not self._has(mode):
            try:
                screen = make()
            except ArctermError as error:
                if not self._visited:
                    self.go(RUNS)
                self.show_error(error)
                return False
            self._place(mode, screen)
        self._visited = [*(n for n in self._visited if n != number), number]
        if self.current_mode != mode:
            self.switch_mode(mode)
        elif not anew:
            for _ in self.screen_stack[1:]:
                self.pop_screen()
        self._fit()
        return True

    def _place(self, mode: str, screen: ConsoleScreen) -> None:
        """Make `screen` the only one of `mode`."""
        if self.current_mode == mode:
            for _ in self.screen_stack[1:]:
                self.pop_screen()
            self.switch_screen(screen)
            return
        if self._has(mode):
            self.remove_mode(mode)
        self.add_mode(mode, lambda: screen)

    def _has(self, mode: str) -> bool:
        try:
            return bool(self.get_screen_stack(mode))
        except KeyError:
            return False

    def _run_at_cursor(self) -> Run | None:
        """The run that the screen which is open would act on."""
        return self.screen.target() if isinstance(self.screen, RunActions) else None

    def show_error(self, error: ArctermError) -> None:
        self.push_screen(Problem(error))

    def action_help(self) -> None:
        if not isinstance(self.screen, Help):
            self.push_screen(Help(described(self.screen)))

    def action_help_quit(self) -> None:
        """Leave on the second Ctrl+C; explain it on the first."""
        now = time.monotonic()
        if now - self._interrupted < _TWICE_SECONDS:
            self.exit()
        self._interrupted = now
        self.notify("press ctrl+c again to leave; runs go on", timeout=_TWICE_SECONDS, markup=False)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The actions of the screen, for the command palette."""
        for binding in described(screen):
            title = f"{binding.description} ({name_of(binding)})"
            yield SystemCommand(title, binding.tooltip, partial(screen.run_action, binding.action))
        yield SystemCommand("theme", "change the colours", self.action_change_theme)
        yield SystemCommand("quit", "leave the console; runs go on", self.action_quit)

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = list(super().get_line_filters())
        return [*filters, terminal.AsciiFilter()] if self.ascii else filters

    def _fit(self, size: Size | None = None) -> None:
        width, height = size or self.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        covered = isinstance(self.screen, TooSmall)
        if small and not covered:
            self.push_screen(TooSmall())
        elif covered and not small:
            self.pop_screen()


def run_console(root: Path, run: str | None, *, readonly: bool = False) -> NoReturn:
    """Show the console, and end the process when it is left.

    Raises `ArctermError` without a terminal or without that run.
    """
    terminal.require()
    if run is not None:
        store.find(root, run)
    ending.run(Console(root, run, readonly=readonly))
