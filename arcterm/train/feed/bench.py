"""Speed at which this machine reads and decodes a data set, as training does."""

from __future__ import annotations

import time
from collections.abc import Iterator

from arcterm_registry.contracts import FaceDataset, JobReport

from arcterm.config import Augmentation
from arcterm.formats import images
from arcterm.inputs import sources
from arcterm.runs.context import JobContext
from arcterm.train.feed.cache import DecodedCache
from arcterm.train.feed.loader import Loader
from arcterm.train.feed.sampler import BatchIndices, Sampler
from arcterm.train.world import World

_CACHED = 20_000
"""Images that the decoded cache is measured with."""


def bench(
    job: JobContext, src: str, *, seconds: float = 2.0, batch_size: int = 128, threads: int | None = None
) -> JobReport:
    """Measure bare decoding, the loader at 1, 2, 4 … `threads`, and with its images kept decoded.

    Raises `DataError` if the data can't be opened or a record is broken.
    """
    faces = sources.find(src).open()
    size = images.decode(faces[0].image, size=None, source=faces[0].source).shape[:2]
    shape = (size[0], size[1])
    batch = min(batch_size, len(faces))
    counts = _counts(threads or job.threads)
    total = len(counts) + 2
    speeds: dict[str, float] = {}
    job.progress(0, total, "bench", "bare decoding, one thread")
    speeds["bare"] = _bare(faces, seconds)
    for number, count in enumerate(counts, start=1):
        job.progress(number, total, "bench", f"{count} threads")
        speeds[f"threads {count}"] = _loaded(faces, shape, batch, count, seconds)
    job.progress(total - 1, total, "bench", "kept decoded")
    speeds["decoded"] = _cached(faces, shape, batch, counts[-1], seconds)
    job.progress(total, total, "bench")
    lines = [f"{'bare decoding, 1 thread':<28}{speeds['bare']:>10,.0f} images/s"]
    for count in counts:
        rate = speeds[f"threads {count}"]
        share = rate / (count * speeds["bare"])
        lines.append(
            f"{f'loader, {count} threads':<28}{rate:>10,.0f} images/s  {share:.0%} of bare, a thread"
        )
    lines.append(f"{'loader, images kept decoded':<28}{speeds['decoded']:>10,.0f} images/s")
    return JobReport(
        lines=lines,
        data={"images": len(faces), "images_per_second": {k: round(v, 1) for k, v in speeds.items()}},
    )


def _counts(most: int) -> list[int]:
    """1, 2, 4 … and `most`."""
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return sorted({*counts, most})


def _bare(faces: FaceDataset, seconds: float) -> float:
    """Images per second of nothing but decoding, in one thread."""
    some = [faces[n * len(faces) // 256 % len(faces)] for n in range(256)]
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for record in some:
            images.decode(record.image, size=None, source=record.source)
        done += len(some)
    return done / (time.perf_counter() - started)


def _loaded(
    faces: FaceDataset,
    size: tuple[int, int],
    batch: int,
    threads: int,
    seconds: float,
    cache: DecodedCache | None = None,
    count: int | None = None,
) -> float:
    """Images per second of the loader, from its second batch on."""
    choices = _endless(Sampler(count or len(faces), batch))
    done, started = 0, 0.0
    with Loader(
        faces, choices, image_size=size, threads=threads, augmentation=Augmentation(), cache=cache
    ) as loader:
        for loaded, _ in loader:
            now = time.perf_counter()
            if not started:
                started = now
                continue
            done += len(loaded.labels)
            if now - started > seconds:
                break
    return done / (now - started)


def _cached(faces: FaceDataset, size: tuple[int, int], batch: int, threads: int, seconds: float) -> float:
    """Measure the same with some images cached, after all of those were decoded once."""
    count = min(len(faces), _CACHED)
    each = size[0] * size[1] * 3 + 9
    cache = DecodedCache.make(count, size, count * each, World())
    sampler = Sampler(count, min(batch, count))
    with Loader(
        faces,
        sampler.choices(1, len(faces) // sampler.global_batch),
        image_size=size,
        threads=threads,
        cache=cache,
    ) as loader:
        for _ in loader:
            pass
    return _loaded(faces, size, min(batch, count), threads, seconds, cache, count)


def _endless(sampler: Sampler) -> Iterator[BatchIndices]:
    return sampler.choices(1, 1 << 40)
