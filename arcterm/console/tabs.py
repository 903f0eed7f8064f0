"""The seven screens that a number opens, and the line of their names at the top of each screen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from textual import events

from arcterm.console import remembered
from arcterm.console.rows import Rows
from arcterm.errors import ArctermError, RunError
from arcterm.runs import store
from arcterm.show.lines import Line, width_of

if TYPE_CHECKING:
    from arcterm.console.app import Console
    from arcterm.console.screens.base import ConsoleScreen

RUNS, DASH, COMPARE, LAUNCH, REGISTRY, JOBS, DATA = range(1, 8)


@dataclass(frozen=True)
class Tab:
    """A screen's name, a short one for narrow terminals, and how it is made; that raises `ArctermError`."""

    name: str
    short: str
    make: Callable[[Console], ConsoleScreen]


def _runs(console: Console) -> ConsoleScreen:
    from arcterm.console.screens.runs import RunList

    return RunList(console.root)


def _dash(console: Console) -> ConsoleScreen:
    """The screen of the run that was watched last, or else of the newest."""
    if watched := remembered.get("run", ""):
        with contextlib.suppress(ArctermError):  # it was removed, or is of another root
            return console.screen_of(store.find(console.root, watched))
    newest = next(iter(store.list_runs(console.root)), None)
    if newest is None:
        raise RunError("there is no run to watch yet", f"press {LAUNCH} for a new run")
    return console.screen_of(newest)


def _compare(console: Console) -> ConsoleScreen:
    from arcterm.console.screens.compare import Compare

    return Compare(console.root)


def _launch(console: Console) -> ConsoleScreen:
    from arcterm.console.forms.launch import LaunchForm

    return LaunchForm.kept(console.root)


def _registry(console: Console) -> ConsoleScreen:
    from arcterm.console.screens.registry import Registry

    return Registry()


def _jobs(console: Console) -> ConsoleScreen:
    from arcterm.console.screens.jobruns import JobRunScreen

    return JobRunScreen(console.root)


def _data(console: Console) -> ConsoleScreen:
    from arcterm.console.screens.data import DataScreen

    return DataScreen(console.root)


TABS: dict[int, Tab] = {
    RUNS: Tab("Runs", "Runs", _runs),
    DASH: Tab("Dash", "Dash", _dash),
    COMPARE: Tab("Compare", "Cmp", _compare),
    LAUNCH: Tab("Launch", "New", _launch),
    REGISTRY: Tab("Registry", "Reg", _registry),
    JOBS: Tab("Jobs", "Jobs", _jobs),
    DATA: Tab("Data", "Data", _data),
}
"""The screens by number."""


class TabLine(Rows):
    """One line: every tab, the current one marked; a click on a name opens it."""

    def __init__(self) -> None:
        super().__init__(self._draw, classes="tabs")
        self._places: list[tuple[int, int, int]] = []

    def on_click(self, event: events.Click) -> None:
        for start, end, number in self._places:
            if start <= event.x < end:
                self.call_later(self._app.go, number)

    @property
    def _app(self) -> Console:
        return cast("Console", self.app)

    def _draw(self, width: int, height: int) -> list[Line]:
        current, right = self._app.tab, "read-only " if self._app.readonly else ""
        room = width - len(right)
        for names in ({n: tab.name for n, tab in TABS.items()}, {n: tab.short for n, tab in TABS.items()}):
            line: Line = []
            self._places = []
            for number, name in names.items():
                text = f"[{number} {name}]" if number == current else f" {number} {name} "
                start = width_of(line)
                self._places.append((start, start + len(text), number))
                line.append((text, "head" if number == current else "dim"))
            if width_of(line) <= room:
                break
        return [[*line, (" " * (room - width_of(line)), ""), (right, "warn")]]
