"""A login node of the cluster: a folder with data, a plug-in and runs, and the command line in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from arcterm.runs import checkpoints, store
from arcterm.runs.state import read_state
from arcterm.runs.store import Run
from tests.slurm.cluster import Cluster, wait_until

STEPS = 60
_TRAIN = (
    "train", "paced", "cosface", "--nproc", "1", "--batch-size", "6", "--steps", str(STEPS),
    "--checkpoint-every", "3", "--set", "grace=20", "--set", "loader_threads=1",
)  # fmt: skip


class Place:
    """A folder with data, the plug-in and a folder of runs; the command line in it."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.runs, self.people, self.pace = folder / "runs", folder / "people", folder / "pace"
        site = folder / "site"
        info = site / "arcterm_paced-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: arcterm-paced\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[arcterm.backbones]\npaced = arcterm_paced:paced\n")
        (site / "arcterm_paced.py").write_bytes(Path(__file__).with_name("paced.py").read_bytes())
        self.environ = os.environ | {
            "PYTHONPATH": str(site),
            "ARCTERM_RUNS": str(self.runs),
            "ARCTERM_CACHE": str(folder / "cache"),
            "ARCTERM_TEST_PACE": str(self.pace),
            "ARCTERM_PLUGIN_SECONDS": "60",
            **environ,
        }
        _draw(self.people)

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ``arcterm …`` to its end and check its exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "arcterm", *words],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def train(self, name: str, *words: str) -> Run:
        """Start a training; its steps take a while until `hasten`."""
        self(*_TRAIN, "--dataset", str(self.people), "--name", name, *words)
        return store.find(self.runs, name)

    def linger(self) -> None:
        """Let steps take a while from now on."""
        self.pace.touch()

    def hasten(self) -> None:
        """Let them be quick."""
        self.pace.unlink(missing_ok=True)


class Site(Place):
    """The same on a login node."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        super().__init__(folder, **cluster.environment)
        self.cluster = cluster

    def hand_in(self, name: str, *words: str) -> Run:
        """Hand in a training whose steps take a while."""
        self.linger()
        return self.train(name, "--launcher", "slurm", *words, "--detach")

    def row(self, run: Run) -> Any:
        """What ``arcterm runs --json`` has of a run."""
        rows = json.loads(self("runs", "--json").stdout)
        return next(row for row in rows if row["id"] == run.id)

    def wait(self, run: Run, *states: str) -> Any:
        """Wait until ``arcterm runs`` has it in one of these states; return that row."""
        rows: list[Any] = []

        def look() -> bool:
            rows.append(self.row(run))
            return rows[-1]["state"] in states

        self._wait(run, look, " or ".join(states))
        return rows[-1]

    def wait_for_checkpoint(self, run: Run, attempt: int) -> None:
        """Wait until an attempt has saved something of its own."""
        self._wait(run, lambda: run.attempts() == attempt, f"attempt {attempt}")
        before = checkpoints.newest_step(run) or 0
        self._wait(run, lambda: (checkpoints.newest_step(run) or 0) > before, "a checkpoint")

    def wait_for_idle(self) -> None:
        """Wait until no job is left."""
        wait_until(lambda: not self.cluster.ask("squeue", "-h"), "the end of all jobs")

    def occupy(self) -> str:
        """Fill both nodes with a job of somebody else's, which is more important; return its id."""
        words = ["--nodes=2", "--exclusive", "--partition=high", "--output=/dev/null", "--wrap=sleep 600"]
        return self.cluster.ask("sbatch", "--parsable", *words).strip()

    def log(self, run: Run) -> str:
        """What the jobs of a run wrote."""
        return "".join(path.read_text() for path in sorted((run.path / "slurm").glob("*.out")))

    def _wait(self, run: Run, condition: Callable[[], object], what: str) -> None:
        try:
            wait_until(condition, what)
        except TimeoutError:
            raise AssertionError(
                f"{run.name} is not {what}: {read_state(run)}\n{self.log(run)}\n"
                + self.cluster.ask("scontrol", "-o", "show", "job", check=False)
                + "".join((self.cluster.folder / "slurmctld.out").read_text().splitlines(True)[-40:])
            ) from None


def job(run: Run) -> str:
    """The id of a run's job."""
    return str(json.loads((run.path / "engine.json").read_text())["id"])


def digests(run: Run) -> Mapping[str, str]:
    """The digests of the files of the last checkpoint."""
    found = checkpoints.newest(run).manifest
    assert found is not None and found.step == STEPS
    return {name: file.sha256 for name, file in found.files.items()}


def processes(run: Run) -> list[psutil.Process]:
    """The living processes that name a run."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(run.path) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def _draw(root: Path) -> None:
    """Draw eight pictures of each of six people."""
    for person in range(6):
        random = np.random.default_rng(person)
        coarse = random.integers(0, 255, (7, 7, 3), dtype=np.uint8)
        face = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        (root / f"p{person}").mkdir(parents=True)
        for picture in range(8):
            noisy = np.clip(face + random.integers(-40, 40, face.shape), 0, 255).astype(np.uint8)
            _, encoded = cv2.imencode(".png", noisy)
            (root / f"p{person}" / f"{picture}.png").write_bytes(encoded.tobytes())
