"""In a real terminal: the live view, Ctrl-C, losing the terminal, the console."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
import uuid

import psutil
import pytest

from .conftest import ARCTERM, PATIENCE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("tmux") is None, reason="tmux is not installed: no real terminal to test in"
    ),
]


class Terminal:
    """A tmux pane of 80×24."""

    def __init__(self, arcterm) -> None:
        self.server = f"arcterm-{uuid.uuid4().hex[:8]}"
        self.arcterm = arcterm

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.server, *words], capture_output=True, text=True, check=False
        )
        return done.stdout

    def run(self, *words: str, size: tuple[int, int] = (80, 24)) -> None:
        """Start ``arcterm …`` in the pane."""
        env = [
            f"{k}={v}" for k, v in self.arcterm.env.items() if k in ("PYTHONPATH", "ARCTERM_CACHE", "PATH")
        ]
        unset = ["-u", "COLUMNS", "-u", "LINES"]  # the pane has a size of its own
        command = shlex.join(["env", *unset, "LANG=C.UTF-8", *env, *ARCTERM, *words])
        width, height = map(str, size)
        folder = str(self.arcterm.folder)
        opening = [
            "tmux",
            "-L",
            self.server,
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            width,
            "-y",
            height,
        ]
        subprocess.run([*opening, "-c", folder, f"{command}; echo ENDED $?; exec sh"], check=True)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def wait(self, text: str) -> str:
        """The screen as soon as it shows `text`."""
        deadline = time.monotonic() + PATIENCE
        while text not in (shown := self.screen()):
            assert time.monotonic() < deadline, f"no {text!r} on the screen:\n{shown}"
        return shown

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def pid(self) -> int:
        """The process in the pane."""
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def close(self) -> None:
        self.tmux("kill-server")


@pytest.fixture
def terminal(arcterm):
    opened = Terminal(arcterm)
    yield opened
    opened.close()
    for row in arcterm.json("runs"):
        if row["state"] in ("starting", "running", "stopping"):
            arcterm("stop", row["id"], "--now")


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
    shown = terminal.wait("img/s")
    for words in ("long", "running", "loss", "100,000 steps", "Ctrl-C stops"):
        assert words in shown
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
    shown = terminal.wait("running")
    assert "long" in shown
    terminal.press("Enter")
    shown = terminal.wait("ETA")
    assert "loss" in shown
    console = psutil.Process(terminal.pid())
    for process in [*console.children(recursive=True), console]:
        process.kill()
    before = arcterm.show("long")
    later = arcterm.wait("long", lambda told: told["step"] > before["step"] + 20)
    assert later["state"] == "running"
    assert arcterm.json("stop", "long")["state"] == "stopped"
