"""What a loaded factory gives: the protocols that the trainer relies on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
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
    """A verification set: images 2i and 2i+1 are pair i."""

    @property
    def images(self) -> Sequence[Image]:
        """Encoded images or uint8 RGB arrays, two a pair."""

    @property
    def same(self) -> NDArray[np.bool_]:
        """(P,) bool: whether pair i shows one person."""


class FaceDataset(Protocol):
    """What a dataset factory returns: records by index, the class count, verification sets by name."""

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


class Margin(Protocol):
    """What a loss factory returns: how the target logit differs from the others.

    The head multiplies what `target` returns by `scale`. With `normalized` the logits are cosines of
    normalised weights and features, else plain products plus, with `bias`, a bias per class.
    """

    @property
    def normalized(self) -> bool:
        """Whether weights and features are L2-normalised."""

    @property
    def bias(self) -> bool:
        """Whether each class has a bias."""

    @property
    def scale(self) -> float:
        """Factor s of all logits."""

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        """Target cosines `t` (B,) and feature norms (B,) at `step` → what replaces the target cosine (B,)."""


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What can be said of a dataset before anything is launched.

    `fingerprint` identifies the content (hex digest of the index), `verification` maps a set's name to
    its number of pairs, `image_size` is (height, width), `problems` are sentences for a person.
    """

    images: int
    classes: int
    image_size: tuple[int, int]
    fingerprint: str
    verification: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


class LauncherFactory(Protocol):
    """What a launcher's factory returns."""

    def submit(self, run: Any) -> str:
        """Start the run in a process of its own and return the engine's id for it."""
