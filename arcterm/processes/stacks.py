"""What the processes of ranks are doing: state and wait channel by /proc, Python stacks by SIGUSR2."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path

from arcterm.processes import family
from arcterm.processes.hang import Examined
from arcterm.runs.pulse import Beat
from arcterm.runs.store import Run
from arcterm.text import clean

_ANSWER_SECONDS = 3.0
_MOST_BYTES = 64 << 10


def examine(run: Run, attempt: int, beats: Mapping[int, Beat]) -> list[Examined]:
    """Ask every rank for its stack, which it also writes into its ``stack.txt``; returns what was found."""
    files = {rank: run.rank_dir(attempt, rank) / "stack.txt" for rank in beats}
    before = {rank: _size(path) for rank, path in files.items()}
    ours = {process.pid for process in family.below()}
    family.send(signal.SIGUSR2, {beat.pid for beat in beats.values()})
    _wait_for_answers(files, before)
    found = []
    for rank, beat in beats.items():
        state, channel = _kernel_state(beat.pid) if beat.pid in ours else ("", "")
        stack = _own_thread(_read(files[rank], before[rank]))
        found.append(Examined(rank, beat.pid, beat.phase, beat.step, state, channel, stack))
    return found


def any_stopped(beats: Mapping[int, Beat]) -> bool:
    """Whether the process of a rank is stopped by a signal, not by a debugger."""
    return any(_kernel_state(beat.pid)[0] == "T" for beat in beats.values())


def _wait_for_answers(files: Mapping[int, Path], before: Mapping[int, int]) -> None:
    """Wait until all have answered and none writes any more, but not long."""
    until, sizes = time.monotonic() + _ANSWER_SECONDS, dict(before)
    while time.monotonic() < until:
        time.sleep(0.1)
        now = {rank: _size(path) for rank, path in files.items()}
        if now == sizes and all(now[rank] > before[rank] for rank in now):
            return
        sizes = now


def _kernel_state(pid: int) -> tuple[str, str]:
    """The state's letter and the wait channel of a process; empty if it is gone."""
    folder = Path("/proc") / str(pid)
    try:
        state = folder.joinpath("stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        channel = folder.joinpath("wchan").read_text(errors="replace").strip()
    except (OSError, IndexError):
        return "", ""
    return state, "" if channel == "0" else channel


def _own_thread(text: str) -> str:
    """Of the stacks of all threads that of the one that works: the current one, or the last."""
    parts = text.split("\n\n")
    current = [part for part in parts if part.startswith("Current thread")]
    return (current or parts)[-1].strip()


def _read(path: Path, offset: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            text = file.read(_MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(clean(line) for line in text.splitlines())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
