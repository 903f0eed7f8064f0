"""The dashboard: one run, live or over."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from arcterm.console.chart import ChartView
from arcterm.console.keys import KeyLine
from arcterm.console.messages import Looked, LookFailed
from arcterm.console.panels import devices, log, metrics, status, verification
from arcterm.console.panels.curves import LEVELS, Lens, curve
from arcterm.console.rows import Rows
from arcterm.console.screens.actions import Acting
from arcterm.console.screens.polling import Polling
from arcterm.console.view import View
from arcterm.runs.reader import Reader
from arcterm.runs.state import read_state
from arcterm.runs.store import Run
from arcterm.show import words

_LIVE_SECONDS, _IDLE_SECONDS, _AGAIN_SECONDS = 0.5, 2.0, 0.001
_PAINT_EVERY = 4
_CHARTS = {"speed": "images_per_second", "lr": "lr"}
_SMALLEST_SHARE = 1 / 64


class Dashboard(Acting, Polling):
    """Charts, verification, devices and output of a run; it only reads, and asks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("S", "stop", "stop", tooltip="stop the run, after a checkpoint or at once"),
        Binding("R", "resume", "resume", tooltip="go on from the newest checkpoint"),
        Binding("m", "metric(1)", "metric", tooltip="the next metric on the main chart; M the one before"),
        Binding("s", "smooth", "smooth", tooltip="smoothing 0, 0.6, 0.9, 0.99 of the measured values"),
        Binding("y", "log", "log-y", tooltip="logarithmic y axis"),
        Binding("c", "checkpoint", "checkpoint", tooltip="save a checkpoint now and go on"),
        Binding("v", "verify", "verify", tooltip="verify now and go on"),
        Binding("o", "output", "output", tooltip="the log over the whole screen, and back"),
        Binding("z", "zoom", "zoom", tooltip="the main chart over the whole screen, and back"),
        Binding("p", "pause", "pause", tooltip="stop painting; the run goes on"),
        Binding("plus,equals_sign", "share(0.5)", "later half", show=False, tooltip="zoom in on the newest"),
        Binding("minus", "share(2)", "zoom out", show=False),
        Binding("0", "share(0)", "all steps", show=False),
        Binding("M", "metric(-1)", "previous metric", show=False),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.view = View(run=run, record=run.record, state=read_state(run))
        self._reader = Reader(run)
        self._lens = Lens()
        self._metric = "loss"
        self._paused = False
        self._looks = 0

    def compose(self) -> ComposeResult:
        """What it is made of."""
        view = self.view
        yield Rows(lambda w, h: status.status(view, w, h, self._paused), id="status")
        yield Rows(lambda w, h: status.progress(view, w, h), id="progress")
        yield Rows(lambda w, h: status.notice(view, w, h), id="notice")
        with Horizontal(id="charts"):
            yield ChartView(id="main")
            yield ChartView(id="sets")
            yield Rows(lambda w, h: metrics.metrics(view, w, h, self._metric), id="metrics")
        with Horizontal(id="more"):
            yield ChartView(id="lr")
            yield ChartView(id="speed")
            yield Rows(lambda w, h: metrics.facts(view, w, h), id="facts")
        with Horizontal(id="tables"):
            yield Rows(lambda w, h: devices.devices(view, w, h), id="devices")
            yield Rows(lambda w, h: devices.heat(view, w, h), id="heat")
            yield Rows(lambda w, h: verification.table(view, w, h), id="verification")
        yield Rows(lambda w, h: log.failure(view, w, h), id="failure")
        yield Rows(lambda w, h: log.log(view, w, h), id="log")
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin to look."""
        self.set_class(self.view.word in ("failed", "lost", "damaged"), "-failed")
        self.look()

    def read(self) -> Looked:
        """Look at the run."""
        return Looked(self._reader.look())

    def on_looked(self, message: Looked) -> None:
        """Take it in, show it, and look again later: at once while there is more to read."""
        view = self.view
        before = (view.word, view.loading)
        changed = view.take(message.look)
        if view.loading:
            self._looks += 1
            changed = self._looks % _PAINT_EVERY == 1
            self.look_in(_AGAIN_SECONDS)
        else:
            self.look_in(_LIVE_SECONDS if view.live else _IDLE_SECONDS)
        turned = (view.word, view.loading) != before
        if turned:
            self.set_class(view.word in ("failed", "lost", "damaged"), "-failed")
            self.refresh_bindings()
        if changed and not self._paused:
            self._repaint(charts=bool(message.look.events) or turned)

    def on_look_failed(self, message: LookFailed) -> None:
        """Show why, and try again; go back where the run is gone."""
        if message.gone:
            self.leave_removed()
            return
        self.view.problem = message.problem
        self._repaint()
        self.look_in(_IDLE_SECONDS)

    def on_resize(self) -> None:
        """Draw the charts that other sizes hide."""
        self.call_after_refresh(self._repaint)

    def target(self) -> Run:
        """The run that actions act on."""
        return self.view.run

    def steps_made(self) -> int:
        """The last step known of the run."""
        return self.view.step

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what the run's state allows."""
        return self.may(action, self.view.state.state)

    def action_metric(self, by: int) -> None:
        """Another metric on the main chart."""
        names = list(words.METRICS)
        self._metric = names[(names.index(self._metric) + by) % len(names)]
        self._repaint()

    def action_smooth(self) -> None:
        """The next smoothing level."""
        weight = LEVELS[(LEVELS.index(self._lens.weight) + 1) % len(LEVELS)]
        self._lens = replace(self._lens, weight=weight)
        self._repaint()

    def action_log(self) -> None:
        """Switch the y axis."""
        self._lens = replace(self._lens, log=not self._lens.log)
        self._repaint()

    def action_share(self, factor: float) -> None:
        """Show fewer or more of the newest steps; 0 shows all."""
        share = min(1.0, max(_SMALLEST_SHARE, self._lens.share * factor)) if factor else 1.0
        self._lens = replace(self._lens, share=share)
        self._repaint()

    def action_output(self) -> None:
        """Enlarge the log, or put it back."""
        self.remove_class("-zoomed")
        self.toggle_class("-output")
        self.call_after_refresh(self._repaint)

    def action_zoom(self) -> None:
        """Enlarge the main chart, or put it back."""
        self.remove_class("-output")
        self.toggle_class("-zoomed")
        self.call_after_refresh(self._repaint)

    def action_pause(self) -> None:
        """Stop or go on painting."""
        self._paused = not self._paused
        self._repaint()

    def action_back(self) -> None:
        """Put an enlarged panel back; then leave, and say that the run goes on."""
        if self.has_class("-output") or self.has_class("-zoomed"):
            self.remove_class("-output", "-zoomed")
            self.call_after_refresh(self._repaint)
            return
        owner = self.view.owner
        if self.view.live and owner:
            self.app.notify(f"{self.view.run.name} keeps training (pid {owner.pid})", timeout=3, markup=False)
        super().action_back()

    def _repaint(self, charts: bool = True) -> None:
        """Draw every panel that can be seen."""
        self._fit()
        for chart in self.query(ChartView):
            if charts and chart.region:
                name = {"main": self._metric, "sets": "verification"}.get(chart.id or "", "")
                chart.plot(curve(self.view, name or _CHARTS[chart.id or ""], self._lens))
        for rows in self.query(Rows):
            if not isinstance(rows, ChartView):
                rows.repaint()

    def _fit(self) -> None:
        """Give the tables the rows that they need, and no more than they may have."""
        most = max(5, self.size.height // 4)
        sets = len(self.view.summary.verification) + 2 if not self.has_class("-narrow") else 0
        width = self.query_one("#devices").size.width or self.size.width
        needed = max(devices.rows_needed(self.view, width), sets, 2)
        self.query_one("#tables").styles.height = min(most, needed)
