"""From text to data set: the one door, for a launch, a rank, a job and the album alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcterm_registry import Dataset, get, names, scan
from arcterm_registry.contracts import DatasetFacts, FaceDataset

from arcterm.commandline import Value
from arcterm.config import TrainConfig
from arcterm.errors import ArctermError, ConfigError, DataError
from arcterm.overrides import options_for
from arcterm.progress import Progress


@dataclass(frozen=True)
class DataSource:
    """A registered data set with all of its options, checked; paths among them are absolute."""

    name: str
    declared: Dataset
    options: Mapping[str, Value]

    @property
    def path(self) -> Path | None:
        """The directory or file of the data, if the data set takes a path."""
        return Path(str(self.options["path"])) if "path" in self.options else None

    def inspect(self, progress: Progress | None = None) -> DatasetFacts:
        """Inspect the data without opening it for training; raises `DataError`.

        `progress` is called if the data set reports it.
        """
        with _plugin(self.name):
            return self.declared.make_facts(*self._paths, progress=progress, **self._rest)

    def open(self) -> FaceDataset:
        """Open the records and the verification sets; raises `DataError`."""
        with _plugin(self.name):
            faces: FaceDataset = self.declared.make(*self._paths, **self._rest)
        return faces

    @property
    def _paths(self) -> list[Value]:
        return [self.options["path"]] if "path" in self.options else []

    @property
    def _rest(self) -> dict[str, Value]:
        return {name: value for name, value in self.options.items() if name != "path"}


def from_config(config: TrainConfig) -> DataSource:
    """The data set of a training, as its config has it; raises `PluginError` if it isn't installed here."""
    return DataSource(config.dataset, get("dataset", config.dataset), config.dataset_options)


def find(text: str, given: Mapping[str, Any] = {}) -> DataSource:
    """Find the data set that `text` means: a name, a path, or several paths separated by commas.

    Raises `DataError` for a path that is no data set, `PluginError` for an unknown name, `ConfigError` for a
    wrong option.
    """
    options = dict(given)
    if text in names("dataset") or ":" in text:
        name = text
    elif _exists(text):
        name, options["path"] = _name_of(Path(text).expanduser()), text
    elif "," in text:
        name, options["paths"] = "union", text
    elif "/" in text or text.startswith((".", "~")):
        raise DataError(
            f"{text} is not a directory or a file here",
            "give a pack, a folder of people, a .lst file, several of them with commas, or a name",
        )
    else:
        name = text
    declared = get("dataset", name)
    path = options.pop("path", None)
    values = options_for(declared.options, options, f"dataset {name}")
    if declared.takes_path:
        if path is None:
            raise ConfigError(
                f"dataset {name!r} needs a path", f"give the path itself, which is then opened as {name}"
            )
        values["path"] = _absolute(path)
    if name == "union":
        values["paths"] = _several(str(values["paths"]))
    for option in declared.files:
        if values[option]:
            values[option] = _absolute(str(values[option]))
    return DataSource(name, declared, values)


@contextmanager
def _plugin(name: str) -> Iterator[None]:
    """Turn an exception of a plug-in's own code into a `DataError` that names the plug-in."""
    try:
        yield
    except ArctermError:
        raise
    except Exception as error:
        what = f"dataset {name!r} can't be read: {type(error).__name__}: {error}"
        raise DataError(what, "check its files") from error


def _name_of(path: Path) -> str:
    """Name the data set at `path` by the files of the directory, or by the file's ending.

    Raises `DataError` for what is none, and for a directory that has only some of the files.
    """
    found = {p.unique_name: p.declaration for p in scan("dataset")}  # not the broken
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


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except OSError:  # too long for a name, or in a folder that can't be looked into
        return False


def _several(paths: str) -> str:
    """Make paths separated by commas absolute; raises `DataError` for one that can't stand among several."""
    # not resolved: a link is the way round a comma
    found = [str(Path(part.strip()).expanduser().absolute()) for part in paths.split(",") if part.strip()]
    for path in found:
        if not _exists(path):
            raise DataError(f"{path} is not there", "correct the path; no path among several has a comma")
        if "," in path:
            raise DataError(
                f"{path} has a comma, so it can't be one of several", "rename it, or make a link to it"
            )
    return ",".join(found)
