"""Alignment against the bare detector, and MTCNN on several photos against one, in the same run.

    python benchmarks/align.py PHOTO --weights YUNET.onnx [--photos 7000] [--rounds 3] [--threads 2]
    python benchmarks/align.py PHOTO --weights MTCNN [--photos 256] [--rounds 7] [--batch 32]

PHOTO is one with faces, of which photos of 250×250 are cut around each face, at other places and brightness
every time. "bare" is OpenCV's FaceDetectorYN alone, in as many threads, on images that are already decoded;
"job" is the whole of `arcterm align` from the command to its end: starting, decoding, finding, warping,
encoding, writing. All cases run once in every round, one after the other; the ratio is the median of those
within a round. "CPU" is the processor time of all processes for a photo, which other work on the machine
changes little.

With a folder of MTCNN's weights, "one" is a call of the detector for each photo and "batch" a call for
`--batch` of them, decoded photos both, with as many threads as torch takes; the photos differ in the size of
their faces too.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from arcterm_registry import Detector, get

from arcterm.formats import images

SIDE = 250
KEPT = 700
"""Decoded photos that the bare detector is given by turns."""


def make_photos(source: Path, weights: Path, folder: Path, count: int) -> list[np.ndarray]:
    """Write `count` photos of `SIDE` × `SIDE` into folders of people; returns the first ones, BGR."""
    photo = images.decode(source.read_bytes(), size=None, source=str(source))
    declared = get("detector", "yunet")
    assert isinstance(declared, Detector)
    [faces] = declared.make(str(weights)).detect([photo])
    random = np.random.default_rng(0)
    kept = []
    for number in range(count):
        x1, y1, x2, y2 = faces[number % len(faces)].box
        left, top = np.array([x1 + x2, y1 + y2]) / 2 - SIDE / 2 + random.integers(-30, 31, 2)
        left = int(np.clip(left, 0, photo.shape[1] - SIDE))
        top = int(np.clip(top, 0, photo.shape[0] - SIDE))
        part = cv2.convertScaleAbs(
            photo[top : top + SIDE, left : left + SIDE], alpha=random.uniform(0.7, 1.1)
        )
        path = folder / f"person{number % 100:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode_jpeg(part))
        if number < KEPT:
            kept.append(np.ascontiguousarray(part[:, :, ::-1]))
    return kept


def vary_photos(source: Path, weights: Path, count: int) -> list[np.ndarray]:
    """`count` decoded photos, RGB: faces at other places, sizes and brightness, every other one mirrored."""
    photo = images.decode(source.read_bytes(), size=None, source=str(source))
    [faces] = get("detector", "mtcnn").make(str(weights), minsize=40, threshold3=0.9).detect([photo])
    random = np.random.default_rng(0)
    made = []
    for number in range(count):
        x1, y1, x2, y2 = faces[number % len(faces)].box
        side = int(random.integers(150, 400))
        left, top = np.array([x1 + x2, y1 + y2]) / 2 - side / 2 + random.integers(-side // 5, side // 5, 2)
        left = int(np.clip(left, 0, photo.shape[1] - side))
        top = int(np.clip(top, 0, photo.shape[0] - side))
        part = cv2.resize(photo[top : top + side, left : left + side], (SIDE, SIDE))
        part = cv2.convertScaleAbs(part, alpha=random.uniform(0.7, 1.1))
        made.append(np.ascontiguousarray(part[:, :: 1 - 2 * (number % 2)]))
    return made


class Cost(NamedTuple):
    """Images per second, and milliseconds of processor time for an image."""

    rate: float
    cpu: float


def bare(photos: list[np.ndarray], weights: Path, count: int, threads: int) -> Cost:
    """The cost of `FaceDetectorYN.detect`, one detector a thread."""

    def work(start: int) -> None:
        detector = cv2.FaceDetectorYN.create(str(weights), "", (SIDE, SIDE), 0.6)
        for number in range(start, count, threads):
            detector.detect(photos[number % len(photos)])

    workers = [threading.Thread(target=work, args=(start,)) for start in range(threads)]
    started, before = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return Cost(count / (time.perf_counter() - started), 1e3 * (time.process_time() - before) / count)


def job(source: Path, weights: Path, count: int, folder: Path) -> Cost:
    """The cost of ``arcterm align``, from the command to its end, its supervisor included."""
    command = [sys.executable, "-m", "arcterm", "align", str(source), str(folder / "out")]
    command += [
        "--detector",
        "yunet",
        "--weights",
        str(weights),
        "--runs-dir",
        str(folder / "runs"),
        "--plain",
    ]
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    rate = count / (time.perf_counter() - started)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(rate, 1e3 * cpu / count)


def compare_yunet(photo: Path, weights: Path, count: int, rounds: int, threads: int) -> None:
    """Print a table of the bare detector and the job, a line a round and their medians."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "photos"
        kept = make_photos(photo, weights, source, count)
        heads = ("bare /s", "job /s", "job ÷ bare", "bare CPU ms", "job CPU ms", "CPU")
        print(f"{'':<10}" + "".join(f"{head:>13}" for head in heads))
        found: list[list[float]] = []
        for number in range(rounds):
            place = Path(name) / f"round{number}"  # removed at the end: a disk is busy with that for long
            place.mkdir()
            alone, whole = bare(kept, weights, count, threads), job(source, weights, count, place)
            found.append(
                [alone.rate, whole.rate, whole.rate / alone.rate, alone.cpu, whole.cpu, alone.cpu / whole.cpu]
            )
            print_row(f"round {number + 1}", found[-1])
        print_row("median", [statistics.median(column) for column in zip(*found, strict=True)])


def compare_mtcnn(photo: Path, weights: Path, count: int, rounds: int, batch: int) -> None:
    """Print a table of one photo a call and `batch` a call, a line a round and their medians."""
    photos = vary_photos(photo, weights, count)
    detector = get("detector", "mtcnn").make(str(weights))

    def measure(size: int) -> Cost:
        started, before = time.perf_counter(), time.process_time()
        for start in range(0, count, size):
            detector.detect(photos[start : start + size])
        return Cost(count / (time.perf_counter() - started), 1e3 * (time.process_time() - before) / count)

    measure(batch)
    heads = ("one /s", "batch /s", "batch ÷ one", "one CPU ms", "batch CPU ms", "CPU")
    print(f"{'':<10}" + "".join(f"{head:>13}" for head in heads))
    found: list[list[float]] = []
    for number in range(rounds):
        first, second = (1, batch) if number % 2 else (batch, 1)
        costs = {first: measure(first), second: measure(second)}
        one, many = costs[1], costs[batch]
        found.append([one.rate, many.rate, many.rate / one.rate, one.cpu, many.cpu, one.cpu / many.cpu])
        print_row(f"round {number + 1}", found[-1])
    print_row("median", [statistics.median(column) for column in zip(*found, strict=True)])


def print_row(head: str, row: list[float]) -> None:
    """A line of the table."""
    formats = (".0f", ".0f", ".2f", ".2f", ".2f", ".2f")
    cells = (f"{value:>13{form}}" for value, form in zip(row, formats, strict=True))
    print(f"{head:<10}" + "".join(cells), flush=True)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--photos", type=int, help="7000, or 256 for MTCNN")
    parser.add_argument("--rounds", type=int, help="3, or 7 for MTCNN")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: the supervisor's time is counted too
    if asked.weights.is_dir():
        import torch

        count, rounds = asked.photos or 256, asked.rounds or 7
        threads = torch.get_num_threads()
        print(f"{platform.machine()}, torch {torch.__version__}, {threads} threads; {count} photos")
        compare_mtcnn(asked.photo, asked.weights, count, rounds, asked.batch)
        return
    count, rounds = asked.photos or 7000, asked.rounds or 3
    print(f"{platform.machine()}, {asked.threads} threads, OpenCV {cv2.__version__}; {count} photos")
    compare_yunet(asked.photo, asked.weights, count, rounds, asked.threads)


if __name__ == "__main__":
    main()
