"""Leaving people out of a data set: those with few images, and those that a file names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from arcterm_registry.contracts import DatasetFacts, FaceDataset, Record
from numpy.typing import NDArray

from arcterm.datasets.sameness import joined
from arcterm.errors import DataError
from arcterm.progress import Progress, unheard

_LARGEST = 1 << 28  # bytes of a list of people


class FaceSource(FaceDataset, Protocol):
    """A `contracts.LabelledDataset` of ours: it also has facts, and finds a person by name."""

    def labels(self, progress: Progress) -> NDArray[np.int64]:
        """(N,) int64: the label of each record."""

    def facts(self, progress: Progress) -> DatasetFacts:
        """Inspect some of the images and all verification sets; raises `DataError`.

        `progress` counts the images of each set that must be decoded for it.
        """

    def class_of(self, identity: str) -> int | None:
        """The label of a person as `drop` names one; None if there is no such person."""


class Filtered:
    """The records of some people of `source`, who are numbered anew without gaps.

    `index` (N,) int64 are their records, `number` (C,) int64 the new labels of all classes, -1 for those left
    out; `problems` say in words who is left out, `settings` are part of the fingerprint.
    """

    def __init__(
        self,
        source: FaceSource,
        labels: NDArray[np.int64],
        chosen: NDArray[np.bool_],
        problems: tuple[str, ...],
        settings: bytes,
    ) -> None:
        self._source, self._problems, self._settings = source, problems, settings
        self._index = np.flatnonzero(chosen[labels])
        self._number = np.where(chosen, np.cumsum(chosen) - 1, -1)
        self._labels = self._number[labels[self._index]]
        self.classes = int(chosen.sum())
        self.verification = source.verification

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Record:
        """Record `index` with its new label; raises `DataError`."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        record = self._source[int(self._index[index])]
        label = int(self._labels[index])
        if self._number[record.label] != label:
            raise DataError(
                f"{record.source} has label {record.label}, which its identity record doesn't have",
                "pack the images again",
            )
        return record._replace(label=label)

    def labels(self, progress: Progress) -> NDArray[np.int64]:
        """(N,) int64: the new label of each record."""
        return self._labels

    def facts(self, progress: Progress) -> DatasetFacts:
        """The facts of the whole, with the counts of those who are chosen; raises `DataError`."""
        whole = self._source.facts(progress)
        earlier = hashlib.sha256(whole.earlier[0].encode() + b"\n" + self._settings)
        return replace(
            whole,
            images=len(self),
            classes=self.classes,
            fingerprint=joined([whole.fingerprint], self._settings),
            earlier=(earlier.hexdigest(),),
            problems=(*whole.problems, *self._problems),
        )

    def class_of(self, identity: str) -> int | None:
        """The new label of a person; None for who is left out or unknown."""
        label = self._source.class_of(identity)
        return None if label is None or self._number[label] < 0 else int(self._number[label])


def choose(source: FaceSource, min_images: int, drop: str, progress: Progress | None = None) -> FaceSource:
    """`source` without the people in the file `drop` and those with fewer than `min_images`.

    It is `source` itself where neither is asked for. Raises `DataError` if nobody is left, and for a file
    that can't be read or names an unknown person.
    """
    if not min_images and not drop:
        return source
    dropped = _dropped(Path(drop).expanduser(), source) if drop else np.zeros(source.classes, np.bool_)
    labels = source.labels(progress or unheard)
    counts = np.bincount(labels, minlength=source.classes)
    few = (counts < min_images) & ~dropped
    problems = []
    for left_out, why in (
        (dropped, f"named in {Path(drop).name}"),
        (few, f"with fewer than {min_images} images"),
    ):
        if left_out.any():
            problems.append(
                f"{left_out.sum()} of {source.classes} people {why} are left out "
                f"({counts[left_out].sum()} images)"
            )
    chosen = ~(dropped | few)
    if not counts[chosen].sum():
        raise DataError(f"nobody is left: {'; '.join(problems)}", _remedy(min_images, drop))
    settings = b"%d\n" % min_images + np.flatnonzero(dropped).astype("<i8").tobytes()
    return Filtered(source, labels, chosen, tuple(problems), settings)


def inspect(source: FaceSource, min_images: int, drop: str, progress: Progress | None = None) -> DatasetFacts:
    """Facts of what `choose` gives; raises `DataError`."""
    progress = progress or unheard
    facts = choose(source, min_images, drop, progress).facts(progress)
    if facts.verification:
        return facts
    that = " that can be used" if facts.set_aside else ""
    problem = f"there is no verification set (*.bin){that} beside the images: accuracy can't be measured"
    return replace(facts, problems=(problem, *facts.problems))


def number_of(identity: str, classes: int) -> int | None:
    """The class that the text `identity` is the number of; None if it is no number below `classes`."""
    if not (identity.isascii() and identity.isdigit() and len(identity) <= 18):
        return None
    label = int(identity)
    return label if label < classes else None


def _dropped(path: Path, source: FaceSource) -> NDArray[np.bool_]:
    """(C,) bool: who is named in the file `path`, one a line; empty lines are passed over."""
    found = np.zeros(source.classes, np.bool_)
    for line, identity in _lines(path):
        label = source.class_of(identity)
        if label is None:
            raise DataError(
                f"{path} line {line}: there is nobody called {identity[:60]!a} in the data set",
                "name one person a line: a label number, a name in a pack's labels.txt, a folder's directory",
            )
        found[label] = True
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        if not path.is_file():
            raise DataError(f"{path} is not a file", "give --set dataset.drop a text file of people")
        if path.stat().st_size > _LARGEST:
            raise DataError(
                f"{path} is too large for a list of people", f"at most {_LARGEST:,} bytes are read"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "change --set dataset.drop") from None
    except ValueError:
        raise DataError(f"{path} is not a text in UTF-8", "change --set dataset.drop") from None
    for number, line in enumerate(text.split("\n"), 1):
        if identity := line.strip():
            yield number, identity


def _remedy(min_images: int, drop: str) -> str:
    options = [name for name, asked in (("min_images", min_images), ("drop", drop)) if asked]
    return f"change --set {' or '.join(f'dataset.{name}' for name in options)}"
