"""The seven screens of the app: each a stack of its own that stays as it is while another is open."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual.app import App

from arcterm.console import remembered
from arcterm.console.screens.actions import RunActions
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.tabs import DASH, RUNS, TABS
from arcterm.errors import ArctermError
from arcterm.runs import store
from arcterm.runs.reading.ahead import EssentialsAhead
from arcterm.runs.store import Run

if TYPE_CHECKING:
    from arcterm.console.app import Console

_HIDDEN_SECONDS = 0.02


class Tabbed(App[None]):
    """Tabs are modes of Textual's app, named by their numbers; `visited` ends with the one that is open."""

    root: Path

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._visited: list[int] = []

    def delay_update(self, delay: float = _HIDDEN_SECONDS) -> None:
        """Draw nothing for a moment, while another screen is put together; Textual's own takes 50 ms."""
        super().delay_update(delay)

    def fit(self) -> None:
        """Cover what is open where the terminal is too small for it."""
        raise NotImplementedError

    def show_error(self, error: ArctermError) -> None:
        raise NotImplementedError

    @staticmethod
    def screen_of(run: Run, ahead: EssentialsAhead | None = None) -> ConsoleScreen:
        """The screen of one run, perhaps with essentials found `ahead`.

        Raises `ArctermError` if it can't be read.
        """
        raise NotImplementedError

    def open_run(self, run: Run) -> bool:
        """Show a run's dashboard, or a job's screen; False, with the error shown, if it can't be read."""
        shown = self.show_tab(DASH, partial(self.screen_of, run), anew=True)
        if shown:
            remembered.put("run", run.id)
        return shown

    def begin_last(self) -> None:
        """Begin with the run list if that was open last; `open_last` opens any other."""
        if remembered.get("screen", RUNS) == RUNS:
            from arcterm.console.screens.runs import RunList

            runs = RunList(self.root)
            runs.read_ahead()
            self.begin_with(RUNS, runs)

    def open_last(self) -> None:
        """Open the screen that was open when the console was left, if it still shows something."""
        last = remembered.get("screen", RUNS)
        if last != DASH:
            self.go(last if last in TABS else RUNS)
            return
        try:
            run = store.find(self.root, remembered.get("run", ""))
            self.show_tab(DASH, partial(self.screen_of, run), anew=True)
        except ArctermError:
            self.go(RUNS)

    def begin_with(self, number: int, screen: ConsoleScreen) -> None:
        """Let `screen` be the first that is composed, as tab `number`.

        Textual would compose an empty one, lay it out and give it its styles before it is switched.
        """
        self._current_mode = str(number)
        self._screen_stacks = {self._current_mode: []}
        self.add_mode(self._current_mode, lambda: screen)
        self._visited = [number]

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
            self.show_tab(number, partial(TABS[number].make, cast("Console", self)))

    def action_go(self, number: int) -> None:
        self.go(number)

    @property
    def at_root(self) -> bool:
        """Whether nothing is below the screen that is open but the shell."""
        return len(self.screen_stack) == 1 and self.tab in (0, RUNS)

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

    def show_tab(self, number: int, make: Callable[[], ConsoleScreen], anew: bool = False) -> bool:
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
        if self._visited:  # what is opened by the command line is not what one was looking at
            remembered.put("screen", number)
        self._visited = [*(n for n in self._visited if n != number), number]
        if self.current_mode != mode:
            self.switch_mode(mode)
        elif not anew:
            for _ in self.screen_stack[1:]:
                self.pop_screen()
        self.fit()
        return True

    def _place(self, mode: str, screen: ConsoleScreen) -> None:
        """Make `screen` the only one of `mode`."""
        if self.current_mode == mode:
            for _ in self.screen_stack[1:]:
                self.pop_screen()
            if not self.screen._result_callbacks:  # the first screen of a mode has none, and Textual pops one
                self.screen._push_result_callback(self.screen, None)
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
