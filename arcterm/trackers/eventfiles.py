"""TensorBoard's event files, by its own writer; torch is not needed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from arcterm_registry.contracts import Notice, RunTracker, TrackedRun
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

_QUEUE, _FLUSH_SECONDS = 1000, 3600  # `flush` is called once a second


class EventFiles(RunTracker):
    """Event files in `logdir` below the run's name, or in the run: one for each start and each rewind.

    A file that goes on from a step begins with TensorBoard's own mark for that, a session that starts after
    it: readers drop what earlier files have of later steps.
    """

    rewinds = True

    def __init__(self, run: TrackedRun, *, logdir: str) -> None:
        self._folder = Path(logdir) / (run.name or run.id) if logdir else run.work
        if run.step < 0:
            self._open()
            self._add_text("command", run.command)
        else:
            self.rewind(run.step)

    def log(self, step: int, t: float, values: Mapping[str, float]) -> None:
        """Write scalars, which TensorBoard keeps as 32-bit floats."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()])
        self._writer.add_event(Event(step=step, wall_time=t, summary=summary))

    def rewind(self, step: int) -> None:
        if hasattr(self, "_writer"):
            self._writer.close()
        self._open()
        mark = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(step=step + 1, wall_time=time.time(), session_log=mark))

    def notify(self, notice: Notice) -> None:
        self._add_text(f"notices/{notice.kind}", notice.text, notice.step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self, state: str) -> None:
        self._writer.close()

    def _open(self) -> None:
        self._writer = EventFileWriter(str(self._folder), _QUEUE, _FLUSH_SECONDS)

    def _add_text(self, tag: str, text: str, step: int = 0) -> None:
        self._writer.add_event(Event(step=step, wall_time=time.time(), summary=text_pb(tag, text)))
