"""The verification sets that lie in a directory, each read when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from arcterm.formats.checksums import Checksums, read_checksums
from arcterm.formats.pairs import PairBin, read_pairs, set_files


class VerificationSets(Mapping[str, PairBin]):
    """Every ``*.bin`` of a directory by name, in alphabetical order; looking one up raises `DataError`.

    So it does where the directory has checksums and the file isn't what it was.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._paths = {path.stem: path for path in set_files(directory)}
        self._read: dict[str, PairBin] = {}

    def __getitem__(self, name: str) -> PairBin:
        if name not in self._read:
            self._read[name] = self.read(name)
        return self._read[name]

    def read(self, name: str) -> PairBin:
        """One set, not kept; raises `DataError`."""
        if self._checksums is not None:
            self._checksums.check_file(self._paths[name].name)
        return read_pairs(self._paths[name])

    @cached_property
    def _checksums(self) -> Checksums | None:
        return read_checksums(self._directory)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def pair_counts(directory: Path) -> dict[str, int]:
    """Pairs of every set in `directory`, each file read and let go; raises `DataError` for a broken one."""
    sets = VerificationSets(directory)
    return {name: len(sets.read(name).same) for name in sets}
