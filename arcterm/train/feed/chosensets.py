"""A data set with the verification sets that were chosen, less those that were set aside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
from arcterm_registry.contracts import FaceDataset, LabelledDataset, PairSet, Record
from numpy.typing import NDArray


class _Sets(Mapping[str, PairSet]):
    """The `sets` whose names aren't in `without`, in their order."""

    def __init__(self, sets: Mapping[str, PairSet], without: Collection[str]) -> None:
        self._sets = sets
        self._names = [name for name in sets if name not in without]

    def __getitem__(self, name: str) -> PairSet:
        if name not in self._names:
            raise KeyError(name)
        return self._sets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Faces:
    """The records of a data set (see `contracts.FaceDataset`)."""

    def __init__(self, whole: FaceDataset, sets: Mapping[str, PairSet]) -> None:
        self._whole = whole
        self.classes = whole.classes
        self.verification = sets

    def __len__(self) -> int:
        return len(self._whole)

    def __getitem__(self, index: int) -> Record:
        return self._whole[index]


class _LabelledFaces(_Faces):
    """The same for a data set that knows its labels (see `contracts.LabelledDataset`)."""

    def labels(self, progress: Callable[[int, int], object]) -> NDArray[np.int64]:
        assert isinstance(self._whole, LabelledDataset)
        return self._whole.labels(progress)


def with_sets(whole: FaceDataset, sets: Mapping[str, PairSet], without: Collection[str] = ()) -> FaceDataset:
    """Return the records of `whole` with the verification `sets`, but for those named in `without`."""
    if sets is whole.verification and not without:
        return whole
    return (_LabelledFaces if isinstance(whole, LabelledDataset) else _Faces)(whole, _Sets(sets, without))
