"""A day with the console in a real terminal, from the launch of two ranks to a report."""

from __future__ import annotations

import shutil

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("tmux") is None, reason="tmux is not installed: no real terminal to test in"
    ),
]

FIELDS = {"dataset": "pack", "steps": "100000", "batch size": "6", "nproc": "2", "name": "day"}


def fill(terminal, field, text):
    """Find a field of the form by its name, and type into it."""
    terminal.press("F3")
    terminal.wait("go to a field")
    terminal.press("-l", field)
    terminal.wait(f"▸ {field} ")
    terminal.press("Enter")
    terminal.wait(f"\n {field}: ")
    terminal.press(text)


def test_launch_watch_leave_come_back_stop_resume_compare_report(arcterm, pack, terminal):
    shutil.copytree(pack, arcterm.folder / "pack")
    terminal.run("tui")
    terminal.wait("No runs in")
    terminal.press("4")
    terminal.wait("ready:")
    for field, text in FIELDS.items():
        fill(terminal, field, text)
    terminal.wait("--dataset pack")
    terminal.wait("ready:")
    terminal.press("C-g")
    terminal.wait("running")

    arcterm.wait("day", lambda told: told["step"] > 5)
    for count in (1, 2):
        terminal.press("C")
        arcterm.wait("day", lambda told, count=count: len(told["checkpoints"]) == count)
    assert arcterm.show("day")["config"]["nproc"] == 2
    terminal.press("C-q")
    terminal.wait("ENDED 0")
    before = arcterm.show("day")
    arcterm.wait("day", lambda told: told["step"] > before["step"] + 5)

    terminal.again("tui", "day")
    terminal.wait("running")
    terminal.press("S")
    terminal.wait("stop day?")
    terminal.press("1")
    terminal.wait("■ stopped")
    *_, older, newest = arcterm.show("day")["checkpoints"]
    shutil.rmtree(newest["path"])  # the one before is the newest that is whole
    terminal.press("R")
    terminal.wait("▶ running")
    told = arcterm.wait("day", lambda told: told["attempt"] == 2)
    arcterm.wait("day", lambda told: told["step"] > older["step"] + 5)
    starts = arcterm.lines("events", "day", "--kind", "start")  # of two ranks, twice
    assert [event["step"] for event in starts] == [0, 0, older["step"], older["step"]]
    assert arcterm.json("stop", "day")["state"] == "stopped"
    assert told["attempt"] == 2

    arcterm(
        "train", "tiny", "cosface", "--dataset", "pack", "--nproc", "1", "--steps", "20", "--name", "other"
    )
    terminal.press("1")
    terminal.wait("other")
    terminal.press("g", "Space", "j", "Space", "3")
    terminal.wait("compare 2 runs", "day", "other")
    terminal.press("d")
    terminal.wait("arcface", "cosface")
    terminal.press("C-q")
    terminal.wait("ENDED 0")

    arcterm("report", "day", "other", "-o", "report.html")
    page = (arcterm.folder / "report.html").read_text()
    assert "day" in page and "other" in page and "cosface" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
