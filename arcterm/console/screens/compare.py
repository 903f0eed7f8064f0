"""Compare: the marked runs in one set of charts, what differs in their configs, their best verifications."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message

from arcterm.console.catalogue import stamp_of
from arcterm.console.charts import overlay
from arcterm.console.charts.chartkeys import ChartKeys
from arcterm.console.charts.grid import ChartGrid
from arcterm.console.charts.overlay import RunCurve
from arcterm.console.habits.cursor import CursorRows
from arcterm.console.keys import KeyLine
from arcterm.console.marks import Marks
from arcterm.console.messages import LookFailed
from arcterm.console.panels import comparison as panel
from arcterm.console.rows import Rows
from arcterm.console.screens.actions import RunActions
from arcterm.console.screens.polling import Polling
from arcterm.console.view import View
from arcterm.errors import ArctermError
from arcterm.files import write_bytes
from arcterm.runs.query import facts
from arcterm.runs.query.facts import RunFacts
from arcterm.runs.reader import Look, Reader
from arcterm.runs.state import check_whole, read_state
from arcterm.runs.store import Run
from arcterm.show import comparison
from arcterm.show.lines import Line, Piece

_LIVE_SECONDS, _IDLE_SECONDS = 1.0, 3.0
_TURN_SECONDS = 0.1
_PAINT_SECONDS = 0.6
"""While runs are read the charts are drawn no more often: that would take longer than reading."""
_TABLES = ("", "-differences", "-settings")


@dataclass
class ComparedRun:
    """A marked run: what is read of it, its sign; `problem` says why nothing can be."""

    run: Run
    look: Piece
    reader: Reader
    listed: Reader
    view: View | None = None
    facts: RunFacts = field(kw_only=True)
    problem: str = ""
    stamp: tuple[int, int] = (0, 0)

    @property
    def loading(self) -> bool:
        return not self.problem and (self.view is None or self.view.loading)


@dataclass
class Compared(Message):
    """Runs were read: each with its look, None if it can't be read, and its facts if they were read again."""

    found: list[tuple[ComparedRun, View | None, Look | None, RunFacts | None]]


class LegendRows(CursorRows):
    """The legend; a click chooses a run, a second click opens it, the wheel moves the cursor."""

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        if isinstance(screen, Compare):
            screen.click(event.y)


class Compare(ChartKeys, RunActions, Polling):
    """The runs that are marked in the list of runs, drawn over each other."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "table", "differences", tooltip="what differs; again: all settings; again: the charts"),
        Binding("b", "baseline", "baseline", tooltip="hold the others against the run under the cursor"),
        Binding("space", "unmark", "take off", tooltip="take the mark off the run under the cursor"),
        Binding("o", "open", "open", tooltip="show the dashboard of the run under the cursor"),
        Binding("E", "export_table", "export table", show=False, tooltip="write what differs as CSV"),
        Binding("j,down", "move(1)", "next run", show=False),
        Binding("k,up", "move(-1)", "previous run", show=False),
        Binding("pagedown", "scroll_table(5)", "tables down", show=False),
        Binding("pageup", "scroll_table(-5)", "tables up", show=False),
    ]

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.marks = Marks(root)
        self.items: list[ComparedRun] = []
        self._cursor = 0
        self._baseline = ""
        self._scrolled = 0
        self._changed = False
        self._painted = 0.0
        self._titles: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        yield Rows(self._draw_title, id="title")
        yield LegendRows(self._draw_legend, id="legend")
        yield ChartGrid({}, self._titles, id="grid")
        with Horizontal(id="compared"):
            yield Rows(self._draw_settings, id="settings")
            yield Rows(self._draw_results, id="results")
        yield KeyLine()

    def on_screen_resume(self) -> None:
        """Take up what was marked meanwhile."""
        self.marks = Marks(self.root)
        self._follow_marks()
        self.look()

    def on_compared(self, message: Compared) -> None:
        """Draw what was read, and read on: at once while there is more."""
        changed = False
        for item, view, look, known in message.found:
            if known is not None:
                changed |= known != item.facts
                item.facts = known
            if view is not None:
                item.view = item.view or view
                changed |= look is not None and item.view.take(look)
            item.problem = "" if view is not None else item.facts.state.reason or "it can't be read"
        gone = [item.run.id for item in self.items if item.run.removed]
        for run_id in gone:
            self.marks.toggle(run_id)
            self.notify(f"{run_id} was removed", severity="warning", markup=False)
        if gone:
            self._follow_marks()
        loading, now = any(item.loading for item in self.items), time.monotonic()
        self._changed |= changed
        if self._changed and (not loading or now - self._painted > _PAINT_SECONDS):
            self._changed, self._painted = False, now
            self.repaint()
        if loading:
            self.look_in(0)
        elif self.is_current:
            self.look_in(_LIVE_SECONDS if any(item.facts.live for item in self.items) else _IDLE_SECONDS)
        else:
            self.rest()

    def on_look_failed(self, message: LookFailed) -> None:
        self.notify(message.problem, severity="error", markup=False)
        self.look_in(10 * _IDLE_SECONDS)

    def read(self) -> Compared:
        """Read on in every run for a while, in turn."""
        deadline = time.monotonic() + _TURN_SECONDS
        found = []
        for item in [*sorted(self.items, key=lambda item: not item.loading)]:
            found.append(self._read(item))
            if time.monotonic() > deadline:
                break
        return Compared(found)

    @staticmethod
    def _read(item: ComparedRun) -> tuple[ComparedRun, View | None, Look | None, RunFacts | None]:
        known, view, stamp = None, item.view, stamp_of(item.run)
        fresh = stamp != item.stamp or item.facts.live or bool(item.problem)
        try:
            if fresh:
                known = facts.read(item.listed, item.facts)
                check_whole(item.run)
                item.stamp = stamp
            view = view or View(run=item.run, record=item.run.record, state=read_state(item.run))
            return item, view, item.reader.look() if fresh or view.loading else None, known
        except (ArctermError, OSError) as error:
            return item, None, None, facts.unreadable(item.run, error)

    @property
    def runs(self) -> list[RunFacts]:
        """The facts of the runs, in order of marking."""
        return [item.facts for item in self.items]

    @property
    def baseline(self) -> int:
        """The place of the run that the others are held against; the first if none was chosen."""
        return next((i for i, item in enumerate(self.items) if item.run.id == self._baseline), 0)

    def target(self) -> Run | None:
        return self.items[self._cursor].run if self.items else None

    @property
    def subject(self) -> str:
        """What exported charts are about; their legend has the names."""
        return f"comparison of {len(self.items)} run{'s' * (len(self.items) != 1)}"

    def refusal(self, action: str) -> str:
        """What needs runs, or charts that can be seen."""
        charts = action.startswith("chart_") or action == "zoom"
        if not self.items and (charts or action in _ON_RUNS):
            return "no run is marked; space marks some in Runs (1)"
        if charts and any(self.has_class(name) for name in _TABLES[1:]):
            return "a table is shown; d goes on to the charts"
        return super().refusal(action)

    def click(self, y: int) -> None:
        """Choose the run in row `y` of the legend, or open it if it is chosen."""
        height = self.query_one("#legend").size.height
        index = panel.first_shown(len(self.items), self._cursor, height) + y
        if index == self._cursor and self.items:
            self.action_open()
        else:
            self.action_move(index - self._cursor)

    def action_move(self, rows: int) -> None:
        self._cursor = max(0, min(self._cursor + rows, len(self.items) - 1))
        self.repaint(charts=False)

    def action_baseline(self) -> None:
        self._baseline = self.items[self._cursor].run.id
        self.repaint(charts=False)

    def action_unmark(self) -> None:
        self.marks.toggle(self.items[self._cursor].run.id)
        self._follow_marks()

    def action_open(self) -> None:
        run = self._existing_run()
        if run is not None:
            self.console_app.open_run(run)

    def action_chart_axis(self) -> None:
        super().action_chart_axis()
        self.repaint(charts=False)

    def action_chart_reset(self) -> None:
        super().action_chart_reset()
        self.repaint(charts=False)

    def action_table(self) -> None:
        """Go on from the charts to what differs, to all settings, and back."""
        now = next((name for name in _TABLES[1:] if self.has_class(name)), "")
        then = _TABLES[(_TABLES.index(now) + 1) % len(_TABLES)]
        self.remove_class(*_TABLES[1:])
        if then:
            self.add_class(then)
        self._scrolled = 0
        self.call_after_refresh(self.repaint)

    def action_scroll_table(self, rows: int) -> None:
        every = self.has_class("-settings")
        found = comparison.results(self.runs)
        count = max(
            sum(every or row.differs for row in comparison.settings(self.runs)), len(found) * len(self.items)
        )
        self._scrolled = max(0, min(self._scrolled + rows, count - 1))
        self.repaint(charts=False)

    def action_export_table(self) -> None:
        """Write the table beside where the console was started."""
        runs, baseline = self.runs, self.baseline

        def write() -> Callable[[], None]:
            path = _free(self.subject.replace(" ", "-"))
            write_bytes(path, comparison.as_csv(runs, baseline).encode())
            return self._notifier(f"{path} is written; `arcterm diff --csv RUN …` prints the same")

        self.act(write)

    def action_back(self) -> None:
        """Back from a table or a large chart to all charts; then leave."""
        if any(self.has_class(name) for name in ("-zoomed", *_TABLES[1:])):
            self.remove_class("-zoomed", *_TABLES[1:])
            self.call_after_refresh(self.repaint)
        else:
            super().action_back()

    def on_resize(self) -> None:
        self.call_after_refresh(self.repaint)

    def repaint(self, charts: bool = True) -> None:
        """Draw everything; the charts only if `charts`."""
        height = min(len(self.items), self.size.height // 4) if self.items else 8
        self.query_one("#legend").styles.height = height
        self.set_class(not self.items, "-empty")
        grid = self.charts
        if charts and self.items:
            drawn = [RunCurve(i.view, i.facts.name, i.look) for i in self.items if i.view is not None]
            grid.makers = overlay.makers(drawn)
            self._titles.update(overlay.titles(grid.makers))
            grid.redraw()
        for rows in self.query(Rows):
            if not isinstance(rows, ChartGrid):
                rows.repaint()

    def _follow_marks(self) -> None:
        """Read what is marked, and nothing else; what is read already is kept."""
        before = {item.run.id: item for item in self.items}
        self.items = []
        for run_id, look in self.marks.signs().items():
            run = Run(self.root / run_id)
            item = before.get(run_id) or ComparedRun(
                run, look, Reader(run), Reader(run), facts=facts.blank(run)
            )
            item.look = look
            self.items.append(item)
        self._cursor = max(0, min(self._cursor, len(self.items) - 1))
        self.refresh_bindings()
        self.repaint()

    @property
    def _looks(self) -> list[Piece]:
        return [item.look for item in self.items]

    def _draw_title(self, width: int, height: int) -> list[Line]:
        reading = sum(item.loading for item in self.items)
        return panel.title(self.runs, self.baseline, self.charts.lens.x, width, reading)

    def _draw_legend(self, width: int, height: int) -> list[Line]:
        if not self.items:
            return panel.empty(width)
        return panel.legend(self.runs, self._looks, self._cursor, self.baseline, width, height)

    def _draw_settings(self, width: int, height: int) -> list[Line]:
        every = self.has_class("-settings")
        return (
            panel.settings(self.runs, self._looks, width, height, every, self._scrolled) if self.items else []
        )

    def _draw_results(self, width: int, height: int) -> list[Line]:
        if not self.items:
            return []
        return panel.results(self.runs, self._looks, self.baseline, width, height, self._scrolled)


def _free(stem: str) -> Path:
    """A path where the console was started that nothing stands at: ``….csv``, then ``…-2.csv``."""
    names = (f"{stem}{f'-{count}' if count > 1 else ''}.csv" for count in itertools.count(1))
    return next(path for path in map(Path, names) if not path.exists()).absolute()


_ON_RUNS = ("table", "baseline", "unmark", "open", "export_table")
