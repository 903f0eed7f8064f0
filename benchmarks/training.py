"""Training speed of a backbone with its loss, without the loader: forward, backward, update.

python benchmarks/training.py [tiny …] [--batch 32] [--threads 2] [--classes 1000] [--device cuda]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from arcterm_registry import get

from arcterm.config import TrainConfig
from arcterm.train import build
from arcterm.train.world import World
from arcterm.verify.embed import normalize


def images_per_second(name: str, batch: int, classes: int, device: torch.device, threads: int) -> float:
    """Median over 15 timed steps after 5 to warm up."""
    config = TrainConfig(
        backbone=name,
        loss="cosface",
        dataset="demo",
        device="cpu",
        nproc=1,
        threads=threads,
        batch_size=batch,
        epochs=1,
        steps=1,
        lr=0.1,
    )
    trained = build.trained(config, classes, World(device=device))
    declared = get("backbone", name)
    pixels = torch.randint(0, 255, (batch, *declared.input_size, 3), dtype=torch.uint8, device=device)
    labels = torch.randint(0, classes, (batch,), device=device)
    times = []
    for step in range(20):
        if device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        for optimizer in (trained.backbone_optimizer, trained.head_optimizer):
            optimizer.zero_grad(set_to_none=True)
        trained.head(trained.backbone(normalize(pixels, declared.preprocess)), labels, step).loss.backward()
        trained.backbone_optimizer.step()
        trained.head_optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return batch / statistics.median(times[5:])


def main() -> None:
    """Print one line a backbone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backbones", nargs="*", default=["tiny"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device = torch.device(asked.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{asked.threads} CPU threads"
    for name in asked.backbones:
        speed = images_per_second(name, asked.batch, asked.classes, device, asked.threads)
        print(f"{name:<8} batch {asked.batch:<5} {speed:8.0f} images/s  {where}")


if __name__ == "__main__":
    main()
