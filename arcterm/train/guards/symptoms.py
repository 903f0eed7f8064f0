"""Symptoms of a training that goes wrong, named while they can be seen: by the numbers of its steps alone."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median

from arcterm.runs.events import Step

LOOK_EVERY = 20
"""Steps between looks at embeddings and gradients, which cost a little; losses are looked at every step."""
_WINDOW = 64  # steps that a loss is compared with
_ENOUGH = 32
_FIRST = 20  # steps whose median is the level at which the training began
_SIGMA = 1.4826  # of a normal distribution, by its median absolute deviation
_CALM = 32  # steps without it that end an episode
_ALIKE, _APART = 0.98, 0.9  # mean cosines
_PATIENCE = 300  # steps of which something is expected
_NO_RATE = 1e-5  # of the peak


@dataclass(frozen=True)
class Looks:
    """What only a look at the tensors tells, every `LOOK_EVERY` steps.

    `alike` is the mean cosine between the embeddings of two different images, `gradient` the L2 norm of the
    backbone's gradient; None where it learns nothing by design.
    """

    alike: float
    gradient: float | None


@dataclass
class _Episode:
    """A symptom that is named when it begins, and again only after `_CALM` steps without it."""

    calm: int = _CALM

    def begins(self, present: bool) -> bool:
        new = present and self.calm >= _CALM
        self.calm = 0 if present else self.calm + 1
        return new


@dataclass
class Symptoms:
    """Looks at one step after another; rank 0 of a training of `steps` with the peak rate `peak` has one.

    `chance` is the accuracy of guessing: 1 / classes. It is None for losses over embeddings alone, whose
    batches are chosen by what the network makes of them: their loss rises when harder ones are mined, and
    says neither that it jumped nor that the training diverges.
    """

    steps: int
    peak: float
    chance: float | None
    _losses: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _accuracies: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _first: list[float] = field(default_factory=list)
    _best: float = math.inf
    _count: int = 0
    _apart: bool = False
    _alike: int = 0
    _still: int = 0
    _episodes: dict[str, _Episode] = field(default_factory=dict)

    def step(self, event: Step, looks: Looks | None = None) -> list[str]:
        """Name the symptoms that begin at a step, each with what to do."""
        loss = float(event.loss)
        if event.skipped or not math.isfinite(loss):
            return []
        self._count += 1
        found = [self._spike(event, loss), self._diverging(event), self._no_rate(event)]
        self._remember(event, loss)
        found += [self._flat(event), self._guessing(event)]
        if looks is not None:
            found += [self._collapse(event, looks), self._no_gradient(event, looks, loss)]
        return [text for text in found if text]

    def _remember(self, event: Step, loss: float) -> None:
        self._losses.append(loss)
        self._accuracies.append(float(event.accuracy))
        if len(self._first) < _FIRST:
            self._first.append(loss)
        if len(self._losses) == _WINDOW:
            self._best = min(self._best, median(self._losses))

    @property
    def _level(self) -> float:
        """The loss that the training began with; of a resumed one at least that of guessing."""
        return max(median(self._first), math.log(1 / self.chance) if self.chance else 0.0)

    def _named(self, name: str, present: bool, text: str) -> str:
        return text if self._episodes.setdefault(name, _Episode()).begins(present) else ""

    def _spike(self, event: Step, loss: float) -> str:
        """A loss far from the recent ones, by their spread and by the level at which all began."""
        if self.chance is None or len(self._losses) < _ENOUGH:
            return ""
        middle = median(self._losses)
        spread = _SIGMA * median(abs(other - middle) for other in self._losses)
        return self._named(
            "spike",
            loss - middle > max(10 * spread, 0.25 * self._level),
            f"loss spike at step {event.step}: {loss:.4g}, where {middle:.4g} was the median of "
            f"{len(self._losses)} steps; if it stays or comes again, a lower --lr or --set clip=5 helps",
        )

    def _diverging(self, event: Step) -> str:
        """A loss far above the lowest that was reached, and above what guessing costs."""
        if self.chance is None or len(self._losses) < _WINDOW:
            return ""
        middle = median(self._losses)
        return self._named(
            "diverging",
            middle > 3 * self._best and middle > 1.5 * self._level,
            f"the training diverges: the median loss is {middle:.4g} at step {event.step} and was "
            f"{self._best:.4g}; go on with a lower --lr, or begin anew with --set warmup=0.1",
        )

    def _no_rate(self, event: Step) -> str:
        """A rate of as good as 0, long before the end."""
        left = self.steps - event.step
        return self._named(
            "no rate",
            event.lr <= _NO_RATE * self.peak and left > max(10, 0.05 * self.steps),
            f"the learning rate is {event.lr:.3g} at step {event.step}, {left:,} steps before the end, which "
            "will change nothing; see --set schedule, power, milestones and gamma",
        )

    def _flat(self, event: Step) -> str:
        """Different batches with the same loss: the network gives the same for all of them."""
        held = list(self._losses)
        middle = median(held)
        flat = len(held) == _WINDOW and middle > 1e-3 and max(held) - min(held) < 1e-4 * middle
        return self._named(
            "flat",
            flat and event.lr > 0,
            f"the loss has been {middle:.4g} for {_WINDOW} steps (step {event.step}): nothing is learned; "
            "another --lr, or a network whose activations are not all dead, is needed",
        )

    def _guessing(self, event: Step) -> str:
        """No better than chance and no lower loss, after an epoch and some hundred steps."""
        if self.chance is None or event.epoch < 2 or self._count < _PATIENCE:
            return ""
        mean = sum(self._accuracies) / len(self._accuracies)
        lower = median(self._losses) < 0.9 * self._level
        return self._named(
            "guessing",
            mean <= 1.5 * self.chance and not lower,
            f"accuracy {mean:.2%} in epoch {event.epoch} (step {event.step}) is that of guessing, and the "
            f"loss of {median(self._losses):.4g} where it began: try a lower margin or another --lr, and "
            "`arcterm data check DATA` for labels that mean nothing",
        )

    def _collapse(self, event: Step, looks: Looks) -> str:
        """All embeddings alike, if they were apart once or have had the time for it.

        A network begins with embeddings that are much alike, if nothing at its end normalises them.
        """
        self._apart = self._apart or looks.alike < _APART
        self._alike = self._alike + 1 if looks.alike > _ALIKE else 0
        return self._named(
            "collapse",
            self._alike > 1 and (self._apart or self._count >= _PATIENCE),
            f"the network collapses: embeddings of different images are alike at step {event.step}, with a "
            f"mean cosine of {looks.alike:.3f}; begin anew with a lower --lr or less weight_decay",
        )

    def _no_gradient(self, event: Step, looks: Looks, loss: float) -> str:
        """A gradient of exactly 0 at two looks, though there is a loss to bring down."""
        idle = event.active == 0.0 or loss <= 1e-6  # there is nothing left to learn from
        self._still = self._still + 1 if looks.gradient == 0.0 and not idle else 0
        return self._named(
            "no gradient",
            self._still > 1,
            f"no gradient reaches the backbone at step {event.step}, and the loss is {loss:.4g}: all of its "
            "activations are dead, or the loss is cut off; begin anew with a lower --lr",
        )
