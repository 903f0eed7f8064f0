"""Short work in a process of its own: `ask` here, `serve` there.

The process gets a JSON request on stdin and answers in JSON lines on stdout: ``{"progress": [done, total,
what]}`` any number of times, then ``{"result": …}`` or ``{"error": {…}}``. It has no terminal: what plug-ins
and libraries print goes to stderr, which is a pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from arcterm import environment, errors, parent_death
from arcterm.errors import ArctermError, FailedError
from arcterm.progress import Progress

_KINDS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ArctermError)
}
_LAST_WORDS = 2000
_PROGRESS_SECONDS = 0.1


class ChildEndedError(FailedError):
    """A process that ended before it had an answer; `hint` is the end of its stderr."""


class Child:
    """Answers one request by ``python -m MODULE VERB PARENT``; another thread may `end` it."""

    def __init__(self, module: str, verb: str) -> None:
        self._module, self._verb = module, verb
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def ask(self, request: Mapping[str, Any], progress: Progress | None = None) -> dict[str, Any]:
        """The result; raises the `ArctermError` that the process met, or `ChildEndedError`."""
        process = self._start()
        with process, _killed_on_error(process):
            answer, talk = _converse(process, json.dumps(request), progress)
        if answer is None:
            ending = _describe_exit(process.returncode)
            raise ChildEndedError(
                f"the process for `{self._verb}` {ending} before it had an answer",
                talk[-_LAST_WORDS:].strip(),
            )
        if "error" in answer:
            error = answer["error"]
            raise _KINDS.get(error["kind"], ArctermError)(error["message"], error["hint"])
        result: dict[str, Any] = answer["result"]
        return result

    def end(self) -> None:
        """Kill the process, or keep it from starting."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                _kill(self._process)

    def _start(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._ended:
                raise ChildEndedError(f"the process for `{self._verb}` was ended before it started")
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, self._verb, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=environment.for_child(PYTHONUNBUFFERED="1"),
                start_new_session=True,
            )
            return self._process


def ask(verb: str, request: Mapping[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Do `verb` of `arcterm.export.tool`; returns and raises as `Child.ask`."""
    return Child("arcterm.export.tool", verb).ask(request, progress)


def serve(work: Callable[[str, Any, Progress], Any]) -> int:
    """Answer the request of the parent by ``work(verb, request, progress)``; returns the exit code.

    The process ends with its parent. Errors of a user or a plug-in are an answer; others are a traceback.
    """
    from arcterm_registry import PluginError

    verb, parent = sys.argv[1:]
    parent_death.tie_to(int(parent))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    last = (0.0, "")

    def put(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    def progress(done: int, total: int, what: str = "", /) -> None:
        nonlocal last
        now = time.monotonic()
        if done >= total or what != last[1] or now - last[0] >= _PROGRESS_SECONDS:
            last = now, what
            put({"progress": [done, total, what]})

    request = json.load(sys.stdin)
    try:
        put({"result": work(verb, request, progress)})
    except (ArctermError, PluginError) as error:
        put({"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}})
    return 0


def _converse(
    process: subprocess.Popen[str], request: str, progress: Progress | None
) -> tuple[dict[str, Any] | None, str]:
    """The last line that is a result or an error, and the text of stderr."""
    assert process.stdin and process.stdout and process.stderr
    read = process.stderr.read
    talk: list[str] = []
    listener = threading.Thread(target=lambda: talk.append(read()), daemon=True)
    listener.start()
    with contextlib.suppress(BrokenPipeError):
        try:
            process.stdin.write(request)
        finally:
            process.stdin.close()
    answer = None
    for line in process.stdout:
        parsed = _parse_line(line)
        if "progress" in parsed and progress is not None:
            progress(*parsed["progress"])
        if "result" in parsed or "error" in parsed:
            answer = parsed
    listener.join()
    return answer, "".join(talk)


def _parse_line(line: str) -> dict[str, Any]:
    """One JSON object; {} if the line is none, as when the process ended while it wrote it."""
    with contextlib.suppress(ValueError):
        parsed = json.loads(line)
        if isinstance(parsed, dict):
            return parsed
    return {}


@contextlib.contextmanager
def _killed_on_error(process: subprocess.Popen[str]) -> Iterator[None]:
    """Leave no process behind, whatever interrupts the conversation."""
    try:
        yield
    except BaseException:
        _kill(process)
        raise


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill the process and those that a plug-in started, which would hold its pipes open."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it ended, and another thread has waited for it
            os.killpg(process.pid, signal.SIGKILL)


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    name = signal.Signals(-code).name
    return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
