"""The loader: the same pixels whatever the threads, ranks and cache; broken records skipped and counted."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from arcterm_registry.contracts import Record

from arcterm.config import Augmentation
from arcterm.errors import DataError, TrainingError
from arcterm.formats.images import decode, encode_jpeg
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.train.feed.cache import DecodedCache
from arcterm.train.feed.identities import SamePerson
from arcterm.train.feed.loader import Loader, _Buffer
from arcterm.train.feed.quarantine import Quarantine
from arcterm.train.feed.sampler import BatchIndices, Sampler
from arcterm.train.feed.upload import Sent, mirror
from arcterm.train.world import World
from tests import ranks
from tests.jobs import Heard

SIZE = (112, 112)
EVERYTHING = Augmentation(
    mirror=0.5, crop=0.5, jitter=0.5, jitter_strength=0.4, lowres=0.5, jpeg=0.5, cutout=0.5, cutout_size=30
)


def picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 JPEGs of 6 people."""
    place = tmp_path_factory.mktemp("packs") / "pack"
    with write_pack(place) as writer:
        for n in range(60):
            writer.add(encode_jpeg(picture(n)), n // 10)
    return place


def loaded(faces, choices, **options):
    """Everything that a loader gives: (step, images, labels), copied before its memory is used again."""
    options = {"image_size": SIZE, "threads": 2, **options}
    with Loader(faces, choices, **options) as loader:
        return [(b.step, b.images.numpy().copy(), b.labels.numpy().copy()) for b, _ in loader]


def by_index(batches, choices):
    """Image by index, of an epoch."""
    found = {}
    for (_, images, labels), choice in zip(batches, choices, strict=True):
        for index, image, label in zip(choice.indices.tolist(), images, labels, strict=True):
            found[index] = (image, int(label))
    return found


def test_images_are_decoded_as_they_are(pack):
    faces = FacePack(pack)
    sampler = Sampler(60, 8, seed=1)
    choices = list(sampler.choices(1, 21))
    for (step, images, labels), choice in zip(loaded(faces, choices), choices, strict=True):
        assert step == choice.step
        for image, label, index in zip(images, labels, choice.indices.tolist(), strict=True):
            record = faces[index]
            plain = cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR_RGB)
            assert np.array_equal(image, plain) and label == record.label == index // 10


def test_threads_ranks_and_cache_change_nothing(pack):
    faces, steps = FacePack(pack), 14
    one = list(Sampler(60, 8, seed=3).choices(1, steps))
    expected = loaded(faces, one, augmentation=EVERYTHING, threads=1)
    assert len({images.tobytes() for _, images, _ in expected}) == steps
    for threads in (2, 5):
        again = loaded(faces, one, augmentation=EVERYTHING, threads=threads)
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(expected, again, strict=True))
    cache = DecodedCache.make(40, SIZE, 1 << 30, World())
    for _ in range(2):
        again = loaded(faces, one, augmentation=EVERYTHING, cache=cache)
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(expected, again, strict=True))
    seen = {n for choice in one for n in choice.indices.tolist()}
    assert {n for n in range(60) if cache.has(n)} == {n for n in seen if n < 40} and len(seen) > 50
    parts = [
        loaded(faces, list(Sampler(60, 4, rank, 2, seed=3).choices(1, steps)), augmentation=EVERYTHING)
        for rank in (0, 1)
    ]
    for whole, left, right in zip(expected, *parts, strict=True):
        assert np.array_equal(whole[1], np.concatenate([left[1], right[1]]))
        assert np.array_equal(whole[2], np.concatenate([left[2], right[2]]))


class Transfer:
    """A copy to a GPU that is done when it has been asked about twice; a `hasty` one says so at once."""

    def __init__(self, pairs, hasty):
        self.pairs, self.hasty, self.asked, self.done = pairs, hasty, 0, False
        self.lock = threading.Lock()

    def query(self):
        self.asked += 1
        if self.asked > 2:
            self.synchronize()
        return self.hasty or self.done

    def synchronize(self):
        with self.lock:
            if not self.done:
                for there, here in self.pairs:
                    there.copy_(here)
            self.done = True


class SlowUpload:
    """Stands for `Upload` where there is no GPU; nothing arrives before four batches are on their way."""

    def __init__(self, hasty):
        self.hasty, self.sends, self.filled = hasty, 0, threading.Event()

    def send(self, images, labels, mirrored):
        there = [torch.empty_like(tensor) for tensor in (images, labels, mirrored)]
        transfer = Transfer(list(zip(there, (images, labels, mirrored), strict=True)), self.hasty)
        self.sends += 1
        if self.sends == 4:
            self.filled.set()
        return Sent(there[0], there[1], transfer, transfer)

    def receive(self, images, labels, arrived):
        assert self.filled.wait(60)
        arrived.synchronize()


@pytest.mark.parametrize("hasty", [False, True])
def test_memory_is_not_filled_again_while_it_is_sent(pack, monkeypatch, hasty):
    faces, choices = FacePack(pack), list(Sampler(60, 8, seed=3).choices(1, 21))
    expected = loaded(faces, choices)
    monkeypatch.setattr("arcterm.train.feed.loader.Upload", lambda device: SlowUpload(hasty))
    monkeypatch.setattr("arcterm.train.feed.loader._Buffer", lambda *a, pin: _Buffer(*a, pin=False))
    with Loader(faces, choices, image_size=SIZE, threads=2, device=torch.device("cuda")) as loader:
        sent = [(b.step, b.images.numpy(), b.labels.numpy()) for b, _ in loader]
    same = [
        np.array_equal(a[1], b[1]) and np.array_equal(a[2], b[2]) for a, b in zip(expected, sent, strict=True)
    ]
    assert all(same) is not hasty


def test_another_epoch_or_seed_is_another_picture(pack):
    faces = FacePack(pack)
    found = []
    for seed, first in ((0, 1), (0, 8), (1, 1)):
        choices = list(Sampler(60, 8, seed=seed).choices(first, first + 6))
        found.append(by_index(loaded(faces, choices, augmentation=EVERYTHING), choices))
    for other in found[1:]:
        common = found[0].keys() & other.keys()
        same = sum(np.array_equal(found[0][n][0], other[n][0]) for n in common)
        assert len(common) > 40 and same < 10  # about one in 64 is touched by neither


def test_cached_images_are_not_read_again(pack):
    class Counting(FacePack):
        read = 0

        def __getitem__(self, index):
            self.read += 1
            return super().__getitem__(index)

    faces = Counting(pack)
    cache = DecodedCache.make(60, SIZE, 30 * (112 * 112 * 3 + 9) + 5, World())
    assert cache.capacity == 30
    whole = [BatchIndices(1, np.arange(60), np.zeros(60, np.uint64))]
    loaded(faces, whole, cache=cache)
    assert faces.read == 60
    loaded(faces, whole, cache=cache)
    assert faces.read == 90
    assert DecodedCache.make(60, SIZE, 1000, World()) is None


def _rank(rank, pack, port, results):
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    world = World(rank, 2, rank)
    cache = DecodedCache.make(60, SIZE, 1 << 30, world)
    faces = FacePack(pack)
    mine = np.arange(rank * 30, rank * 30 + 30)
    loaded(faces, [BatchIndices(1, mine, np.zeros(30, np.uint64))], cache=cache)
    world.barrier()
    results.put((rank, sum(cache.has(n) for n in range(60))))
    everything = loaded(None, [BatchIndices(1, np.arange(60), np.zeros(60, np.uint64))], cache=cache)
    results.put((rank, everything[0][1].tobytes() == _plain(pack)))
    world.barrier()
    dist.destroy_process_group()


def _plain(pack):
    faces = FacePack(pack)
    return b"".join(decode(faces[n].image, size=SIZE, source="").tobytes() for n in range(60))


@pytest.mark.slow
def test_ranks_share_what_they_decoded(pack, unused_port):
    """Each decodes one half; both then have all, and nothing of it has a name in /dev/shm."""
    before = set(shared_names())
    with ranks.forked() as context:
        results = context.Queue()
        started = [context.Process(target=_rank, args=(r, pack, unused_port, results)) for r in (0, 1)]
        for rank in started:
            rank.start()
        said = sorted(results.get(timeout=120) for _ in range(4))
        for rank in started:
            rank.join(60)
    assert said == [(0, True), (0, 60), (1, True), (1, 60)]
    assert set(shared_names()) <= before


def shared_names():
    """Named shared memory; the queue's own semaphores apart, and others' directories."""
    files = [path.name for path in Path("/dev/shm").iterdir() if path.is_file()]
    return [name for name in files if not name.startswith("sem.")]


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Flawed:
    """Forty images of eight people; `broken` ones are cut short, say so, or have a wrong label."""

    classes = 8
    verification = ()

    def __init__(self, broken):
        self.broken = broken

    def __len__(self):
        return 40

    def __getitem__(self, index):
        source = f"faces.rec key {index}"
        jpeg = encode_jpeg(np.full((112, 112, 3), index, np.uint8), 100)
        kind = self.broken.get(index)
        if kind == "raises":
            raise DataError(f"{source} lies outside the file", "copy it again")
        if kind == "surprises":
            raise KeyError("a stranger's reader")
        label = 99 if kind == "label" else index // 5
        return Record(jpeg[:-40] if kind == "short" else jpeg, label, source)


KINDS = {3: "raises", 4: "short", 17: "label", 39: "surprises"}


def test_broken_records_are_skipped_listed_and_counted_once(tmp_path):
    heard = Heard()
    quarantine = Quarantine(tmp_path / "quarantine", 40, 0.1, heard)
    whole = [BatchIndices(n, np.arange(40), np.zeros(40, np.uint64)) for n in (1, 2)]
    batches = loaded(Flawed(KINDS), whole, quarantine=quarantine)
    expected = np.arange(40)
    expected[[3, 4, 17, 39]] = 5, 5, 18, 0  # those that follow
    for _, images, labels in batches:
        assert np.array_equal(images[:, 0, 0, 0], expected)
        assert np.array_equal(labels, expected // 5)
    listed = {int(p.stem): json.loads(p.read_text()) for p in (tmp_path / "quarantine").iterdir()}
    assert listed.keys() == KINDS.keys()
    assert "key 17: label 99 is outside the 8 classes" in listed[17]["reason"]
    assert "key 4: these" in listed[4]["reason"] and "aren't a whole image" in listed[4]["reason"]
    assert listed[39]["reason"] == 'KeyError: "a stranger\'s reader"' or "KeyError" in listed[39]["reason"]
    assert sorted(event.index for event in heard) == sorted(KINDS)
    assert sorted(event.count for event in heard) == [1, 2, 3, 4] and heard[0].total == 40


def test_another_rank_counts_them_too(tmp_path):
    first, second = Heard(), Heard()
    place = tmp_path / "quarantine"
    Quarantine(place, 100, 0.02, first, rank=0).add(7, DataError("key 7 is broken"))
    other = Quarantine(place, 100, 0.02, second, rank=1)
    other.add(7, DataError("key 7 is broken"))
    assert len(first) == 1 and not second
    other.add(8, DataError("key 8 is broken"))
    assert second[0].count == 2
    with pytest.raises(
        TrainingError, match=r"3 of 100 records can't be used, more than max_broken=0.02"
    ) as e:
        other.add(9, DataError("key 9 is broken"))
    assert "key 9 is broken" in e.value.message and "arcterm data check" in e.value.hint


def test_too_many_end_the_loading(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine", 40, 0.05, Heard())
    with pytest.raises(TrainingError, match=r"3 of 40 records can't be used"):
        loaded(Flawed(KINDS), Sampler(40, 8).choices(1, 10), quarantine=quarantine)


def test_without_a_quarantine_the_first_one_is_raised():
    with pytest.raises(DataError, match="key 3 lies outside"):
        loaded(Flawed({3: "raises"}), Sampler(40, 8).choices(1, 5))


def test_one_of_the_same_person_takes_the_place(tmp_path):
    labels = np.repeat(np.arange(8), 5)
    assert list(SamePerson(labels)(3)) == [4, 0, 1, 2]
    mixed = np.array([2, 0, 2, 1, 2])
    assert list(SamePerson(mixed)(2)) == [4, 0] and list(SamePerson(mixed)(1)) == []
    whole = [BatchIndices(1, np.arange(40), np.zeros(40, np.uint64))]
    quarantine = Quarantine(tmp_path / "q", 40, 0.2, Heard())
    ((_, _, found),) = loaded(Flawed(KINDS), whole, quarantine=quarantine, substitutes=SamePerson(labels))
    assert np.array_equal(found, labels)
    everybody = dict.fromkeys(range(5), "raises")
    with pytest.raises(TrainingError, match="nothing can take its place"):
        loaded(
            Flawed(everybody),
            whole,
            quarantine=Quarantine(tmp_path / "p", 40, 1.0, Heard()),
            substitutes=SamePerson(labels),
        )


def test_leaving_early_ends_all_threads(pack):
    before = set(threading.enumerate())
    with Loader(FacePack(pack), Sampler(60, 8).choices(1, 10_000), image_size=SIZE, threads=2) as loader:
        for batch, _ in loader:
            if batch.step == 3:
                break
    assert set(threading.enumerate()) <= before


def test_a_choice_that_fails_is_raised_where_it_is_trained(pack):
    def choices():
        yield from Sampler(60, 8).choices(1, 2)
        raise DataError("no more")

    with pytest.raises(DataError, match="no more"):
        loaded(FacePack(pack), choices())


def test_mirrored_on_the_device_as_on_the_host():
    images = torch.from_numpy(np.stack([picture(n) for n in range(4)]))
    which = torch.tensor([True, False, True, False])
    turned = mirror(images, which)
    for n in range(4):
        expected = cv2.flip(images[n].numpy(), 1) if which[n] else images[n].numpy()
        assert np.array_equal(turned[n].numpy(), expected)
