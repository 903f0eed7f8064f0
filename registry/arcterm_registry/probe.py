"""Importing what strangers wrote in a process of its own, so that a list outlives whatever an import does.

An import may hang, end its process, print, ask for input, replace signal handlers or change the directory.
Here it does so in a child, which answers with the declaration as JSON.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from arcterm_registry.declare import Declaration, JobPath, Option, Preprocess

_VARIABLE = "ARCTERM_PLUGIN_SECONDS"
_SECONDS = 10.0
_CHILD = (
    "import json, sys; asked = json.loads(sys.stdin.readline()); sys.path[:] = asked['path']; "
    "from arcterm_registry import discover, probe; probe.reply(asked['target'], discover.load_target)"
)
_TYPES: dict[str, Any] = {kind.__name__: kind for kind in (bool, int, float, str)}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The outcome of an import: a declaration, or an `error`; neither if it must be imported in place."""

    declaration: Declaration | None = None
    error: str = ""


class Probe:
    """A child that imports `target` (``pkg.mod:attribute``); several may be under way at once."""

    def __init__(self, target: str, wanted: type[Declaration]) -> None:
        self._target, self._wanted = target, wanted
        self._limit = _limit()
        self._deadline = time.monotonic() + self._limit
        self._child = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONSAFEPATH": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def answer(self) -> Answer:
        """Wait for the answer, until the time limit at most."""
        asked = json.dumps({"path": list(map(str, sys.path)), "target": self._target}) + "\n"
        left = max(0.1, self._deadline - time.monotonic())
        try:
            said, _ = self._child.communicate(asked.encode(), left)
        except subprocess.TimeoutExpired:
            waited = f"no answer within {self._limit:g} s ({_VARIABLE}=60 waits for a minute)"
            return Answer(error=f"hangs on import: {waited}")
        finally:
            self.end()
        try:
            return self._read(json.loads(said))
        except ValueError:
            return Answer(error=f"ends the process on import ({_ending(self._child.returncode)})")

    def _read(self, said: dict[str, Any]) -> Answer:
        if said["kind"] == self._wanted.kind:
            return Answer(declaration=_decoded(self._wanted, said["fields"]))
        if said["kind"]:
            return Answer(
                error=f"{self._target} is {said['kind']}, not a {self._wanted.__name__} declaration"
            )
        return Answer(error=said["error"])

    def end(self) -> None:
        """Kill the child and what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._child.wait()


def reply(target: str, load: Callable[[str], object]) -> None:
    """In the child: import `target`, write the answer to stdout as JSON, and end."""
    out = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):  # what the import prints is no answer, and nobody answers it
        os.dup2(nothing, stream)
    try:
        said = _encoded(load(target))
    except BaseException as error:  # noqa: BLE001  whatever a stranger's import raises
        said = {"kind": "", "error": f"{type(error).__name__}: {error}"}
    text = json.dumps(said).encode()
    while text:
        text = text[os.write(out, text) :]
    os._exit(0)  # threads and exit handlers of the stranger's end here


def _encoded(found: object) -> dict[str, Any]:
    """A declaration's kind and fields; nothing where JSON can't hold them, or its class is a stranger's."""
    if not isinstance(found, Declaration):
        return {"kind": type(found).__name__}
    try:
        fields = dataclasses.asdict(found)
        fields["options"] = [{**dataclasses.asdict(o), "type": o.type.__name__} for o in found.options]
        json.dumps(fields)
        plain = all(o.type in _TYPES.values() for o in found.options)
    except (AttributeError, TypeError, ValueError):
        plain = False
    if plain and type(found).__module__ == Declaration.__module__:
        return {"kind": found.kind, "fields": fields}
    return {"kind": "", "error": ""}


def _decoded(wanted: type[Declaration], fields: dict[str, Any]) -> Declaration:
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
    values["options"] = tuple(
        Option(**{**o, "type": _TYPES[o["type"]], "choices": tuple(o["choices"])}) for o in fields["options"]
    )
    if "preprocess" in values:
        said: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values["preprocess"].items()
        }
        values["preprocess"] = Preprocess(**said)
    if "paths" in values:
        values["paths"] = tuple(JobPath(**path) for path in values["paths"])
    return wanted(**values)


def _limit() -> float:
    try:
        return float(os.environ.get(_VARIABLE, "") or _SECONDS)
    except ValueError:
        return _SECONDS


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
