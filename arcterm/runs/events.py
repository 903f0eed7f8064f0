"""The events of a run, and the line of JSON that each becomes.

A line is one JSON object whose last key, ``crc``, is the CRC-32 of every byte before it. JSON has no NaN:
a number that is not finite is written as the text ``"nan"``, ``"inf"`` or ``"-inf"``.
"""

from __future__ import annotations

import math
import time
import zlib
from typing import get_args

import msgspec

Real = float | str
"""A number that may be ``"nan"``, ``"inf"`` or ``"-inf"``; ``float()`` reads all of them."""


METRICS = ("loss", "accuracy", "angle", "lr", "gradient_norm", "images_per_second", "data_wait")
"""The numbers of a `Step` that are curves."""


class Event(msgspec.Struct, kw_only=True, tag_field="k", omit_defaults=True):
    """`t` is the time of writing, seconds since 1970 (UTC)."""

    t: float = 0.0


class Start(Event, tag="start"):
    """A rank is up. `step` is the step it goes on from; `device` its processor's name."""

    rank: int
    world_size: int
    host: str
    pid: int
    device: str
    step: int
    steps: int


class Phase(Event, tag="phase"):
    """The run's current activity: `done` of `total` where that can be counted."""

    phase: str
    detail: str = ""
    done: int = 0
    total: int = 0


class Step(Event, tag="step"):
    """One optimizer step, over the global batch.

    `accuracy` is the share of images whose margin-free logit of the right class is the largest, `angle` the
    mean angle to the right class's weight in degrees, `data_wait` the share of the step's time spent waiting
    for images, None where it is unknown, `times` milliseconds by phase. For a loss of triplets `accuracy` is
    the share whose positive is nearer than the negative, `angle` that between anchor and positive, `active`
    the share with a loss.
    `skipped`: loss or gradient was no number, and no weight was updated. `overflow`: none was either, since
    gradients × `gradient_scale` were too large for float16; the next ones are multiplied by less.
    `teacher` is the mean of 1 - cosine to the embeddings of a teacher, where there is one; `loss` is without
    it.
    `margin` and `scale` are those of the loss in this step, where they follow a schedule. `gradient_norm` is
    the L2 norm of the backbone's gradient, averaged over the ranks, before it is clipped; None where the
    backbone is frozen.
    """

    step: int
    epoch: int
    loss: Real
    accuracy: Real
    angle: Real
    lr: float
    images_per_second: float
    samples: int
    data_wait: float | None = None
    times: dict[str, float] = {}
    active: float | None = None
    skipped: bool = False
    overflow: bool = False
    gradient_scale: float | None = None
    teacher: float | None = None
    margin: float | None = None
    scale: float | None = None
    gradient_norm: Real | None = None


class Mined(Event, tag="mined"):
    """Triplets were mined with the weights of a step, for the `steps` steps that follow.

    Of `images` images in `bags` bags, `pairs` show one person and `triplets` of them got a negative.
    """

    step: int
    round: int
    bags: int
    images: int
    pairs: int
    triplets: int
    steps: int
    seconds: float


class Rate(msgspec.Struct, frozen=True):
    """The true-accept rate `tar` of a set at a false-accept rate of at most `far`, over all of its pairs.

    Two images count as one person below `threshold`, a squared L2 distance.
    """

    far: float
    tar: float
    threshold: float


class Verify(Event, tag="verify", omit_defaults=False):
    """The score of one verification set at a step; accuracies are fractions.

    `tar` is TAR@FAR=1e-3, `threshold` the mean squared-L2 threshold of the folds for the best accuracy,
    `far_threshold` that for the FAR, `xnorm` the mean length of an embedding. All but the last are None where
    they would say nothing; `withheld` says why. `collapse` says how the network has collapsed, if it has.
    `rates` are at the false-accept rates that the set has enough pairs of two people for, without folds.
    """

    step: int
    set: str
    pairs: int
    accuracy: float | None
    std: float | None
    xnorm: Real
    tar: float | None = None
    threshold: float | None = 0.0
    far_threshold: float | None = None
    withheld: str = ""
    collapse: str = ""
    seconds: float = 0.0
    rates: list[Rate] = []

    @property
    def score(self) -> str:
        """``0.9962 ± 0.0031``; a dash where it is withheld."""
        return "–" if self.accuracy is None or self.std is None else f"{self.accuracy:.4f} ± {self.std:.4f}"

    @property
    def line(self) -> str:
        """The result in words."""
        scored = f"{self.set} {self.score}  XNorm {float(self.xnorm):.2f}"
        if self.threshold is None:
            return f"{scored}  TAR@1e-3 –  threshold –  ({self.withheld or 'withheld'})"
        tar = "" if self.tar is None else f"  TAR@1e-3 {self.tar:.4f}"
        why = f"  ({self.collapse})" if self.collapse else ""
        return f"{scored}{tar}  threshold {self.threshold:.3f}{why}"


class Checkpoint(Event, tag="checkpoint"):
    """A checkpoint was committed; `name` is its directory under ``ckpt/``, `reason` why it was taken.

    Writing it took `seconds`, for `waited` of which no step was made; None in older versions.
    """

    step: int
    name: str
    bytes: int
    seconds: float
    reason: str
    waited: float | None = None


class MxnetFile(Event, tag="mxnet"):
    """MXNet's files of a verification were written: `path` is its ``PREFIX-0007.params``, `round` the 7."""

    step: int
    round: int
    path: str
    bytes: int
    seconds: float


class Skipped(Event, tag="skipped"):
    """A training record that can't be used was met for the first time in the run, and another took its place.

    `source` names it, `reason` says what is wrong; `count` of the data set's `total` records are out by now.
    """

    rank: int
    index: int
    source: str
    reason: str
    count: int
    total: int


class Gpu(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One GPU as NVML describes it; a field the driver does not answer is None.

    Utilisation and memory use in percent and bytes, temperature in °C, power in watts, clock in MHz.
    """

    index: int
    name: str
    uuid: str = ""
    utilisation: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: float | None = None
    power: float | None = None
    power_limit: float | None = None
    clock: float | None = None


class Gpus(Event, tag="gpus"):
    """All GPUs of a host, by its first rank; `note` says why there are none."""

    host: str
    gpus: list[Gpu] = []
    note: str = ""


class Rank(Event, tag="rank"):
    """A rank's own use: `cpu` in percent of one core, `memory` resident bytes.

    `gpu_peak` is the most bytes of its GPU that PyTorch has held, for tensors or for later ones; 0 on a CPU.
    `times` are milliseconds a step, the mean since the last report, of what a rank does without waiting for
    others: ``data``, until it has its images, and ``forward``, through the backbone. Of all other phases
    the collectives make the same on all ranks, however long one of them lets the others wait. `host` is the
    name of its host where the run has several.
    """

    rank: int
    cpu: float
    memory: int
    gpu_peak: int = 0
    times: dict[str, float] = {}
    host: str = ""


class Message(Event, tag="message"):
    """A message for the user; `level` is info, warning or error."""

    level: str
    text: str


class End(Event, tag="end"):
    """The rank leaves in good order: `reason` is done or stopped."""

    reason: str
    step: int


AnyEvent = (
    Start | Phase | Step | Mined | Verify | Checkpoint | MxnetFile | Skipped | Gpus | Rank | Message | End
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_CRC = b',"crc":"'


def real(value: float) -> Real:
    """Return `value`, or its name where JSON has no number for it."""
    return value if math.isfinite(value) else str(value)


def encode(event: Event) -> bytes:
    """Return the event's line, with the current time unless it has one."""
    event.t = event.t or time.time()
    try:
        body = _encoder.encode(event)[:-1]
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        for key in event.__struct_fields__:
            if isinstance(text := getattr(event, key), str):
                setattr(event, key, text.encode("utf-8", "replace").decode())
        body = _encoder.encode(event)[:-1]
    return b'%s%s%08x"}\n' % (body, _CRC, zlib.crc32(body))


KINDS = tuple(str(kind.__struct_config__.tag) for kind in get_args(AnyEvent))
"""The kinds of events, as ``k`` has them in a line."""


def decode(line: bytes) -> AnyEvent | None:
    """Decode a complete line; return None if its CRC is wrong or it is no event."""
    body, found, rest = line.rpartition(_CRC)
    if not found or rest.rstrip(b"\n") != b'%08x"}' % zlib.crc32(body):
        return None
    try:
        return _decoder.decode(body + b"}")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def problem(line: bytes) -> str:
    """Return why `decode` gave None for a line: what a reader counts such lines by."""
    body, found, rest = line.rpartition(_CRC)
    if not found:
        return "without a checksum"
    return (
        "with a wrong checksum"
        if rest.rstrip(b"\n") != b'%08x"}' % zlib.crc32(body)
        else "of an unknown kind"
    )
