"""The faults: each is done to a training at work; "" is returned where there was nothing to do it to."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from arcterm.runs import checkpoints, pulse
from arcterm.runs.state import read_state
from arcterm.runs.store import Run
from soak.training import STEPS, Place, StuckError, processes, wait

Fault = Callable[["Scene"], str]

_SYSCALLS = {
    "ENOSPC": ("openat", "mkdir", "write", "fsync", "rename"),
    "EIO": ("openat", "write", "fsync", "rename"),
    "EMFILE": ("openat",),
}
_STRACE_SECONDS = 2.0


class Scene:
    """The run that is disturbed, and the chance by which it is."""

    def __init__(self, place: Place, run: Run, chance: random.Random) -> None:
        self.place, self.run, self.chance = place, run, chance

    def find(self, kind: str) -> psutil.Process | None:
        """The supervisor, the agent or a rank of the run; None if it is not there now."""
        if kind.startswith("rank"):
            beats = pulse.read_all(self.run.attempt_dir(self.run.attempts()))
            pids = {f"rank {rank}": beat.pid for rank, beat in beats.items()}
            return next((each for each in processes(self.run) if each.pid == pids.get(kind)), None)
        return next(
            (each for each in processes(self.run) if f"arcterm.processes.{kind}" in each.cmdline()), None
        )

    def send(self, kind: str, number: signal.Signals) -> str:
        """Send a signal to a process of the run."""
        process = self.find(kind)
        if process is None:
            return ""
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        return f"{number.name} to the {kind}, {process.pid}"


KINDS = ("supervisor", "agent", "rank 0", "rank 1")


def kill(scene: Scene) -> str:
    """SIGKILL to any process."""
    return scene.send(scene.chance.choice(KINDS), signal.SIGKILL)


def stop_rank(scene: Scene) -> str:
    """SIGSTOP to a rank, which the supervisor has to find out."""
    return scene.send(scene.chance.choice(("rank 0", "rank 1")), signal.SIGSTOP)


def stop_parent(scene: Scene) -> str:
    """SIGSTOP to the supervisor or the agent, which somebody ends after some seconds."""
    kind = scene.chance.choice(("supervisor", "agent"))
    process = scene.find(kind)
    said = scene.send(kind, signal.SIGSTOP)
    if process is None or not said:
        return ""
    time.sleep(scene.chance.uniform(1, 4))
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGCONT)
    return f"{said}, and on"


def terminate(scene: Scene) -> str:
    """SIGTERM to the supervisor or a rank: the run saves and stops."""
    return scene.send(scene.chance.choice(("supervisor", "rank 0", "rank 1")), signal.SIGTERM)


def fail_syscall(scene: Scene) -> str:
    """Make system calls of a rank fail for a while, in which it saves."""
    kind = scene.chance.choice(("rank 0", "rank 1"))
    error = scene.chance.choice(sorted(_SYSCALLS))
    name = scene.chance.choice(_SYSCALLS[error])
    first, every = scene.chance.randint(1, 8), scene.chance.choice((1, 3, 1000))
    process = scene.find(kind)
    if process is None:
        return ""
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e",
         f"inject={name}:error={error}:when={first}+{every}", "-p", str(process.pid)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with suppress(subprocess.TimeoutExpired):
        tracer.wait(_STRACE_SECONDS)
    tracer.terminate()
    tracer.wait()
    return f"{error} at {name} {first}, then every {every}, of {kind}"


def fill_disk(scene: Scene) -> str:
    """Leave 0 bytes on the disk of the runs until the run is paused, or for some seconds."""
    filler = scene.place.runs / "filler"
    until = time.monotonic() + 8
    try:
        while read_state(scene.run).state != "paused" and time.monotonic() < until:
            with suppress(OSError), filler.open("ab", buffering=0) as file:
                for size in (65536, 4096, 1):
                    with suppress(OSError):
                        while file.write(bytes(size)) == size:
                            pass
            time.sleep(0.1)
        found = read_state(scene.run).state
        time.sleep(scene.chance.uniform(0, 2))
    finally:
        filler.unlink(missing_ok=True)
    return f"a full disk, on which it was {found}"


def rot(scene: Scene) -> str:
    """Flip a bit in a file of the newest checkpoint, and kill a rank, so that it has to be read."""
    step = checkpoints.newest_step(scene.run)
    if step is None or step > STEPS - 50:
        return ""
    files = sorted((scene.run.checkpoints / checkpoints.name_of(step)).iterdir())
    path = scene.chance.choice(files) if files else None
    with suppress(FileNotFoundError):
        if path is not None and path.stat().st_size:
            with path.open("r+b") as file:
                file.seek(scene.chance.randrange(path.stat().st_size))
                byte = file.read(1)[0]
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte ^ 1 << scene.chance.randrange(8)]))
    return f"bit rot in {path}; {scene.send(scene.chance.choice(('rank 0', 'rank 1')), signal.SIGKILL)}"


def tear(scene: Scene) -> str:
    """Kill the supervisor, and with it all; then the end of an event file is torn."""
    if not (said := scene.send("supervisor", signal.SIGKILL)):
        return ""
    wait("all processes to end with their supervisor", lambda: not list(processes(scene.run)))
    path = scene.chance.choice(sorted(scene.run.events.glob("*.jsonl")) or [Path(os.devnull)])
    with path.open("ab") as file:
        file.write(b'{"k":"step","t":17'[: scene.chance.randint(1, 18)])
    return f"{said}; a torn line in {path.name}"


def second(scene: Scene) -> str:
    """Start a second supervisor and a resume, which have to be refused."""
    lone = subprocess.run(
        [sys.executable, "-m", "arcterm.processes.supervisor", str(scene.run.path), "1"],
        env=scene.place.environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    asked = scene.place.arcterm("resume", scene.run.id, "--detach", codes=(0, 4))
    if lone.returncode == 0 and read_state(scene.run).state == "running":
        raise StuckError("a second supervisor was let in")
    return f"a second supervisor ({lone.returncode}) and a resume ({asked.returncode})"


def poison(scene: Scene) -> str:
    """One batch whose embeddings are no numbers."""
    scene.place.poison.touch()
    with suppress(StuckError):
        wait("the poison to be taken", lambda: not scene.place.poison.exists(), 10)
    scene.place.poison.unlink(missing_ok=True)
    return "a batch of NaN"


FAULTS: tuple[Fault, ...] = (
    *(kill, kill, stop_rank, stop_parent, terminate, fail_syscall, fail_syscall, fail_syscall),
    *(fill_disk, rot, tear, second, poison),
)


def possible(place: Place) -> list[Fault]:
    """The faults that can be done here; says which can't, and why."""
    left_out: dict[Fault, str] = {}
    if shutil.which("strace") is None:
        left_out[fail_syscall] = "strace is not here"
    if not place.runs.is_mount():
        left_out[fill_disk] = "no file system could be mounted"
    for fault, why in left_out.items():
        print(f"left out: {fault.__name__}, since {why}", flush=True)
    return [fault for fault in FAULTS if fault not in left_out]
