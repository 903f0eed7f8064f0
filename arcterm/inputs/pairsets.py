"""From text to verification sets: files and folders of them, and the choice of some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arcterm_registry.contracts import PairSet

from arcterm.errors import ConfigError, DataError
from arcterm.formats.pairs.binfile import set_files
from arcterm.formats.pairs.setfiles import SetFiles, set_name

OWN = "all"
"""Among chosen sets: all of the data set's own."""


class _Chosen(Mapping[str, PairSet]):
    """Some sets of a data set, by their names, and sets of files."""

    def __init__(self, own: Mapping[str, PairSet], names: Sequence[str], files: SetFiles) -> None:
        self._own, self._names, self._files = own, names, files

    def __getitem__(self, name: str) -> PairSet:
        return self._files[name] if name in self._files else self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._names, *self._files])

    def __len__(self) -> int:
        return len(self._names) + len(self._files)


def find(places: Sequence[Path], taken: Sequence[str] = ()) -> SetFiles:
    """Find the sets at `places`, each a ``.bin`` file, a pack or another folder that holds some.

    A set is called as its file; one whose name is `taken`, by its folder too. Raises `DataError` naming all
    places where there is none.
    """
    found: dict[str, Path] = {}
    empty = []
    for place in places:
        if place.is_dir():
            files = set_files(place)
        else:
            files = [place] if place.suffix in (".bin", ".xz") and place.exists() else []
        if not files:
            empty.append(_why_none(place))
        for file in files:
            found.setdefault(_name(file, [*taken, *found], found), file)
    if empty:
        raise DataError(
            "; ".join(empty),
            "give a .bin file, or a folder that holds some; `arcterm data bin FOLDER SET.bin` makes one",
        )
    return SetFiles(found)


def beside(file: Path) -> list[Path]:
    """The sets in the directory of a model file and in the folders there, at most 100."""
    folders = [file.parent, *sorted(path for path in file.parent.glob("*/") if not path.name.startswith("."))]
    return [path for folder in folders[:1000] for path in set_files(folder)][:100]


def choose(own: Mapping[str, PairSet], text: str) -> Mapping[str, PairSet]:
    """The sets that `text` names: those of a data set (`own`), and files and folders; all of `own` if empty.

    Names and paths are separated by commas. Raises `ConfigError` for what is neither.
    """
    if not text:
        return own
    names, places = split(text, list(own))
    return _Chosen(own, names, find(places, names))


def split(text: str, own: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Split `text` into names of a data set's sets and paths of others; raises `ConfigError`."""
    names: list[str] = []
    places: list[Path] = []
    unknown = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part == OWN and part not in own:
            names += [name for name in own if name not in names]
        elif part in own:
            names += [part] * (part not in names)
        elif "/" in part or part.endswith(".bin") or Path(part).expanduser().exists():
            places.append(Path(part).expanduser().absolute())
        else:
            unknown.append(part)
    if unknown:
        there = ", ".join(own) or "none"
        raise ConfigError(
            f"the data has no verification set {', '.join(map(repr, unknown))}; it has: {there}",
            "write one of these names, all, or the path of a .bin file",
        )
    return names, places


def _name(file: Path, taken: Sequence[str], found: Mapping[str, Path]) -> str:
    """A name for a set that no other file has."""
    name = set_name(file)
    folder = file.resolve().parent
    while name in taken and found.get(name) != file and folder.name:
        name, folder = f"{folder.name}/{name}", folder.parent
    return name


def _why_none(place: Path) -> str:
    if not place.exists():
        return f"there is no {place}"
    if place.is_dir():
        return f"{place} holds no .bin file"
    return f"{place} is no .bin file"
