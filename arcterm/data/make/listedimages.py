"""The image files that a list of pairs means, found below a folder and nowhere else."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from arcterm.errors import DataError
from arcterm.formats.pairs.pairlines import ListedPair
from arcterm.formats.pairs.pairlists import PairList
from arcterm.formats.people import IMAGE_TYPES

_NAMED = 20


class Located(NamedTuple):
    """The files of all pairs, two a pair, as real paths, and what was left out before the paths of a list."""

    files: list[Path]
    dropped: str


def locate(folder: Path, listed: PairList, missing: Path) -> Located:
    """Find the files of all pairs below `folder`.

    A path that begins with ``/`` is of another machine: the longest end of it that is a file here is meant,
    and the beginning that this leaves out must be the same for all. Raises `DataError` for one that lies
    elsewhere or isn't clear, and, naming them, for those that aren't there: their whole list is then in the
    file `missing`.
    """
    finder = _Finder(folder)
    found: dict[str, Path | None] = {}
    lines: dict[str, str] = {}
    for pair in listed.pairs:
        for name in _sides(pair):
            if name not in found:
                found[name] = finder.by_name(name) if listed.by_name else finder.by_path(name)
                lines[name] = pair.place
    lost = [name for name, path in found.items() if path is None]
    if lost:
        missing.write_text("".join(f"{name}\t{lines[name]}\n" for name in lost), encoding="utf-8")
        names = ", ".join(f"{name} ({lines[name]})" for name in lost[:_NAMED])
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        from_zero = listed.by_name and any(name.endswith("_0000") for name in lost)
        raise DataError(
            f"{folder} lacks {len(lost)} of the {len(found)} images that the list names: {names}{more}",
            f"the list counts images from 0, LFW's lists from 1: add 1 to each number; all names: {missing}"
            if from_zero
            else "add them, or take their pairs off the list knowing that its folds shift; "
            f"all names: {missing}",
        )
    files = [path for pair in listed.pairs for name in _sides(pair) if (path := found[name])]
    return Located(files, finder.dropped(lines))


def real_path(path: Path, root: Path) -> Path:
    """`path` with its links followed; raises `DataError` if that leads out of the real directory `root`."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} can't be read: {error}", "remove the link, or mend it") from None
    if not real.is_relative_to(root):
        raise DataError(
            f"{path} is a link that leads out of {root}, to {real}",
            "copy the image there, or give the folder that holds them all",
        )
    return real


class _Finder:
    """Looks each person's folder through once."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(
                f"{folder} is not a directory", "give the folder that holds the images of the list"
            )
        self._folder = folder
        self._root = folder.resolve()
        self._people: dict[str, dict[str, list[Path]]] = {}
        self._dropped: dict[str, str] = {}  # beginnings of paths, each with a path

    def by_path(self, name: str) -> Path | None:
        """The file `name` below the folder; a bare ``person_0001.jpg`` may be in that person's folder."""
        if name.startswith("/"):
            return self._by_tail(PurePosixPath(name))
        path = self._folder / name
        person = path.stem.rpartition("_")[0]
        if "/" not in name and person and not _is_file(path):
            path = self._folder / person / name
        if _is_file(path):
            return real_path(path, self._root)
        return None if path.suffix.lower() in IMAGE_TYPES else self.by_name(name)

    def by_name(self, name: str) -> Path | None:
        """The image ``person/person_0001`` with whatever ending of an image it has."""
        person, _, stem = name.rpartition("/")
        if person not in self._people:
            self._people[person] = self._listed(person)
        files = self._people[person].get(stem, [])
        if len(files) > 1:
            raise DataError(f"{files[0]} and {files[1].name} could both be meant", "remove one of them")
        return real_path(files[0], self._root) if files else None

    def dropped(self, lines: dict[str, str]) -> str:
        """The beginning that all paths of another machine have; raises `DataError` if there are several."""
        if len(self._dropped) > 1:
            (one, first), (other, second) = list(self._dropped.items())[:2]
            raise DataError(
                f"{first} ({lines[first]}) is in {self._folder} without {one}, "
                f"{second} ({lines[second]}) without {other}",
                "give the folder that all of the list's paths lead to, or write them from there",
            )
        return next(iter(self._dropped), "")

    def _by_tail(self, path: PurePosixPath) -> Path | None:
        """The file by the longest end of a path of another machine, which begins with ``/``."""
        parts = path.parts[1:]
        for start in range(len(parts)):
            found = self._folder.joinpath(*parts[start:])
            if _is_file(found):
                self._dropped.setdefault("/" + "/".join(parts[:start]), str(path))
                return real_path(found, self._root)
        return None

    def _listed(self, person: str) -> dict[str, list[Path]]:
        directory = self._folder / person
        files: dict[str, list[Path]] = {}
        for file in sorted(directory.iterdir()) if directory.is_dir() else ():
            if file.suffix.lower() in IMAGE_TYPES and file.is_file():
                files.setdefault(file.stem, []).append(file)
        return files


def _is_file(path: Path) -> bool:
    """Return whether a path of a list is a file; it may be too long to be one."""
    try:
        return path.is_file()
    except OSError:
        return False


def _sides(pair: ListedPair) -> tuple[str, str]:
    return pair.a, pair.b
