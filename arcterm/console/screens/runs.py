"""The run list: the runs, their progress, and the actions on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input
from textual.worker import Worker

from arcterm.console import remembered
from arcterm.console.catalogue import Catalogue
from arcterm.console.habits.cursor import CursorKeys, CursorRows
from arcterm.console.keys import KeyLine
from arcterm.console.marks import SIGNS, Marks
from arcterm.console.messages import Listed, LookFailed
from arcterm.console.panels import listing
from arcterm.console.panels.listing import RunCounts, SortOrder
from arcterm.console.rows import Rows
from arcterm.console.screens.boxes import Confirm
from arcterm.console.screens.noting import RunNotes
from arcterm.console.screens.polling import Polling
from arcterm.console.tabs import COMPARE
from arcterm.errors import ArctermError, RunError
from arcterm.runs import query, store
from arcterm.runs.query import facts
from arcterm.runs.query.facts import RunFacts
from arcterm.runs.state import is_locked
from arcterm.runs.store import Run
from arcterm.show.lines import shorten, wrap

_LIVE_SECONDS, _IDLE_SECONDS = 1.0, 2.0
_SOON_SECONDS = 0.05
_FIRST_SECONDS = 0.1
_AHEAD_SECONDS = 0.05
"""So long the console's first frame waits for runs: about as long as it takes to draw one without them."""
"""After the first rows came the screen is drawn before other runs are read."""
_ON_CHOSEN = ("open", "fork", "delete", "stop", "resume", "resume_changed", "mark", "tag", "note")
_AGES = 10
"""After so many looks that found nothing new the ages are drawn again."""


class RunTable(CursorRows):
    """The table; a click opens a run or sorts by a column, the wheel moves the cursor."""

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        if isinstance(screen, RunList):
            screen.click(event.x, event.y)


class RunList(CursorKeys, RunNotes, Polling):
    """Every run of the root, newest first; live ones are read again every second."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", tooltip="show the run's dashboard, or a job's progress and report"),
        Binding("space", "mark", "mark", tooltip="mark the run, to be compared with others"),
        Binding("c", "compare", "compare", tooltip="show the marked runs in one chart"),
        Binding("slash", "filter", "filter", tooltip="lr>=0.05 OR name:x -tag:old has:note; esc shows all"),
        Binding("N", "new", "new run", tooltip="fill in the launch form"),
        Binding("d", "data", "data", tooltip="make, check or look at a data set"),
        Binding("S", "stop", "stop", tooltip="stop the run, after a checkpoint or at once"),
        Binding("R", "resume", "resume", tooltip="go on from the newest checkpoint, or where a job stopped"),
        Binding(
            "ctrl+r",
            "resume_changed",
            "resume with changes",
            show=False,
            tooltip="other devices, batch, length",
        ),
        Binding("f,F", "fork", "fork", tooltip="a new run with this one's settings in the form"),
        Binding("full_stop", "sort(1)", "sort", key_display=".", tooltip="sort by the next column"),
        Binding(
            "comma", "sort(-1)", "sort back", key_display=",", show=False, tooltip="sort by the column before"
        ),
        Binding("v", "turn", "turn the order", show=False, tooltip="sort the other way round"),
        Binding("D", "delete", "delete", tooltip="remove the run and its checkpoints for ever"),
        Binding("ctrl+d,pagedown", "move(10)", "ten down", show=False),
        Binding("ctrl+u,pageup", "move(-10)", "ten up", show=False),
        Binding("q", "back", "quit", tooltip="leave the console; runs go on"),
    ]

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.marks = Marks(root)
        self._catalogue = Catalogue(root)
        self._runs: list[RunFacts] | None = None
        self._counts = RunCounts()
        self._query = query.parse("")
        self._problem = ""
        column, turned = remembered.get("runs.order", ["age", ""])[:2]
        self._order = SortOrder(column, bool(turned))
        self.shown: list[RunFacts] = []
        self._arranging: Worker[None] | None = None
        self._stale = False  # runs were read while they were filtered and sorted
        self._places: dict[str, int] = {}
        self._chosen = ""
        self._row = 0
        self._drawn = False
        self._placed = False  # the cursor stays on the first row until it is moved, or every run is read
        self._quiet = 0
        self._offered: object = None

    def compose(self) -> ComposeResult:
        yield Rows(self._draw_title, id="title")
        yield RunTable(self._draw_table, id="table")
        yield Rows(self._draw_detail, id="detail")
        yield Rows(self._draw_problem, id="filter-problem")
        yield Input(placeholder="lr>=0.05 OR name:x -tag:old has:note", id="filter", compact=True)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self.query_one("#filter-problem").display = False

    def on_screen_resume(self) -> None:
        """Read at once, also after being covered; the first frame has what was read ahead."""
        self.marks = Marks(self.root)
        if isinstance(found := self.found_ahead(_AHEAD_SECONDS), Listed):
            self.on_listed(found)
        else:
            self._repaint()
            self.look()

    def on_listed(self, message: Listed) -> None:
        """Show the runs, and read again later; where nothing changed nothing is drawn."""
        self._quiet += 1
        if message.runs is not None:
            self._runs = message.runs
            self._counts = RunCounts.of(message.runs, message.others)
            if self._arranging is None:
                self._arrange()
            else:
                self._stale = True
        elif self._quiet >= _AGES:
            self._repaint()
        if message.more:
            self.look_in(0 if self._placed or self._drawn else _FIRST_SECONDS)
            self._drawn = True
        elif self.is_current:
            self.look_in(_LIVE_SECONDS if self._counts.live else _IDLE_SECONDS)
        else:
            self.rest()

    def on_look_failed(self, message: LookFailed) -> None:
        """Notify once in a while, and try again."""
        self.notify(message.problem, severity="error", markup=False)
        self.look_in(10 * _IDLE_SECONDS)

    def read(self) -> Listed:
        found, more = self._catalogue.refresh()
        return Listed(found, more, self._catalogue.others)

    @property
    def empty(self) -> bool:
        """Whether there is no run, so that the demo is offered."""
        return self._runs == []

    @property
    def chosen(self) -> RunFacts | None:
        index = self._places.get(self._chosen)
        return None if index is None else self.shown[index]

    def target(self) -> Run | None:
        return self.chosen.run if self.chosen else None

    def noted(self, run: Run) -> None:
        self.look()

    def click(self, x: int, y: int) -> None:
        """Choose the run drawn in row `y` of the table, or open it if it is chosen; a heading sorts."""
        table = self.query_one("#table", RunTable)
        if y < 1:
            if name := listing.heading_at(x, table.size.width):
                self._sort(self._order.chosen(name))
            return
        index = listing.first_row(len(self.shown), self._index(), table.size.height) + y - 1
        if index >= len(self.shown):
            return
        if self.shown[index].run.id == self._chosen:
            self.action_open()
        else:
            self._choose(index)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed; one that can't be understood leaves what is shown, and is explained."""
        try:
            asked = query.parse(event.value)
            asked.check(facts.KEYS | self._catalogue.keys)
            self._query, self._problem = asked, ""
        except ArctermError as error:
            self._problem = f"{error.message}: {error.hint}" if error.hint else error.message
        said = self.query_one("#filter-problem")
        said.display, said.styles.height = bool(self._problem), len(self._draw_problem(self.size.width, 0))
        self._arrange()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go back to the list."""
        self.set_focus(None)
        event.input.display = bool(event.value)

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def action_back(self) -> None:
        """First clear the filter, then leave."""
        field = self.query_one("#filter", Input)
        if field.display:
            field.value = ""
            field.display = False
            self.set_focus(None)
        else:
            super().action_back()

    def action_move(self, rows: int) -> None:
        self._choose(self._index() + rows)

    def action_mark(self) -> None:
        """Mark the run, or take its mark off, and go to the next one."""
        if self.chosen is None:
            return
        if not self.marks.toggle(self.chosen.run.id):
            self.notify(f"{len(SIGNS)} runs are marked; take a mark off first", markup=False)
            return
        self._choose(self._index() + 1)

    def action_compare(self) -> None:
        self.console_app.go(COMPARE)

    def action_sort(self, columns: int) -> None:
        self._sort(self._order.next(columns))

    def action_turn(self) -> None:
        self._sort(self._order.chosen(self._order.by.name))

    def _sort(self, order: SortOrder) -> None:
        self._order = order
        remembered.put("runs.order", [order.column, "turned" if order.turned else ""])
        self._arrange()

    def action_open(self) -> None:
        if self.chosen:
            self.console_app.open_run(self.chosen.run)

    def action_new(self) -> None:
        self.console_app.open_form()

    def action_data(self) -> None:
        self.console_app.open_jobs()

    def action_fork(self) -> None:
        chosen = self.chosen
        if chosen is not None and chosen.record is not None:
            self.console_app.open_again(chosen.record.config, chosen.run.name)

    def action_delete(self) -> None:
        """Remove a run that is over, after a question."""
        if self.chosen is None:
            return
        run = self.chosen.run

        def delete() -> Callable[[], None]:
            if is_locked(run):
                raise RunError(f"{run.title} is running", f"`arcterm stop {run.id}` first")
            store.remove(run)
            return self.look

        def answer(yes: object) -> None:
            if yes:
                self.act(delete)

        record = self.chosen.record
        contents = "with its report and logs is removed for ever; the data stays"
        if record is None or record.config.kind == "training":
            contents = "with its checkpoints and logs is removed for ever"
        text = f"{run.path} {contents}."
        self.app.push_screen(Confirm(f"delete {self.chosen.name}?", text), answer)

    def refusal(self, action: str) -> str:
        """What the chosen run does not allow."""
        if action == "compare":
            return "" if self.marks.ids else "no run is marked; space marks the one under the cursor"
        run = self.chosen if self.is_mounted else None
        if run is None:
            return "there is no run here" if action in _ON_CHOSEN else ""
        if action == "delete":
            return "the run is live; S stops it first" if run.live else ""
        if not run.known and action in ("fork", "stop", "resume", "resume_changed"):
            return "the run is not read yet"
        return self.refused(action, run.state.state, run.record.config if run.record else None)

    def _index(self) -> int:
        return self._places.get(self._chosen, self._row)

    def _choose(self, index: int) -> None:
        if self.shown:
            self._placed = True
            self._row = min(max(index, 0), len(self.shown) - 1)
            self._chosen = self.shown[self._row].run.id
            self._repaint()
            if any(self.shown[self._places[key]].size is None for key in self._catalogue.visible):
                self.set_timer(_SOON_SECONDS, self.look)

    def _arrange(self) -> None:
        """Filter and sort: a few runs at once, the others in turns, between which keys are answered."""
        self._catalogue.sizes = "size" in self._query.keys or self._order.by.key == "size"
        if self._arranging is not None:
            self._arranging.cancel()
        self._arranging, self._stale = None, False
        key = "" if self._order == SortOrder() else self._order.by.key
        work = query.arrange(self._runs or (), lambda run: run.values, self._query, key, self._order.falling)
        found = next(work)
        if found is not None:
            self._adopt(found)
        else:
            self._arranging = self.run_worker(self._arrange_on(work), group="arrange")

    async def _arrange_on(self, work: Iterator[list[RunFacts] | None]) -> None:
        for found in work:
            await asyncio.sleep(0)
            if found is not None:
                self._arranging = None
                self._adopt(found)
        if self._stale:
            self._arrange()

    def _adopt(self, found: list[RunFacts]) -> None:
        """Show `found`; the cursor stays on its run wherever that is now, else on the row where it was."""
        self.shown = found
        self._places = {run.run.id: index for index, run in enumerate(self.shown)}
        if self.shown:
            index = self._index() if self._placed else 0
            self._row = min(index, len(self.shown) - 1)
            self._chosen = self.shown[self._row].run.id
        self._placed |= self._runs is not None and not self._counts.unread
        if self.marks.ids and self._runs is not None and not self._counts.unread:
            self.marks.keep({run.run.id for run in self._runs})
        self._repaint()

    def _repaint(self) -> None:
        self._quiet = 0
        for rows in self.query(Rows):
            rows.repaint()
        run = self.chosen
        offered = run and (run.word, run.known, run.record and run.record.config.kind), bool(self.marks.ids)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def _draw_title(self, width: int, height: int) -> list[listing.Line]:
        return listing.title(
            self.root,
            self._counts,
            width,
            shown=len(self.shown) if self._query.text else None,
            marked=len(self.marks.ids),
            order=self._order,
        )

    def _draw_table(self, width: int, height: int) -> list[listing.Line]:
        if self._runs is None or (self._arranging and not self.shown):
            return [[(" reading the runs …", "dim")]]
        if not self._runs:
            return listing.empty(self.root, width)
        first = listing.first_row(len(self.shown), self._index(), height)
        self._catalogue.visible = [run.run.id for run in self.shown[first : first + height - 1]]
        return listing.table(self.shown, self._index(), width, height, self.marks.signs(), self._order)

    def _draw_detail(self, width: int, height: int) -> list[listing.Line]:
        return listing.detail(self.chosen, width, self.console_app.readonly) if self.chosen else []

    def _draw_problem(self, width: int, height: int) -> list[listing.Line]:
        rows = wrap(self._problem, width - 1)[:2] if self._problem else []
        return [[(f" {shorten(row, width - 1)}", "warn")] for row in rows]
