"""Run a plug-in's checks in a process of its own, safe from its crashes."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from arcterm_registry import PluginError, find, locate, nearest
from arcterm_registry.discover import CHECKED

from arcterm import environment
from arcterm.show.output import ProgressLine, say

_MARKS = {"ok": "✓", "failed": "✗", "warning": "!", "skipped": "-"}
_GRACE = 5.0  # seconds after its limit until a process is ended that did not end itself


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One plug-in to be checked: `options` are ``KEY=VALUE`` texts, `time_limit` seconds for all checks."""

    kind: str
    name: str
    path: str = ""
    options: tuple[str, ...] = ()
    quick: bool = False
    time_limit: float = 600.0

    def run(self) -> Iterator[dict[str, Any]]:
        """Yield each finding as it is made: check, outcome, detail, seconds.

        A process that hangs, exits or crashes ends in a finding that fails. Raises `PluginError` if there is
        nothing to check.
        """
        started = time.monotonic()
        process = subprocess.Popen(
            self._command(),
            env=environment.for_child(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        names: list[str] = ["declaration"]
        made, spent = 0, 0.0
        progress = ProgressLine()
        try:
            for answer in _answers(process, started + self.time_limit + _GRACE):
                if "error" in answer:
                    raise PluginError(answer["error"]["message"], answer["error"]["hint"])
                if "done" in answer:
                    return
                if "finding" in answer:
                    made, spent = made + 1, spent + answer["finding"]["seconds"]
                    progress(made, made)
                    yield answer["finding"]
                names = answer.get("checks", names)
                if made < len(names):
                    progress(made, len(names), names[made])
        finally:
            progress(1, 1)
            code = _end(process)
        seconds = time.monotonic() - started
        running = names[min(made, len(names) - 1)]
        if seconds >= self.time_limit:
            detail = (
                f"not done after {self.time_limit:g} s → allow more with --time-limit, or see where it hangs"
            )
        else:
            detail = f"the process {_describe_exit(code)}"
        yield {"check": running, "outcome": "failed", "detail": detail, "seconds": seconds - spent}

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "arcterm_registry.conformance", self.kind, self.name]
        command += [f"--path={self.path}", f"--time-limit={self.time_limit}", *["--quick"] * self.quick]
        return command + [f"--option={text}" for text in self.options]


def kind_of(name: str, asked: str | None) -> str:
    """The kind of the plug-in `name`, without importing it; raises `PluginError` unless it is one kind."""
    if asked is not None:
        if asked not in CHECKED:
            raise PluginError(f"there are no checks for a {asked}", f"there are for: {', '.join(CHECKED)}")
        locate(asked, name)
        return asked
    found = [kind for kind in CHECKED if any(name in (p.name, p.full_name) for p in find(kind))]
    if not found:
        known = [plugin.name for kind in CHECKED for plugin in find(kind)]
        raise PluginError(
            f"there is no backbone, loss, data set, job, detector, tracker or launcher {name!r}",
            nearest(name, known),
        )
    if len(found) > 1:
        raise PluginError(f"{name!r} is a {' and a '.join(found)}", f"choose one: --kind {found[0]}")
    locate(found[0], name)
    return found[0]


def lines(finding: dict[str, Any]) -> list[str]:
    """A finding as text; each next step is a line of its own."""
    text = f"{_MARKS[finding['outcome']]} {finding['check']:<15}{finding['detail']}"
    what, *advice = text.split(" → ") if finding["outcome"] in ("failed", "warning") else [text]
    return [what, *(f"{'':<17}→ {each}" for each in advice)]


def summary(findings: list[dict[str, Any]]) -> str:
    """The counts of the findings, in a line."""
    words = {"ok": "ok", "failed": "failed", "warning": "warned", "skipped": "skipped"}
    counts = {outcome: sum(f["outcome"] == outcome for f in findings) for outcome in words}
    parts = ", ".join(f"{counts[key]} {word}" for key, word in words.items() if counts[key])
    return f"{len(findings)} checks: {parts}, in {sum(f['seconds'] for f in findings):.1f} s"


def _answers(process: subprocess.Popen[bytes], deadline: float) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines on stdout until it is closed, the process is gone, or the deadline has come."""
    assert process.stdout is not None
    pipe, rest = process.stdout.fileno(), b""
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([pipe], [], [], min(left, 1.0))
        if not ready:
            if process.poll() is None:
                continue
            return  # a process that it left behind may still hold the pipe
        if not (chunk := os.read(pipe, 1 << 16)):
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for text in lines:
            try:
                answer = json.loads(text)
            except (ValueError, RecursionError):
                answer = None
            if isinstance(answer, dict):
                yield answer
            else:  # the plug-in wrote to a descriptor that is not its own
                say(text.decode(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> int:
    """Let the process end, then end what is left of its session; returns its exit code."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    if process.stdout is not None:
        process.stdout.close()
    return code


def _describe_exit(code: int) -> str:
    """How the process ended too early, and the next step."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name} → its stack is on stderr, if it could write one"
    return f"ended by itself with exit code {code} → nothing in a plug-in may end the process"
