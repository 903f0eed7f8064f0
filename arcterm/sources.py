"""Which registered data set a path is, by what their declarations say."""

from __future__ import annotations

from pathlib import Path

from arcterm_registry import Dataset, scan

from arcterm.errors import DataError


def kind_of(path: Path) -> str:
    """The name of the data set that `path` is: by the files that a directory has, or by a file's ending.

    Raises `DataError` for what is none, and for a directory that has only some of the files.
    """
    found = {p.full_name if p.duplicate else p.name: p.declaration for p in scan("dataset")}  # not the broken
    declared = {name: d for name, d in found.items() if isinstance(d, Dataset) and d.takes_path}
    if not path.is_dir():
        endings = {ending: name for name, d in declared.items() for ending in d.suffixes}
        for ending, name in endings.items():
            if path.name.lower().endswith(ending):
                return name
        raise DataError(
            f"{path} is no directory, and no file that a data set is read from",
            f"give a pack, a folder of people, or a file that ends in {', '.join(endings)}",
        )
    kinds = {name: d.needs for name, d in declared.items() if d.needs or not d.suffixes}
    whole = [name for name, needs in kinds.items() if all((path / need).exists() for need in needs)]
    partly = [
        n for n, needs in kinds.items() if any((path / need).exists() for need in needs) and n not in whole
    ]
    if partly:
        missing = ", ".join(need for need in kinds[partly[0]] if not (path / need).exists())
        raise DataError(
            f"{path} looks like a {partly[0]} data set but has no {missing}", "copy the missing file there"
        )
    if not whole:
        raise DataError(f"{path} is no data set that is known here", f"known: {', '.join(kinds)}")
    return max(whole, key=lambda name: len(kinds[name]))
