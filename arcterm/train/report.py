"""The events of training: one when a rank starts, one a step, and what is to be said of it."""

from __future__ import annotations

import os
import socket
import time

import torch

from arcterm import samples
from arcterm.config import TrainConfig
from arcterm.runs.events import Event, Message, Phase, Start, Step, real
from arcterm.runs.journal import Sink
from arcterm.runs.pulse import NullPulse, Pulse
from arcterm.schedules.ramp import ramps
from arcterm.train.feed.pace import OwnTimes, Pace, StepTimes
from arcterm.train.guards.symptoms import Looks, Symptoms
from arcterm.train.head.head import HeadOutput
from arcterm.train.update import Outcome
from arcterm.train.world import World

_SAY_EVERY = 0.5


def announce(journal: Sink, world: World, start: int, steps: int) -> None:
    """Write that this rank is up and goes on after step `start`."""
    journal.write(
        Start(
            rank=world.rank,
            world_size=world.size,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=world.device_name,
            step=start,
            steps=steps,
        )
    )


class Beating:
    """A journal whose every phase is a beat of the rank's pulse too, on ranks that write none as well."""

    def __init__(self, journal: Sink, pulse: Pulse | NullPulse) -> None:
        self._journal = journal
        self._pulse = pulse

    def write(self, event: Event) -> None:
        if isinstance(event, Phase):
            self._pulse.beat("compile" if event.phase == "compiling" else event.phase)
        self._journal.write(event)

    def sync(self) -> None:
        self._journal.sync()

    def flush(self) -> bool:
        return self._journal.flush()


class PhaseProgress:
    """Writes how far a phase is, when called with (done, total), twice a second at most and at its end."""

    def __init__(self, journal: Sink, phase: str, detail: str) -> None:
        self._journal = journal
        self._phase = phase
        self._detail = detail
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last > _SAY_EVERY or done >= total:
            self._last = now
            self._journal.write(Phase(phase=self._phase, detail=self._detail, done=done, total=total))


class Reporter:
    """Writes a `Step` event for every step.

    On a GPU a step's numbers are looked at while the next step runs, so that the host never waits for them.
    """

    def __init__(
        self,
        journal: Sink,
        config: TrainConfig,
        device: torch.device,
        symptoms: Symptoms | None = None,
        own: OwnTimes | None = None,
    ) -> None:
        self._journal = journal
        self._symptoms = symptoms
        self._own = own
        self._config = config
        self._ramps = ramps(config)
        self._late = device.type == "cuda"
        self._pace = Pace(device, config.global_batch)
        self._pace.pause()
        self._pending: tuple[StepTimes, Step, Looks | None] | None = None

    def mark(self, phase: str) -> None:
        """Mark the end of a phase of the step."""
        self._pace.mark(phase)

    def step(
        self,
        step: int,
        epoch: int,
        rate: float,
        waited: float,
        scored: HeadOutput,
        looks: Looks | None = None,
        outcome: Outcome = "updated",
        gradient_scale: float | None = None,
        norm: torch.Tensor | None = None,
    ) -> None:
        """Record a step that waited `waited` seconds for its images; `outcome` says whether it updated.

        `norm` is that of the backbone's gradient, on the device.
        """
        further = [number for number in (scored.active, scored.teacher, norm) if number is not None]
        numbers = torch.stack([scored.loss.detach(), scored.accuracy, scored.angle, *further])
        times = self._pace.finish(numbers, waited)
        pace = self._pace.seconds_per_step()
        event = Step(
            step=step,
            epoch=epoch,
            loss=0.0,
            accuracy=0.0,
            angle=0.0,
            lr=rate,
            images_per_second=round(self._pace.images_per_second(), 2),
            samples=samples.taken(self._config.begins, self._config.global_batch, step),
            data_wait=round(min(1.0, waited / pace), 4) if pace else 0.0,
            skipped=outcome == "refused",
            overflow=outcome == "overflowed",
            gradient_scale=gradient_scale,
            active=None if scored.active is None else 0.0,
            teacher=None if scored.teacher is None else 0.0,
            margin=self._scheduled("margin", step),
            scale=self._scheduled("scale", step),
            gradient_norm=None if norm is None else 0.0,
        )
        if self._late:
            self.flush()
        self._pending = times, event, looks
        if not self._late:
            self.flush()

    def _scheduled(self, name: str, step: int) -> float | None:
        ramp = self._ramps.get(name)
        return ramp.at(step) if ramp else None

    def flush(self) -> None:
        """Write the step whose numbers are on their way, and the symptoms that begin with it."""
        if self._pending is None:
            return
        (times, event, looks), self._pending = self._pending, None
        loss, accuracy, angle, *further = self._pace.settle(times)
        event.loss, event.accuracy, event.angle = real(loss), real(accuracy), real(angle)
        if event.active is not None:
            event.active = further.pop(0)
        if event.teacher is not None:
            event.teacher = further.pop(0)
        if event.gradient_norm is not None:
            event.gradient_norm = real(float(f"{further.pop(0):.4g}"))
        event.times = self._by_phase(times.milliseconds())
        self._journal.write(event)
        for text in self._symptoms.step(event, looks) if self._symptoms else ():
            self._journal.write(Message(level="warning", text=text))

    def _by_phase(self, spent: dict[str, float]) -> dict[str, float]:
        """Add up what this rank does by itself; in the event the backbone is a part of the forward pass."""
        alone = spent.pop("backbone", 0.0)
        if self._own:
            self._own.add(data=spent["data"], forward=alone)
        spent["forward"] = spent.get("forward", 0.0) + alone
        return {phase: round(milliseconds, 3) for phase, milliseconds in spent.items()}

    def pause(self) -> None:
        """Begin or end a time without steps, which the pace leaves out."""
        self.flush()
        self._pace.pause()
