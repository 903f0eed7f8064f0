"""The trainings of one log in text: where one ends and the next begins, and lines that ranks wrote twice."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from arcterm.formats.trainlogs.logged import LoggedPoint, LoggedRun, LoggedScore, LoggedStart
from arcterm.formats.trainlogs.numbering import Anchor, SpeedLine, number_steps
from arcterm.formats.trainlogs.textlog import LogLine, Said, parse_line

_OPENING = ("gpus", "network", "margin_list", "batch_size", "data_dir", "rec")
"""Settings that a program prints before its first step, never later."""
_NEAR, _SOON = 8, 5.0
"""Another rank's copy of a line comes within so many points, or seconds; later it is a new start."""
_DIGITS = 9  # a batch of so many digits is none
_EVERY = 1000  # steps between two lines lr-batch-epoch


@dataclass
class LogPart:
    """What one start of a program wrote, in the order of the log."""

    facts: dict[str, str] = field(default_factory=dict)
    attempt: LoggedStart = field(default_factory=LoggedStart)
    batches: list[SpeedLine] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    lr: float = math.nan
    doubled: int = 0
    pairs: dict[str, int] = field(default_factory=dict)
    seen: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of points."""
        return len(self.batches) + len(self.attempt.points)

    @property
    def begun(self) -> bool:
        """Whether a step or a score was read."""
        return bool(self.count or self.attempt.scores)


class Splitter:
    """Takes lines in order; `parts` are the starts that they tell of, `dated` whether they carry times."""

    def __init__(self) -> None:
        self.parts: list[LogPart] = [LogPart()]
        self.dated = False
        self._shape, self._seconds = 0, 0.0
        self._anchor: Anchor | None = None  # of the step that was just made

    def take(self, line: LogLine) -> None:
        """Take in a line."""
        said = parse_line(line.text)
        if said is None:
            return
        part = self.parts[-1]
        match said:
            case Said("batch", (int(epoch), int(batch), float(speed), dict(values))):
                self._batch(SpeedLine(epoch, batch, line.t, speed, values, part.lr))
            case Said("step", (int(step), int(epoch), float(loss), float(lr), float(speed))):
                self._step(LoggedPoint(step, epoch + 1, line.t, loss, math.nan, lr, speed))
            case Said("score", (str(name), int(step), str(what), float(value), float(std))):
                self._score(line.t, name, step, what, value, std)
            case Said("anchor", (float(lr), int(batch), int(epoch))):
                self._anchored(lr, batch, epoch)
            case Said("facts", (dict(facts),)):
                self._facts(facts)
            case Said("rate", (float(lr),)):
                part.lr = lr
            case Said("shape", (int(rows),)):
                self._shape = rows
            case Said("infer", (float(seconds),)):
                self._seconds = seconds
            case Said("loaded", (str(name),)):
                part.pairs[name] = self._shape // 2

    def _facts(self, facts: dict[str, str]) -> None:
        part = self.parts[-1]
        if part.begun and not part.facts.keys().isdisjoint(facts) and any(key in _OPENING for key in facts):
            part = self._begin({})
        part.facts |= facts
        if math.isnan(part.lr):
            part.lr = _float(part.facts.get("lr", ""))

    def _begin(self, facts: dict[str, str]) -> LogPart:
        self.parts.append(LogPart(facts=facts, lr=_float(facts.get("lr", ""))))
        self._anchor = None
        return self.parts[-1]

    def _batch(self, batch: SpeedLine) -> None:
        part, key = self.parts[-1], (batch.epoch, batch.batch)
        if self._is_doubled(part, key, batch.t):
            return
        last = part.batches[-1] if part.batches else None
        if key in part.seen or (last and batch.epoch < last.epoch):
            part = self._begin(dict(part.facts))
        part.seen[key] = part.count
        part.batches.append(batch._replace(lr=part.lr))
        self._anchor = None
        self.dated |= not math.isnan(batch.t)

    def _step(self, point: LoggedPoint) -> None:
        part, key = self.parts[-1], (0, point.step)
        if self._is_doubled(part, key, point.t):
            return
        points = part.attempt.points
        if points and point.step <= points[-1].step:
            part = self._begin(dict(part.facts))
        if math.isnan(point.lr):
            point.lr = part.lr
        part.seen[key] = part.count
        part.attempt.points.append(point)
        self.dated |= not math.isnan(point.t)

    def _is_doubled(self, part: LogPart, key: tuple[int, int], t: float) -> bool:
        if key not in part.seen:
            return False
        newest = part.batches[-1].t if part.batches else part.attempt.points[-1].t
        dated = not (math.isnan(newest) or math.isnan(t))
        doubled = t - newest < _SOON if dated else part.count - part.seen[key] <= _NEAR
        part.doubled += doubled
        return doubled

    def _anchored(self, lr: float, batch: int, epoch: int) -> None:
        part = self.parts[-1]
        if part.batches and epoch < part.batches[-1].epoch:
            part = self._begin(dict(part.facts))
        if any((a.epoch, a.batch) == (epoch, batch) for a in part.anchors[-2:]):
            part.doubled += 1
            return
        before = part.anchors[-1].step if part.anchors else 0
        self._anchor = Anchor(epoch, batch, before + _EVERY)
        part.anchors.append(self._anchor)
        part.lr = lr

    def _score(self, t: float, name: str, step: int, what: str, value: float, std: float) -> None:
        part = self.parts[-1]
        if self._anchor and step % _EVERY == 0:  # a log whose beginning was cut off
            self._anchor.step = step
        if (
            step < max((s for _, s in part.attempt.scores), default=0)
            and (name, step) not in part.attempt.scores
        ):
            part = self._begin(dict(part.facts))
        score = part.attempt.scores.setdefault((name, step), LoggedScore(name, step))
        score.pairs = part.pairs.get(name) or self._shape // 2
        score.seconds, score.t = self._seconds, t
        if what == "xnorm":
            score.xnorm = value
        elif what == "accuracy-flip" or math.isnan(score.accuracy):
            score.accuracy, score.std = value, std
        self.dated |= not math.isnan(t)


def split(lines: Iterable[LogLine]) -> list[LoggedRun]:
    """Return the trainings of a log, those that made a step or were verified."""
    splitter = Splitter()
    for line in lines:
        splitter.take(line)
    runs: list[list[LogPart]] = []
    for part in filter(lambda part: part.begun, splitter.parts):
        if part.batches:
            part.attempt.points = number_steps(part.batches, part.anchors, part.facts)
        if runs and _goes_on(runs[-1][-1], part):
            part.attempt.start = part.attempt.points[0].step - 1
            runs[-1].append(part)
        else:
            runs.append([part])
    return [_logged(parts, splitter.dated) for parts in runs]


def _goes_on(before: LogPart, part: LogPart) -> bool:
    """Whether a start went on from a checkpoint: arcface_torch then counts on, MXNet's script never did."""
    first, now = before.attempt.points, part.attempt.points
    return bool(not part.batches and first and now and first[0].step < now[0].step)


def _logged(parts: list[LogPart], dated: bool) -> LoggedRun:
    facts = parts[0].facts
    ranks = ranks_of(facts)
    mxnet = any(part.batches for part in parts)
    doubled = sum(part.doubled for part in parts)
    notes = [f"{doubled:,} lines that several ranks wrote are taken once"] if doubled else []
    if mxnet:
        notes.append("accuracy is with the margin, as MXNet's script took it")
    return LoggedRun(
        program="MXNet" if mxnet or "gpus" in facts else "arcface_torch",
        facts=facts,
        attempts=[part.attempt.events(global_batch(facts), ranks) for part in parts],
        dated=dated,
        notes=notes,
    )


def global_batch(facts: dict[str, str]) -> int:
    """Return the images of a step over all ranks; 1 where a log does not say."""
    for name in ("total_batch_size", "batch_size"):
        if (text := facts.get(name, "")).isdecimal() and len(text) < _DIGITS:
            return max(1, int(text))
    return 1


def ranks_of(facts: dict[str, str]) -> int:
    """Return the number of GPUs; 1 where a log does not say."""
    text = facts.get("gpus", "")
    return max(1, int(text)) if text.isdecimal() and len(text) < _DIGITS - 4 else 1


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
