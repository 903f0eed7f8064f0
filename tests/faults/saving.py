"""A process that forks children which save a checkpoint, each held until it is traced.

    python -m tests.faults.saving

Reads a line of JSON a save: the run's path, the step, and how. Answers with the child's pid, and when the
child has ended with what it said: ``saved``, an error, or nothing if it was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch
from arcterm_registry import get
from safetensors.torch import save_file
from torch import nn

from arcterm.runs.store import Run
from arcterm.train.checkpoint import writing
from arcterm.train.checkpoint.background import Background
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.checkpoint.writing import SavePoint
from arcterm.train.head.head import Head
from arcterm.train.world import World
from tests.runs.conftest import config


def trained() -> Trained:
    """A network of a few weights, with a head of ten classes."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = Head(10, 4, get("loss", "softmax").make(), World(), seed=0)
    learned = [torch.optim.SGD(list(m.parameters()), lr=0.1, momentum=0.9) for m in (backbone, head)]
    return Trained(backbone, head, *learned)


def save(run: Run, step: int, how: str) -> None:
    """Save as arcterm does, or in the ``background``; or as one must not: ``naive`` or ``unsynced``."""
    if how == "naive":
        folder = run.checkpoints / f"step-{step:010d}"
        folder.mkdir()
        for before in run.checkpoints.glob("step-*/manifest.json"):
            (folder / "manifest.json").write_bytes(before.read_bytes())
        save_file(trained().backbone.state_dict(), folder / "backbone.safetensors")
        return
    if how == "unsynced":
        os.fsync = os.fdatasync = lambda _: None
    if how == "background":
        beside = Background(run, config(), World())
        beside.begin(trained(), SavePoint(step, 1, "test"), {})
        beside.finish()
        return
    writing.save(run, config(), World(), trained(), SavePoint(step, 1, "test"))


def _child(asked: dict[str, str], answer: int) -> None:
    run, said = Run(Path(asked["run"])), "saved"
    os.kill(os.getpid(), signal.SIGSTOP)  # until it is traced
    try:
        save(run, int(asked["step"]), asked["how"])
    except BaseException as error:  # noqa: BLE001
        said = f"{type(error).__name__}: {error}"
    os.write(answer, said.encode())
    os._exit(0)


def main() -> None:
    """Fork a child for each line."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["how"] == "here":  # everything is imported that a save imports
            save(Run(Path(asked["run"])), int(asked["step"]), "")
            print("saved", flush=True)
            continue
        read, write = os.pipe()
        if not (pid := os.fork()):
            _child(asked, write)
        os.close(write)
        print(pid, flush=True)
        os.waitpid(pid, 0)
        with os.fdopen(read, "rb") as pipe:
            print(json.dumps(pipe.read().decode()), flush=True)


if __name__ == "__main__":
    main()
