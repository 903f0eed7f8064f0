"""Real faces: tiny + arcface on 30 people of the ORL database, verified on 10 others, against two baselines.

    python benchmarks/orl.py FACES [--seeds 1 2 3] [--json FILE]

FACES is the ORL database (s1 … s40, ten PGM a person). Raw pixels and PCA-100 (fitted on the training people)
are scored by the same protocol on the same pairs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from arcterm_registry import get
from sklearn.decomposition import PCA

from arcterm.formats import images
from arcterm.formats.pairs.binfile import read_pairs
from arcterm.verify import protocol

ARCTERM = [sys.executable, "-m", "arcterm"]
RECIPE = ["--nproc", "2", "--batch-size", "15", "--epochs", "60", "--lr", "0.1"]


def grey(image: object, source: str) -> np.ndarray:
    """An image as float64 grey pixels in a row."""
    pixels = images.decode(image, size=(112, 112), source=source)  # type: ignore[arg-type]
    return pixels.mean(2, dtype=np.float64).ravel()


def baselines(pack: Path) -> dict[str, float]:
    """Accuracy of raw pixels and of PCA-100 on the pack's own pairs."""
    data = get("dataset", "recordio").make(str(pack))
    train = np.stack([grey(data[i].image, data[i].source) for i in range(len(data))])
    pairs = read_pairs(pack / "heldout.bin")
    held = np.stack([grey(image, f"image {i}") for i, image in enumerate(pairs.images)])
    mirrored = held.reshape(-1, 112, 112)[:, :, ::-1].reshape(held.shape)
    mean = train.mean(0)
    raw = protocol.evaluate(held - mean + mirrored - mean, pairs.same).accuracy
    pca = PCA(100, svd_solver="full").fit(train)
    projected = pca.transform(held) + pca.transform(mirrored)
    return {"raw pixels": raw, "PCA-100": protocol.evaluate(projected, pairs.same).accuracy}


def train(pack: Path, seed: int, folder: Path) -> tuple[float, float]:
    """Best accuracy of one run, and its seconds from command to end."""
    started = time.perf_counter()
    command = [
        *ARCTERM,
        "train",
        "tiny",
        "arcface",
        "--dataset",
        str(pack),
        *RECIPE,
        "--seed",
        str(seed),
        "--json",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    return told["verification"]["heldout"]["best_accuracy"], time.perf_counter() - started


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pack = folder / "pack"
        packing = [*ARCTERM, "data", "pack", str(asked.faces), str(pack), "--hold-out", "10", "--resize"]
        subprocess.run(packing, check=True, capture_output=True)
        results = baselines(pack)
        for method, accuracy in results.items():
            print(f"{method:<24}{accuracy:.4f}", flush=True)
        runs = {}
        for seed in asked.seeds:
            accuracy, seconds = train(pack, seed, folder)
            runs[f"tiny arcface seed {seed}"] = accuracy
            print(f"tiny arcface seed {seed:<6}{accuracy:.4f}  {seconds:.0f} s", flush=True)
        results |= runs | {"tiny arcface median": statistics.median(runs.values())}
        print(f"{'tiny arcface median':<24}{results['tiny arcface median']:.4f}")
        if asked.json:
            asked.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
