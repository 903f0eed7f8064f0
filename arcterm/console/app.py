"""The console: run list, launch form and dashboard over the run directories of one root."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.geometry import Size
from textual.screen import Screen

from arcterm.config import Config
from arcterm.console import ending, terminal
from arcterm.console.keys import HELP, described, name_of
from arcterm.console.keystrokes import Keystrokes
from arcterm.console.screens.boxes import SMALLEST, Help, Problem, TooSmall
from arcterm.console.screens.runs import RunList
from arcterm.errors import ArctermError
from arcterm.runs import store
from arcterm.runs.state import check_whole
from arcterm.runs.store import Run

_TWICE_SECONDS = 2.0


class Console(App[None]):
    """The app over the runs in `root`; with `run` it opens that run's screen."""

    TITLE = "arcterm"
    CSS_PATH = [  # noqa: RUF012  Textual declares its type
        f"styles/{name}.tcss" for name in ("app", "runs", "dashboard", "jobs", "forms", "boxes")
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        HELP,
        Binding(
            "colon", "app.command_palette", "commands", show=False, tooltip="every action by name; also ^p"
        ),
    ]

    def __init__(self, root: Path, run: str | None = None) -> None:
        self.ascii = terminal.ascii_only()
        super().__init__()
        self.animation_level = "none"
        self.root = root
        self._first = run
        self._interrupted = 0.0
        self._keystrokes = Keystrokes(self, super().on_event)

    async def on_event(self, event: events.Event) -> None:
        """Take keys one at a time; Textual handles other events."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._keystrokes.take(event)
        else:
            await super().on_event(event)

    def on_mount(self) -> None:
        """Open the run that was asked for, else the run list."""
        try:
            first = store.find(self.root, self._first) if self._first is not None else None
        except ArctermError:  # removed since `run_console` looked
            first = None
        if first is None or not self.open_run(first):
            self.push_screen(RunList(self.root))
        self._fit()

    def on_resize(self, event: events.Resize) -> None:
        """Cover everything when the terminal becomes too small."""
        self._fit(event.size)

    def open_run(self, run: Run) -> bool:
        """Show a run's dashboard, or a job's screen; False, with the error shown, if it can't be read."""
        try:
            screen = self._screen_of(run)
        except ArctermError as error:
            self.show_error(error)
            return False
        self._open(screen)
        return True

    def open_form(self, texts: Mapping[str, str] | None = None) -> None:
        """Show the launch form, filled with `texts` by field."""
        from arcterm.console.forms.launch import LaunchForm

        self._open(LaunchForm(self.root, texts or {"backbone": "tiny", "loss": "arcface"}))

    def open_jobs(self) -> None:
        from arcterm.console.screens.jobs import JobList

        self._open(JobList(self.root))

    def open_job(self, name: str, texts: Mapping[str, str] | None = None) -> None:
        """Show the form of a job, filled with `texts` by field."""
        from arcterm.console.forms.jobscreen import JobForm

        self._open(JobForm(self.root, name, texts or {}))

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
    def _screen_of(run: Run) -> Screen[None]:
        check_whole(run)
        if run.record.config.kind == "job":
            from arcterm.console.screens.job import JobScreen

            return JobScreen(run)
        from arcterm.console.screens.dashboard import Dashboard  # numpy: the run list does without

        return Dashboard(run)

    def leave(self) -> None:
        """Close the top screen; below the last one is the run list, and below that the shell."""
        if isinstance(self.screen, RunList):
            self.exit()
        elif len(self.screen_stack) <= 2:
            self.switch_screen(RunList(self.root))
        else:
            self.pop_screen()

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


def run_console(root: Path, run: str | None) -> int:
    """Show the console until it is left; raises `ArctermError` without a terminal or without that run."""
    terminal.require()
    if run is not None:
        store.find(root, run)
    return ending.run(Console(root, run))
