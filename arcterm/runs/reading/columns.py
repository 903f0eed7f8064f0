"""Columns of numbers that grow at their end while others look at them; without NumPy, as the run list is."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

_LEAST, _MUCH = 64, 1 << 18
Number = TypeVar("Number", int, float)


class GrowingColumn(Sequence[Number]):
    """A column of numbers of the type `code` of `array`. ``np.asarray(column)`` is a view without a copy.

    What a view shows never changes: `extend` and `append` write beyond it, and `cut` goes on in new memory.
    """

    __slots__ = ("_data", "_size", "code", "version")

    def __init__(self, code: Literal["q", "d", "f"]) -> None:
        self.code = code
        self.version = 0  # another one after each change
        self._size = 0
        self._data: memoryview[Any] = memoryview(array(code))

    def append(self, value: Number) -> None:
        if self._size == len(self._data):
            self._move(self._size + 1)
        self._data[self._size] = value
        self._size += 1
        self.version += 1

    def extend(self, values: array[Number]) -> None:
        """Append an array of the same type."""
        end = self._size + len(values)
        if end > len(self._data):
            self._move(end)
        self._data[self._size : end] = memoryview(values)
        self._size = end
        self.version += 1

    def cut(self, size: int) -> None:
        """Keep the first `size` numbers."""
        if size < self._size:
            self._size = size
            self._move(size)
            self.version += 1

    def _move(self, size: int) -> None:
        """Go on in new memory with room for more than `size` numbers; views keep the old.

        Much of it is asked of the system itself, where what is not written to is not there yet.
        """
        held = self._data[: min(self._size, size)]
        item = self._data.itemsize
        if size * item < _MUCH:
            self._data = memoryview(array(self.code, bytes(item * max(2 * size, _LEAST))))
        else:
            self._data = memoryview(mmap.mmap(-1, 4 * size * item)).cast(self.code)
        self._data[: len(held)] = held

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Number: ...
    @overload
    def __getitem__(self, index: slice) -> array[Number]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return array(self.code, self._data[: self._size][index].tobytes())
        if not -self._size <= index < self._size:
            raise IndexError(index)
        return self._data[index if index >= 0 else self._size + index]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        import numpy as np

        view: NDArray[Any] = np.frombuffer(self._data, self.code)[: self._size]
        return view.astype(dtype, copy=bool(copy)) if dtype is not None else view.copy() if copy else view
