"""The console: run list, launch form and dashboard over the run directories of one root."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import msgspec
from textual import events
from textual.actions import ActionParseResult
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.geometry import Size
from textual.screen import Screen

from arcterm.config import Config
from arcterm.console import ending, remembered, terminal
from arcterm.console.habits import engines, menus, preferences
from arcterm.console.habits.help import Help
from arcterm.console.habits.preferences import Preferences
from arcterm.console.habits.themes import COLOUR_BLIND, HIGH_CONTRAST, THEMES
from arcterm.console.keys import HELP, described, name_of, named
from arcterm.console.keystrokes import Keystrokes
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.screens.boxes import SMALLEST, Problem, TooSmall
from arcterm.console.stylesheet import ParsedOnce
from arcterm.console.tabbed import Tabbed
from arcterm.console.tabs import DASH, JOBS, LAUNCH, TABS
from arcterm.errors import ArctermError, RunError
from arcterm.runs import store
from arcterm.runs.reading.ahead import EssentialsAhead
from arcterm.runs.state import check_whole
from arcterm.runs.store import Run

_TWICE_SECONDS = 2.0
_AHEAD_SECONDS = 0.5
"""After so long the screens that need NumPy are imported: opening the first would hold up the loop."""


class Console(Tabbed):
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
        *named(
            [
                Binding("colon", "app.command_palette", "commands", tooltip="every action by name; also ^p"),
                Binding("Y", "app.copies", "copy", tooltip="put a command, a path or an id on the clipboard"),
                Binding("ctrl+g", "app.demo", "train the demo", tooltip="a small model on drawn faces"),
                Binding("t", "app.themes", "theme", show=False, tooltip="other colours"),
                *(Binding(str(n), f"app.go({n})", tab.name.lower(), show=False) for n, tab in TABS.items()),
            ]
        ),
    ]

    def __init__(
        self,
        root: Path,
        run: str | None = None,
        *,
        readonly: bool = False,
        wanted: Preferences | None = None,
        ahead: EssentialsAhead | None = None,
    ) -> None:
        wanted = wanted or Preferences()
        self.ascii = wanted.ascii or terminal.ascii_only()
        colourless = os.environ.get("NO_COLOR")
        super().__init__(driver_class=None if os.environ.get("TEXTUAL_DRIVER") else ending.Driver)
        if colourless is not None:  # Textual takes it away, from charts and from commands that are started
            os.environ["NO_COLOR"] = colourless
        self.stylesheet = ParsedOnce(self.get_css_variables())
        self.animation_level = "none"
        self.root = root
        self.readonly = readonly or wanted.readonly
        self._watches_by_file = wanted.readonly and not readonly
        self.refresh_seconds = wanted.refresh
        self._interrupted = 0.0
        self._warned = False
        self._clashes: set[Binding] = set()
        for theme in (COLOUR_BLIND, HIGH_CONTRAST):
            self.register_theme(theme)
        menus.paint(self, wanted.theme or remembered.get("theme", ""))
        self.set_keymap(wanted.keymap())
        self.remapped = bool(wanted.keys)
        self._keystrokes = Keystrokes(self, super().on_event)
        self._unread = None if run is None else self._begin(run, ahead)
        if run is None:
            self.begin_last()

    async def on_event(self, event: events.Event) -> None:
        """Take keys one at a time; Textual handles other events."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._keystrokes.take(event)
        else:
            await super().on_event(event)

    def on_mount(self) -> None:
        """Open the screen that was open last, unless it began with the run that was asked for."""
        if self.tab == 0 and (self._unread is None or not self.open_run(self._unread)):
            self.open_last()
        self.set_timer(_AHEAD_SECONDS, threading.Thread(target=_import_screens, daemon=True).start)
        if not self.readonly:  # what an engine says is written into its runs
            engines.watch(self, self.root)

    def _begin(self, name: str, ahead: EssentialsAhead | None) -> Run | None:
        """Begin with a run's screen, which reads it while the app starts.

        Return the run if it can't be read, which `open_run` shows; None also if it is gone.
        """
        try:
            run = store.find(self.root, name)
        except ArctermError:  # removed since `run_console` looked
            return None
        try:
            self.begin_with(DASH, self.screen_of(run, ahead))
        except ArctermError:
            return run
        remembered.put("run", run.id)
        return None

    def on_resize(self, event: events.Resize) -> None:
        """Cover everything when the terminal becomes too small."""
        self.fit(event.size)

    def warn_once(self) -> None:
        """Notify of a file of the console's own that can't be read; called by the first screen there is."""
        if not self._warned and (problem := remembered.problem()):
            self.notify(problem, severity="warning", markup=False)
        self._warned = True

    def require_actions(self) -> None:
        """Raise `ArctermError` if this console only watches."""
        if not self.readonly:
            return
        if self.is_web:
            hint = "`arcterm serve --allow-actions` serves one that acts on runs"
        elif self._watches_by_file:
            hint = f"take readonly out of {preferences.place()} to act on runs"
        else:
            hint = "start it without --readonly to act on runs"
        raise RunError("this console only watches", hint)

    def open_form(self, texts: Mapping[str, str] | None = None, forked: str = "") -> None:
        """Show the launch form, filled anew with `texts` by field, those of the run called `forked`."""
        if texts is None:
            self.go(LAUNCH)
            return
        from arcterm.console.forms.launch import LaunchForm

        self.show_tab(LAUNCH, partial(LaunchForm, self.root, texts, forked), anew=True)

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

    def open_again(self, config: Config, forked: str = "") -> None:
        """Show the form that would ask for the `config` of the run `forked` again, if there is one."""
        if (form := config.form) is not None:
            name, texts = form
            self.open_job(name, texts) if name else self.open_form(texts, forked)

    def open_pictures(self, source: str = "") -> None:
        """Show a data set as pictures, or ask which."""
        from arcterm.console.screens.pictures import PictureScreen

        self._open(PictureScreen(source))

    def open_host(self) -> None:
        """Show this machine, as ``arcterm monitor`` does."""
        from arcterm.console.screens.host import HostScreen

        self._open(HostScreen(self.root))

    def _open(self, screen: Screen[None]) -> None:
        self.push_screen(screen)
        self.fit()

    @staticmethod
    def screen_of(run: Run, ahead: EssentialsAhead | None = None) -> ConsoleScreen:
        """The screen of one run, perhaps with essentials found `ahead`.

        Raises `ArctermError` if it can't be read.
        """
        check_whole(run)
        if run.record.config.kind == "job":
            from arcterm.console.screens.job import JobScreen

            return JobScreen(run, ahead)
        from arcterm.console.screens.dashboard import Dashboard  # numpy: the run list does without

        return Dashboard(run, ahead)

    def show_error(self, error: ArctermError) -> None:
        self.push_screen(Problem(error))

    def action_help(self) -> None:
        """Show the keys of the screen, or close that list."""
        if isinstance(self.screen, Help):
            self.screen.dismiss(None)
        else:
            self.push_screen(Help(described(self.screen), [tab.name for tab in TABS.values()]))

    def action_copies(self) -> None:
        menus.copy(self)

    def action_themes(self) -> None:
        menus.choose_theme(self)

    def action_demo(self) -> None:
        menus.start_demo(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the demo where there is no run yet."""
        if action == "demo":
            return bool(getattr(self.screen, "empty", False)) and not self.readonly
        return super().check_action(action, parameters)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key asks for.

        Not where it would change something in a console that only watches, or the terminal is too small.
        """
        name = action.rpartition(".")[2].partition("(")[0] if isinstance(action, str) else action[1]
        if isinstance(self.screen, TooSmall) and name in ("help", "command_palette"):
            return True
        if self.readonly and name in getattr(self.screen, "changes", ()):
            try:
                self.require_actions()
            except ArctermError as error:
                self.show_error(error)
            return True
        done = await super().run_action(action, default_namespace, namespaces)
        if not done and isinstance(self.screen, ConsoleScreen) and (why := self.screen.refusal(name)):
            self.notify(why, timeout=3, markup=False)
            return True
        return done

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """Warn, once each, of keys that the settings file takes away from another action."""
        for binding in clashed_bindings:
            if binding.id not in self._keymap and binding not in self._clashes:
                self._clashes.add(binding)
                taken = f"{name_of(binding)} does something else by {preferences.place()}"
                said = f"{taken}; {binding.description!r} has no key"
                self.notify(said, severity="warning", markup=False)

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
        yield SystemCommand(
            "host", "cores, memory, GPUs, disks and processes of this machine", self.open_host
        )
        for name, (_, words) in THEMES.items():
            yield SystemCommand(f"theme: {name}", words, partial(menus.paint, self, name))

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = list(super().get_line_filters())
        return [*filters, terminal.AsciiFilter()] if self.ascii else filters

    def fit(self, size: Size | None = None) -> None:
        width, height = size or self.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        covered = isinstance(self.screen, TooSmall)
        if small and not covered:
            self.push_screen(TooSmall())
        elif covered and not small:
            self.pop_screen()


def _import_screens() -> None:
    from arcterm.console.screens import compare, dashboard  # noqa: F401


def run_console(
    root: Path,
    run: str | None,
    *,
    readonly: bool = False,
    ascii_only: bool = False,
    refresh: float | None = None,
    ahead: EssentialsAhead | None = None,
) -> NoReturn:
    """Show the console, and end the process when it is left; the essentials of `run` may be found `ahead`.

    Raises `ArctermError` without a terminal, without that run, or for a settings file that can't be used.
    """
    terminal.require()
    wanted = preferences.load()
    if refresh is not None:
        wanted = msgspec.structs.replace(wanted, refresh=refresh)
    if run is not None:
        store.find(root, run)
    wanted = msgspec.structs.replace(
        wanted, ascii=wanted.ascii or ascii_only, readonly=wanted.readonly or readonly
    )
    ending.run(Console(root, run, wanted=wanted, ahead=ahead))


def key_table() -> tuple[list[list[str]], str]:
    """A heading, and a row for every key of the console that has a name; what the settings file misnames."""
    from arcterm.console.habits import keytable

    rows = keytable.rows(Console.BINDINGS)
    unknown = sorted(set(preferences.load().keys) - {name for _, name, *_ in rows})
    problem = f"{preferences.place()} names what is no action: {', '.join(unknown)}" if unknown else ""
    return [keytable.HEADER, *rows], problem
