"""The console of ``arcterm monitor``: it opens on this host, and has every other screen too."""

from __future__ import annotations

from pathlib import Path

from arcterm.console import ending, terminal
from arcterm.console.app import Console
from arcterm.console.screens.host import HostScreen

_MODE = "host"


class Monitor(Console):
    """Shows the host first; the way back from there leads to the shell."""

    def __init__(self, root: Path, every: float) -> None:
        super().__init__(root)
        self._every = every

    def begin_last(self) -> None:
        """Begin with nothing: the host comes first."""

    def open_last(self) -> None:
        """Open the host, whatever was open last."""
        self.add_mode(_MODE, lambda: HostScreen(self.root, self._every))
        self.switch_mode(_MODE)
        self.fit()

    def leave(self) -> None:
        """Close the top screen; below the last one of all tabs is the host, and below that the shell."""
        if self.current_mode == _MODE and len(self.screen_stack) == 1:
            self.exit()
        elif len(self.screen_stack) == 1 and len(self._visited) == 1:
            left = str(self._visited.pop())
            self.switch_mode(_MODE)
            self.remove_mode(left)
        else:
            super().leave()


def run_monitor(root: Path, every: float) -> int:
    """Show the host until it is left; raises `ArctermError` without a terminal."""
    terminal.require()
    return ending.run(Monitor(root, every))
