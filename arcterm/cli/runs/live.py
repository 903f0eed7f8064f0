"""The live picture of a run in a terminal, drawn with Rich."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live as RichLive
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from arcterm.config import Config
from arcterm.runs.events import Gpu, Phase, Verify
from arcterm.runs.reader import Events
from arcterm.runs.reading.summary import Summary, own_gpus
from arcterm.runs.state import LIVE, State
from arcterm.runs.store import Run
from arcterm.show import words
from arcterm.show.drawing import OutputConsole, cleaned
from arcterm.text import duration

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-~=+*#"
_HINT = "Ctrl-C stops after a checkpoint · closing the terminal leaves it running"
_JOB_HINT = "Ctrl-C stops, what is done is kept · closing the terminal leaves it running"
_LEAVING = "Ctrl-C leaves, it goes on · `arcterm stop {}` stops it"
_NEWEST_SKIPPED = 2


class Live:
    """Draws the run in place, a few times a second; what it drew last stays on the screen."""

    _stopping = _HINT

    def __init__(self, run: Run, owner: bool = True) -> None:
        self._run = run
        self._hint = self._stopping if owner else _LEAVING.format(run.id)
        self._console = OutputConsole()
        self._live = RichLive(console=self._console, auto_refresh=False, transient=False)
        self._live.start()
        self._open = True

    def show(self, state: State, summary: Summary, events: Events, note: str) -> None:
        """Draw the run as it is now."""
        self._live.update(self._picture(state, summary, note), refresh=True)

    def close(self) -> None:
        """Leave the last picture and give the terminal back."""
        if self._open:
            self._open = False
            self._live.stop()

    def _picture(self, state: State, summary: Summary, note: str) -> RenderableType:
        held = cleaned(f"queued {state.reason}", "dim") if state.state == "queued" else None
        parts: list[RenderableType] = [self._progress(state, summary), held or self._numbers(summary)]
        if summary.verification:
            parts.append(_verification(summary))
        parts.append(_machine(self._run.record.config, summary))
        parts += _skipped(summary)
        parts += [
            cleaned(message.text.partition("\n")[0], "yellow") for message in list(summary.messages)[-2:]
        ]
        title = cleaned(f" {self._run.name} ", "bold")
        title.append(f"{state.state} ", _COLOURS.get(state.state, ""))
        hint = (note or self._hint) if state.state in LIVE else ""
        footer = cleaned(f" {hint} ", "yellow" if note else "dim") if hint else None
        return Panel(Group(*parts), title=title, subtitle=footer, box=box.ROUNDED, title_align="left")

    def _progress(self, state: State, summary: Summary) -> RenderableType:
        total = summary.total_steps or 1
        grid = Table.grid(padding=(0, 2))
        epoch = f"epoch {summary.last_step.epoch}" if summary.last_step else ""
        eta = summary.eta()
        left = f"{duration(eta)} left" if eta and state.state == "running" else ""
        doing = summary.phase
        busy = ""
        if (
            doing is not None
            and doing.phase not in ("training", "")
            and state.state in ("starting", "running")
        ):
            counted = f" {doing.done}/{doing.total}" if doing.total else ""
            busy = f"{doing.phase} {doing.detail}{counted}"
        grid.add_row(
            ProgressBar(total=total, completed=summary.step, width=24),
            Text(f"{summary.step:,}/{summary.total_steps:,} steps"),
            Text(epoch),
            cleaned(left or busy, "cyan"),
        )
        return grid if not (left and busy) else Group(grid, cleaned(busy, "cyan"))

    def _numbers(self, summary: Summary) -> RenderableType:
        last = summary.last_step
        if last is None:
            return Text("building the model; the first step is on its way", style="dim")
        ascii_only = not (self._console.encoding or "").lower().startswith("utf")
        grid = Table.grid(padding=(0, 2))
        width = max(16, min(60, self._console.width - 46))
        losses = Text(sparkline(summary.sampled("loss"), width, ascii_only), style="green")
        grid.add_row("loss", Text(f"{float(last.loss):.4f}", style="bold"), losses)
        grid.add_row(
            "lr",
            f"{last.lr:.4g}",
            f"accuracy {float(last.accuracy):.3f}   angle {float(last.angle):.1f}°",
        )
        if last.active is not None:
            mined = summary.mined[-1] if summary.mined else None
            found = f"round {mined.round}: {mined.triplets:,} of {mined.pairs:,} pairs" if mined else ""
            grid.add_row("triplets", f"{last.active:.0%} active", found)
        if last.teacher is not None:
            grid.add_row("teacher", f"{last.teacher:.4f}", "1 - cosine to its embeddings")
        for name in ("margin", "scale"):
            if getattr(last, name) is not None:
                grid.add_row(name, f"{getattr(last, name):.4g}", "by its schedule")
        if last.gradient_scale is not None:
            grid.add_row("float16", f"{last.gradient_scale:g}", "the scale of its gradients")
        wait = "" if last.data_wait is None else f"waiting for data {last.data_wait:.0%}"
        grid.add_row("speed", f"{last.images_per_second:.0f} img/s", wait)
        return grid


class JobLive(Live):
    """Draws a job: what it is, its progress, its newest message. Two to four lines."""

    _stopping = _JOB_HINT

    def _picture(self, state: State, summary: Summary, note: str) -> RenderableType:
        title = (
            cleaned(self._run.record.config.title, "bold")
            .append("  ")
            .append(state.state, _COLOURS.get(state.state, ""))
        )
        title.append_text(cleaned(f"  {self._run.id}", "dim"))
        live = state.state in LIVE
        parts: list[RenderableType] = [title]
        if summary.phase is not None:
            parts.append(_progress_of(summary.phase, summary, live))
        elif live:
            waits = f"queued {state.reason}" if state.state == "queued" else "its process is starting"
            parts.append(cleaned(waits, "dim"))
        said = [m for m in summary.messages if m.level != "error"]  # its last word comes when it has ended
        parts += [cleaned(message.text, "yellow", no_wrap=True, overflow="ellipsis") for message in said[-1:]]
        if live:
            parts.append(cleaned(note or self._hint, "yellow" if note else "dim"))
        return Group(*parts)


def _progress_of(phase: Phase, summary: Summary, live: bool) -> RenderableType:
    eta = summary.phase_eta() if live else None
    grid = Table.grid(padding=(0, 2))
    shown = (phase.phase, words.counted(phase), words.rate(summary) if live else "")
    grid.add_row(
        ProgressBar(total=phase.total or 1, completed=phase.done if phase.total else 0, width=24),
        *(cleaned(text, no_wrap=True, overflow="ellipsis") for text in shown),
        Text(f"{duration(eta)} left" if eta else "", style="cyan", no_wrap=True),
    )
    return grid


def _skipped(summary: Summary) -> list[RenderableType]:
    """Return how many records were skipped, and the newest of them."""
    if not summary.skipped:
        return []
    newest = list(summary.skipped.values())[-_NEWEST_SKIPPED:]
    lines = [words.skipped(summary), *(f"  {words.skip(event)}" for event in newest)]
    return [cleaned(line, "yellow", no_wrap=True, overflow="ellipsis") for line in lines]


_COLOURS = {
    "running": "green",
    "done": "bold green",
    "failed": "bold red",
    "lost": "red",
    "damaged": "red",
    "stopping": "yellow",
}


def sparkline(values: object, width: int, ascii_only: bool = False) -> str:
    """Draw `values` in `width` characters, each the mean of its share; gaps where nothing is finite."""
    numbers = [float(v) for v in values]  # type: ignore[attr-defined]
    if not numbers:
        return ""
    width = min(width, len(numbers))
    cells = []
    for i in range(width):
        share = numbers[i * len(numbers) // width : (i + 1) * len(numbers) // width]
        finite = [v for v in share if math.isfinite(v)]
        cells.append(sum(finite) / len(finite) if finite else math.nan)
    finite = [v for v in cells if math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    bars = _ASCII_BARS if ascii_only else _BARS
    scale = (len(bars) - 1) / (high - low) if high > low else 0.0
    return "".join(bars[int((v - low) * scale)] if math.isfinite(v) else " " for v in cells)


def _verification(summary: Summary) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for name, results in summary.verification.items():
        best = summary.best(name)
        if results:
            last = results[-1]
            tar = "" if last.tar is None else f"TAR@1e-3 {last.tar:.3f}"
            grid.add_row(
                "verify",
                cleaned(name),
                Text(last.score, "bold"),
                _best(best, last),
                Text(tar),
            )
    return grid


def _best(best: Verify | None, last: Verify) -> Text:
    """Return the best result of a set, or why it has none."""
    if best is None or best.accuracy is None:
        return cleaned(last.withheld or last.collapse, "yellow")
    return Text(f"best {best.accuracy:.4f} @ {best.step:,}", "green")


def _machine(config: Config, summary: Summary) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    own = own_gpus(config, summary)
    for _, gpu in own:
        grid.add_row(f"GPU {gpu.index}", cleaned(gpu.name), Text(_gpu_words(gpu)))
    notes = [cleaned(report.note, "dim") for report in summary.gpus.values() if report.note]
    if not own:
        for rank, usage in sorted(summary.ranks.items()):
            grid.add_row(f"rank {rank}", f"CPU {usage.cpu:.0f} %", f"{usage.memory / 2**20:.0f} MiB")
    if peaks := [usage.gpu_peak for usage in summary.ranks.values() if usage.gpu_peak]:
        grid.add_row("peak", "of a rank", Text(f"{max(peaks) / 2**30:.1f} GiB"))
    return Group(grid, *notes)


def _gpu_words(gpu: Gpu) -> str:
    def shown(value: float | None, unit: str) -> str:
        return f"– {unit}" if value is None else f"{value:.0f} {unit}"

    memory = "–" if gpu.memory_used is None else f"{gpu.memory_used / 2**30:.1f} GiB"
    return f"{shown(gpu.utilisation, '%')}  {memory}  {shown(gpu.temperature, '°C')}  {shown(gpu.power, 'W')}"
