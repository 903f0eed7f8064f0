"""Canned run directories, and waiting for the console without sleeping."""

from __future__ import annotations

import math
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from arcterm_registry.contracts import JobReport

from arcterm.config import TrainConfig, job_config
from arcterm.console.app import Console
from arcterm.console.forms.judging import judge
from arcterm.console.forms.launch import LaunchForm
from arcterm.runs import state, store
from arcterm.runs.events import (
    Checkpoint,
    Event,
    Gpu,
    Gpus,
    Message,
    Phase,
    Rank,
    Skipped,
    Start,
    Step,
    Verify,
)
from arcterm.runs.journal import Journal
from arcterm.runs.report import write_report
from arcterm.runs.store import RecordedDataset, Run

NOTE = "no NVIDIA driver here (NVML Shared Library Not Found)"


@dataclass
class Canned:
    """A run directory without a trainer; `write` appends events, `become` changes its state."""

    run: Run
    journal: Journal
    steps: int
    made: int = 0
    clock: float = field(default_factory=lambda: time.time() - 3600)

    def write(self, *events: Event) -> None:
        for event in events:
            self.journal.write(event)

    def train(self, count: int, *, loss: Callable[[int], float] | None = None, pace: float = 0.5) -> None:
        """Make `count` more steps."""
        per_epoch = max(1, self.steps // 4)
        for _ in range(count):
            self.made += 1
            self.clock += pace
            value = loss(self.made) if loss else 4 + 16 * math.exp(-self.made / (self.steps / 5))
            self.write(
                Step(
                    t=self.clock,
                    step=self.made,
                    epoch=1 + (self.made - 1) // per_epoch,
                    loss=value if math.isfinite(value) else str(value),
                    accuracy=min(0.99, self.made / self.steps),
                    angle=80 - 40 * self.made / self.steps,
                    lr=0.1 if self.made < self.steps // 2 else 0.01,
                    images_per_second=1840.0,
                    samples=self.made * 64,
                    data_wait=0.031,
                )
            )

    def verify(self, **accuracies: float | None) -> None:
        """A verification of each set at the last step."""
        for name, accuracy in accuracies.items():
            self.write(
                Verify(
                    t=self.clock,
                    step=self.made,
                    set=name,
                    pairs=600,
                    accuracy=accuracy,
                    std=None if accuracy is None else 0.0042,
                    xnorm=11.0,
                    tar=None if accuracy is None else accuracy - 0.02,
                )
            )

    def save(self) -> None:
        """A checkpoint event at the last step."""
        name = f"step-{self.made:010d}"
        self.write(
            Checkpoint(t=self.clock, step=self.made, name=name, bytes=174 << 20, seconds=1.2, reason="due")
        )

    def ranks(self, note: str = NOTE) -> None:
        """What two CPU ranks report."""
        self.write(Gpus(host="box", note=note))
        self.write(*(Rank(rank=i, cpu=97.0 - i, memory=1_300_000_000) for i in range(2)))

    def gpus(self, count: int, *, bare: bool = False) -> None:
        """What a host with GPUs reports; `bare` GPUs answer nothing but their name."""
        told = {} if bare else {"memory_used": 31 << 30, "memory_total": 80 << 30, "power": 302.0}
        known = {**told, **({} if bare else {"power_limit": 400.0, "temperature": 61.0, "clock": 1410.0})}
        self.write(
            Gpus(
                host="gpu01",
                gpus=[
                    Gpu(index=i, name="NVIDIA H200", utilisation=None if bare else 96.0 - i, **known)
                    for i in range(count)
                ],
            )
        )

    def say(self, level: str, text: str) -> None:
        """A message to the person."""
        self.write(Message(t=self.clock, level=level, text=text))

    def skip(self, index: int, source: str, reason: str, count: int, total: int = 4000) -> None:
        """A record that can't be used."""
        self.write(
            Skipped(t=self.clock, rank=0, index=index, source=source, reason=reason, count=count, total=total)
        )

    def progress(self, done: int, total: int, phase: str, detail: str = "", pace: float = 1.0) -> None:
        """How far a job on data is; `pace` seconds have gone by."""
        self.clock += pace
        self.write(Phase(t=self.clock, phase=phase, detail=detail, done=done, total=total))

    def finish(self, *lines: str, **fields: Any) -> None:
        """A job on data ends with a report."""
        write_report(self.run, JobReport(lines=list(lines), data={"n": 1}, **fields))
        self.become("done")

    def become(self, name: state.StateName, **fields: object) -> None:
        """Write the state."""
        state.write_state(self.run, name, attempt=1, step=self.made, **fields)

    def output(self, *lines: str) -> None:
        """Append to rank 0's log."""
        folder = self.run.rank_dir(1, 0)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "stderr.log").open("a") as log:
            log.writelines(f"{line}\n" for line in lines)


def canned(root: Path, name: str = "", *, steps: int = 400, nproc: int = 2, **changes: object) -> Canned:
    """A run of this process that has started and made no step."""
    gpus = changes.pop("gpus", [])
    config = TrainConfig(
        backbone=str(changes.pop("backbone", "tiny")),
        loss=str(changes.pop("loss", "arcface")),
        dataset="demo",
        loss_options={"margin": 0.5, "scale": 64.0},
        device="cuda" if gpus else "cpu",
        nproc=nproc,
        gpus=gpus,
        batch_size=32,
        epochs=4,
        steps=steps,
        **{"lr": 0.1, **changes},
    )
    run = store.create(
        root,
        config,
        label=f"{config.backbone}-{config.loss}",
        name=name,
        argv=["arcterm", "train", config.backbone, config.loss],
        host="box",
        dataset=RecordedDataset(fingerprint="f", images=6400, classes=100, verification={"lfw": 600}),
    )
    (run.path / "attempts" / "0001").mkdir()
    made = Canned(run, Journal(run.events, 1, 0), steps)
    state.take_ownership(run, 1, "local")
    device = "NVIDIA H200" if gpus else "AMD EPYC"
    made.write(
        *(
            Start(rank=i, world_size=nproc, host="box", pid=os.getpid(), device=device, step=0, steps=steps)
            for i in range(nproc)
        )
    )
    made.become("running")
    return made


def canned_job(root: Path, task: str, *paths: str, **options: object) -> Canned:
    """A job on data of this process that has started and told nothing."""
    config = job_config(task, paths, options)
    run = store.create(root, config, label=f"data-{task}", argv=["arcterm", "data", task], host="box")
    (run.path / "attempts" / "0001").mkdir()
    made = Canned(run, Journal(run.events, 1, 0), 0, clock=time.time() - 10)
    state.take_ownership(run, 1, "local")
    made.become("running")
    return made


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[Callable[..., Canned]]:
    """``make("name", steps=…)``: a canned run in ``tmp_path / "runs"``."""
    for variable in ("NO_COLOR", "ARCTERM_ASCII", "LC_ALL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    built: list[Canned] = []

    def build(name: str = "", **changes: object) -> Canned:
        built.append(canned(tmp_path / "runs", name, **changes))
        return built[-1]

    yield build
    for one in built:
        one.journal.close()


@pytest.fixture
def job(make: Callable[..., Canned], root: Path) -> Iterable[Callable[..., Canned]]:
    """``job("pack", "/faces", "/pack", resize=True)``: a canned job on data beside what `make` makes."""
    built: list[Canned] = []

    def build(task: str = "pack", *paths: str, **options: object) -> Canned:
        built.append(canned_job(root, task, *(paths or ("/data/faces", "/data/pack")), **options))
        return built[-1]

    yield build
    for one in built:
        one.journal.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where `make` puts its runs."""
    return tmp_path / "runs"


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """``await until(pilot, condition)``: let it work until `condition()` holds and all is drawn."""

    async def wait(pilot: object, condition: Callable[[], object], turns: int = 3000) -> None:
        for _ in range(turns):
            if condition():
                # a panel may say what is waited for in a frame whose other panels have their old places still
                await pilot.pause(0)
                await pilot.pause(0)
                return
            await pilot.pause(0.01)
        raise AssertionError(f"still not so: {screen_text(pilot.app)}")

    return wait


@pytest.fixture
def shown() -> Callable[[object], str]:
    """``shown(app)``: the screen as text."""
    return screen_text


def screen_text(app: object) -> str:
    """What the terminal would show, line by line, after the filters."""
    screen = app.screen
    lines = []
    for drawn in screen._compositor.render_strips():
        strip = drawn
        for line_filter in app.get_line_filters():
            strip = strip.apply_filter(line_filter, screen.styles.background)
        lines.append(strip.text.rstrip())
    return "\n".join(lines)


SIZE = (80, 24)
TOY = """
from arcterm_registry import Backbone, Dataset, Loss, Option
from arcterm_registry.contracts import DatasetFacts

net = Backbone(summary="a toy", factory="toy:make", parameters=12_345_678, gmacs=0.5, embedding_size=256)
margin = Option(name="margin", type=float, default=0.5, low=0, high=1.5, help="added to the angle")
scale = Option(name="scale", type=float, default=64.0, low=0, open_low=True, help="factor of all logits")
arc = Loss(summary="an angle", factory="toy:make", options=(margin, scale))
plain = Loss(summary="no margin", factory="toy:make")
drawn = Dataset(summary="drawn faces", factory="toy:make", inspect="toy:inspect", takes_path=False)

def inspect(**options):
    sets = {"lfw": 60}
    return DatasetFacts(images=640, classes=20, image_size=(112, 112), fingerprint="f", verification=sets)
"""
ENTRIES = """[arcterm.backbones]
toy-net = toy:net
toy-broken = toy_broken:net
[arcterm.losses]
toy-arc = toy:arc
toy-plain = toy:plain
[arcterm.datasets]
toy-drawn = toy:drawn
"""


class JudgeHere:
    """The form's judge without a process of its own, which takes a second to start."""

    ask = staticmethod(judge)

    def end(self) -> None:
        """Nothing is to be ended."""

    close = end


@pytest.fixture
def toys(distribution, make, monkeypatch):
    """A distribution with a backbone, a broken one, two losses and a data set."""
    monkeypatch.setattr("arcterm.console.forms.screen.DEBOUNCE_SECONDS", 0.02)
    monkeypatch.setattr("arcterm.console.forms.launch.Judge", JudgeHere)
    monkeypatch.setattr("arcterm.launch.estimate.seconds._cpu_flops", lambda: 1e11)
    distribution("toy", entry_points=ENTRIES, toy=TOY, toy_broken="raise RuntimeError('no [timm] here')")


@pytest.fixture
def form(toys, root, until):
    """``async with form() as (app, pilot)``: the form, open and judged."""
    texts = {"backbone": "toy-net", "loss": "toy-arc", "dataset": "toy-drawn"}

    class Opened:
        def __init__(self, size=SIZE, **changes):
            self.app = Console(root)
            self.context = self.app.run_test(size=size)
            self.texts = {**texts, **changes}

        async def __aenter__(self):
            pilot = await self.context.__aenter__()
            self.app.open_form(self.texts)
            await until(pilot, self.ready)
            return self.app, pilot

        def ready(self):
            """The form waits for a key, or a window over it does."""
            drawn = [s for s in self.app.screen_stack if isinstance(s, LaunchForm) and s.draft]
            return drawn and (self.app.screen is not drawn[0] or drawn[0].focused)

        async def __aexit__(self, *error):
            await self.context.__aexit__(*error)

    return Opened


_PATIENCE = 60
_IMPORTS = "import pathlib, sys; from arcterm.console.app import Console, run_console\n"
_RUN = "sys.exit(run_console(pathlib.Path(sys.argv[1]), None))"


class Pty:
    """A console in a pseudo-terminal; `said` is all that it wrote."""

    def __init__(self, source: str, root) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (24, 80))
        self.before = termios.tcgetattr(self.slave)
        self.said = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, str(root)],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
        )

    def read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.said += os.read(self.master, 1 << 16)

    def wait(self, text: bytes) -> None:
        deadline = time.monotonic() + _PATIENCE
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            self.read(1)

    def end(self) -> int:
        """The exit code, when all is read."""
        deadline = time.monotonic() + _PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.said
            self.read(0.1)
        self.read(0)
        return self.process.returncode

    def modes(self) -> dict[bytes, bytes]:
        """The last word on each private mode: h is on, l is off."""
        return dict(re.findall(rb"\x1b\[\?(\d+)([hl])", self.said))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def type(self, keys: bytes) -> None:
        """Type all `keys` at once."""
        os.write(self.master, keys)


@pytest.fixture
def opened(tmp_path: Path) -> Iterable[Callable[..., Pty]]:
    """``opened(source)``: a console of its own in a pseudo-terminal, whose screen is there."""
    consoles: list[Pty] = []

    def start(source: str = "", run: str = _RUN, first: bytes = b"\x1b[?1049h") -> Pty:
        consoles.append(Pty(_IMPORTS + source + run, tmp_path))
        consoles[-1].wait(first)
        return consoles[-1]

    yield start
    for console in consoles:
        console.close()
