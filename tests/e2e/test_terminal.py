"""In a real terminal: the live view, Ctrl-C, losing the terminal, the console."""

from __future__ import annotations

import shutil

import psutil
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("tmux") is None, reason="tmux is not installed: no real terminal to test in"
    ),
]


LONG = (
    "train",
    "plain",
    "cosface",
    "--nproc",
    "1",
    "--batch-size",
    "12",
    "--steps",
    "100000",
    "--name",
    "long",
)


def test_ctrl_c_stops_after_a_checkpoint(arcterm, pack, terminal):
    terminal.run(*LONG, "--dataset", str(pack))
    terminal.wait("img/s", "long", "running", "loss", "100,000 steps", "Ctrl-C stops")
    terminal.press("C-c")
    terminal.wait("ENDED 130")
    told = arcterm.show("long")
    assert told["state"] == "stopped"
    assert told["checkpoints"][-1]["step"] == told["step"] > 0


def test_the_training_outlives_its_terminal(arcterm, pack, terminal):
    terminal.run(*LONG, "--dataset", str(pack))
    terminal.wait("img/s")
    before = arcterm.show("long")
    terminal.close()
    later = arcterm.wait("long", lambda told: told["step"] > before["step"] + 20)
    assert later["state"] == "running"
    assert later["attempt"] == 1


def test_the_console_shows_a_run_and_its_death_does_not_matter(arcterm, pack, terminal):
    arcterm(*LONG, "--dataset", str(pack), "--detach")
    arcterm.wait("long", lambda told: told["step"] > 3)
    terminal.run("tui")
    terminal.wait("running", "long")
    terminal.press("Enter")
    terminal.wait("ETA", "loss")
    console = psutil.Process(terminal.pid())
    for process in [*console.children(recursive=True), console]:
        process.kill()
    before = arcterm.show("long")
    later = arcterm.wait("long", lambda told: told["step"] > before["step"] + 20)
    assert later["state"] == "running"
    assert arcterm.json("stop", "long")["state"] == "stopped"
