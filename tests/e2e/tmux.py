"""A real terminal: a tmux pane in which arcterm runs."""

from __future__ import annotations

import shlex
import subprocess
import time
import uuid

from .conftest import ARCTERM, PATIENCE


class Terminal:
    """A tmux pane of 80×24."""

    def __init__(self, arcterm) -> None:
        self.server = _name()
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

    def wait(self, *texts: str) -> str:
        """The screen as soon as it shows all `texts`, and not while it is being drawn."""
        deadline, before = time.monotonic() + PATIENCE, ""
        while (shown := self.screen()) != before or not all(text in shown for text in texts):
            assert time.monotonic() < deadline, f"no {' and '.join(texts)} on the screen:\n{shown}"
            before = shown
        return shown

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def again(self, *words: str) -> None:
        """Start ``arcterm …`` in a new pane, of another server: the one before takes a while to end."""
        self.close()
        self.server = _name()
        self.run(*words)

    def pid(self) -> int:
        """The process in the pane."""
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def close(self) -> None:
        self.tmux("kill-server")


def _name() -> str:
    return f"arcterm-{uuid.uuid4().hex[:8]}"
