"""The engines that hold runs, asked while the console is open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.app import App

from arcterm.launch.launchers.refreshing import SECONDS, Refresher
from arcterm.runs.engines import record
from arcterm.runs.store import Run


def watch(app: App[Any], root: Path) -> None:
    """Ask the engines about the runs of `root` that they hold, every few seconds, in a thread.

    What they say is noted in the runs, which the screens read. The app notifies once of each that is silent.
    """
    refresher = Refresher(lambda: [Run(root / name) for name in record.held(root)])
    said: set[str] = set()

    def look() -> None:
        for trouble in refresher.troubles:
            if trouble not in said:
                said.add(trouble)
                app.notify(trouble, severity="warning", markup=False)
        refresher.look()

    app.set_interval(SECONDS, look)
    look()
