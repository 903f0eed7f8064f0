"""The screen of data sets: those that runs know, the facts of one, its findings with the faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from textual.widgets import Input

from arcterm.console.app import Console
from arcterm.console.forms.jobscreen import JobForm
from arcterm.console.forms.launch import LaunchForm
from arcterm.console.screens.data import DataScreen
from arcterm.console.screens.faces import AskPath, FindingBox
from arcterm.console.screens.pictures import PictureScreen
from arcterm.errors import DataError
from arcterm.inputs.datafacts import DataFacts
from arcterm.show.pages import FactReader, PageDrawer

SMALL, WIDE = (80, 24), (160, 45)


def data_of(path):
    """What a check reports, with a problem that has two faces and a note that has none."""
    named = [
        {"text": "key 1 is byte for byte key 4", "hint": "look", "faces": ["faces/1.jpg", "faces/4.jpg"]}
    ]
    return {
        "path": path,
        "facts": {"image size": "112×112 (12)"},
        "people": {
            "people": 4, "images": 12, "least": 1, "median": 3.0, "mean": 3.0, "most": 5,
            "histogram": [[1, 1, 1], [2, 4, 2], [5, 5, 1]],
        },
        "classes": 4,
        "sets": [{"name": "lfw.bin", "pairs": 20, "same": 10, "images": 40, "damaged": 1}],
        "findings": {
            "single": {"count": 1, "problem": False, "title": "alone", "named": [{"text": "label 3"}]},
            "duplicate": {"count": 1, "problem": True, "title": "shared images", "named": named},
        },
    }  # fmt: skip


@pytest.fixture
def checked(job, tmp_path):
    """A check of a folder that has ended, with the pictures of a finding."""
    folder = tmp_path / "casia"
    folder.mkdir()
    made = job("check", str(folder))
    (made.run.path / "faces").mkdir()
    for name, level in (("1.jpg", 60), ("4.jpg", 200)):
        cv2.imwrite(str(made.run.path / "faces" / name), np.full((112, 112, 3), level, np.uint8))
    made.finish("1 problem", problems=1)
    from arcterm.runs.report import read_report, write_report

    report = read_report(made.run)
    write_report(made.run, type(report)(lines=report.lines, data=data_of(str(folder)), problems=1))
    return folder


async def opened(pilot, app, until):
    await pilot.press("7")
    await until(pilot, lambda: isinstance(app.screen, DataScreen) and app.screen.known is not None)


async def test_a_checked_data_set_shows_its_counts_and_findings(checked, root, until, shown):
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, until)
        text = shown(app)
        assert "casia" in text and "! 1 problem" in text and "12 images  4 people" in text
        assert "2–4 █" in text and "least 1  median 3" in text
        assert "lfw.bin" in text and "50% same" in text and "1 damaged" in text
        assert "findings: 1 problem, 1 note" in text and "! key 1 is byte for byte key 4" in text
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, FindingBox) and shown(app).count("▀" * 16) > 5)
        assert "shared images: 1" in shown(app) and "→ look" in shown(app)
        await pilot.press("escape", "n")
        assert "2 of 2" in shown(app)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, JobForm))
        assert app.screen.draft.command() == f"arcterm data check {checked}"


async def test_where_there_is_room_the_faces_stand_beside_the_findings(checked, root, until, shown):
    app = Console(root)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, app, until)
        await until(pilot, lambda: "▀" * 16 in shown(app))
        await pilot.press("n")
        await until(pilot, lambda: "▀" * 16 not in shown(app))


@pytest.mark.long
async def test_a_data_set_is_read_when_it_is_wanted(root, until, shown, monkeypatch):
    def read(self, source, progress):
        progress(7, 100, "reading")
        if source == "synthetic":
            raise DataError("it can't be read", "look at it")
        return DataFacts(source=source, by="reading", images=4000, classes=200)

    monkeypatch.setattr(FactReader, "read", read)
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, until)
        assert "not read yet" in shown(app) and "c check" not in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: "4,000 images  200 people" in shown(app))
        await pilot.press("j", "enter")
        await until(pilot, lambda: "it can't be read" in shown(app))
        await pilot.press("escape", "L")
        await until(pilot, lambda: isinstance(app.screen, LaunchForm))
        assert app.screen.draft is None or app.screen.draft.texts["dataset"] == "synthetic"


@pytest.mark.long
async def test_another_data_set_is_looked_at_and_forgotten(
    checked, root, until, shown, monkeypatch, tmp_path
):
    monkeypatch.setattr(PageDrawer, "draw", lambda self, request, progress: pytest.fail("drawn"))
    (tmp_path / "mine").mkdir()
    app = Console(root)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, until)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AskPath))
        app.screen.query_one(Input).value = str(tmp_path / "mine")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DataScreen) and "mine" in shown(app))
        assert "given" in shown(app) and app.screen.chosen.source == str(tmp_path / "mine")
        await pilot.press("D")
        await until(pilot, lambda: "given" not in shown(app))
        monkeypatch.undo()
        await pilot.press("g", "v")
        await until(pilot, lambda: isinstance(app.screen, PictureScreen))


@pytest.mark.long
async def test_a_console_that_only_watches_starts_nothing(checked, root, until, shown):
    app = Console(root, readonly=True)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, until)
        assert "c check" not in shown(app) and "L train" not in shown(app)
        for key in ("c", "L", "B"):
            await pilot.press(key)
            await until(pilot, lambda: "this console only watches" in shown(app))
            await pilot.press("escape")


@pytest.mark.parametrize("size", [(60, 16), (120, 35)])
async def test_every_size_has_findings_and_keys(checked, root, until, shown, size):
    app = Console(root)
    async with app.run_test(size=size) as pilot:
        await opened(pilot, app, until)
        assert "findings: 1 problem" in shown(app) and "? help" in shown(app) and "1–4" not in shown(app)
