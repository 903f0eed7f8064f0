"""Backbones: eager float32 in NCHW against what arcterm does, in one interleaved run.

    python benchmarks/backbone.py                      r18, y1, y1 twice as wide in training, r50 in inference
    python benchmarks/backbone.py --rounds 5 --only r50
    python benchmarks/backbone.py --device cuda        r18, r50, r100 and vit_b in training, the loss included

On a CPU every round runs every case once, in another order, on one thread; the time is the process's own,
a ratio the median over rounds of the ratios within a round. Training is forward, backward and SGD. bfloat16
is timed where the CPU has instructions for it. On a GPU a step is that of a run (CosFace over `--classes`)
and the share is of what the same GPU does in a large bfloat16 product. Prints a table, writes
benchmarks/backbone.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from arcterm_registry import get
from torch import Tensor, nn

from arcterm.config import TrainConfig
from arcterm.runs.journal import NullJournal
from arcterm.train import build, precision
from arcterm.train.head.products import fast_bfloat16
from arcterm.train.optim import optimizers
from arcterm.train.stepmodel import compile_backbone
from arcterm.train.world import World
from arcterm.verify.embed import normalize
from arcterm.verify.fold import fold_norms

CPU = torch.device("cpu")
GPU_BACKBONES = ("r18", "r50", "r100", "vit_b")
GPU_CASES: dict[str, dict[str, object]] = {
    "channels_last + float32": {"precision": "float32"},
    "channels_last + bfloat16": {},
    "channels_last + bfloat16 + compile": {"compile": True},
}


@dataclass(frozen=True)
class Case:
    """One network in one way of computing."""

    backbone: str
    training: bool
    batch: int
    wide: bool = False
    last: bool = False
    fold: bool = False
    compile: bool = False
    half: bool = False

    @property
    def network(self) -> str:
        return self.backbone + (" scale=2" if self.wide else "")

    @property
    def how(self) -> str:
        ways = {"channels_last": self.last, "fold": self.fold, "compile": self.compile, "bfloat16": self.half}
        return " + ".join(name for name, on in ways.items() if on) or "eager float32 NCHW"

    def images(self) -> Tensor:
        drawn = torch.rand(self.batch, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
        return drawn.to(memory_format=torch.channels_last) if self.last else drawn

    def make(self) -> Callable[[], None]:
        """What is timed."""
        torch.manual_seed(0)
        network: nn.Module = get("backbone", self.backbone).make(**({"scale": 2} if self.wide else {}))
        if self.last:
            network.to(memory_format=torch.channels_last)
        if self.half:
            precision.keep_embedding_exact(network, self.images()[:2])
        return self._step(network) if self.training else self._embed(network)

    def _step(self, network: nn.Module) -> Callable[[], None]:
        images = self.images()
        # the plain case has torch's own choice, ours that of a training
        how = optimizers.implementation("cpu") if self.last else {}
        sgd = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, **how)
        run = torch.compile(network, dynamic=False) if self.compile else network

        def step() -> None:
            sgd.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                embeddings = run(images)
            embeddings.float().square().mean().backward()
            sgd.step()

        return step

    def _embed(self, network: nn.Module) -> Callable[[], None]:
        images = self.images()
        network = fold_norms(network, (112, 112)) if self.fold else network.eval()
        run = torch.compile(network, dynamic=False, options={"freezing": True}) if self.compile else network

        def embed() -> None:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                run(images)

        return embed


def cases() -> list[Case]:
    base = [Case("r18", True, 8), Case("y1", True, 16), Case("y1", True, 8, wide=True), Case("r50", False, 8)]
    found = []
    for plain in base:
        last = replace(plain, last=True)
        found += [plain, last]
        if not plain.training:
            found.append(last := replace(last, fold=True))
        found.append(replace(last, compile=True))
        if fast_bfloat16():
            found += [replace(last, half=True), replace(last, half=True, compile=True)]
    return found


def on_cpu(rounds: int, only: list[str]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    chosen = [case for case in cases() if not only or case.backbone in only]
    for network in dict.fromkeys((case.network, case.training) for case in chosen):
        ready = {}
        for case in (c for c in chosen if (c.network, c.training) == network):
            started, ready[case] = time.perf_counter(), case.make()
            ready[case]()
            print(f"{case.network}: {case.how}: ready in {time.perf_counter() - started:.0f} s", flush=True)
        spent: dict[Case, list[float]] = {case: [] for case in ready}
        for number in range(rounds):
            order = list(ready)
            random.Random(number).shuffle(order)
            for case in order:
                started = time.process_time()
                ready[case]()
                spent[case].append(time.process_time() - started)
        base = spent[next(iter(spent))]
        for case, times in spent.items():
            rows.append(
                {
                    "backbone": case.network,
                    "mode": "training" if case.training else "inference",
                    "batch": case.batch,
                    "case": case.how,
                    "images_per_second": case.batch / statistics.median(times),
                    "times_faster": statistics.median(b / t for b, t in zip(base, times, strict=True)),
                }
            )
    return rows


def product_rate(device: torch.device) -> float:
    """FLOP/s of a large bfloat16 product, best of ten."""
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    return 2 * 8192**3 / min(_seconds(lambda: a @ a, 5) for _ in range(10))


def _seconds(call: Callable[[], object], times: int) -> float:
    """Mean wall time of a call on a GPU."""
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(times):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / times


def step_of_a_run(config: TrainConfig, classes: int, device: torch.device) -> Callable[[], None]:
    """Normalise, forward, loss, backward, clip and update, as `train.loop` does it."""
    trained = build.trained(config, classes, World(device=device))
    declared = get("backbone", config.backbone)
    shape = (config.batch_size, *declared.input_size, 3)
    pixels = torch.randint(0, 255, shape, dtype=torch.uint8, device=device)
    labels = torch.randint(0, classes, (config.batch_size,), device=device)
    model: Callable[[Tensor], Tensor] = trained.backbone
    if config.compile:
        model = compile_backbone(
            trained.backbone,
            config.backbone,
            normalize(pixels, declared.preprocess),
            config.precision,
            NullJournal(),
        )

    def step() -> None:
        for optimizer in (trained.backbone_optimizer, trained.head_optimizer):
            optimizer.zero_grad(set_to_none=True)
        with precision.autocast(config.precision, device):
            embeddings = model(normalize(pixels, declared.preprocess))
        trained.head(embeddings, labels, 1).loss.backward()
        nn.utils.clip_grad_norm_(trained.backbone.parameters(), 5.0)
        trained.backbone_optimizer.step()
        trained.head_optimizer.step()

    return step


def on_gpu(rounds: int, only: list[str], classes: int, batch: int) -> list[dict[str, object]]:
    device = torch.device("cuda")
    limit = product_rate(device)
    print(f"large bfloat16 product: {limit / 1e12:.0f} TFLOP/s")
    rows: list[dict[str, object]] = []
    for name in only or GPU_BACKBONES:
        recipe = dict(get("backbone", name).recipe)
        for how, changes in GPU_CASES.items():
            config = TrainConfig(
                backbone=name,
                loss="cosface",
                dataset="demo",
                device="cuda",
                nproc=1,
                gpus=[0],
                batch_size=batch,
                epochs=1,
                steps=100,
                **{"lr": 1e-3, **recipe, **changes},
            )
            step = step_of_a_run(config, classes, device)
            for _ in range(5):
                step()
            speed = batch / statistics.median(_seconds(step, 10) for _ in range(rounds))
            flops = 6e9 * get("backbone", name).gmacs * speed
            rows.append(
                {
                    "backbone": name,
                    "mode": "training with the loss",
                    "batch": batch,
                    "case": how,
                    "images_per_second": speed,
                    "share_of_bfloat16_limit": flops / limit,
                }
            )
            torch.cuda.empty_cache()
    return rows


def show(rows: list[dict[str, object]]) -> None:
    print(f"{'backbone':<12}{'mode':<24}{'batch':>6}  {'case':<44}{'images/s':>9}  faster, or share of limit")
    for row in rows:
        share = row.get("share_of_bfloat16_limit")
        last = f"{share:.1%}" if share is not None else f"{row['times_faster']:.2f} ×"
        print(
            f"{row['backbone']:<12}{row['mode']:<24}{row['batch']:>6}  {row['case']:<44}"
            f"{row['images_per_second']:>9.2f}  {last}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], metavar="BACKBONE")
    parser.add_argument("--batch", type=int, default=256, help="on a GPU")
    parser.add_argument("--classes", type=int, default=93_431, help="on a GPU; those of MS1MV3")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if asked.device == "cuda":
        machine = torch.cuda.get_device_name()
    else:
        machine = f"{platform.processor() or platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    print(f"{machine}, torch {torch.__version__}, {os.cpu_count()} CPUs")
    if asked.device == "cuda":
        rows = on_gpu(asked.rounds, asked.only, asked.classes, asked.batch)
    else:
        if not fast_bfloat16():
            print("this CPU has no instructions for bfloat16: no time is given for it")
        rows = on_cpu(asked.rounds, asked.only)
    show(rows)
    about = {"machine": machine, "torch": torch.__version__}
    asked.json.write_text(json.dumps({**about, "cases": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
