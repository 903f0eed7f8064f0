"""The dashboard: one run, live or over."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches

from arcterm.console.charts.chartkeys import ChartKeys
from arcterm.console.charts.grid import ChartGrid
from arcterm.console.charts.metrics import makers
from arcterm.console.keys import KeyLine
from arcterm.console.panels import devices, log, metrics, status, verification
from arcterm.console.rows import Rows
from arcterm.console.screens.run import IDLE_SECONDS, RunScreen
from arcterm.runs import checkpoints
from arcterm.runs.reader import Look
from arcterm.runs.reading.ahead import EssentialsAhead
from arcterm.runs.reading.summary import best_result
from arcterm.runs.store import Run
from arcterm.show import words

_LIVE_SECONDS = 0.5
_PAINT_EVERY = 4
_FEW = 4
"""More charts than these are drawn once a second, not twice."""
_FIRST = "loss"
_SIDE = 120
"""Columns from which there is a column of facts beside the charts."""


class Dashboard(RunScreen, ChartKeys):
    """Charts, verification, devices and output of a run; it only reads, and asks."""

    enlargements = ("-zoomed",)
    leaving = "{} keeps training"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("S", "stop", "stop", tooltip="stop the run, after a checkpoint or at once"),
        Binding("R", "resume", "resume", tooltip="go on from the newest checkpoint"),
        Binding(
            "ctrl+r",
            "resume_changed",
            "resume with changes",
            show=False,
            tooltip="other devices, batch, length",
        ),
        Binding("C", "checkpoint", "checkpoint", tooltip="save a checkpoint now and go on"),
        Binding("v", "verify", "verify", tooltip="verify now and go on; once it is over, a form"),
        Binding("u", "use", "use model", tooltip="verify, export, embed or compare with a checkpoint of it"),
        Binding("f,F", "fork", "fork", tooltip="a new run with this one's settings in the form"),
        Binding("o", "output", "output", tooltip="the logs of all ranks, to look through"),
        Binding("i", "events", "events", tooltip="the lines of its event files, to look through"),
        Binding("p", "pause", "pause", tooltip="stop painting; the run goes on"),
    ]

    def __init__(self, run: Run, ahead: EssentialsAhead | None = None) -> None:
        super().__init__(run, ahead)
        self._makers = makers(self.view)
        self._paused = False
        self._looks = 0
        self._due = False

    def compose(self) -> ComposeResult:
        view = self.view
        yield Rows(lambda w, h: status.status(view, w, h, self._paused), id="status")
        yield Rows(lambda w, h: status.progress(view, w, h), id="progress")
        yield Rows(lambda w, h: status.notice(view, w, h), id="notice")
        with Horizontal(id="charts"):
            yield ChartGrid(self._makers, words.METRICS, id="grid")
            with Vertical(id="side"):
                yield Rows(lambda w, h: metrics.metrics(view, w, h, self.charts.chosen), id="metrics")
                yield Rows(lambda w, h: metrics.facts(view, w, h), id="facts")
        yield Rows(lambda w, h: metrics.strip(view, w, h, _FIRST), id="strip")
        with Horizontal(id="tables"):
            yield Rows(lambda w, h: devices.devices(view, w, h), id="devices")
            yield Rows(lambda w, h: devices.heat(view, w, h), id="heat")
            yield Rows(lambda w, h: verification.table(view, w, h), id="verification")
        with Horizontal(id="health"):
            yield Rows(lambda w, h: status.alerts(view, w, h), id="alerts")
            yield Rows(lambda w, h: devices.ranks(view, w, h), id="ranks")
        yield Rows(lambda w, h: log.failure(view, w, h), id="failure")
        yield Rows(lambda w, h: log.log(view, w, h), id="log")
        yield KeyLine()

    def on_mount(self) -> None:
        self.set_class(self.view.word in ("failed", "lost", "damaged"), "-failed")

    def take(self, look: Look) -> None:
        view = self.view
        before = (view.word, view.loading)
        changed = view.take(look)
        self._looks += 1
        if view.loading:
            changed = self._looks % _PAINT_EVERY == 1
            self.look_in(0)
        else:
            self.look_in(_LIVE_SECONDS if view.live else IDLE_SECONDS)
        turned = (view.word, view.loading) != before
        if turned:
            self.set_class(view.word in ("failed", "lost", "damaged"), "-failed")
            self.refresh_bindings()
        self._due = self._due or bool(look.events) or turned
        every = 1 if turned or view.loading or len(self.charts.panes) <= _FEW else 2
        charts = self._due and self._looks % every == 0 and (changed or not view.loading)
        if (changed or charts) and not self._paused:
            self._due = self._due and not charts
            self.repaint(charts=charts)

    @property
    def subject(self) -> str:
        return self.view.run.name

    def on_resize(self) -> None:
        """Draw the charts that other sizes hide."""
        self.call_after_refresh(self.repaint)

    def action_zoom(self) -> None:
        """Enlarge the main chart, or put it back."""
        self.enlarge("-zoomed")

    def action_verify(self) -> None:
        """Verify between two steps of a live run; of one that is over, show the form."""
        if self.view.live:
            super().action_verify()
        else:
            from arcterm.console.screens import uses

            uses.verify(self, self.view.run, "best" if self._scored else "last")

    def action_use(self) -> None:
        """Ask what to do with its model."""
        if self.view.summary.checkpoints:
            from arcterm.console.screens import uses

            uses.offer(self, self.view.run, self._scored)
        else:
            self.console_app.show_error(checkpoints.none_of(self.view.run))

    def action_fork(self) -> None:
        self.console_app.open_again(self.view.record.config, self.view.run.name)

    @property
    def _scored(self) -> bool:
        return best_result(self.view.summary) is not None

    def action_output(self) -> None:
        """Show the logs."""
        from arcterm.console.lines.logs import LogScreen

        self.app.push_screen(LogScreen(self.view.run))

    def action_events(self) -> None:
        """Show the event lines."""
        from arcterm.console.lines.events import EventScreen

        self.app.push_screen(EventScreen(self.view.run))

    def action_pause(self) -> None:
        self._paused = not self._paused
        self.repaint()

    def repaint(self, charts: bool = True) -> None:
        """Draw every panel that can be seen; the charts only if `charts`."""
        try:
            self._fit()
            if charts:
                self.charts.redraw()
        except NoMatches:
            if self.app.is_running and self.is_current:
                raise
            return  # a look that came while the screen was being taken down
        for rows in self.query(Rows):
            if type(rows) is Rows:  # the lines of keys and tabs know themselves when they change
                rows.repaint()

    def _fit(self) -> None:
        """Give each panel the rows that it needs, and none to one that has nothing to say."""
        view = self.view
        width, height = self.size or self.app.size  # which it will have in its first frame
        tall, side = self.has_class("-tall"), width >= _SIDE
        most = max(5, height // 4)
        self.charts.makers = {name: make for name, make in self._makers.items() if self._known(name)}
        self.query_one("#side").display = side
        self._rows("#metrics", len(metrics.metrics(view, 40, height)))
        self._rows("#notice", status.notice_rows(view, width))
        strip = not side and not self.has_class("-low")
        self._rows("#strip", len(metrics.strip(view, width, 3, _FIRST)) if strip else 0)
        table = len(view.summary.verification) + 2 if side and view.summary.verification else 0
        self.query_one("#verification").display = table > 0
        beside = (49 if table else 0) + (width // 3 if self.has_class("-wide") else 0)
        gpus = min(devices.rows_needed(view, width - beside), max(3, height // 7))
        self._rows("#tables", max(gpus, devices.rows_least(view, width - beside), min(most, table)))
        said = len(status.alerts(view, width // 2, most)) if tall else 0
        late = devices.ranks_needed(view, width // 2) if tall else 0
        self._rows("#health", min(most, max(said, late)))
        self.query_one("#alerts").display, self.query_one("#ranks").display = said > 0, late > 0
        self._rows("#log", min(8 if tall else 4 + (height > 28), log.rows_needed(view)))

    def _rows(self, panel: str, count: int) -> None:
        """Give a panel so many rows."""
        found = self.query_one(panel)
        found.set_class(count == 0, "-empty")
        found.styles.height = count

    def _known(self, name: str) -> bool:
        """Whether there is anything of a metric to draw; the loss has a place without."""
        if name == "verification":
            return bool(self.view.summary.verification)
        return name == _FIRST or getattr(self.view.summary.last_step, name, None) is not None
