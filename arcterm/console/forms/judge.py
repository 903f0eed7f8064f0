"""The launch form's checks in a process of their own: a plan runs code of data sets and losses of strangers.

What that prints reaches no terminal, what hangs or ends the process is said in words, and reading a data set
does not keep the console waiting. Run as a module this is that process: JSON lines in, JSON lines out.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from arcterm import environment
from arcterm.errors import FailedError

if TYPE_CHECKING:
    from arcterm.console.forms.draft import Verdict
    from arcterm.launch.estimate.assess import Look

_PATIENCE_SECONDS = 120.0
_SUPERSEDED_SECONDS = 2.0
_LOOK_SECONDS = 0.5


class Judge:
    """Answers requests one at a time; a process that hangs or ends is replaced at the next one."""

    def __init__(self) -> None:
        self._lock, self._starting = threading.Lock(), threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0

    def ask(self, settings: Mapping[str, Any], root: Path, look: Look = "quick") -> Verdict:
        """The verdict of `judging.judge`; a later call ends this one with a `FailedError`.

        Raises `FailedError` if the process ends, or has no answer in two minutes, and once this is closed.
        """
        from arcterm.console.forms.draft import Verdict
        from arcterm.console.forms.fixes import Fix
        from arcterm.launch.plan import Plan

        self._asked += 1
        number = self._asked
        with self._lock:
            answer = self._converse(number, {"settings": settings, "root": str(root), "look": look})
        if "crash" in answer:
            raise FailedError(answer["crash"], "this is a defect; runs are not touched by it")
        plan = msgspec.convert(answer["plan"], Plan) if answer["plan"] else None
        fixes = {key: Fix(texts) for key, texts in answer["fixes"].items()}
        return Verdict(plan=plan, problems=answer["problems"], fixes=fixes)

    def close(self) -> None:
        """End the process, and start no other: a thread may be about to."""
        with self._starting:
            self._closed = True
        self.end()

    def end(self) -> None:
        """Kill the process, and what it started; the next request starts another."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _converse(self, number: int, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process or self._start()
        assert process.stdin and process.stdout
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request | {"path": sys.path}).encode() + b"\n")
            process.stdin.flush()
        began, said = time.monotonic(), b""
        while not said.endswith(b"\n"):
            waited = time.monotonic() - began
            if number != self._asked and waited > _SUPERSEDED_SECONDS:
                self.end()
                raise FailedError("the form was changed while it was checked", "launch it again")
            if waited > _PATIENCE_SECONDS:
                self.end()
                raise FailedError(
                    f"no answer within {_PATIENCE_SECONDS:.0f} s: the data set or another plug-in hangs",
                    "choose another; `arcterm plugins` says which can't be loaded",
                )
            if select.select([process.stdout], [], [], _LOOK_SECONDS)[0]:
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    code = process.wait()
                    self.end()
                    raise FailedError(
                        f"the check ended with {code}: the data set or another plug-in ended its process",
                        "choose another; `arcterm plugins` says which can't be loaded",
                    )
                said += chunk
        answer: dict[str, Any] = json.loads(said)
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._closed:
                raise FailedError("the form was left while it was checked", "open it again")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "arcterm.console.forms.judge"],
                env=environment.for_child(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            return self._process


def _serve() -> None:
    """Answer until stdin is closed, as it is when the console ends, whatever is under way then."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin.buffer:
            asked.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        request = json.loads(asked.get())
        sys.path[:] = request["path"]
        answers.write(json.dumps(_answer(request)).encode() + b"\n")
        answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from arcterm.console.forms.judging import judge

    try:
        verdict = judge(request["settings"], Path(request["root"]), request["look"])
    except Exception as error:  # noqa: BLE001  it is shown as a defect
        return {"crash": f"{type(error).__name__}: {error}"}
    return {
        "plan": msgspec.to_builtins(verdict.plan),
        "problems": verdict.problems,
        "fixes": {key: fix.texts for key, fix in verdict.fixes.items()},
    }


if __name__ == "__main__":
    _serve()
