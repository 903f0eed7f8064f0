"""TensorBoard's event files, by its own record writer; torch is not needed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from arcterm_registry.contracts import Notice, RunTracker, TrackedRun
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter


class EventFiles(RunTracker):
    """Event files in `logdir` below the run's name, or in the run: one for each start and each rewind.

    A file that goes on from a step begins with TensorBoard's own mark for that, a session that starts after
    it: readers, which take files in the order of their names, drop what earlier ones have of later steps.
    """

    rewinds = True

    def __init__(self, run: TrackedRun, *, logdir: str) -> None:
        self._folder = Path(logdir) / (run.name or run.id) if logdir else run.work
        self._folder.mkdir(parents=True, exist_ok=True)
        if run.step < 0:
            self._open()
            self._add_text("command", run.command)
        else:
            self.rewind(run.step)

    def log(self, step: int, t: float, values: Mapping[str, float]) -> None:
        """Write scalars, which TensorBoard keeps as 32-bit floats."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()])
        self._write(Event(step=step, wall_time=t, summary=summary))

    def rewind(self, step: int) -> None:
        if hasattr(self, "_writer"):
            self._writer.close()
        self._open()
        mark = SessionLog(status=SessionLog.START)
        self._write(Event(step=step + 1, wall_time=time.time(), session_log=mark))

    def notify(self, notice: Notice) -> None:
        self._add_text(f"notices/{notice.kind}", notice.text, notice.step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self, state: str) -> None:
        self._writer.close()

    def _open(self) -> None:
        # numbered, where others put the second: two may begin in one
        number = sum(1 for _ in self._folder.glob("events.out.tfevents.*"))
        path = self._folder / f"events.out.tfevents.{number:010d}.{socket.gethostname()}.{os.getpid()}"
        self._writer = RecordWriter(path.open("xb"))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self.flush()

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())

    def _add_text(self, tag: str, text: str, step: int = 0) -> None:
        self._write(Event(step=step, wall_time=time.time(), summary=text_pb(tag, text)))
