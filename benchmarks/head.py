"""The margin head: naive, ours in float32 and in bfloat16, and Partial FC, in one interleaved run.

    python benchmarks/head.py                          10k, 100k and 1M classes on one CPU thread
    python benchmarks/head.py --classes 100000 --rounds 5
    python benchmarks/head.py --device cuda --batch 1024 --classes 1000000 10000000

Every round runs every case once, in another order; a ratio is the median over rounds of the ratios within a
round. On a CPU the time is the process's own, on a GPU the wall's between synchronisations. The memory is the
peak over that before the case, less the weights' gradient where there is one that is not kept from step to
step: ours is kept on a CPU, and with the update, which is made within the backward pass, it has none.
`late` are embeddings late in training, with cosines to their own class of 0.75 ± 0.08. Prints one table,
writes benchmarks/head.json.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from arcterm_registry import get
from torch import Tensor, nn
from torch.optim import SGD

from arcterm.train.head.head import Head
from arcterm.train.head.partial_fc import LazySGD
from arcterm.train.head.products import fast_bfloat16
from arcterm.train.head.rowgradients import Room
from arcterm.train.head.rowupdate import RowUpdate
from arcterm.train.world import World

SIZE, MARGIN, SCALE, RATE = 512, 0.5, 64.0, 0.1
MIB = 1 << 20
UPDATED = ", with update"


def naive(embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """ArcFace as it is usually written: all logits, a margin on one column, cross-entropy."""
    cosines = F.linear(F.normalize(embeddings), F.normalize(weight))
    t = cosines.gather(1, labels[:, None]).float()
    sine = (1 - t * t).clamp(0, 1).sqrt()
    moved = t * math.cos(MARGIN) - sine * math.sin(MARGIN)
    moved = torch.where(t > -math.cos(MARGIN), moved, t - MARGIN * math.sin(MARGIN))
    return F.cross_entropy(cosines.scatter(1, labels[:, None], moved.to(cosines.dtype)) * SCALE, labels)


@dataclass
class Problem:
    """One size: a batch, and a head for each way of computing."""

    device: torch.device
    classes: int
    batch: int

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.embeddings = torch.randn(self.batch, SIZE, device=self.device, requires_grad=True)
        self.labels = torch.randint(0, self.classes, (self.batch,), device=self.device)
        self.step = 0
        self.made = self._head()
        # a training has one size of gradient, whose memory it keeps
        self.rooms = {rate: Room() for rate in (RATE, 1.0)}
        cosine = torch.randn(self.batch, 1, device=self.device).mul_(0.08).add_(0.75).clamp_(0, 0.95)
        self.late = at_angle(self.made.weight.detach(), self.labels, cosine).requires_grad_()

    def _head(self, **how: object) -> Head:
        margin = get("loss", "arcface").make(margin=MARGIN, scale=SCALE)
        return Head(self.classes, SIZE, margin, World(device=self.device), 0, **how)

    def naive(self) -> None:
        naive(self.embeddings, self.labels, self.made.weight).backward()

    def ours(self, dtype: torch.dtype) -> None:
        self.made._dtype, self.made._room = dtype, self.rooms[1.0]
        self.made(self.embeddings, self.labels, self._next()).loss.backward()

    def ours_late(self, filtered: bool) -> None:
        self.made._dtype, self.made._room, self.made._filtered = torch.bfloat16, self.rooms[1.0], filtered
        self.made(self.late, self.labels, self._next()).loss.backward()

    def updated(self, sgd: SGD, dtype: torch.dtype) -> None:
        """A whole step whose rows are updated within the backward pass."""
        self.made._dtype, self.made.row_update = dtype, RowUpdate(sgd, self.made.weight)
        self.made.row_update.arm()
        self.made(self.embeddings, self.labels, self._next()).loss.backward()

    def dense_partial(self, sgd: SGD, dtype: torch.dtype) -> None:
        """Partial FC as it is published: rows by index, a dense gradient, SGD over all rows."""
        self.made._dtype = dtype
        self.made.sample_rate, self.made.fetch = RATE, self.made._dense_rows
        self.made._room = self.rooms[RATE]
        self.made(self.embeddings, self.labels, self._next()).loss.backward()
        sgd.step()

    def lazy_partial(self, sgd: LazySGD, dtype: torch.dtype) -> None:
        self.made._dtype = dtype
        self.made.sample_rate, self.made.fetch = RATE, sgd.fetch
        self.made._room = self.rooms[RATE]
        self.made(self.embeddings, self.labels, self._next()).loss.backward()
        sgd.step()

    def rest(self) -> None:
        self.made.sample_rate, self.made.row_update, self.made._filtered = 1.0, None, False
        self.made.zero_grad()
        self.embeddings.grad = self.late.grad = None

    def _next(self) -> int:
        self.step += 1
        return self.step


def cases(problem: Problem, partial: bool) -> dict[str, Callable[[], None]]:
    found: dict[str, Callable[[], None]] = {
        "naive float32": problem.naive,
        "ours float32": lambda: problem.ours(torch.float32),
    }
    if problem.device.type == "cuda" or fast_bfloat16():
        found["ours bfloat16"] = lambda: problem.ours(torch.bfloat16)
        found["late bfloat16"] = lambda: problem.ours_late(filtered=False)
        found["late bfloat16, filtered"] = lambda: problem.ours_late(filtered=True)
    if partial:
        update = SGD([problem.made.weight], lr=1e-3, momentum=0.9, weight_decay=5e-4)

        def naive_step() -> None:
            problem.naive()
            update.step()

        found[f"naive float32{UPDATED}"] = naive_step
        for name in [name for name in found if name.startswith("ours")]:
            dtype = getattr(torch, name.split()[1])
            found[name + UPDATED] = lambda dtype=dtype: problem.updated(update, dtype)
        rows = {"weight": problem.made.weight}
        lazy = LazySGD(
            rows, [{"params": [problem.made.weight]}], lr=1e-3, momentum=0.9, weight_decay=5e-4, fused=True
        )
        half = problem.device.type == "cuda" or fast_bfloat16()
        for dtype in (torch.float32, torch.bfloat16)[: 1 + half]:
            name = str(dtype).removeprefix("torch.")
            dense, ours = (f"partial {RATE:g} {way} {name}{UPDATED}" for way in ("dense", "lazy"))
            found[dense] = lambda dtype=dtype: problem.dense_partial(update, dtype)
            found[ours] = lambda dtype=dtype: problem.lazy_partial(lazy, dtype)
    return found


class Meter:
    """Time and peak memory of a call."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"

    def __call__(self, case: Callable[[], None]) -> tuple[float, float]:
        gc.collect()
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before, started = torch.cuda.memory_allocated(), time.perf_counter()
            case()
            torch.cuda.synchronize()
            return time.perf_counter() - started, torch.cuda.max_memory_allocated() - before
        ctypes.CDLL(None).malloc_trim(0)  # else what was freed before would hide what is needed now
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
        before, started = _status("VmRSS"), time.process_time()
        case()
        return time.process_time() - started, _status("VmHWM") - before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


def measure(
    device: torch.device, classes: int, batch: int, rounds: int, room: int
) -> list[dict[str, object]]:
    """Rows of the table for one size; a case that would not fit into `room` bytes is left out and said so."""
    meter, partial = Meter(device), classes >= 100_000
    problem = Problem(device, classes, batch)
    found = cases(problem, partial)
    rows: list[dict[str, object]] = []
    if 5 * classes * (SIZE + 2 * batch) * 4 > room:
        for name in [name for name in found if name.startswith("naive")]:
            found.pop(name)
        rows.append({"classes": classes, "case": "naive float32", "note": "does not fit into memory"})
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in found}
    for number in range(rounds + 1):
        order = list(found)
        random.Random(number).shuffle(order)
        for name in order:
            spent = meter(found[name])
            problem.rest()
            if number:  # the first round warms up
                seen[name].append(spent)
    for name, spent in seen.items():
        base = name.replace("lazy", "dense").removesuffix(UPDATED) if "partial" in name else "naive float32"
        base += UPDATED if name.endswith(UPDATED) else ""
        base = "late bfloat16" if name.startswith("late") else base
        ratios = [b[0] / a[0] for a, b in zip(spent, seen.get(base, []), strict=False)]
        kept = device.type == "cpu" and not name.startswith(("naive", "partial"))
        whole = "lazy" not in name and not kept and not ("ours" in name and name.endswith(UPDATED))
        gradient = whole * classes * SIZE * 4
        rows.append(
            {
                "classes": classes,
                "case": name,
                "seconds": statistics.median(t for t, _ in spent),
                "times_faster": statistics.median(ratios) if ratios else None,
                "mib_beyond_gradient": max(m for _, m in spent) / MIB - gradient / MIB,
            }
        )
    return rows


def at_angle(weight: Tensor, labels: Tensor, cosine: Tensor) -> Tensor:
    """Embeddings whose target cosine is `cosine`, (B, 1) or one for all."""
    own = F.normalize(weight[labels])
    aside = torch.randn_like(own)
    aside = F.normalize(aside - (aside * own).sum(1, keepdim=True) * own)
    return cosine * own + (1 - cosine.square()).sqrt() * aside


def errors(device: torch.device, batch: int, classes: int = 20_000) -> list[dict[str, object]]:
    """Relative Frobenius error of the embeddings' gradient against the naive head in float64."""
    rows: list[dict[str, object]] = []
    for state, cosine in (("late (cos 0.8)", 0.8), ("middle (cos 0.65)", 0.65), ("start (random)", 0.0)):
        torch.manual_seed(1)
        weight = torch.randn(classes, SIZE, device=device)
        labels = torch.randint(0, classes, (batch,), device=device)
        embeddings = at_angle(weight, labels, torch.tensor(cosine, device=device)) * 20

        def gradient(loss: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype) -> Tensor:
            x = embeddings.detach().to(dtype, copy=True).requires_grad_()  # noqa: B023  used at once
            loss(x, weight.to(dtype)).backward()  # noqa: B023
            return x.grad.double()

        def half(x: Tensor, w: Tensor) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16):
                return naive(x, labels, w).float()  # noqa: B023

        def ours(dtype: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
            margin = get("loss", "arcface").make(margin=MARGIN, scale=SCALE)
            head = Head(classes, SIZE, margin, World(device=device), 0, dtype=dtype)

            def loss(x: Tensor, w: Tensor) -> Tensor:
                head.weight = nn.Parameter(w)
                return head(x, labels, 1).loss  # noqa: B023

            return loss  # noqa: B023

        def plain(x: Tensor, w: Tensor) -> Tensor:
            return naive(x, labels, w)  # noqa: B023

        exact = gradient(plain, torch.float64)
        for name, loss in {
            "naive float32": plain,
            "naive bfloat16 (autocast)": half,
            "ours float32": ours(torch.float32),
            "ours bfloat16": ours(torch.bfloat16),
        }.items():
            error = ((gradient(loss, torch.float32) - exact).norm() / exact.norm()).item()
            rows.append({"state": state, "case": name, "error": error})
    return rows


def show(rows: list[dict[str, object]], wrong: list[dict[str, object]]) -> None:
    print(f"{'classes':>10}  {'case':<42}{'seconds':>9}{'× faster':>10}{'MiB beyond dW':>15}")
    for row in rows:
        if "note" in row:
            print(f"{row['classes']:>10,}  {row['case']:<42}{row['note']}")
            continue
        faster = f"{row['times_faster']:.2f}" if row["times_faster"] else ""
        print(
            f"{row['classes']:>10,}  {row['case']:<42}{row['seconds']:>9.3f}{faster:>10}"
            f"{row['mib_beyond_gradient']:>15.1f}"
        )
    print(f"\n{'embedding gradient error':<22}  {'case':<42}{'to float64':>11}")
    for row in wrong:
        print(f"{row['state']:<24}  {row['case']:<42}{row['error']:>11.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.set_flush_denormal(True)
    device = torch.device(asked.device)
    if asked.device == "cuda":
        name, room = torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]
    else:
        import psutil

        name = f"{platform.processor() or platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
        room = psutil.virtual_memory().available
    print(f"{name}, torch {torch.__version__}, batch {asked.batch}, {asked.threads} thread(s)")
    if asked.device == "cpu" and not fast_bfloat16():
        print("this CPU has no instructions for bfloat16: no time is given for it")
    wrong = errors(device, asked.batch)
    rows = [r for c in asked.classes for r in measure(device, c, asked.batch, asked.rounds, room)]
    show(rows, wrong)
    about = {"machine": name, "torch": torch.__version__, "batch": asked.batch, "threads": asked.threads}
    asked.json.write_text(json.dumps({**about, "cases": rows, "errors": wrong}, indent=1) + "\n")


if __name__ == "__main__":
    main()
