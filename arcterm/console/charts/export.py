"""What charts show as files: SVG, PNG, CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from arcterm.console.charts.curves import BAND
from arcterm.console.charts.grid import ChartGrid
from arcterm.console.charts.panes import Pane
from arcterm.console.screens.boxes import TextBox
from arcterm.errors import DataError
from arcterm.files import write_bytes

if TYPE_CHECKING:
    from arcterm.pictures.plot import Plot

Kind = Literal["svg", "png", "csv"]
_X = {"step": "step", "epoch": "epoch", "time": "hours since the first step"}
_KINDS: tuple[Kind, ...] = ("svg", "png", "csv")
_ABOUT = {
    "svg": "a picture of lines",
    "png": "a picture of dots; needs the extra report",
    "csv": "the points",
}


@dataclass(frozen=True, kw_only=True)
class Export:
    """`panes` to write as files of a `kind` into a folder; `subject` is what they are about."""

    panes: Sequence[Pane]
    kind: Kind
    subject: str
    axis: str
    folder: Path

    def write(self) -> list[Path]:
        """Write the files, none over another; raises `DataError` if that fails."""
        from arcterm.pictures import curves

        written = []
        for pane in self.panes:
            drawn = plot_of_pane(pane, self.subject, self.axis)
            data = (
                curves.png(drawn)
                if self.kind == "png"
                else (curves.csv(drawn) if self.kind == "csv" else curves.svg(drawn)).encode()
            )
            path = self._free(pane.name)
            try:
                write_bytes(path, data)
            except OSError as error:
                raise DataError(
                    f"{path} can't be written: {error.strerror}", "start the console elsewhere"
                ) from None
            written.append(path)
        return written

    def _free(self, name: str) -> Path:
        """A path that nothing stands at: ``run-loss.svg``, then ``run-loss-2.svg``."""
        stem = re.sub(r"[^\w.+-]+", "-", f"{self.subject}-{name}").strip("-.")
        path, count = self.folder / f"{stem}.{self.kind}", 1
        while path.exists():
            count += 1
            path = self.folder / f"{stem}-{count}.{self.kind}"
        return path


def plot_of_pane(pane: Pane, subject: str, axis: str) -> Plot:
    """What a chart shows as a plot for files: the same lines in the same part of x."""
    from arcterm.pictures.plot import Plot, Trace

    shown = pane.curves
    scale = 3600.0 if shown.scale == "time" else 1.0
    traces = [
        Trace(
            name=s.name or shown.name,
            x=(s.x / scale).astype("float64"),
            y=s.y.astype("float64"),
            dots=s.samples,
            faint=s.style == BAND,
        )
        for s in shown.series
    ]
    span = pane.drawn.axes.span if pane.drawn else None
    return Plot(
        title=f"{shown.name}: {subject}" if subject else shown.name,
        x=_X.get(axis, axis),
        y=shown.name,
        traces=traces,
        log_x=shown.scale == "log",
        log_y=shown.log,
        span=(span[0] / scale, span[1] / scale) if span and shown.scale != "log" else None,
        guides=[guide.y for guide in shown.guides],
    )


class ExportBox(TextBox):
    """Asks for the kind of file; answers with an `Export`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(n), f"choose('{kind}', False)", kind) for n, kind in enumerate(_KINDS, 1)),
        *(Binding(str(n), f"choose('{kind}', True)", kind) for n, kind in enumerate(_KINDS, 4)),
    ]

    def __init__(self, charts: ChartGrid, subject: str) -> None:
        super().__init__()
        self._charts, self._subject = charts, subject

    def compose(self) -> ComposeResult:
        one, count = self._charts.title(self._charts.chosen), len(self._charts.panes)
        rows = [
            (str(number), f"{what} as {kind.upper()}", _ABOUT[kind])
            for first, what in ((1, one), (4, f"all {count} that are seen"))[: 1 + (count > 1)]
            for number, kind in enumerate(_KINDS, first)
        ]
        lines = [*self.choices(rows), [], *self.wrapped(f"into {Path.cwd()}", "dim")]
        lines += [[("esc", "key"), (" writes nothing", "dim")]]
        with Vertical(classes="box"):
            yield self.box("export", lines)

    def action_choose(self, kind: Kind, every: bool) -> None:
        pane = self._charts.pane
        panes = self._charts.panes if every else [pane] if pane else []
        axis = self._charts.lens.x
        self.dismiss(Export(panes=panes, kind=kind, subject=self._subject, axis=axis, folder=Path.cwd()))
