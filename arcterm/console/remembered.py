"""Toggles, layout and marks that the console keeps between sessions: one small JSON file.

`get` never fails and `put` never waits for the disk. A file that can't be read counts as empty, with a word
in `problem`; it is replaced at the next `put`.
"""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from arcterm import files
from arcterm.errors import DataError

T = TypeVar("T")
_PATIENCE_SECONDS = 1.0


def place() -> Path:
    """The file, in `ARCTERM_STATE`, or ``arcterm`` in `XDG_STATE_HOME` or ``~/.local/state``."""
    if chosen := os.environ.get("ARCTERM_STATE"):
        return Path(chosen).expanduser() / "console.json"
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return state / "arcterm" / "console.json"


def get(key: str, default: T) -> T:
    """The value of `key` if it is of the type of `default`, else `default`."""
    value = _memory().values.get(key)
    try:
        return msgspec.convert(value, type(default)) if value is not None else default
    except msgspec.ValidationError:
        return default


def put(key: str, value: object) -> None:
    """Keep `value`, which JSON can hold, under `key`; a thread writes the file."""
    _memory().put(key, value)


def problem() -> str:
    """Why the file could not be read or written; empty if it could."""
    return _memory().problem


def flush() -> None:
    """Wait until what was put is written, a second at most."""
    if _now is not None:
        _now.flush()


class _Memory:
    """What is in the file at `path`, as of its first reading, with the changes since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self.values = self._read()
        self._changed: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._writer: threading.Thread | None = None

    def put(self, key: str, value: object) -> None:
        with self._lock:
            self.values[key] = self._changed[key] = value
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, daemon=True)
                self._writer.start()

    def flush(self) -> None:
        if (writer := self._writer) is not None:
            writer.join(_PATIENCE_SECONDS)

    def _read(self) -> dict[str, Any]:
        try:
            return files.read_json(self.path, dict[str, Any], hint="it is replaced at the next change")
        except FileNotFoundError:
            return {}
        except DataError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}; nothing is remembered"
        return {}

    def _write(self) -> None:
        """Write until there is no change left; what another console has written meanwhile stays."""
        while True:
            with self._lock:
                changed, self._changed = self._changed, {}
                if not changed:
                    self._writer = None
                    return
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                files.write_json(self.path, {**self._read(), **changed})
            except OSError as error:
                self.problem = f"{self.path}: {error.strerror}; nothing is remembered"


_now: _Memory | None = None


def _memory() -> _Memory:
    global _now  # noqa: PLW0603  one file for all screens of a process
    path = place()
    if _now is None or _now.path != path:
        flush()
        _now = _Memory(path)
    return _now


atexit.register(flush)
