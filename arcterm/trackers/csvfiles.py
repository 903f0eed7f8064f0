"""CSV files, one for each group of values: ``train.csv``, ``verify-lfw.csv``, ``gpu-0.csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from arcterm_registry.contracts import RunTracker, TrackedRun


class CsvFiles(RunTracker):
    """Rows of step, time and the values of a group, in order of steps; a rewind cuts them off.

    A value that appears later becomes a column more, for which the file is written anew. Numbers have all
    their digits; one that isn't there is an empty cell.
    """

    rewinds = True

    def __init__(self, run: TrackedRun, *, csv_dir: str) -> None:
        self._folder = Path(csv_dir) / (run.name or run.id) if csv_dir else run.work
        self._folder.mkdir(parents=True, exist_ok=True)
        self._tables = {path.stem: _Table(path) for path in self._folder.glob("*.csv")}
        self.rewind(run.step)

    def log(self, step: int, t: float, values: Mapping[str, float]) -> None:
        groups: dict[str, dict[str, float]] = {}
        for name, value in values.items():
            group, _, column = name.rpartition("/")
            groups.setdefault(group.replace("/", "-"), {})[column] = value
        for group, columns in groups.items():
            if group not in self._tables:
                self._tables[group] = _Table(self._folder / f"{group}.csv")
            self._tables[group].add(step, t, columns)

    def rewind(self, step: int) -> None:
        for table in self._tables.values():
            table.cut(step)

    def flush(self) -> None:
        for table in self._tables.values():
            table.flush()

    def close(self, state: str) -> None:
        self.flush()


class _Table:
    """One file: its columns, and the lines that were not written yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] = []
        self._columns = ["step", "t"]
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                self._columns = next(csv.reader(file), self._columns)

    def add(self, step: int, t: float, values: Mapping[str, float]) -> None:
        if more := [name for name in values if name not in self._columns]:
            self.flush()
            self._widen(more)
        cells = {"step": str(step), "t": repr(t)} | {name: repr(value) for name, value in values.items()}
        self._waiting.append(_line([cells.get(name, "") for name in self._columns]))

    def cut(self, step: int) -> None:
        """Drop the rows of later steps, and a line that was being written when the process ended."""
        self.flush()
        if not self._path.exists():
            return
        with self._path.open("r+b") as file:
            end = len(file.readline())
            for line in file:  # numbers alone: a line is a row
                if not line.endswith(b"\n") or int(line.partition(b",")[0]) > step:
                    file.truncate(end)
                    return
                end += len(line)

    def flush(self) -> None:
        if self._waiting:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.writelines(self._waiting)
            self._waiting.clear()

    def _widen(self, more: list[str]) -> None:
        """Write the file anew with columns `more`, whose cells are empty so far."""
        self._columns += more
        stage = self._path.with_suffix(".tmp")
        with stage.open("w", encoding="utf-8", newline="") as wider:
            wider.write(_line(self._columns))
            if self._path.exists():
                with self._path.open(encoding="utf-8", newline="") as file:
                    next(file, "")
                    wider.writelines(f"{line.removesuffix(chr(10))}{',' * len(more)}\n" for line in file)
        stage.replace(self._path)


def _line(cells: list[str]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
