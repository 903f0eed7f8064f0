"""The loader against the bare decoder and against a loader as arcface_torch has it; pixels are compared.

python benchmarks/loader.py [--images 4000] [--rounds 7] [--threads 2] [--open 5900000] [--mxnet FOLDER]

All cases run once in every round, in another order each time; a ratio is the median of the ratios within a
round. "naive" is written out below as arcface_torch has it: one record, one decode, torchvision's transforms
in their order, the default collate, two worker processes. Its images are decoded by MXNet, as arcface_torch
does, where --mxnet says where it is installed (`make test-mxnet` puts it into .venv-mxnet), and by OpenCV
and Pillow, which are faster. "for GPU" leaves out the mirroring, which is the GPU's then. Torchvision's
transforms need Pillow, which arcterm does not: where it is missing "naive" is left out, and that is said.
"CPU" counts this process's own time, per core.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import torch
from torch.utils.data import DataLoader, Dataset

from arcterm.config import Augmentation
from arcterm.formats.images import encode_jpeg
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import RecordFile
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.formats.recordio.recordindex import read_index
from arcterm.train.feed.cache import DecodedCache
from arcterm.train.feed.loader import Loader
from arcterm.train.feed.sampler import Sampler
from arcterm.train.world import World

try:
    from PIL import Image
except ModuleNotFoundError:
    Image = None

SIZE = (112, 112)
BATCH = 128


def make_pack(place: Path, count: int) -> None:
    """`count` face-like JPEGs of about 8 KB: smooth colours with grain, quality 95."""
    with write_pack(place) as writer:
        for n in range(count):
            rng = np.random.default_rng(n)
            coarse = rng.integers(20, 235, (14, 14, 3), dtype=np.uint8)
            smooth = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC).astype(np.int16)
            grain = rng.integers(-11, 12, smooth.shape)
            writer.add(encode_jpeg(np.clip(smooth + grain, 0, 255).astype(np.uint8)), n * 100 // count)


class Naive(Dataset):
    """arcface_torch's MXFaceDataset, its record read without MXNet; torchvision's transforms written out."""

    def __init__(self, place: Path, decode: Callable[[memoryview], np.ndarray]) -> None:
        self.place = place
        self.decode = decode
        self.mean, self.std = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
        records = RecordFile(place / "train.rec")
        index = read_index(place / "train.idx", len(records))
        self.offsets = dict(zip(index.keys.tolist(), index.offsets.tolist(), strict=True))
        header = irheader.unpack(records.at(self.offsets[0]), "")
        self.keys = list(range(1, int(header.labels[0])))
        self.records: RecordFile | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.records = self.records or RecordFile(self.place / "train.rec")
        record = irheader.unpack(self.records.at(self.offsets[self.keys[index]]), "")
        label = torch.tensor(record.labels[0], dtype=torch.long)
        picture = Image.fromarray(self.decode(record.image))  # ToPILImage
        if torch.rand(1) < 0.5:  # RandomHorizontalFlip
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = torch.from_numpy(np.array(picture, np.uint8, copy=True))  # ToTensor
        image = image.view(picture.size[1], picture.size[0], 3).permute((2, 0, 1)).contiguous()
        image = image.to(torch.get_default_dtype()).div(255)
        image = image.clone()  # Normalize
        mean = torch.as_tensor(self.mean, dtype=image.dtype).view(-1, 1, 1)
        std = torch.as_tensor(self.std, dtype=image.dtype).view(-1, 1, 1)
        return image.sub_(mean).div_(std), label


def by_opencv(data: memoryview) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def by_pillow(data: memoryview) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


# from numpy 2; MXNet looks for them when it is imported
GONE = (
    "PZERO NZERO NINF PINF NAN NaN Inf alltrue sometrue in1d msort mirr npv pmt ppmt pv rate trapz round_ "
    "product bool int float complex object str"
)


class ByMXNet:
    """MXNet 1.9.1 from the folder it is installed in; imported in the worker, which no fork disturbs."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, data: memoryview) -> np.ndarray:
        if self.folder not in sys.path:
            sys.path.append(self.folder)
            for name in GONE.split():
                if name not in vars(np):
                    setattr(np, name, object)
        import mxnet as mx

        return mx.image.imdecode(bytes(data)).asnumpy()


def naive(place: Path, decode: Callable[[memoryview], np.ndarray]) -> Callable[[], Iterator[int]]:
    """Epochs of batches of the loader as arcface_torch has it; its two workers stay."""
    faces = Naive(place, decode)
    loader = DataLoader(faces, BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)

    def epoch() -> Iterator[int]:
        for images, _ in loader:
            yield len(images)

    sum(epoch())
    return epoch


def ours(
    faces: object, threads: int, cache: DecodedCache | None = None, mirror: float = 0.5
) -> Iterator[int]:
    """Batches of the loader, mirrored as in training on a CPU; a GPU would mirror them itself."""
    steps = len(faces) // BATCH
    choices = Sampler(len(faces), BATCH, seed=random.randrange(1000)).choices(1, steps)
    how = {"augmentation": Augmentation(mirror=mirror), "cache": cache}
    with Loader(faces, choices, image_size=SIZE, threads=threads, **how) as loader:
        for batch, _ in loader:
            yield len(batch.labels)


def bare(images: list[bytes], threads: int) -> Iterator[int]:
    """Nothing but decoding into one buffer a thread, as fast as the codec goes."""

    def work(part: list[bytes]) -> None:
        slot = np.empty((*SIZE, 3), np.uint8)
        for data in part:
            simplejpeg.decode_jpeg(data, "RGB", buffer=slot)

    parts = [images[n::threads] for n in range(threads)]
    workers = [threading.Thread(target=work, args=(part,)) for part in parts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    yield len(images)


def rate(batches: Iterator[int]) -> tuple[float, float]:
    """Images per second, from the start to the last batch, and per second of this process's CPU time."""
    started, used = time.perf_counter(), time.process_time()
    count = sum(batches)
    return count / (time.perf_counter() - started), count / (time.process_time() - used)


def compare_pixels(place: Path, faces: object) -> int:
    """Images whose pixels differ between this loader, OpenCV and, where it is installed, Pillow."""
    differing = 0
    for index in range(0, len(faces), 7):
        data = bytes(faces[index].image)
        ours_ = simplejpeg.decode_jpeg(data, "RGB")
        theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        pillow = by_pillow(memoryview(data)) if Image else theirs
        differing += not (np.array_equal(ours_, theirs) and np.array_equal(ours_, pillow))
    return differing


def time_open(folder: Path, lines: int) -> tuple[float, float]:
    """Seconds to open an index of so many lines for the first time, and again."""
    index = folder / "train.idx"
    with index.open("w") as file:
        file.writelines(f"{n}\t{8484 * n}\n" for n in range(lines))
    taken = []
    for _ in range(2):
        started = time.perf_counter()
        read_index(index, 8484 * (lines + 1))
        taken.append(time.perf_counter() - started)
    return taken[0], taken[1]


def show(cases: list[str], rounds: list[dict[str, tuple[float, float]]]) -> None:
    """A row a case: its median and best speed, and how many times as fast as the others it is."""
    peers = [case for case in cases if case.startswith("naive")]
    print(
        f"{'':<16}{'images/s':>10}{'best':>10}{'× bare':>9}{'CPU':>7}"
        + "".join(f"{'× ' + p:>17}" for p in peers)
    )
    for case in cases:
        speeds = [r[case][0] for r in rounds]
        own = "" if case in peers else f"{statistics.median(r[case][1] / r['bare'][1] for r in rounds):.2f}"
        times = [statistics.median(r[case][0] / r[peer][0] for r in rounds) for peer in peers]
        of_bare = statistics.median(r[case][0] / r["bare"][0] for r in rounds)
        row = f"{case:<16}{statistics.median(speeds):>10,.0f}{max(speeds):>10,.0f}{of_bare:>9.2f}{own:>7}"
        print(row + "".join(f"{t:>17.2f}" for t in times))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--open", type=int, default=5_900_000)
    parser.add_argument("--mxnet", default="")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pack"
        make_pack(place, asked.images)
        faces = FacePack(place)
        images = [bytes(faces[n].image) for n in range(len(faces))]
        print(
            f"{asked.images} images of {sum(map(len, images)) / len(images):.0f} bytes, {platform.machine()}"
        )
        cache = DecodedCache.make(len(faces), SIZE, 1 << 33, World())
        sum(ours(faces, asked.threads, cache))  # fills it
        sum(ours(faces, asked.threads, cache))
        cases: dict[str, Callable[[], Iterator[int]]] = {
            "bare": lambda: bare(images, asked.threads),
            "loader": lambda: ours(faces, asked.threads),
            "loader, for GPU": lambda: ours(faces, asked.threads, mirror=0),
            "loader, cached": lambda: ours(faces, asked.threads, cache),
        }
        if Image:
            cases |= {"naive, OpenCV": naive(place, by_opencv), "naive, Pillow": naive(place, by_pillow)}
        else:
            print("skipped: naive, and Pillow's pixels; `pip install pillow` brings them")
        if Image and asked.mxnet:
            cases["naive, MXNet"] = naive(place, ByMXNet(asked.mxnet))
        elif not asked.mxnet:
            print("skipped: naive, MXNet; --mxnet FOLDER brings it")
        rounds: list[dict[str, tuple[float, float]]] = []
        for _ in range(asked.rounds):
            order = random.sample(list(cases), len(cases))
            rounds.append({name: rate(cases[name]()) for name in order})
        show(list(cases), rounds)
        print(f"differing pixels: {compare_pixels(place, faces)} images")
        if asked.open:
            os.environ["ARCTERM_CACHE"] = folder
            cold, warm = time_open(Path(folder), asked.open)
            print(f"index of {asked.open:,} records: first {cold:.2f} s, again {warm * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
