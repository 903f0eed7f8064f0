"""Short work that needs torch, done for the host side by a process of its own.

The process gets a JSON request on stdin and answers in JSON lines on stdout: ``{"progress": [done, total,
what]}`` any number of times, then ``{"result": …}`` or ``{"error": {…}}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any

from arcterm import environment, errors
from arcterm.errors import ArctermError, FailedError
from arcterm.progress import Progress

_KINDS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ArctermError)
}
_LAST_WORDS = 2000


def ask(verb: str, request: Mapping[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Do `verb` of `arcterm.export.tool` and return its result.

    Raises the `ArctermError` that the process met, or one that tells how the process ended.
    """
    command = [sys.executable, "-m", "arcterm.export.tool", verb, str(os.getpid())]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment.for_child(PYTHONUNBUFFERED="1"),
    )
    with process, _ended(process):
        answer, talk = _converse(process, json.dumps(request), progress)
    if answer is None:
        how = _how(process.returncode)
        raise FailedError(
            f"the process for `{verb}` {how} before it had an answer", talk[-_LAST_WORDS:].strip()
        )
    if "error" in answer:
        told = answer["error"]
        raise _KINDS.get(told["kind"], ArctermError)(told["message"], told["hint"])
    result: dict[str, Any] = answer["result"]
    return result


def _converse(
    process: subprocess.Popen[str], request: str, progress: Progress | None
) -> tuple[dict[str, Any] | None, str]:
    """The last line that is a result or an error, and what was said on stderr."""
    import threading

    heard: list[str] = []
    listener = threading.Thread(target=lambda: heard.append(_all(process.stderr)), daemon=True)
    listener.start()
    assert process.stdin and process.stdout
    with contextlib.suppress(BrokenPipeError):
        try:
            process.stdin.write(request)
        finally:
            process.stdin.close()
    answer = None
    for line in process.stdout:
        told = _told(line)
        if "progress" in told and progress is not None:
            progress(*told["progress"])
        if "result" in told or "error" in told:
            answer = told
    listener.join()
    return answer, "".join(heard)


def _told(line: str) -> dict[str, Any]:
    """What a line says; nothing if it is none of the process's, or was cut as that was ended."""
    with contextlib.suppress(ValueError):
        told = json.loads(line)
        if isinstance(told, dict):
            return told
    return {}


def _all(stream: IO[str] | None) -> str:
    return stream.read() if stream else ""


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Any:
    """Leave no process behind, whatever interrupts the conversation."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    name = signal.Signals(-code).name
    return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
