"""The first check of a GPU, in ten minutes: that what it computes is right, and then how fast it is.

    python benchmarks/gpu.py            on the first GPU; all of it
    python benchmarks/gpu.py --dry      the same checks on a CPU, with few classes: that they run at all

A part that fails does not stop the others. Prints a line for each and writes benchmarks/gpu.json; the exit
code is the number of parts that failed. To be recorded in RESULTS.md with the chip's name.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from arcterm_registry import get, names
from torch import Tensor
from torch.optim import SGD

from arcterm.train.head import fused, partial_fc
from arcterm.train.head.head import Head
from arcterm.train.head.partial_fc import LazySGD
from arcterm.train.head.rowupdate import RowUpdate
from arcterm.train.world import World
from arcterm.verify.fold import fold_norms

SIZE = 512
HOW = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}
LIMITS = {"float32": 2e-4, "bfloat16": 2e-2}
TRAININGS = {
    "plain": [],
    "compiled": ["--set", "compile=yes"],
    "recomputed": ["--set", "gradient_checkpointing=yes"],
    "partial": ["--set", "sample_rate=0.3"],
    "exact": ["--set", "precision=float32", "--set", "head_precision=float32"],
}


def error(a: Tensor, b: Tensor) -> float:
    """Frobenius error of `a` relative to `b`."""
    a, b = a.double().cpu(), b.double().cpu()
    return float((a - b).norm() / b.norm().clamp_min(1e-30))


class Check:
    """The parts of the check on one device; each returns what it found, and raises for what is wrong."""

    def __init__(self, dry: bool, room: Path) -> None:
        self.dry = dry
        self.room = room
        self.device = torch.device("cpu") if dry else torch.device("cuda", 0)
        self.world = World(device=self.device)

    def machine(self) -> dict[str, object]:
        """Name, toolchain, and whether the head's kernels work."""
        found: dict[str, object] = {
            "torch": torch.__version__,
            "gcc": shutil.which("gcc") or "",
            "python_h": Path(sysconfig.get_path("include"), "Python.h").exists(),
            "kernels": fused.available(self.device) and (fused.failure(self.device) or "right"),
        }
        if not self.dry:
            found["gpu"] = torch.cuda.get_device_name()
            found["capability"] = torch.cuda.get_device_capability()
            found["bfloat16"] = torch.cuda.is_bf16_supported(including_emulation=False)
            if found["kernels"] is not False and found["kernels"] != "right":
                raise RuntimeError(f"the head's kernels fail: {found['kernels']}")
        return found

    def folding(self) -> dict[str, object]:
        """Norms fold into r18, r50 and r100 whatever the setting of TF32."""
        found: dict[str, object] = {}
        for name in ("r18",) if self.dry else ("r18", "r50", "r100"):
            for rounded in (True, False):
                torch.backends.cudnn.allow_tf32 = rounded
                torch.manual_seed(0)
                declared, notes = get("backbone", name), []
                network = declared.make().to(device=self.device, memory_format=torch.channels_last)
                with torch.no_grad():
                    network(torch.rand(8, 3, *declared.input_size, device=self.device))
                fold_norms(network, declared.input_size, notes.append)
                if notes:
                    raise RuntimeError(f"{name} with TF32 {rounded}: {notes}")
        torch.backends.cudnn.allow_tf32 = True
        return found | {"folded": "all"}

    def losses(self) -> dict[str, object]:
        """Loss, gradient and updates of each loss are those of the CPU, and no step waits for the host."""
        far: dict[str, list[str]] = {}
        margins = [name for name in names("loss") if get("loss", name).form == "margin"]
        margins = margins[:3] if self.dry else margins
        for name in margins:
            for rate in (1.0, 0.3):
                exact = self._steps(name, rate, torch.device("cpu"), torch.float32)
                for kind, limit in LIMITS.items():
                    given = self._steps(name, rate, self.device, getattr(torch, kind))
                    errors = [error(a, b) for a, b in zip(given, exact, strict=True)]
                    if not max(errors) < limit:
                        far[f"{name}, rate {rate:g}, {kind}"] = [f"{e:.1e}" for e in errors]
        if far:
            raise RuntimeError(f"too far from the CPU's float32: {far}")
        return {"losses": len(margins), "limits": LIMITS}

    def _steps(self, name: str, rate: float, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        """Loss and gradient of the first of three steps, and the class weights after them."""
        torch.manual_seed(0)
        margin = get("loss", name).make()
        head = Head(3000, 128, margin, World(device=device), 0, sample_rate=rate, dtype=dtype)
        rows = head.sharded()
        how, sgd = {**HOW, "lr": 0.1}, None
        if rate < 1:
            sgd = LazySGD(rows, [{"params": list(head.parameters())}], **how)
            head.fetch = sgd.fetch
        sgd = sgd or SGD(head.parameters(), **how)
        drawn = torch.randn(96, 128, generator=torch.Generator().manual_seed(1))
        labels, kept = (torch.arange(96) * 31 % 3000).to(device), []
        for step in (1, 2, 3):
            x = drawn.to(device).requires_grad_()
            watched = step == 3 and device.type == "cuda"
            if watched:
                torch.cuda.synchronize()
                torch.cuda.set_sync_debug_mode("error")
            try:
                loss = head(x, labels, step).loss
                loss.backward()
                kept = kept or [loss.detach(), x.grad]
                sgd.step()
                sgd.zero_grad(set_to_none=True)
            finally:
                if watched:
                    torch.cuda.set_sync_debug_mode("default")
        return [*kept, head.weight.detach()]

    def updates(self) -> dict[str, object]:
        """Class rows updated within the backward pass are those of the step after it."""
        made = {}
        for inside in (False, True):
            torch.manual_seed(0)
            head = self._head(20_000)
            sgd = SGD([head.weight], **HOW)
            head.row_update = RowUpdate(sgd, head.weight) if inside else None
            self._step(head, sgd, *self._batch(20_000, 128), 1)
            made[inside] = head.weight.detach()
        if (far := error(made[True], made[False])) > 1e-6:
            raise RuntimeError(f"the weights are {far:.1e} apart")
        return {"apart": f"{far:.1e}"}

    def _head(self, classes: int) -> Head:
        return Head(classes, SIZE, get("loss", "arcface").make(), self.world, 0, dtype=torch.bfloat16)

    def _batch(self, classes: int, batch: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(batch, SIZE, device=self.device, requires_grad=True)
        return x, torch.randint(0, classes, (batch,), device=self.device)

    def _step(self, head: Head, sgd: SGD | LazySGD, x: Tensor, labels: Tensor, step: int) -> None:
        sgd.zero_grad(set_to_none=True)
        if head.row_update:
            head.row_update.arm()
        head(x, labels, step).loss.backward()
        sgd.step()

    def head(self) -> dict[str, object]:
        """Times and peaks of whole steps of the head, and the last rows' gradient beyond 2³¹ numbers."""
        found: dict[str, object] = {}
        for classes in (20_000,) if self.dry else (1_000_000, 10_000_000):
            head = self._head(classes)
            found[f"{classes:,} classes, last rows' gradient"] = f"{self._last_rows(head):.1e}"
            batch = 16 if self.dry else 1024
            x, labels = self._batch(classes, batch)
            for way in ("in the step", "in the backward pass"):
                how = {} if self.dry else {"fused": True}
                sgd = SGD([head.weight], **HOW, **how)
                head.row_update = RowUpdate(sgd, head.weight) if way != "in the step" else None
                timed = self._timed(lambda h=head, s=sgd, b=x, y=labels: self._step(h, s, b, y, 1))
                found[f"{classes:,} classes, update {way}"] = timed
                head.weight.grad = None
                del sgd
            head.row_update = None
            sgd = LazySGD(head.sharded(), [{"params": [head.weight]}], **HOW)
            head.fetch, head.sample_rate = sgd.fetch, 0.1
            timed = self._timed(lambda h=head, s=sgd, b=x, y=labels: self._step(h, s, b, y, 1))
            found[f"{classes:,} classes, Partial FC 0.1"] = timed
            mine = torch.ones_like(labels, dtype=torch.bool)
            draw = (labels, mine, range(classes), classes // 10, 0, 5)
            found[f"{classes:,} classes, drawing rows"] = self._timed(lambda d=draw: partial_fc.sample(*d))
            del head, sgd
            self._empty()
        return found

    def _last_rows(self, head: Head) -> float:
        """Error of the gradient of the last 64 rows against float64; raises if it is large."""
        classes = len(head.weight)
        x, labels = self._batch(classes - 64, 128)
        head(x, labels, 1).loss.backward()
        weight = head.weight.detach()
        unit = F.normalize(x.detach()).double()
        with torch.no_grad():
            parts = [64.0 * unit @ F.normalize(rows).double().T for rows in weight.split(1 << 18)]
            whole = torch.stack([part.logsumexp(1) for part in parts]).logsumexp(0)
            own = (unit * F.normalize(weight[labels]).double()).sum(1)
            rest = (whole.exp() - (64.0 * own).exp()).log()
            target = 64.0 * head.margin.own_target(own, torch.ones_like(own), 1, {})
            share = torch.sigmoid(rest - target) / len(x)
        del parts
        last = weight[-64:].double().requires_grad_()
        logits = 64.0 * unit @ F.normalize(last).T
        p = (share[:, None] * (logits - rest[:, None]).exp()).detach()
        (wanted,) = torch.autograd.grad((p * logits).sum(), last)
        far = error(head.weight.grad[-64:], wanted)
        head.weight.grad = None
        if far > LIMITS["bfloat16"]:
            raise RuntimeError(f"the gradient of the last of {classes:,} rows is off by {far:.1e}")
        return far

    def _timed(self, call: Callable[[], object]) -> str:
        """Milliseconds, and the peak beyond nothing at all in GB."""
        self._empty()
        for _ in range(2):
            call()
        if self.dry:
            started = time.perf_counter()
            call()
            return f"{(time.perf_counter() - started) * 1e3:.1f} ms"
        torch.cuda.reset_peak_memory_stats()
        taken = []
        for _ in range(5):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            end.synchronize()
            taken.append(start.elapsed_time(end))
        return f"{statistics.median(taken):.2f} ms, {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"

    def _empty(self) -> None:
        if not self.dry:
            torch.cuda.empty_cache()

    def trainings(self) -> dict[str, object]:
        """Runs of r50 in each way, from the command to the end: the last step's loss and speed."""
        backbone, steps, batch = ("tiny", 4, 8) if self.dry else ("r50", 60, 256)
        found: dict[str, object] = {}
        for name, settings in list(TRAININGS.items())[: 1 if self.dry else None]:
            size = ("--dataset", "synthetic", "--steps", str(steps), "--batch-size", str(batch))
            found[name] = self._train(name, backbone, "arcface", *size, *settings)
        return found

    def resuming(self) -> dict[str, object]:
        """A training that ended half-way and was resumed ends in the same loss as one that did not."""
        steps, batch = (4, 8) if self.dry else (60, 64)
        size = ("--dataset", "synthetic", "--batch-size", str(batch), "--deterministic")
        # a rate that does not hang on the length, which differs
        size = (*size, "--set", "schedule=multistep", "--set", "milestones=1000")
        whole = self._train("whole", "tiny", "adaface", *size, "--steps", str(steps))
        self._train("halves", "tiny", "adaface", *size, "--steps", str(steps // 2))
        self._arcterm("resume", "halves", "--steps", str(steps), "--plain")
        halves = self._last("halves")
        if any(halves[key] != whole[key] for key in ("step", "loss")):
            raise RuntimeError(f"ended with {halves}, not {whole}")
        return {"both": whole}

    def _train(self, name: str, *options: str) -> dict[str, object]:
        self._arcterm("train", *options, "--name", name, "--plain")
        return self._last(name)

    def _arcterm(self, *command: str) -> str:
        env = {**os.environ, "ARCTERM_RUNS": str(self.room / "runs")}
        argv = [sys.executable, "-m", "arcterm", *command]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=200)
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()[-4:]
            raise RuntimeError(f"arcterm {' '.join(command[:4])}: exit {done.returncode}: {said}")
        return done.stdout

    def _last(self, name: str) -> dict[str, object]:
        """Step, loss and speed of a run's last step."""
        shown = json.loads(self._arcterm("show", name, "--json"))
        if shown["state"] != "done":
            raise RuntimeError(f"{name} ended as {shown['state']}: {shown['reason']}")
        return {key: shown[key] for key in ("step", "loss", "images_per_second")}


PARTS = ("machine", "folding", "losses", "updates", "head", "trainings", "resuming")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    asked = parser.parse_args()
    if not asked.dry and not torch.cuda.is_available():
        sys.exit("there is no GPU that PyTorch can use: --dry runs the checks on the CPU")
    found: dict[str, object] = {}
    failed = 0
    with tempfile.TemporaryDirectory() as room:
        check = Check(asked.dry, Path(room))
        for part in asked.only:
            started, said = time.perf_counter(), "ok "
            try:
                found[part] = getattr(check, part)()
            except Exception as error:  # noqa: BLE001  one part's failure is no other's
                traceback.print_exc()
                found[part], said, failed = f"{type(error).__name__}: {error}"[:500], "BAD", failed + 1
            print(f"{said} {part}, {time.perf_counter() - started:.0f} s: {found[part]}", flush=True)
    asked.json.write_text(json.dumps(found, indent=1, default=str) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
