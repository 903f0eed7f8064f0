"""Saves a training, at once or in the background, and waits for room on the disk."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping

from torch import Tensor

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError, DiskFullError, StopAskedError
from arcterm.runs.events import Checkpoint, Message, Phase
from arcterm.runs.journal import Sink
from arcterm.runs.store import Run
from arcterm.train.checkpoint import writing
from arcterm.train.checkpoint.background import Background, lacks_memory
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.checkpoint.writing import SavePoint
from arcterm.train.optim import averages
from arcterm.train.pause import Pause
from arcterm.train.statistics import averaged
from arcterm.train.world import World


class Saver:
    """Saves the network, at most once a step. All ranks call it together."""

    def __init__(
        self, run: Run, config: TrainConfig, trained: Trained, world: World, journal: Sink, pause: Pause
    ) -> None:
        self._run = run
        self._config = config
        self._trained = trained
        self._world = world
        self._journal = journal
        self._pause = pause
        self._background = Background(run, config, world)
        self._said_lacking = False

    @property
    def saving(self) -> bool:
        """Whether there is a checkpoint in the background that is not committed yet."""
        return self._background.step is not None

    def is_writing(self) -> bool:
        """Whether this rank still writes that checkpoint."""
        return self._background.busy()

    def save(self, point: SavePoint, feed: Mapping[str, Tensor]) -> None:
        """Commit a checkpoint with the state of the `feed`, or begin to write it in the background.

        A step that is verified, or the last one, is committed before anything else happens.
        """
        stopping = point.reason == "stop"
        self.finish(stopping)
        self._journal.write(Phase(phase="checkpoint", detail=f"step {point.step}"))
        with self._averaged() as own:
            trained = dataclasses.replace(self._trained, statistics=own)
            size = writing.own_bytes(self._run, self._world, trained, point.step, feed)
            if self._may_go_on(point, size):
                self._pause.wait(point.step, size)
                self._background.begin(trained, point, feed)
                saved = None
            else:
                saved = self._pause.until_written(
                    point.step,
                    size,
                    lambda: writing.save(self._run, self._config, self._world, trained, point, feed),
                    stopping=stopping,
                )
        self._say_saved(saved)

    def finish(self, stopping: bool = False) -> None:
        """Commit the checkpoint that is in the background, if there is one, once it is written.

        What a full disk refuses is written again from the copy, while all ranks wait.
        """
        step = self._background.step
        if step is None:
            return
        self._journal.write(Phase(phase="checkpoint", detail=f"step {step}"))
        try:
            saved = self._background.finish()
        except DiskFullError as error:
            size, again = self._background.size, self._background.again
            saved = self._pause.until_written(step, size, again, stopping, refused=error.message)
        self._say_saved(saved)

    def rescue(self) -> None:
        """After an error commit what is in the background, on a rank alone: several can't agree any more."""
        if self._world.size > 1:
            return
        try:
            self.finish(stopping=True)
        except (ArctermError, StopAskedError) as error:
            self._say("warning", f"the checkpoint of step {self._background.step} is lost: {error}")

    def _may_go_on(self, point: SavePoint, size: int) -> bool:
        """Whether steps may go on while the checkpoint of `point`, `size` bytes of this rank, is written."""
        # the supervisor takes all for saved while a rank verifies, and a run's last word is its checkpoint
        if not self._config.checkpoint_background or point.unverified or point.reason == "stop":
            return False
        lacking = lacks_memory(self._world, size)
        if lacking and not self._said_lacking:
            self._say("info", "steps wait while checkpoints are written: the memory for a copy is not free")
        self._said_lacking = lacking
        return not lacking

    def _say_saved(self, saved: Checkpoint | None) -> None:
        if saved:
            self._journal.write(saved)
            self._journal.sync()
        self._journal.write(Phase(phase="training"))

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[dict[str, Tensor]]:
        """Give all that is saved the mean of the ranks' statistics; yields this rank's own, by name."""
        average = self._trained.average
        with averaged(self._trained.backbone, self._world) as own:
            if average is None:
                yield own
                return
            with averaged(average.network, self._world) as smoothed:
                yield own | averages.named(smoothed)

    def _say(self, level: str, text: str) -> None:
        self._journal.write(Message(level=level, text=text))
