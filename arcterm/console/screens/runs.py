"""The run list: the runs, their progress, and the actions on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from arcterm.console.catalogue import Catalogue, Entry
from arcterm.console.keys import KeyLine
from arcterm.console.messages import Listed, LookFailed
from arcterm.console.panels import listing
from arcterm.console.rows import Rows
from arcterm.console.screens.actions import RunActions
from arcterm.console.screens.boxes import Confirm
from arcterm.console.screens.polling import Polling
from arcterm.errors import RunError
from arcterm.runs import store
from arcterm.runs.state import is_locked
from arcterm.runs.store import Run

_LIVE_SECONDS, _IDLE_SECONDS = 1.0, 2.0


class RunTable(Rows):
    """The table; a click opens a run, the wheel moves the cursor."""

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        if isinstance(screen, RunList):
            screen.click(event.y)

    def on_mouse_scroll_down(self) -> None:
        self.call_later(self.screen.run_action, "move(1)")

    def on_mouse_scroll_up(self) -> None:
        self.call_later(self.screen.run_action, "move(-1)")


class RunList(RunActions, Polling):
    """Every run of the root, newest first; live ones are read again every second."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", tooltip="show the run's dashboard, or a job's progress and report"),
        Binding("n", "new", "new run", tooltip="fill in the launch form"),
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
        Binding("slash", "filter", "filter", tooltip="show the runs in which all words occur; esc shows all"),
        Binding("f", "fork", "fork", tooltip="a new run with this one's settings in the form"),
        Binding("D", "delete", "delete", tooltip="remove the run and its checkpoints for ever"),
        Binding("j,down", "move(1)", "next", show=False),
        Binding("k,up", "move(-1)", "previous", show=False),
        Binding("ctrl+d,pagedown", "move(10)", "ten down", show=False),
        Binding("ctrl+u,pageup", "move(-10)", "ten up", show=False),
        Binding("g,home", "move(-1000000)", "first", show=False),
        Binding("G,end", "move(1000000)", "last", show=False),
        Binding("q", "back", "quit", tooltip="leave the console; runs go on"),
    ]

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self._catalogue = Catalogue(root)
        self._entries: list[Entry] | None = None
        self._others = 0
        self._chosen = ""
        self._row = 0

    def compose(self) -> ComposeResult:
        yield Rows(self._draw_title, id="title")
        yield RunTable(self._draw_table, id="table")
        yield Rows(self._draw_detail, id="detail")
        yield Input(placeholder="words to look for", id="filter", compact=True)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#filter").display = False

    def on_screen_resume(self) -> None:
        """Read at once, also after being covered."""
        self.look()

    def on_listed(self, message: Listed) -> None:
        """Show the runs, and read again later."""
        self._entries, self._others = message.entries, message.others
        self._settle()
        self._repaint()
        self.refresh_bindings()
        if message.more:
            self.look_in(0)
        elif self.is_current:
            live = any(entry.live for entry in message.entries)
            self.look_in(_LIVE_SECONDS if live else _IDLE_SECONDS)
        else:
            self.rest()

    def on_look_failed(self, message: LookFailed) -> None:
        """Notify once in a while, and try again."""
        self.notify(message.problem, severity="error", markup=False)
        self.look_in(10 * _IDLE_SECONDS)

    def read(self) -> Listed:
        entries, more = self._catalogue.refresh()
        return Listed(entries, more, self._catalogue.others)

    @property
    def shown(self) -> list[Entry]:
        """The entries that pass the filter."""
        text = self.query_one("#filter", Input).value
        return [entry for entry in self._entries or [] if entry.matches(text)]

    @property
    def chosen(self) -> Entry | None:
        return next((e for e in self.shown if e.run.id == self._chosen), None)

    def target(self) -> Run | None:
        return self.chosen.run if self.chosen else None

    def steps_made(self) -> int:
        return self.chosen.step if self.chosen else 0

    def click(self, y: int) -> None:
        """Choose the run drawn in row `y` of the table, or open it if it is chosen."""
        shown, table = self.shown, self.query_one("#table", RunTable)
        first = listing.first_row(len(shown), self._index(), table.size.height)
        index = first + y - 1
        if y < 1 or index >= len(shown):
            return
        if shown[index].run.id == self._chosen:
            self.action_open()
        else:
            self._choose(index)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._settle()
        self._repaint()
        self.refresh_bindings()

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

    def action_open(self) -> None:
        if self.chosen:
            self.console_app.open_run(self.chosen.run)

    def action_new(self) -> None:
        self.console_app.open_form()

    def action_data(self) -> None:
        self.console_app.open_jobs()

    def action_fork(self) -> None:
        record = self.chosen.record if self.chosen else None
        if record is not None:
            self.console_app.open_again(record.config)

    def action_delete(self) -> None:
        """Remove a run that is over, after a question."""
        if self.chosen is None:
            return
        run = self.chosen.run

        def delete() -> Callable[[], None]:
            if is_locked(run):
                raise RunError(f"{run.name} is being run", f"`arcterm stop {run.id}` first")
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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what the chosen run allows."""
        entry = self.chosen if self.is_mounted else None
        if action in ("open", "fork", "delete", "stop", "resume", "resume_changed") and entry is None:
            return False
        if entry is not None and action == "delete":
            return not entry.live
        if entry is None:
            return True
        return self.allows(action, entry.state.state, entry.record.config if entry.record else None)

    def _index(self) -> int:
        return next((i for i, e in enumerate(self.shown) if e.run.id == self._chosen), self._row)

    def _choose(self, index: int) -> None:
        shown = self.shown
        if shown:
            self._row = min(max(index, 0), len(shown) - 1)
            self._chosen = shown[self._row].run.id
            self._repaint()
            self.refresh_bindings()

    def _settle(self) -> None:
        """Keep the cursor on its run wherever that is now, else on the row where it was."""
        shown = self.shown
        if shown:
            self._row = min(self._index(), len(shown) - 1)
            self._chosen = shown[self._row].run.id

    def _repaint(self) -> None:
        for rows in self.query(Rows):
            rows.repaint()

    def _draw_title(self, width: int, height: int) -> list[listing.Line]:
        text = self.query_one("#filter", Input).value
        return listing.title(self.root, self._entries, len(self.shown), text, width, self._others)

    def _draw_table(self, width: int, height: int) -> list[listing.Line]:
        if self._entries is None:
            return [[(" reading the runs …", "dim")]]
        if not self._entries:
            return listing.empty(self.root, width)
        return listing.table(self.shown, self._index(), width, height)

    def _draw_detail(self, width: int, height: int) -> list[listing.Line]:
        return listing.detail(self.chosen, width) if self.chosen else []
