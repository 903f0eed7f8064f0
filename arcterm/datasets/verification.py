"""The verification sets that lie in a directory, each read when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from arcterm.formats.pairs import PairBin, read_pairs


class VerificationSets(Mapping[str, PairBin]):
    """Every ``*.bin`` of a directory by name, in alphabetical order; looking one up raises `DataError`."""

    def __init__(self, directory: Path) -> None:
        self._paths = {path.stem: path for path in sorted(directory.glob("*.bin")) if path.is_file()}
        self._read: dict[str, PairBin] = {}

    def __getitem__(self, name: str) -> PairBin:
        if name not in self._read:
            self._read[name] = read_pairs(self._paths[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def pair_counts(directory: Path) -> dict[str, int]:
    """Pairs of every set in `directory`, each file read and let go; raises `DataError` for a broken one."""
    sets = VerificationSets(directory)
    return {name: len(read_pairs(directory / f"{name}.bin").same) for name in sets}
