"""What the console does before its first chart is drawn, and what it leaves for later."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter

import pytest
from textual.css import stylesheet

from arcterm.console import keystrokes
from arcterm.console.app import Console
from arcterm.runs.reader import Reader

_FIRST = """
import asyncio, pathlib, sys
import arcterm.cli.app, arcterm.cli.tui
from arcterm.console.app import Console
async def main():
    app = Console(pathlib.Path(sys.argv[1]), "last")
    async with app.run_test(size=(80, 24)) as pilot:
        while not (app.screen.charts.panes and app.screen.charts.panes[0].drawn):
            await pilot.pause(0.01)
        print(*sys.modules, file=sys.__stdout__)
asyncio.run(main())
"""
_LATER = (
    *("numpy.ma", "numpy.fft", "numpy.random", "torch", "cv2", "simplejpeg", "psutil", "sklearn"),
    *("arcterm.formats", "arcterm.host", "arcterm.inputs.sources", "arcterm.pictures.plot"),
    *("arcterm.launch.engine", "arcterm.launch.plan", "arcterm.launch.start"),
    *("arcterm.console.forms", "arcterm.console.lines", "arcterm.console.screens.runs"),
    *("arcterm.console.screens.compare", "arcterm.console.screens.data", "arcterm.console.screens.jobs"),
)


@pytest.mark.long
def test_the_first_chart_loads_nothing_that_it_does_without(make, root):
    make("one", steps=40).train(20)
    done = subprocess.run(
        [sys.executable, "-c", _FIRST, str(root)], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = done.stdout.split()
    assert "numpy" in loaded
    assert [name for name in loaded if any(f"{name}.".startswith(f"{later}.") for later in _LATER)] == []


def test_a_run_that_is_named_is_read_while_the_console_starts(make, root, monkeypatch):
    make("one", steps=40).train(20)
    read, look = threading.Event(), Reader.look

    def looked(reader):
        found = look(reader)
        read.set()
        return found

    monkeypatch.setattr(Reader, "look", looked)
    Console(root, "last")
    assert read.wait(30)


@pytest.mark.long
async def test_a_style_sheet_is_parsed_once_whatever_is_opened(make, root, until, monkeypatch):
    make("one", steps=40).train(20)
    parsed, parse = Counter(), stylesheet.parse

    def counted(scope, css, read_from, **options):
        parsed[read_from] += 1
        return parse(scope, css, read_from, **options)

    monkeypatch.setattr(stylesheet, "parse", counted)
    app = Console(root, "last")
    async with app.run_test(size=(80, 24)) as pilot:
        for key, tab in (("1", 1), ("2", 2)):
            await pilot.press(key)
            await until(pilot, lambda tab=tab: app.tab == tab)
        await pilot.press("question_mark")
        await pilot.pause()
    ours = {path: count for (path, _), count in parsed.items() if str(path).endswith(".tcss")}
    assert set(map(str, app.css_path)) == ours.keys()
    assert set(ours.values()) == {1}


@pytest.fixture
def frames(shown, monkeypatch) -> list[tuple[str, str]]:
    """What is drawn, a frame each: the name of the screen, and its text."""
    drawn, display = [], Console._display

    def displayed(app, screen, renderable):
        display(app, screen, renderable)
        if renderable is not None and not app._batch_count:
            drawn.append((type(app.screen).__name__, shown(app)))

    monkeypatch.setattr(Console, "_display", displayed)
    return drawn


async def test_what_is_opened_is_whole_in_its_first_frame(make, root, until, frames):
    make("one", steps=40).train(20)
    app = Console(root, "last")
    app._modes["2"]()._ahead.result(30)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: frames and frames[-1][0] == "Dashboard")
        await pilot.press("question_mark")
        await until(pilot, lambda: frames[-1][0] == "Help")
    dashboard, help_box = (
        next(text for name, text in frames if name == kind) for kind in ("Dashboard", "Help")
    )
    assert "loss" in dashboard
    assert any("\u2801" <= sign <= "\u28ff" for sign in dashboard)
    assert "this list of keys" in help_box


async def test_the_first_frame_of_the_run_list_has_runs(make, root, until, frames):
    make("one", steps=40).train(20)
    app = Console(root)
    app._modes["1"]()._ahead.result(30)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: frames)
    name, text = frames[0]
    assert name == "RunList" and "one" in text and "1 run" in text


IMPORTING = """
import asyncio, pathlib, sys
from arcterm.console.app import Console
async def main():
    app = Console(pathlib.Path(sys.argv[1]))
    async with app.run_test(size=(80, 24)) as pilot:
        assert "numpy" not in sys.modules
        while not hasattr(sys.modules.get("arcterm.console.screens.compare"), "Compare"):
            await pilot.pause(0.01)
asyncio.run(main())
"""


@pytest.mark.long
def test_the_run_list_starts_without_numpy_which_is_imported_beside_it(tmp_path):
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", IMPORTING, str(tmp_path / "runs")]
    assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == 0


def test_threads_that_read_rest_while_a_key_is_answered_half_of_the_time_at_most(monkeypatch):
    now, slept = [100.0], []
    monkeypatch.setattr(keystrokes.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(keystrokes.time, "sleep", slept.append)
    courtesy = keystrokes.Courtesy()
    courtesy.rest()
    assert slept == []
    courtesy.note()
    courtesy.rest()
    courtesy.rest()
    assert slept == [pytest.approx(0.03)]
    now[0] += 0.031
    courtesy.note()
    courtesy.rest()
    assert len(slept) == 2
