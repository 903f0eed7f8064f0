"""Searches by several ranks: the worked example of TinyFace, and the same answers as by one rank."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from arcterm.evaluate import closedset, opensearch
from arcterm.evaluate.closedset import ClosedSet
from arcterm.evaluate.people import STRANGER, UNKNOWN
from arcterm.train.world import World
from tests.features.test_leader import Threads
from tests.search.test_counting import crowded, unit
from tests.search.test_retrieval import PEOPLE, PROBES, SCORES


class Three(Threads):
    size = 3


class Quiet:
    """A job without a run, that counts how often it agreed."""

    def __init__(self):
        self.agreed = 0

    def progress(self, *_):
        return False

    def agree(self):
        self.agreed += 1


def on_three(work):
    """What `work(context, ranks)` gives on each of three ranks, that agree equally often."""
    barrier, slots = Barrier(3), [None] * 3
    quiet = [Quiet() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(work, quiet[number], Three(number, barrier, slots)) for number in range(3)]
        found = [each.result(20) for each in asked]
    assert quiet[0].agreed == quiet[1].agreed == quiet[2].agreed > 0
    return found


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(closedset, "_ROWS", 7)
    monkeypatch.setattr(opensearch, "_ROWS", 3)


def flat(found):
    return [value.tolist() if isinstance(value, np.ndarray) else value for part in found for value in part]


@pytest.mark.parametrize("scale", [1, 0.5])
def test_the_worked_example(scale):
    """Its similarities are those of vectors in a gallery of unit vectors at right angles, up to a factor."""
    gallery, probes = np.eye(6, dtype=np.float32), unit(SCORES * scale)
    sets = ClosedSet(probes, PROBES, gallery[:4], PEOPLE[:4], gallery[4:])
    found = closedset.search(Quiet(), World(), sets)
    assert (found.probes, found.whole.entries, found.matches.entries) == (3, 6, 4)
    assert (found.whole.rates[1], found.whole.rates[5], found.matches.rates[1]) == (1 / 3, 2 / 3, 2 / 3)
    assert f"{found.whole.map_trapezoidal:.16f}" == "0.4722222222222222"
    assert found.whole.map_plain == np.mean([0.5, 1, 1 / 6])
    assert found.whole.first.tolist() == [2, 1, 6]
    assert closedset.curve("x", found).lines["6 in the gallery"] == [(1, 1 / 3), (2, 2 / 3), (6, 1)]


@pytest.mark.parametrize("seed", range(3))
def test_three_ranks_search_a_closed_set_as_one_does(seed):
    probes, gallery = crowded(seed)
    draw = np.random.default_rng(seed)
    people = draw.integers(0, 6, 20)
    sets = ClosedSet(probes, draw.integers(0, 6, len(probes)), gallery[:20], people, gallery[20:])
    alone = closedset.search(Quiet(), World(), sets)
    for found in on_three(lambda context, ranks: closedset.search(context, ranks, sets)):
        assert found.whole.record() == alone.whole.record()
        assert found.matches.first.tolist() == alone.matches.first.tolist()
    assert 0 < alone.whole.rates[5] < 1


@pytest.mark.parametrize("seed", range(3))
def test_three_ranks_find_people_as_one_does(seed):
    probes, gallery = crowded(seed)
    owners = np.repeat(np.arange(30), 3)
    labels = np.random.default_rng(seed).integers(-2, 30, len(probes))
    labels[:2] = STRANGER, UNKNOWN
    given = probes, labels, gallery, owners, 4
    alone = opensearch.search(Quiet(), World(), *given)
    for found in on_three(lambda context, ranks: opensearch.search(context, ranks, *given)):
        assert flat(found[:1]) == flat(alone[:1])
        assert [each.tolist() for each in found[1:]] == [each.tolist() for each in alone[1:]]
    assert len(alone.strangers) == (labels == STRANGER).sum() and len(alone.mated) == (labels >= 0).sum()


def test_a_gallery_of_one_person():
    probes, gallery = crowded()
    owners = np.zeros(len(gallery), np.int64)
    found = opensearch.search(Quiet(), World(), probes, np.zeros(len(probes), np.int64), gallery, owners, 3)
    assert found.best.rows.tolist() == [[0]] * len(probes)
    rates = opensearch.measure(found, None)
    assert (rates.rank_1, rates.mated, rates.fpir, rates.open_set) == (1, len(probes), None, [])
    assert (found.others == -np.inf).all()
