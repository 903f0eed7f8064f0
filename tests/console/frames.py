"""The seven screens over fixed runs, in every size and drawing, as text: what test_snapshots.py compares.

Clock, names, process ids and the machine stand still, so that the same tree gives the same frames anywhere.
"""

from __future__ import annotations

import datetime
import importlib.util
import itertools
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from arcterm_registry import Plugin, scan
from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from textual.strip import Strip

from arcterm.console.app import Console
from arcterm.console.tabs import LAUNCH
from arcterm.show.plugins import Health

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SIZES = [(60, 16), (80, 24), (120, 35), (160, 45)]
DRAWINGS = {"colour": {}, "no-colour": {"NO_COLOR": "1"}, "ascii": {"ARCTERM_ASCII": "1"}}
_NOW = datetime.datetime(2026, 1, 2, 12, 0, tzinfo=datetime.UTC)
_STYLES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fix what differs from day to day and from machine to machine."""
    numbers = itertools.count(1)

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return _NOW - datetime.timedelta(hours=10 - next(numbers))

    for variable in ("NO_COLOR", "ARCTERM_ASCII", "LC_ALL", "ARCTERM_RUNS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(
        "arcterm.runs.store.datetime", SimpleNamespace(**vars(datetime) | {"datetime": Clock})
    )
    monkeypatch.setattr(
        "arcterm.runs.store.secrets.token_hex", lambda size=2: f"{next(numbers):0{2 * size}x}"
    )
    monkeypatch.setattr(time, "time", _NOW.timestamp)
    monkeypatch.setattr("arcterm.runs.state.socket.gethostname", lambda: "box")
    monkeypatch.setattr("arcterm.runs.state._pid_start", lambda pid: 1)
    monkeypatch.setattr(os, "getpid", lambda: 4242)
    monkeypatch.setattr("arcterm.console.screens.registry.scan", installed)
    monkeypatch.setattr("arcterm.console.screens.registry.health", state_of)


def installed(kind: str) -> list[Plugin]:
    """The plug-ins of this package, as if it were installed elsewhere; one of them can't be loaded."""
    found = [
        replace(plugin, version="1.0", path=Path("/env/site-packages/arcterm-1.0.dist-info"))
        for plugin in scan(kind)
        if plugin.distribution == "arcterm"
    ]
    if kind == "backbone":
        torn = replace(found[0], name="torn", distribution="another", declaration=None, error="KeyError: 'x'")
        found.append(torn)
    return sorted(found, key=lambda plugin: plugin.name)


def state_of(plugin: Plugin) -> Health:
    """What needs nothing else is well."""
    return Health("broken", plugin.error, ("pip uninstall another",)) if plugin.error else Health("ok")


def open_screen(app: Console, number: int) -> None:
    """Open a screen; the form with a mistake, without which it would say how much memory is free."""
    if number == LAUNCH:
        app.open_form({"backbone": "tiny", "loss": "arcface", "batch_size": "0"})
    else:
        app.go(number)


def write_runs(make: Callable[..., Any], job: Callable[..., Any]) -> None:
    """A run that is done, one that failed, a job, and one that is being trained."""
    early = make("glint-r50", backbone="r50", loss="cosface", steps=400)
    early.clock = _NOW.timestamp() - 30_000
    early.train(400)
    early.verify(lfw=0.9962, cfp_fp=0.951, agedb_30=0.9683)
    early.save()
    early.become("done")
    failed = make("m1-softmax", backbone="m1", loss="softmax", steps=400)
    failed.clock = _NOW.timestamp() - 20_000
    failed.train(90, loss=lambda step: float("nan") if step > 80 else 9.0)
    failed.become("failed")
    pack = job("pack")
    pack.clock = _NOW.timestamp() - 9_000
    pack.progress(2000, 2000, "images")
    pack.finish("2,000 images of 200 people", "0 broken")
    live = make("demo-tiny", steps=400)
    live.clock = _NOW.timestamp() - 120
    live.train(150)
    live.verify(lfw=0.913)
    live.train(50)
    live.verify(lfw=0.902)
    live.save()
    live.ranks()
    live.output("the ranks are up", "step 200: all is well")


def strips_of(app: Console) -> list[Strip]:
    """The rows of the screen as the terminal gets them."""
    found = []
    for strip in app.screen._compositor.render_strips():
        for line_filter in app.get_line_filters():
            strip = strip.apply_filter(line_filter, app.screen.styles.background)  # noqa: PLW2901
        found.append(strip)
    return found


def colours_of(app: Console) -> set[Color]:
    """Every colour on the screen."""
    styles = {style for strip in strips_of(app) for _, style, _ in strip if style is not None}
    return {colour for style in styles for colour in (style.color, style.bgcolor) if colour is not None}


def text_of(app: Console, styled: bool) -> str:
    """The screen as text; with its styles a second time as letters, and what each letter is."""
    strips = strips_of(app)
    rows = [strip.text.rstrip() for strip in strips]
    if not styled:
        return _settled("\n".join(rows)) + "\n"
    styles: dict[str, str] = {}
    letters = [
        "".join(_letter(styles, style) * cell_len(text) for text, style, _ in strip) for strip in strips
    ]
    legend = [f"{letter} {name}" for name, letter in styles.items()]
    return _settled("\n".join([*rows, "", *letters, "", *legend])) + "\n"


def picture_of(app: Console) -> str:
    """The screen as SVG, by what draws the pictures of the README: shapes and words, each with its colour."""
    spec = importlib.util.spec_from_file_location("drawing", PICTURES / "drawing.py")
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    behind = app.screen.styles.background.hex
    return _settled(drawing.document(drawing.sketch(strips_of(app), behind), behind, app.size))


def _letter(styles: dict[str, str], style: Style | None) -> str:
    return styles.setdefault(_style_name(style), _STYLES[min(len(styles), len(_STYLES) - 1)])


def _style_name(style: Style | None) -> str:
    if style is None:
        return "none"
    colours = [c.get_truecolor().hex if c else "-" for c in (style.color, style.bgcolor)]
    marks = [mark for mark in ("bold", "dim", "italic", "underline", "reverse") if getattr(style, mark)]
    return " ".join([*colours, *marks])


def _settled(text: str) -> str:
    """`text` without the sizes of files, which hold times to the microsecond."""
    return re.sub(r"\d+\.\d (?=[KM]iB)", lambda found: "#" * (len(found[0]) - 1) + " ", text)
