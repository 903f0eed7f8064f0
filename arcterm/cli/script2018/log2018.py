"""The lines that 2018's script printed, made of a run's events; for what parses its logs.

MXNet logged through Python's logging, hence ``INFO:root:``. Accuracies are without the margin here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from arcterm_registry.contracts import DatasetFacts

from arcterm.config import TrainConfig
from arcterm.runs.events import AnyEvent, Mined, MxnetFile, Phase, Step, Verify
from arcterm.runs.reader import Events
from arcterm.runs.reading.summary import Summary
from arcterm.runs.state import State
from arcterm.schedules.rate import learning_rate
from arcterm.show.output import put, say

_FAMILIES = {
    "m": "mobilenet",
    "i": "inception-resnet-v2",
    "p": "dpn",
    "s": "spherenet",
    "y": "mobilefacenet",
    "d": "",
}
_FREQUENT, _FREQUENT_TRIPLETS = 20, 2
_RATES_EVERY = 1000


def opening(options: Mapping[str, Any], config: TrainConfig, facts: DatasetFacts) -> list[str]:
    """The lines before the first batch; `options` are those of the command line, by their names of 2018."""
    height, width = facts.image_size
    classes, images = facts.classes, facts.images
    family = _FAMILIES.get(options["network"][:1], "resnet")
    versions = [options[f"version_{part}"] for part in ("se", "input", "output", "unit")]
    known = {
        **options,
        "batch_size": config.global_batch,
        "ctx_num": config.nproc,
        "image_channel": 3,
        "image_h": height,
        "image_w": width,
        "num_classes": classes,
        "num_layers": int(options["network"][1:]),
        "rescale_threshold": 0,
    }
    words = ", ".join(f"{key}={value!r}" for key, value in sorted(known.items()))
    lines = [f"gpu num: {config.nproc}" if config.gpus else "use cpu"]
    lines += [f"num_layers {known['num_layers']}", f"image_size [{height}, {width}]"]
    lines += [f"num_classes {classes}", f"Called with argument: Namespace({words})"]
    if options["pretrained"]:
        lines.append(f"loading {options['pretrained'].split(',')}")
    lines += [f"init {family} {known['num_layers']}"] if family else []
    acts = [options["version_act"]] if family == "resnet" else []
    lines += [" ".join(map(str, versions + acts))] if family not in ("spherenet", "mobilefacenet") else []
    lines += [f"header0 label [{images + 1}. {images + 1 + classes}.]", f"id2range {classes}", str(images)]
    lines.append(f"rand_mirror {options['rand_mirror']}")
    for name, pairs in facts.verification.items():
        lines += [f"loading bin {number}" for number in range(0, 2 * pairs, 1000)]
        lines += [f"({2 * pairs}L, 3L, {height}L, {width}L)", f"ver {name}"]
    return [*lines, f"lr_steps {config.milestones}", "call reset()"]


class Lines2018:
    """Turns events into the script's lines, one event after the other."""

    def __init__(self, config: TrainConfig, *, with_loss: bool = False) -> None:
        self._config = config
        self._triplets = config.loss == "triplet"
        self._every = _FREQUENT_TRIPLETS if self._triplets else _FREQUENT
        self._with_loss = with_loss and not self._triplets
        self._epoch, self._batch, self._began = -1, -1, 0.0
        self._mined = -1
        self._summed: list[tuple[float, float]] = []
        self._verified = -1
        self._last_accuracy = self._highest = 0.0

    def of(self, event: AnyEvent) -> Iterator[str]:
        """Yield the lines of `event`."""
        match event:
            case Step():
                yield from self._step(event)
            case Mined():
                self._mined = event.round - 1
                yield f"found triplets {event.triplets}"
                yield f"seq len {event.steps * self._config.global_batch}"
                yield "call reset()"
            case Verify():
                yield from self._verify(event)
            case MxnetFile():
                yield f"saving {event.round}"
                yield f'INFO:root:Saved checkpoint to "{event.path}"'
            case Phase(phase="training") if self._verified >= 0:
                yield from self._conclude()
            case _:
                pass

    def _step(self, event: Step) -> Iterator[str]:
        step, config = event.step, self._config
        epoch = self._mined if self._triplets else event.epoch - 1
        self._batch = self._batch + 1 if epoch == self._epoch else 0
        if epoch != self._epoch:
            self._epoch, self._summed, self._began = epoch, [], event.t
        self._summed.append((float(event.accuracy), float(event.loss)))
        rate = learning_rate(config, step + 1)
        if step in config.milestones:
            yield f"lr change to {rate:.12g}"
        if self._batch and self._batch % self._every == 0:
            yield self._speed(event.t)
            self._summed, self._began = [], event.t
        if step % _RATES_EVERY == 0:
            yield f"lr-batch-epoch: {rate:.12g} {self._batch} {epoch}"

    def _speed(self, now: float) -> str:
        """The Speedometer's line: its first call in an epoch only starts the clock."""
        seconds = max(now - self._began, 1e-9)
        speed = self._every * self._config.global_batch / seconds
        accuracy, loss = (sum(values) / len(values) for values in zip(*self._summed, strict=True))
        said = [f"lossvalue={loss:f}"] if self._triplets else [f"acc={accuracy:f}"]
        said += [f"lossvalue={loss:f}"] if self._with_loss else []
        head = f"INFO:root:Epoch[{self._epoch}] Batch [{self._batch}]"
        return "\t".join([head, f"Speed: {speed:.2f} samples/sec", *said])

    def _verify(self, event: Verify) -> Iterator[str]:
        accuracy, deviation = event.accuracy or 0.0, event.std or 0.0
        self._verified, self._last_accuracy = event.step, accuracy
        yield "testing verification.."
        yield f"({2 * event.pairs}, {self._config.backbone_options.get('embedding_size', 512)})"
        yield f"infer time {event.seconds:f}"
        yield f"[{event.set}][{event.step}]XNorm: {float(event.xnorm):f}"
        yield f"[{event.set}][{event.step}]Accuracy-Flip: {accuracy:1.5f}+-{deviation:1.5f}"

    def _conclude(self) -> Iterator[str]:
        """The best of the last set so far, at the verifications that the script had."""
        step, self._verified = self._verified, -1
        if step % self._config.verify_every == 0:
            self._highest = max(self._highest, self._last_accuracy)
            yield f"[{step}]Accuracy-Highest: {self._highest:1.5f}"


class View2018:
    """Prints the script's lines of a run, the `opening` first."""

    def __init__(self, lines: Lines2018, opening: Iterable[str]) -> None:
        self._lines, self._note = lines, ""
        for line in opening:
            put(line)

    def show(self, state: State, summary: Summary, events: Events, note: str) -> None:
        """Print what is new."""
        if note != self._note:
            self._note = note
            say(note)
        for _, event in events:
            for line in self._lines.of(event):
                put(line)

    def close(self) -> None:
        """There is nothing to give back."""
