"""The console in a terminal: how soon it shows, answers and ends, and what it costs while one looks.

    python benchmarks/console.py [--rounds 5] [--only first live …] [--json FILE]

The console is started in a pseudo-terminal as a person would, keys are typed, and what it draws is read and
timed. Every case is one process a round, in an order of its own; medians over the rounds. Where W&B's `wandb
leet` is installed it shows a run of the same numbers in the same rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import platform
import pty
import random
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from writtenruns import made_step, write_run

SMALL, LARGE = (80, 24), (200, 50)
_CURVE = re.compile("[\u2801-\u28ff]")
_LEET = Path(sys.executable).with_name("wandb")
_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A program in a terminal of its own; what it draws is read, keys are typed into it."""

    def __init__(self, command: list[str], size: tuple[int, int], folder: Path) -> None:
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self._drawn = ""
        self.began = time.monotonic()
        environment = os.environ | {
            "TERM": "xterm-256color",
            "XDG_STATE_HOME": str(folder),
            "LANG": "C.UTF-8",
        }
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            command, stdin=side, stdout=side, stderr=side, env=environment, start_new_session=True
        )
        os.close(side)

    def wait_for(self, what: str | re.Pattern[str], seconds: float = 60) -> float:
        """Return the seconds since the start, or the last key, until `what` is drawn."""
        pattern = re.compile(re.escape(what)) if isinstance(what, str) else what
        deadline = self.began + seconds
        while not pattern.search(self._drawn):
            if not self._read(deadline - time.monotonic()):
                raise SystemExit(f"{self.process.args}: {pattern.pattern!r} did not come in {seconds} s")
        return time.monotonic() - self.began

    def type(self, keys: str) -> None:
        """Type `keys`; what was drawn before is forgotten."""
        self.settle(0.05)
        self._drawn, self.began = "", time.monotonic()
        os.write(self._main, keys.encode())

    def settle(self, seconds: float) -> None:
        """Read until nothing was drawn for so long."""
        while self._read(seconds):
            pass

    def watch(self, seconds: float) -> float:
        """Read for so long; returns the share of a core that the program took."""
        before, began = self._ticks(), time.monotonic()
        while (left := began + seconds - time.monotonic()) > 0:
            self._read(left)
        return (self._ticks() - before) / _TICKS / (time.monotonic() - began)

    def ended(self) -> float:
        """Return the seconds since the last key until the program has ended."""
        with contextlib.suppress(OSError):
            while self._read(10):
                pass
        self.process.wait(10)
        return time.monotonic() - self.began

    def memory(self) -> float:
        """The largest resident size so far in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            with contextlib.suppress(OSError):
                while self._read(5):
                    pass
            self.process.wait(10)
        os.close(self._main)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._main], [], [], max(0, seconds))[0]:
            return False
        try:
            text = os.read(self._main, 1 << 16)
        except OSError:  # the program has closed it
            return False
        self._answer(text)
        self._drawn += re.sub(r"\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|[()].|[=>])", "", text.decode(errors="replace"))
        return bool(text)

    def _answer(self, text: bytes) -> None:
        """Answer as a terminal does where a program asks it for its colours, cursor or kind."""
        for asked, answer in (
            (b"\x1b[6n", b"\x1b[1;1R"),
            (b"\x1b]11;?", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
            (b"\x1b[c", b"\x1b[?62;c"),
        ):
            if asked in text:
                os.write(self._main, answer)

    def _ticks(self) -> int:
        """CPU time of the program and its children so far, in ticks."""
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid:  # its session
                    total += int(fields[11]) + int(fields[12])
        return total


@dataclass
class Places:
    """The run directories that the cases look at."""

    folder: Path
    steps: int
    runs: int

    def root(self, name: str) -> Path:
        return self.folder / name

    def prepare(self, names: set[str]) -> None:
        """Write the runs of these roots that are not there yet."""
        sizes = {"hundred": (100_000, 1), "million": (self.steps, 1), "many": (20, self.runs)}
        for name, (steps, count) in sizes.items():
            if name in names and not self.root(name).exists():
                for _ in range(count):
                    write_run(self.root(name), steps)
        if "leet" in names and not (self.folder / "wandb").exists():
            _write_wandb(self.folder, 100_000)


@contextlib.contextmanager
def console(places: Places, root: str, *arguments: str, size: tuple[int, int] = SMALL) -> Iterator[Terminal]:
    """The console over a root."""
    command = [sys.executable, "-m", "arcterm", "tui", *arguments, "--runs-dir", str(places.root(root))]
    with tempfile.TemporaryDirectory() as state:
        terminal = Terminal(command, size, Path(state))
        try:
            yield terminal
        finally:
            terminal.close()


@contextlib.contextmanager
def leet(places: Places, size: tuple[int, int] = SMALL) -> Iterator[Terminal]:
    """`wandb leet` over the run that was written for it."""
    run = next((places.folder / "wandb").glob("offline-run-*"))
    terminal = Terminal([str(_LEET), "leet", "run", str(run)], size, places.folder / "leet")
    try:
        yield terminal
    finally:
        terminal.close()


def first(places: Places) -> float:
    with console(places, "hundred", "last") as shown:
        return shown.wait_for(_CURVE) * 1000


def first_leet(places: Places) -> float:
    with leet(places) as shown:
        return shown.wait_for(_CURVE) * 1000


def idle(places: Places) -> float:
    with console(places, "hundred", "last") as shown:
        shown.wait_for(_CURVE)
        shown.settle(2)
        return shown.watch(20) * 100


def idle_leet(places: Places) -> float:
    with leet(places) as shown:
        shown.wait_for(_CURVE)
        shown.settle(2)
        return shown.watch(20) * 100


def live(size: tuple[int, int]) -> Callable[[Places], float]:
    """A run that makes ten steps a second: what it costs to look on."""

    def case(places: Places) -> float:
        with tempfile.TemporaryDirectory(dir=places.folder) as name:
            where = Places(Path(name), places.steps, places.runs)
            steps = 20_000
            _, journal = write_run(where.root("live"), steps, live=True)
            over = threading.Event()

            def train() -> None:
                step, chance = steps, random.Random(2)
                while not over.wait(0.1):
                    step += 1
                    journal.write(made_step(step, 10 * steps, time.time(), chance))

            writer = threading.Thread(target=train)
            writer.start()
            try:
                with console(where, "live", "last", size=size) as shown:
                    shown.wait_for(_CURVE)
                    shown.watch(3)
                    return shown.watch(20) * 100
            finally:
                over.set()
                writer.join()
                journal.close()

    return case


def complete(places: Places) -> float:
    """All steps of the long run are drawn; the memory is measured beside."""
    return _complete(places)[0]


def complete_memory(places: Places) -> float:
    return _complete(places)[1]


def _complete(places: Places) -> tuple[float, float]:
    script = (
        "import asyncio, pathlib, sys, time\n"
        "from arcterm.console.app import Console\n"
        "from arcterm.console.ending import settle\n"
        "async def main():\n"
        "    app = Console(pathlib.Path(sys.argv[1]), 'last')\n"
        "    settle()\n"
        "    async with app.run_test(size=(120, 40)) as pilot:\n"
        "        while not (hasattr(app.screen, 'view') and not app.screen.view.loading):\n"
        "            await pilot.pause(0.01)\n"
        "asyncio.run(main())\n"
    )
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", script, str(places.root("million"))])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the console ended with {process.returncode}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


_LAG = """
import asyncio, pathlib, sys, time
from textual.app import App
from arcterm.console.charts.grid import ChartGrid
from arcterm.console.charts.metrics import makers
from arcterm.console.view import View
from arcterm.runs.reader import Reader
from arcterm.runs.state import read_state
from arcterm.runs.store import find
from arcterm.show.words import METRICS
run = find(pathlib.Path(sys.argv[1]), "last")
view, reader = View(run=run, record=run.record, state=read_state(run)), Reader(run)
while view.loading:
    view.take(reader.look())
class Charts(App):
    ascii = False
    def compose(self):
        yield ChartGrid(makers(view), METRICS)
async def grow(grid):
    history = view.history
    while True:
        history.steps.append(history.steps[-1] + 1)
        history.times.append(history.times[-1] + 0.1)
        for column in history.series.values():
            column.append(column[-1] * 1.0001)
        grid.redraw()
        await asyncio.sleep(0.1)
async def main():
    app, lags = Charts(), []
    async with app.run_test(size=(200, 50)) as pilot:
        grid = app.query_one(ChartGrid)
        grid.shape = 3, 3
        grid.draw_all()
        await pilot.pause()
        assert len(grid.panes) == 8
        growing = asyncio.create_task(grow(grid))
        for _ in range(2000):
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - began - 0.005)
        growing.cancel()
    print(sorted(lags)[int(0.95 * len(lags))] * 1000)
asyncio.run(main())
"""


def lag(places: Places) -> float:
    """How late the event loop is while eight charts grow ten times a second; the 95th percentile."""
    command = [sys.executable, "-c", _LAG, str(places.root("hundred"))]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def rows(places: Places) -> float:
    """The first rows of a list of many runs."""
    with console(places, "many") as shown:
        return shown.wait_for("r50-arcface") * 1000


def rows_idle(places: Places) -> float:
    with console(places, "many") as shown:
        shown.wait_for("r50-arcface")
        shown.settle(3)
        return shown.watch(20) * 100


def key(places: Places) -> float:
    """From a key in the long list to what it changes on the screen; the median of twenty."""
    with console(places, "many") as shown:
        shown.wait_for("r50-arcface")
        shown.settle(3)
        found = []
        for _ in range(20):
            shown.type("j")
            found.append(shown.wait_for(re.compile(".")))
        return statistics.median(found) * 1000


def help_box(root: str) -> Callable[[Places], float]:
    """From ``?`` to the list of keys."""

    def case(places: Places) -> float:
        with console(places, root, "last") as shown:
            shown.wait_for(_CURVE)
            if root == "hundred":
                shown.settle(1)
            shown.type("?")
            return shown.wait_for("this list of keys") * 1000

    return case


def leave(places: Places) -> float:
    """From the last key to the end of the process."""
    with console(places, "hundred") as shown:
        shown.wait_for("r50-arcface")
        shown.settle(1)
        shown.type("q")
        return shown.ended() * 1000


def leave_leet(places: Places) -> float:
    with leet(places) as shown:
        shown.wait_for(_CURVE)
        shown.settle(1)
        shown.type("q")
        return shown.ended() * 1000


@dataclass(frozen=True)
class Case:
    """What is measured, in which unit, over which runs, and how much it may be."""

    words: str
    unit: str
    measure: Callable[[Places], float]
    root: str
    limit: float | None = None


CASES = {
    "first": Case("first chart, 100,000 steps", "ms", first, "hundred", 300),
    "first-leet": Case("… `wandb leet`", "ms", first_leet, "leet"),
    "complete": Case("all read, 1,000,000 steps", "s", complete, "million", 3),
    "memory": Case("… its memory", "MiB", complete_memory, "million", 150),
    "idle": Case("idle, 100,000 steps", "% of a core", idle, "hundred", 0.5),
    "idle-leet": Case("… `wandb leet`", "% of a core", idle_leet, "leet"),
    "live": Case("live, ten steps a second, 80×24", "% of a core", live(SMALL), "hundred", 2),
    "live-large": Case("live, ten steps a second, 200×50", "% of a core", live(LARGE), "hundred", 2.5),
    "lag": Case("loop lag, eight charts of 100,000 steps, 200×50", "ms", lag, "hundred", 15),
    "rows": Case("first rows of 3,000 runs", "ms", rows, "many", 400),
    "rows-idle": Case("idle, 3,000 runs", "% of a core", rows_idle, "many", 1),
    "key": Case("a key in the list of 3,000 runs", "ms", key, "many", 15),
    "help": Case("help", "ms", help_box("hundred"), "hundred", 20),
    "help-busy": Case("help while 1,000,000 steps are read", "ms", help_box("million"), "million", 20),
    "leave": Case("leave", "ms", leave, "hundred", 100),
    "leave-leet": Case("… `wandb leet`", "ms", leave_leet, "leet"),
}


def _write_wandb(folder: Path, steps: int) -> None:
    """An offline run of W&B with the numbers of `made_step`."""
    script = (
        "import random, sys, wandb\n"
        "from writtenruns import made_step\n"
        "run = wandb.init(mode='offline', dir=sys.argv[1], project='x')\n"
        "chance, steps = random.Random(1), int(sys.argv[2])\n"
        "for i in range(1, steps + 1):\n"
        "    s = made_step(i, steps, i / 10, chance)\n"
        "    run.log({'loss': s.loss, 'accuracy': s.accuracy, 'angle': s.angle, 'lr': s.lr,\n"
        "             'images_per_second': s.images_per_second}, step=i)\n"
        "run.finish()\n"
    )
    environment = os.environ | {"WANDB_SILENT": "true"}
    subprocess.run(
        [sys.executable, "-c", script, str(folder), str(steps)],
        cwd=Path(__file__).parent,
        env=environment,
        check=True,
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--keep", type=Path, help="write the runs here, or use those that are there")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = [name for name in given.only if CASES[name].root != "leet" or _LEET.exists()]
    found: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        places = Places(given.keep or Path(temporary), given.steps, given.runs)
        places.folder.mkdir(parents=True, exist_ok=True)
        places.prepare({CASES[name].root for name in names})
        for _ in range(given.rounds):
            for name in random.sample(names, len(names)):
                found[name].append(CASES[name].measure(places))
                print(f"{name} {found[name][-1]:.1f}", file=sys.stderr, flush=True)
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    print(f"{os.cpu_count()} cores, {model.partition(': ')[2]}, Python {platform.python_version()}\n")
    print("| | median | least | at most |\n|---|---|---|---|")
    for name in names:
        case, values = CASES[name], found[name]
        limit = f"{case.limit:g}" if case.limit is not None else ""
        print(
            f"| {case.words} ({case.unit}) | {statistics.median(values):.2f} | {min(values):.2f} | {limit} |"
        )
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
