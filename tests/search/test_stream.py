"""The pass over a gallery against everything computed in float64 at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from arcterm.errors import FailedError
from arcterm.search import best, products, stream, tail
from arcterm.search.stream import GalleryPass
from arcterm.train.world import World

from ..ranks import spawn

STOPS = (10, 100, 900)


class Rows:
    """A gallery in memory."""

    def __init__(self, rows: np.ndarray, removed: np.ndarray) -> None:
        self.matrix, self.removed = rows, removed

    def rows(self, rows):
        return self.matrix[rows]


class Alone:
    rank, size, first, device = 0, 1, True, torch.device("cpu")

    def gather(self, tensor):
        return tensor

    def barrier(self):
        pass


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def features(kind: str, count: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Vectors of which many have equal scores, or not."""
    rows = random.standard_normal((count, width))
    if kind == "quantised":
        rows = np.where(rows > 0, 1.0, -1.0)  # a score is one of width + 1 values
    if kind == "duplicates":
        rows = rows[random.integers(0, max(1, count // 5), count)]
    if kind == "collapsed":
        rows = 1 + 1e-6 * rows
    return unit(rows)


def made(kind: str, seed: int = 0, width: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probes, gallery, and which rows of it are removed; some gallery rows are probes."""
    random = np.random.default_rng(seed)
    gallery = features(kind, STOPS[-1], width, random)
    probes = features(kind, 23, width, random)
    gallery[random.integers(0, len(gallery), 40)] = probes[random.integers(0, len(probes), 40)]
    probes[5:8] = probes[0]
    removed = random.random(len(gallery)) < 0.03
    return probes, gallery, removed


def everything(probes, gallery, removed, stop) -> np.ndarray:
    """All scores (P, stop); those of removed rows are -inf."""
    terms = probes.astype(np.float64)[:, None] * gallery[:stop].astype(np.float64)[None]
    while terms.shape[2] > 1:  # halves added to each other: the definition of a score
        half = (terms.shape[2] + 1) // 2
        terms[:, :, : terms.shape[2] - half] += terms[:, :, half:]
        terms = terms[:, :, :half]
    return np.where(removed[:stop], -np.inf, terms[:, :, 0])


def marks(probes, gallery) -> tuple[np.ndarray, np.ndarray]:
    """Marks of each probe: scores that occur, some beside them, and values beyond all."""
    scores = everything(probes, gallery, np.zeros(len(gallery), bool), 400)[:, ::20]
    values = np.concatenate(
        [scores, np.nextafter(scores, 2), np.nextafter(scores, -2), scores * 0 + 2], axis=1
    )
    return np.repeat(np.arange(len(probes)), values.shape[1]), values.ravel()


def answers(probes, gallery, removed, ranks, most=30, largest=200, rows=None) -> list:
    """What a pass says at each stop."""
    search = GalleryPass(probes, rows or Rows(gallery, removed), most=most, tail=largest, ranks=ranks)
    owners, values = marks(probes, gallery)
    found = []
    for stop in STOPS:
        search.advance(stop)
        search.collect()
        if ranks.first:
            places = [1, 2, 7, 50, 151, 200]
            tops = [search.tail.largest(most) for most in (60, largest)]
            thresholds = [tops[place > 60].find(place).score for place in places]
            around = [tops[1].find(place) for place in places[:4]]
            counts = [
                [place.above for place in around],
                [place.reach for place in around],
                [tops[1].count(place.score) for place in around],
                [tops[1].count(max(float(np.nextafter(place.score, 2)), -2)) for place in around],
            ]
            found.append((search.best.count_at_least(owners, values).tolist(), thresholds, counts))
    return found


def expected(probes, gallery, removed, most=30) -> list:
    owners, values = marks(probes, gallery)
    found = []
    for stop in STOPS:
        scores = everything(probes, gallery, removed, stop)
        counts = np.minimum((scores[owners] >= values[:, None]).sum(axis=1), most)
        largest = np.sort(scores.ravel())[::-1]
        largest = np.append(largest, np.full(200, -np.inf))
        thresholds = [float(largest[place - 1]) for place in (1, 2, 7, 50, 151, 200)]
        above = [int((scores > mark).sum()) for mark in thresholds[:4]]
        equal = [int((scores[~np.isneginf(scores)] >= mark).sum()) for mark in thresholds[:4]]
        found.append((counts.tolist(), thresholds, [above, equal, equal, above]))
    return found


def same(found: list, wanted: list, largest: int = 200) -> None:
    """Equal to the bit; what reaches over the tail's end need only do so in both."""
    for one, other in zip(found, wanted, strict=True):
        assert one[0] == other[0]
        assert one[1] == other[1]
        for mine, right in zip(np.ravel(one[2]), np.ravel(other[2]), strict=True):
            assert mine == right or (mine >= largest and right >= largest)


KINDS = ["plain", "quantised", "duplicates", "collapsed"]


@pytest.fixture
def small(monkeypatch):
    """Little room, so that candidates are sorted out often, and blocks of an odd size."""
    shrink(monkeypatch.setattr)


def shrink(put) -> None:
    put(products.HostProducts, "width", 13)
    put(products, "TILE", 10)
    put(products, "_PAIRS", 50)
    put(best, "_SLACK", 3)
    put(best, "_GROUP", 4)
    put(best, "_PAIRS", 40)
    put(tail, "_ROOM", 120)
    put(stream, "_SENT", 60)
    put(stream, "_RESCORED", 17)
    put(stream, "_ROUND", 2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_the_pass_equals_brute_force(kind, seed):
    sets = made(kind, seed)
    same(answers(*sets, Alone()), expected(*sets))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_and_room_do_not_matter(small, kind, seed):
    sets = made(kind, seed)
    same(answers(*sets, Alone()), expected(*sets))


@pytest.mark.parametrize("kind", KINDS)
def test_products_of_a_device_say_the_same(monkeypatch, kind):
    """By torch, whose float32 product has other last bits; a GPU's way, on the CPU here."""
    device = products.DeviceProducts
    monkeypatch.setattr(device, "width", 70)
    monkeypatch.setattr(products, "_DEVICE_TILE", 10)
    monkeypatch.setattr(stream, "products_on", lambda where, probes: device(probes, where))
    sets = made(kind)
    same(answers(*sets, Alone()), expected(*sets))


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_probe_and_more_candidates_than_rows(kind):
    probes, gallery, removed = made(kind)
    same(
        answers(probes[:1], gallery, removed, Alone(), most=2000),
        expected(probes[:1], gallery, removed, 2000),
    )


def test_an_equal_score_is_counted():
    """An oracle that lets the mark win a tie says something else."""
    probes, gallery, removed = made("quantised")
    found = answers(probes, gallery, removed, Alone())[-1][0]
    owners, values = marks(probes, gallery)
    scores = everything(probes, gallery, removed, STOPS[-1])
    lenient = np.minimum((scores[owners] > values[:, None]).sum(axis=1), 30)
    assert found != lenient.tolist()


def test_removed_rows_may_be_anything():
    probes, gallery, removed = made("plain")
    wanted = expected(probes, gallery, removed)
    gallery[removed] = np.nan
    rows = Rows(gallery, removed)
    search = GalleryPass(probes, rows, most=30, tail=200, ranks=Alone())
    search.advance(STOPS[-1])
    search.collect()
    assert search.tail.largest(200).find(1).score == wanted[-1][1][0]


def test_a_product_that_is_not_float32_is_refused(monkeypatch):
    probes, gallery, removed = made("plain", width=64)
    exactly = np.dot
    monkeypatch.setattr(np, "dot", lambda a, b, out: np.copyto(out, exactly(a, b).astype(np.float16)))
    search = GalleryPass(probes, Rows(gallery, removed), most=30, tail=200, ranks=Alone())
    with pytest.raises(FailedError, match="less exactly than float32"):
        search.advance(100)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3])
def test_ranks_do_not_matter(tmp_path, size):
    spawn(in_rank, (size, str(tmp_path)), size)


def in_rank(rank: int, size: int, folder: str) -> None:
    """One of the ranks: what it finds with others is what it finds alone, to the bit."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{Path(folder) / 'meeting'}", rank=rank, world_size=size
    )
    shrink(setattr)
    world = World(rank, size)
    for kind in KINDS:
        sets = made(kind)
        found = answers(*sets, world)
        if world.first:
            same(found, expected(*sets))
    dist.destroy_process_group()
