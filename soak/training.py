"""A training as its user has it, started and resumed by the command line, and what must hold of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from arcterm.runs import checkpoints, pulse
from arcterm.runs.reader import Reader
from arcterm.runs.reading.summary import Summary
from arcterm.runs.state import State, read_state
from arcterm.runs.store import Run

STEPS = 300
PATIENCE = 120.0
_ENTRY_POINTS = "[arcterm.backbones]\nslowly = arcterm_slowly:slowly\n"
_SETTINGS = {
    "hang_seconds": "3",
    "grace": "20",
    "checkpoint_minutes": "0",
    "loader_threads": "1",
}


class StuckError(Exception):
    """The run did not do in time what it had to."""


class Place:
    """A folder with data, the plug-in and a folder of runs; the command line in it."""

    def __init__(self, folder: Path, runs: Path) -> None:
        self.folder, self.runs = folder, runs
        self.poison = folder / "poison"
        site = folder / "site"
        info = site / "arcterm_slowly-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: arcterm-slowly\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(_ENTRY_POINTS)
        source = Path(__file__).with_name("slowly.py")
        (site / "arcterm_slowly.py").write_bytes(source.read_bytes())
        paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environ = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "ARCTERM_RUNS": str(runs),
            "ARCTERM_CACHE": str(folder / "cache"),
            "SOAK_POISON": str(self.poison),
        }
        _draw_people(folder / "people")

    def arcterm(self, *words: str, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run ``arcterm …``; raises `StuckError` for another exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "arcterm", *words],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        if done.returncode not in codes:
            raise StuckError(f"arcterm {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def train(self, name: str, seed: int = 0) -> Run:
        """Start a training of two ranks."""
        self.arcterm(
            "train", "slowly", "cosface", "--dataset", str(self.folder / "people"), "--nproc", "2",
            "--batch-size", "6", "--steps", str(STEPS), "--checkpoint-every", "10", "--verify-every", "100",
            "--seed", str(seed), "--name", name, "--detach",
            *(word for name, value in _SETTINGS.items() for word in ("--set", f"{name}={value}")),
        )  # fmt: skip
        return Run(Path(json.loads(self.arcterm("show", name, "--json").stdout)["path"]))

    def resume(self, run: Run) -> None:
        """Go on with a run that ended; from step 0 if no checkpoint is whole."""
        if self.arcterm("resume", run.id, "--detach", codes=(0, 4)).returncode:
            self.arcterm("resume", run.id, "--detach", "--from-start")


def _draw_people(root: Path) -> None:
    for person in range(12):
        random = np.random.default_rng(person)
        coarse = random.integers(0, 255, (7, 7, 3), dtype=np.uint8)
        face = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        (root / f"p{person}").mkdir(parents=True)
        for picture in range(10):
            noisy = np.clip(face + random.integers(-40, 40, face.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / f"p{person}" / f"{picture}.png"), noisy)


def wait(what: str, until: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait for something true and return it; raises `StuckError`."""
    deadline = time.monotonic() + seconds
    while not (found := until()):
        if time.monotonic() > deadline:
            raise StuckError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)
    return found


def ended(run: Run) -> State | None:
    """The state of a run that does not go on by itself; None while it may."""
    now = read_state(run)
    return now if now.state in ("done", "failed", "stopped", "lost", "damaged") else None


def step(run: Run) -> tuple[int, int]:
    """The attempt, and the last step that all of its ranks made; -1 while one of them is not at steps."""
    attempt = run.attempts()
    beats = pulse.read_all(run.attempt_dir(attempt))
    made = [beat.step if beat.phase != "loading" else -1 for beat in beats.values()]
    return attempt, min(made) if len(made) == 2 else -1


def processes(run: Run) -> Iterator[psutil.Process]:
    """The living processes of a run."""
    for process in psutil.process_iter():
        try:
            if str(run.path) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            continue


def digest(run: Run) -> dict[str, str]:
    """The digests of the weights at the last step; {} where that is not saved."""
    found = checkpoints.newest(run)
    if found.manifest is None or found.manifest.step != STEPS:
        return {}
    return {name: file.sha256 for name, file in found.manifest.files.items()}


def violations(run: Run, expected: dict[str, str]) -> list[str]:
    """What is wrong with a run that is done, whose weights should have the digests `expected`."""
    wrong = []
    state = read_state(run)
    if state.state != "done":
        wrong.append(f"it is {state.state}: {state.reason}")
    if digest(run) != expected:
        wrong.append("its weights are not those of an undisturbed run")
    summary = Summary()
    reader = Reader(run, check=True)
    summary.feed(reader.events())
    if list(summary.steps) != list(range(1, STEPS + 1)):
        wrong.append(f"its curve has {len(summary.steps)} of {STEPS} steps")
    left = [path.relative_to(run.path) for path in run.path.rglob("*") if _is_left_over(path)]
    if left:
        wrong.append(f"left over: {', '.join(map(str, left))}")
    alive = [f"{process.pid} {' '.join(process.cmdline()[:4])}" for process in processes(run)]
    if alive:
        wrong.append(f"still there: {'; '.join(alive)}")
    return wrong


def _is_left_over(path: Path) -> bool:
    return path.name.startswith((".tmp-", ".del-")) or ".tmp." in path.name or path.name == "reserve"
