"""Several verification sets, each of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from arcterm.formats.pairs.binfile import PairBin, read_pairs
from arcterm.formats.recordio.checksums import Checksums, read_checksums


class SetFiles(Mapping[str, PairBin]):
    """Verification sets by name, each read when it is first looked up, which raises `DataError`.

    So it does where the set's directory has checksums and the file isn't what it was.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths = dict(paths)
        self._read: dict[str, PairBin] = {}
        self._checksums: dict[Path, Checksums | None] = {}

    def __getitem__(self, name: str) -> PairBin:
        if name not in self._read:
            self._read[name] = self.read(name)
        return self._read[name]

    def read(self, name: str) -> PairBin:
        """Read one set and don't keep it; raises `DataError`."""
        path = self.paths[name]
        if path.parent not in self._checksums:
            self._checksums[path.parent] = read_checksums(path.parent)
        if (sums := self._checksums[path.parent]) is not None:
            sums.check_file(path.name)
        return read_pairs(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def set_name(path: Path) -> str:
    """Name a set by its file; bytes that are no UTF-8 are written out, as JSON needs it."""
    return path.stem.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
