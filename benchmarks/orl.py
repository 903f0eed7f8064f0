"""Real faces: tiny + arcface on 30 people of the ORL database, verified on 10 others, against two baselines.

    python benchmarks/orl.py FACES [--detector mtcnn yunet] [--seeds 1 2 3] [--json FILE]

FACES is the ORL database (s1 … s40, ten PGM a person). Raw pixels and PCA-100 (fitted on the training people)
are scored by the same protocol on the same pairs. With --detector all of it is also done on photos that
`data pack --align` aligned, whose weights are where `arcterm plugins detector` says.
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


def measure(faces: Path, way: str, options: list[str], seeds: list[int], folder: Path) -> dict[str, float]:
    """Pack the photos in one `way`, score the baselines, train with every seed; prints and returns it all."""
    pack = folder / f"pack-{way.replace(' ', '-')}"
    packing = [*ARCTERM, "data", "pack", str(faces), str(pack), "--hold-out", "10", *options]
    subprocess.run(packing, cwd=folder, check=True, capture_output=True)
    results = {f"{way}: {method}": accuracy for method, accuracy in baselines(pack).items()}
    for method, accuracy in results.items():
        print(f"{method:<36}{accuracy:.4f}", flush=True)
    runs = []
    for seed in seeds:
        accuracy, seconds = train(pack, seed, folder)
        runs.append(accuracy)
        results[f"{way}: tiny arcface seed {seed}"] = accuracy
        print(f"{f'{way}: tiny arcface seed {seed}':<36}{accuracy:.4f}  {seconds:.0f} s", flush=True)
    results[f"{way}: tiny arcface median"] = statistics.median(runs)
    print(f"{f'{way}: tiny arcface median':<36}{statistics.median(runs):.4f}", flush=True)
    return results


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--detector", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    ways = {"stretched": ["--resize"]}
    ways |= {f"aligned by {name}": ["--align", "--detector", name] for name in asked.detector}
    results = {}
    with tempfile.TemporaryDirectory() as name:
        for way, options in ways.items():
            results |= measure(asked.faces.resolve(), way, options, asked.seeds, Path(name))
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
