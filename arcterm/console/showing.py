"""Pictures of a data set for the console: what ``arcterm data show`` prints, made by a process of its own.

Opening a data set runs a plug-in's code, which has no place in the process of the console. No Textual.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from arcterm import environment
from arcterm.errors import DataError
from arcterm.text import clean

PEOPLE_SHOWN = 6
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_IMAGES = 6


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to show of a data set, in `width` columns: a page of its people, or pairs of its sets."""

    source: str
    width: int
    page: int = 0
    pairs: bool = False
    ascii: bool = False


@dataclass(frozen=True, kw_only=True)
class Album:
    """What was asked for as lines of coloured text, on which page, of how many people."""

    wish: Wish
    text: Text
    classes: int = 0


@dataclass
class Shower:
    """Shows one wish; `end`, from another thread, gives it up."""

    _ended: bool = False
    _process: subprocess.Popen[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def show(self, wish: Wish) -> Album:
        """Ask for it and wait; raises `DataError` in the words of the process."""
        classes, people = 0, []
        if not (wish.pairs or wish.source.endswith(".bin")):
            facts: dict[str, Any] = json.loads(self._run(wish, ["--json", "--images", "1"]))
            classes = int(facts["classes"])
            first = min(wish.page * PEOPLE_SHOWN, max(0, classes - 1))
            people = ["--people", f"{first}-{min(first + PEOPLE_SHOWN, classes) - 1}"]
        shape = ["--width", str(wish.width), "--images", str(_IMAGES)]
        lines = self._run(wish, [*shape, *people]).splitlines()
        drawn = Text.from_ansi("\n".join(map(_coloured, lines)))
        return Album(wish=wish, text=drawn, classes=classes)

    def end(self) -> None:
        """End what is under way, and begin nothing more."""
        with self._lock:
            self._ended = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def _run(self, wish: Wish, options: Sequence[str]) -> str:
        pairs = ["--pairs"] if wish.pairs else []
        command = [sys.executable, "-m", "arcterm", "data", "show", *options, *pairs, "--", wish.source]
        wanted = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
        if wish.ascii:
            wanted = {"ARCTERM_ASCII": "1"}
        with self._lock:
            if self._ended:
                raise DataError(f"{wish.source} is not looked at any more")
            process = self._process = subprocess.Popen(
                command,
                env=environment.for_child(**wanted),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        out, said = process.communicate()
        if process.returncode:
            raise _refusal(wish.source, said)
        return out


def _coloured(line: str) -> str:
    """`line` with its colours, and without whatever else is meant for a terminal."""
    return "".join(part if _COLOUR.fullmatch(part) else clean(part) for part in _COLOUR.split(line))


def _refusal(source: str, said: str) -> DataError:
    """The two lines that ``arcterm`` ends with, or what came instead."""
    lines = [clean(line).strip() for line in said.splitlines() if line.strip()]
    hint = lines.pop().removeprefix("→ ") if lines and lines[-1].startswith("→ ") else ""
    message = lines[-1].removeprefix("arcterm: ") if lines else f"{source} can't be shown"
    return DataError(message, hint or f"`arcterm data check {shlex.quote(source)}` looks at everything in it")
