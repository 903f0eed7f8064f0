"""The protocols that the trainer relies on: what loaded factories return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Image = bytes | memoryview | NDArray[np.uint8]


class Record(NamedTuple):
    """One training image: encoded bytes or uint8 RGB (H, W, 3), its class, and where it lies.

    `source` names the file and key for a message, e.g. ``train.rec key 17 at byte 40216``.
    """

    image: Image
    label: int
    source: str


class PairSet(Protocol):
    """A verification set: images 2i and 2i+1 are pair i.

    It may have `groups` too, a list of P texts: a verification then scores each group of pairs by itself.
    """

    @property
    def images(self) -> Sequence[Image]:
        """Encoded images or uint8 RGB arrays, two a pair."""

    @property
    def same(self) -> NDArray[np.bool_]:
        """(P,) bool: whether pair i shows one person."""


class FaceDataset(Protocol):
    """A data set, as its factory returns it: records by index, the class count, verification sets by name."""

    @property
    def classes(self) -> int:
        """Number of identities; labels are 0 … classes - 1."""

    @property
    def verification(self) -> Mapping[str, PairSet]:
        """Verification sets by name, in the order in which they are reported."""

    def __len__(self) -> int:
        """Number of training records."""

    def __getitem__(self, index: int) -> Record:
        """Record `index`, 0-based. Called from several threads. Raises an error that names the record."""


@runtime_checkable
class LabelledDataset(FaceDataset, Protocol):
    """A dataset that also knows its labels without its images being read.

    That is optional. A loss that chooses images by person needs all labels before the first step; of another
    dataset every record is read once to learn them.
    """

    def labels(self, progress: Callable[[int, int], object]) -> NDArray[np.int64]:
        """(N,) int64: the label of each record; `progress` may be called with (done, total) on the way."""


class Margin:
    """A classification loss, as its factory returns it; subclass it and override what differs.

    The head owns the class weights, streams over them and never holds all logits. For an image of class y it
    forms c_j = x̂·Ŵ_j, cosines of normalised features and weights, and from them the logits
    z_y = scale · target(c_y) and z_j = scale · negatives(c_j). The loss is -log softmax(z)_y, or, with
    `reduction` ``"sum"``, positive_weight · log(1 + exp(-z_y)) + negative_weight · Σ log(1 + exp(z_j)).
    A loss that learns or remembers something is also a `torch.nn.Module`: its parameters are trained, its
    buffers are saved, and both are the same on every rank.
    """

    scale: float | Tensor = 64.0
    """Factor s of all logits."""
    normalized_weights: bool = True
    """False: raw weights W_j in place of Ŵ_j."""
    normalized_features: bool = True
    """False: raw features x; with normalised weights c stays a cosine and the logits are ‖x‖·scale·c."""
    bias: bool = False
    """Whether each class has a learned bias, added to c."""
    centers: int = 1
    """Weight rows per class (sub-centres): c_j is the largest of them, and only that one learns."""
    class_parameters: Mapping[str, tuple[float, float]] = MappingProxyType({})
    """Learned numbers of each class: name → (low, high) of their uniform initial values."""
    reduction: Literal["logsumexp", "sum"] = "logsumexp"
    positive_weight: float = 1.0
    negative_weight: float = 1.0

    def prepare(self, classes: int, seed: int) -> None:
        """Called once before training: `classes` take part in a step, `seed` is the run's."""

    def survey(self, tile: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """Return what to sum over all other classes before the logits are formed, without gradient.

        `tile` (B, n) are some classes' c_j and `t` (B, 1) the targets'; returns tensors (B, n).
        """
        return ()

    def observe(self, t: Tensor, norm: Tensor, step: int, sums: tuple[Tensor, ...]) -> None:
        """Called once a step before `target`, without gradient, with the whole batch's `t` and `norm` (B,).

        A step that accumulates gradients calls it for each of its parts, with that part's images. `sums`
        holds a (B,) tensor for each of `survey`'s. The place to update what the loss remembers: rows and
        values are the same on every rank and for every number of ranks.
        """

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        """Target cosines `t` and feature norms `norm` (B,) of the whole batch → what replaces t (B,).

        Ordinary autograd gives the gradient. Row i is image i of the global batch whatever the number of
        ranks, so what is random must follow from (seed, step, row).
        """
        return t

    def own_target(self, t: Tensor, norm: Tensor, step: int, own: Mapping[str, Tensor]) -> Tensor:
        """`target` for a loss with `class_parameters`: `own[name]` (B,) are those of the target classes."""
        return self.target(t, norm, step)

    def negatives(self, tile: Tensor, t: Tensor) -> Tensor:
        """Other classes' cosines `tile` (B, n) and the targets' `t` (B, 1) → what replaces `tile` (B, n).

        Elementwise in `tile`; ordinary autograd gives the gradient. Called once more in the backward pass.
        """
        return tile

    def penalty(self, norm: Tensor) -> Tensor | None:
        """Return what is added to each image's loss (B,), from the feature norms (B,)."""
        return None

    def class_penalty(self, own: Mapping[str, Tensor]) -> Tensor | None:
        """Return a loss of each class (n,), from its parameters (n,); the mean over classes is added."""
        return None


@dataclass(frozen=True, kw_only=True)
class Feeding:
    """The choice of a step's images for a `TupleLoss`.

    ``"triplets"``: bags of `bag` images, at most `images_per_identity` of a person, are embedded with the
    current weights and triplets mined in them; a batch is anchors, then their positives, then their
    negatives. ``"identities"``: a batch is `images_per_identity` images each of as many people as it has room
    for, person by person.
    """

    kind: Literal["triplets", "identities"]
    images_per_identity: int
    bag: int = 0


class TupleScores(NamedTuple):
    """The losses (T,) of the tuples in a batch, with gradient, and distances that are reported.

    `positive` and `negative` (T,) are squared L2 distances, 0..4, of an anchor's normalised embedding to
    those of an image of the same person and of another.
    """

    losses: Tensor
    positive: Tensor
    negative: Tensor


class TupleLoss:
    """A loss over embeddings alone, as the factory of form ``"tuples"`` returns it; subclass it.

    It has no parameters. Its declaration's `feeding` says how the images of a step are chosen.
    """

    def admits(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Mark the negatives that a pair may be mined with, for feeding ``"triplets"``.

        Squared L2 distances of normalised embeddings: `positive` (n, 1) between the two images of each pair,
        `negative` (n, m) from each pair's anchor to the images of others → bool (n, m).
        """
        return positive < negative

    def score(self, embeddings: Tensor, labels: Tensor, step: int) -> TupleScores:
        """Raw embeddings (B, D) and labels (B,) int64 of the global batch; the mean of the losses is trained.

        Called alike on every rank; ordinary autograd gives the gradient.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """The facts of a data set, known before anything is launched.

    `fingerprint` identifies the content (hex digest of the index), `verification` maps a set's name to
    its number of pairs, `image_size` is (height, width), `problems` are sentences for a person.
    `set_aside` maps a verification set that can't be used to the reason, in place of its entry in
    `verification`; None where `inspect` didn't decode the sets' images: arcterm then opens the data set and
    does. `earlier` are fingerprints of the same content by older ways of computing them: a run that was
    recorded with one of these is of this data.
    """

    images: int
    classes: int
    image_size: tuple[int, int]
    fingerprint: str
    verification: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    set_aside: Mapping[str, str] | None = None
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Lines in a diagram: for each name its points (x, y), x ascending; `x` and `y` name the axes.

    `log_x` has a logarithmic axis, on which a point at 0 has no place and is left out.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    log_x: bool = False


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """What a job gives: `lines` for a person, `data` (anything that JSON holds) for a script.

    `problems` counts what is wrong with the data that was looked at; a command that finds some ends with exit
    code 3. `result` is the path that was made, if one was; `reason` stands beside the run's state. `curves`
    are shown with it.
    """

    lines: list[str]
    data: dict[str, Any] = field(default_factory=dict)
    problems: int = 0
    result: str = ""
    reason: str = ""
    curves: Sequence[Curve] = ()


class JobContext(Protocol):
    """What a running job works with."""

    @property
    def threads(self) -> int:
        """How many threads it may keep busy."""

    @property
    def work(self) -> Path:
        """A directory of the job's own, which a resume finds again; it is removed when the job is done."""

    @property
    def world(self) -> Any:
        """A job's ranks: ``rank``, ``size``, ``first``, ``device``, ``gather(tensor)``; None without."""

    def progress(self, done: int, total: int, what: str, detail: str = "") -> bool:
        """Record that `done` of `total` is done of the phase `what`; call it between two items.

        Returns whether it was recorded, which happens a few times a second: a good moment to save a state. In
        one process it raises if the job was asked to stop: let it pass. Of several ranks the first records.
        """

    def agree(self) -> None:
        """Call it on every rank equally often: raises on all of them if the job was asked to stop."""

    def say(self, text: str, level: str = "info") -> None:
        """Show a message, ``"info"`` or ``"warning"``, to whoever watches."""


class Face(NamedTuple):
    """A face in an image, in its pixels; what reaches over the image's edges is kept.

    `box` (4,) float64 is x1, y1, x2, y2. `points` (5, 2) float64 are x and y of left eye, right eye, nose,
    left and right corner of the mouth, left and right as one sees them in the picture. `score` is 0..1.
    """

    box: NDArray[np.float64]
    points: NDArray[np.float64]
    score: float


class FaceDetector(Protocol):
    """A face detector, as its factory returns it."""

    def detect(
        self, images: Sequence[NDArray[np.uint8]], smallest: Sequence[int] | None = None
    ) -> list[list[Face]]:
        """Find the faces of each image, uint8 RGB (H, W, 3) of any size, the best score first.

        `smallest` has for each image the side in pixels of the smallest face that is wanted there, over the
        detector's own option. An image without a face gives an empty list. Called by one thread at a time.
        """


@runtime_checkable
class BoxedFaceDetector(FaceDetector, Protocol):
    """A detector that can also look for the landmarks of a face whose place is known."""

    def refine(self, image: NDArray[np.uint8], box: NDArray[np.float64]) -> Face | None:
        """Find the face in `box` (4,), x1, y1, x2, y2, however low its score; None if there is nothing."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A run that a launcher is to start: `command`, once on each of `hosts` machines, in the foreground.

    `run` is its id, `name` the name that it was given or empty, `folder` its directory, absolute and on
    storage that every host sees. Each host has `ranks` ranks, on `gpus` GPUs (0: on the CPU), with `threads`
    CPU threads each. `grace` are the seconds that a checkpoint may take after a SIGTERM. The command ends
    with 0 when the run is done, with 130 when it was stopped, with another code when it failed. None of the
    texts is safe in a shell: quote them.
    """

    run: str
    name: str
    folder: Path
    command: list[str]
    hosts: int
    ranks: int
    gpus: int
    threads: int
    grace: float


@dataclass(frozen=True, kw_only=True)
class EngineState:
    """The state of what was submitted.

    `reason` says in words why it waits or how it ended, `start` when it is expected to begin, seconds since
    1970. `hosts` are the machines that it has, `raw` is the engine's own word for the state.
    """

    state: Literal["queued", "running", "ended", "unknown"]
    reason: str = ""
    start: float | None = None
    hosts: Sequence[str] = ()
    raw: str = ""


class LauncherFactory(Protocol):
    """A launcher, as its factory returns it. What it raises is shown; "problem → next step" is its form.

    `check`, `describe` and `state` start and change nothing, and are called from any thread.
    """

    def check(self, submission: Submission) -> list[str]:
        """Return the problems of a submission, in words, before its run is made."""

    def describe(self, submission: Submission) -> str:
        """Return what would be handed in, as ``--dry-run`` prints it."""

    def submit(self, submission: Submission) -> str:
        """Hand a run in; return the engine's id for it. Raises if the engine does not take it."""

    def state(self, ids: Sequence[str]) -> Mapping[str, EngineState]:
        """Return the state of each of the ids: ``unknown`` for one that the engine does not have."""

    def stop(self, id: str, *, at_once: bool) -> None:
        """Take a waiting run back; end one that runs: after its grace time, or `at_once`."""

    def logs(self, id: str) -> list[Path]:
        """Return the files that the engine writes about it, those that are there."""


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """The training that a tracker receives the numbers of.

    `config` holds its settings as in ``run.json``, `folder` is its directory, `work` a directory in that one
    for the tracker's own files, the same at every resume. `step` is the last step that was flushed, -1 at
    first: a tracker that can rewind forgets what it may have of later ones.
    """

    id: str
    name: str
    command: str
    config: Mapping[str, Any]
    folder: Path
    work: Path
    step: int = -1


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something about a run that a person may want to hear at once; `text` says it in a sentence.

    `kind` is ``"done"``, ``"stopped"``, ``"failed"``, ``"nan"`` (a loss or gradient that is no number),
    ``"stalled"`` (no progress, a relaunch, or the supervisor is gone), ``"paused"`` (its disk is full) or
    ``"best"`` (the best verification so far). `t` is the time, seconds since 1970.
    """

    kind: str
    text: str
    step: int
    t: float


class RunTracker:
    """A tracker at work, as its factory returns it; subclass it and override what differs.

    It lives in a process of its own and may take its time, raise or hang: the training never waits for it.
    After an exception it is made anew and given again what was not flushed; a call that takes two minutes
    ends the process.
    """

    rewinds: bool = False
    """Whether `rewind` is there. A tracker without it never gets a value of a step that it had before."""

    def log(self, step: int, t: float, values: Mapping[str, float]) -> None:
        """Take the `values` of `step`, written at `t` (seconds since 1970), by name, e.g. ``train/loss``.

        Values may be NaN or infinite. Several calls may be of one step; each name comes once a step.
        """

    def rewind(self, step: int) -> None:
        """Forget all values of steps after `step`: a resume goes on from there."""

    def notify(self, notice: Notice) -> None:
        """Take a notice, which comes once."""

    def flush(self) -> None:
        """Make durable what was given; called about once a second while there is something."""

    def close(self, state: str) -> None:
        """End, flushed: the run is in `state`, e.g. ``"done"``, ``"failed"`` or ``"stopped"``.

        Called before a retry too, with ``"running"``. A resume makes another tracker, which goes on.
        """
