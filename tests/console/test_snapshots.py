"""Every screen at four sizes, in colour, without colour and in ASCII, as it was when last looked at.

Three of them at one size as pictures too.
``make snapshots`` writes them anew; look at the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arcterm.console.app import Console
from arcterm.console.tabs import COMPARE, DASH, LAUNCH, RUNS, TABS

from .frames import DRAWINGS, SIZES, colours_of, open_screen, picture_of, stand_still, text_of, write_runs

FOLDER = Path(__file__).with_name("snapshots")
PICTURED, PICTURE_SIZE = (DASH, COMPARE, LAUNCH), (80, 24)


@pytest.mark.long
@pytest.mark.parametrize("drawing", list(DRAWINGS))
async def test_every_screen_is_as_it_was(drawing, make, job, tmp_path, monkeypatch):
    stand_still(monkeypatch)
    for name, value in DRAWINGS[drawing].items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    write_runs(make, job)
    app = Console(Path("runs"))
    wrong = []
    async with app.run_test(size=SIZES[0]) as pilot:
        for number, tab in TABS.items():
            open_screen(app, number)
            for width, height in SIZES:
                await pilot.resize_terminal(width, height)
                text = await settled(pilot, drawing == "colour")
                assert all(len(row) <= width for row in text.splitlines()[:height])
                assert drawing != "ascii" or text.isascii()
                if drawing == "no-colour":
                    assert all(len(set(colour.get_truecolor())) == 1 for colour in colours_of(app))  # greys
                name = f"{tab.name.lower()}-{width}x{height}"
                wrong += compared(FOLDER / f"{name}-{drawing}.txt", text)
                if drawing == "colour" and number in PICTURED and (width, height) == PICTURE_SIZE:
                    wrong += compared(FOLDER / f"{name}.svg", picture_of(app))
            if number == RUNS:  # two of them are compared
                await pilot.press("g", "space", "G", "space", "g")
    assert not wrong, f"{wrong} differ: look at them, then `make snapshots`"


async def settled(pilot, styled):
    """The screen once nothing is being read and it has stayed the same for two looks."""
    last, same = "", 0
    while same < 2:
        await pilot.pause(0.02)
        text = text_of(pilot.app, styled)
        quiet = all_read(pilot.app) and all(worker.is_finished for worker in pilot.app.workers)
        same = same + 1 if quiet and text == last else 0
        last = text
    return last


def all_read(app):
    """Whether the list has all of its runs' numbers; it is made to look again, which else takes a second."""
    if app.tab != RUNS:
        return True
    runs = app.screen._runs
    if known := bool(runs) and all(run.size is not None for run in runs):
        return known
    app.screen.look()
    return False


def compared(path, text):
    """The name of a file that holds something else; with ARCTERM_SNAPSHOTS it is written."""
    if os.environ.get("ARCTERM_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
        return []
    return [] if path.exists() and path.read_text(encoding="utf-8") == text else [path.name]
