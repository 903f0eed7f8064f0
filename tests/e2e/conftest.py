"""Real processes: the command line, torchrun with gloo, a pack made from pictures, an installed plug-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from arcterm.runs import store
from arcterm.runs.describe import describe
from arcterm.runs.reader import Reader

if TYPE_CHECKING:
    from .tmux import Terminal

ROOT = Path(__file__).resolve().parent.parent.parent
ARCTERM = [sys.executable, "-m", "arcterm"]
PATIENCE = 180.0
_LOOK_SECONDS = 0.05


class Console:
    """The command line in a folder of its own."""

    def __init__(self, folder: Path, plugins: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(plugins), "ARCTERM_CACHE": str(folder / "cache")}
        self.env.pop("ARCTERM_RUNS", None)

    def __call__(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run ``arcterm …`` to its end and check its exit code."""
        done = subprocess.run(
            [*ARCTERM, *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        assert "Traceback" not in done.stderr or code != 2, done.stderr
        return done

    def json(self, *arguments: str, code: int | None = 0) -> Any:
        """What ``arcterm … --json`` prints."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def lines(self, *arguments: str) -> list[Any]:
        """What ``arcterm … --json`` prints, a line each."""
        return [json.loads(line) for line in self(*arguments, "--json").stdout.splitlines()]

    def show(self, run: str) -> Any:
        """``arcterm show RUN --json``."""
        return self.json("show", run)

    def path(self, run: str) -> Path:
        """A run's directory."""
        return Path(self.show(run)["path"])

    def wait(self, run: str, until: Callable[[Any], bool]) -> Any:
        """What `show` says as soon as `until` holds of it.

        A training is read in this process: a command a look would take the cores that the training needs.
        """
        deadline = time.monotonic() + PATIENCE
        found = store.find(self.folder / "runs", run)
        training = found.record.config.kind == "training"
        while time.monotonic() < deadline:
            told = describe(Reader(found)) if training else self.show(run)
            if until(told):
                return told
            if told["state"] in ("failed", "lost", "done"):
                break
            time.sleep(_LOOK_SECONDS)
        raise AssertionError(f"waited in vain; last seen: {json.dumps(told, indent=1)}")

    def wait_for_failure(self, run: str) -> Any:
        """What `show` says once the run has failed."""
        return self.wait(run, lambda told: told["state"] == "failed")


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example plug-ins, installed by pip into a folder of their own."""
    target = tmp_path_factory.mktemp("plugins")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    kinds = ("backbone", "loss", "dataset", "job", "launcher")
    examples = [str(ROOT / "examples" / f"arcterm-{kind}") for kind in kinds]
    subprocess.run([*pip, "--target", str(target), *examples], check=True, capture_output=True)
    return target


@pytest.fixture
def arcterm(tmp_path: Path, plugins: Path) -> Console:
    """The command line in an empty folder, with the example plug-ins installed."""
    return Console(tmp_path, plugins)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 16 people with 10 pictures each: a pattern a person, noise a picture."""
    root = tmp_path_factory.mktemp("people")
    for person in range(16):
        random = np.random.default_rng(person)
        coarse = random.integers(0, 255, (7, 7, 3), dtype=np.uint8)
        face = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        (root / f"p{person + 1}").mkdir()
        for picture in range(10):
            noisy = np.clip(face + random.integers(-40, 40, face.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / f"p{person + 1}" / f"{picture + 1}.png"), noisy)
    return root


@pytest.fixture(scope="session")
def pack(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The people as a pack: 12 to train (120 images), 4 held out in 60 pairs."""
    target = tmp_path_factory.mktemp("packs") / "pack"
    runs = ["--runs-dir", str(target.parent / "runs")]
    command = [*ARCTERM, "data", "pack", str(people), str(target), "--hold-out", "4", "--pairs", "60", *runs]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.fixture
def terminal(arcterm: Console) -> Iterator[Terminal]:
    """A terminal of its own; what was started in it is stopped."""
    from .tmux import Terminal

    opened = Terminal(arcterm)
    yield opened
    opened.close()
    for row in arcterm.json("runs"):
        if row["state"] in ("starting", "running", "stopping"):
            arcterm("stop", row["id"], "--now")
