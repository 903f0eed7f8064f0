"""A run of trackio, whose dashboard is local, or in a Space of the Hugging Face hub."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping

from arcterm_registry.contracts import Notice, RunTracker, TrackedRun

_LEVELS = {"failed": "ERROR", "nan": "ERROR", "stalled": "WARN", "paused": "WARN"}


class TrackioRun(RunTracker):
    """The run of the training's id in `project`; every start of this process goes on in it."""

    def __init__(self, run: TrackedRun, *, project: str, space: str, trackio_dir: str) -> None:
        if trackio_dir:
            os.environ["TRACKIO_DIR"] = trackio_dir  # read while it is imported
        import trackio

        self._trackio = trackio
        with contextlib.redirect_stdout(io.StringIO()):
            self._run = trackio.init(
                project=project,
                name=run.id,
                space_id=space or None,
                config={**run.config, "name": run.name, "command": run.command, "folder": str(run.folder)},
                resume="allow",
                embed=False,
                auto_log_gpu=False,  # the training's use is in its events
                auto_log_cpu=False,
            )

    def log(self, step: int, t: float, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def notify(self, notice: Notice) -> None:
        level = getattr(self._trackio.AlertLevel, _LEVELS.get(notice.kind, "INFO"))
        with contextlib.redirect_stdout(io.StringIO()):
            self._run.alert(title=notice.kind, text=notice.text, level=level)

    def close(self, state: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._run.finish()
