"""The feeds: what each rank trains on, through mining, resuming and any number of ranks."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np
import pytest
import torch
from arcterm_registry import get
from arcterm_registry.contracts import Record
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from arcterm.errors import DataError
from arcterm.runs.events import Mined, Phase
from arcterm.runs.journal import NullJournal
from arcterm.samples import Begin
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.feed import batches
from arcterm.train.feed.identities import Identities
from arcterm.train.feed.labels import read_labels, require_pairs
from arcterm.train.feed.sampler import Sampler, uniform
from arcterm.train.head.tuples import TupleHead
from arcterm.train.world import World

from ..runs.conftest import config

pytestmark = pytest.mark.long

LABELS = np.repeat(np.arange(12), 5)


class Faces:
    """Pictures whose first pixel tells their index; people differ in what the backbone sees."""

    classes = 12
    verification = ()

    def __init__(self, labels=LABELS):
        self.known = labels
        self.read = []

    def __len__(self):
        return len(self.known)

    def __getitem__(self, index):
        self.read.append(index)
        rng = np.random.default_rng(index)
        picture = np.full((112, 112, 3), np.random.default_rng(self.known[index]).integers(60, 200, 3))
        picture = (picture + rng.integers(-60, 60, (1, 1, 3))).astype(np.uint8)
        picture[0, 0] = index
        picture[0, 1:] = picture[0, 2]  # the middle column tells whether it was mirrored
        picture[0, -1] = 255
        return Record(picture, int(self.known[index]), f"picture {index}")


class Labelled(Faces):
    def labels(self, progress):
        progress(1, 1)
        return self.known


class Notes(NullJournal):
    def __init__(self):
        self.events = []

    def write(self, event):
        self.events.append(event)


class Colours(nn.Module):
    """Mean colour through a matrix that training would change."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


def made(world=None, notes=None, start=0, kept=None, trained=None, dataset=None, **changes):
    """A feed of triplets, 6 a step in all, and what is trained."""
    world = world or World()
    asked = {
        "loss": "triplet",
        "loss_options": {"bag": 30, "images_per_identity": 5, "margin": 0.3},
        "batch_size": 18 // world.size,
        "nproc": world.size,
        "steps": 24,
        **changes,
    }
    c = config(**asked)
    loss = get("loss", "triplet")
    head = TupleHead(12, 4, loss.make(**c.loss_options), loss.make_feeding(**c.loss_options), world)
    sgd = torch.optim.SGD([{"params": []}], lr=0.1)
    trained = trained or Trained(Colours(), head, sgd, sgd)
    data = dataset or Labelled()
    return batches.make(c, data, trained, world, notes or Notes(), start, kept or {}), trained


def learn(trained, step):
    """What a step would do to the weights."""
    with torch.no_grad():
        trained.backbone.fc.weight += torch.sin(torch.arange(12.0) + step).view(4, 3) * 0.05


def walk(fed, trained, stop=10**9):
    """(step, indices, mirrored) until `stop`, training on the way."""
    found = []
    with closing(fed.batches(lambda: None)) as batches:
        for batch, _ in batches:
            pixels = batch.images.numpy()
            mirrored = pixels[:, 0, 0, 0] == 255
            index = np.where(mirrored, pixels[:, 0, -1, 0], pixels[:, 0, 0, 0])
            assert np.array_equal(LABELS[index], batch.labels.numpy())
            found.append((batch.step, index, mirrored))
            learn(trained, batch.step)
            if batch.step >= stop:
                break
    return found


def same(a, b):
    return len(a) == len(b) and all(
        x[0] == y[0] and np.array_equal(x[1], y[1]) and np.array_equal(x[2], y[2])
        for x, y in zip(a, b, strict=True)
    )


def test_rounds_of_mining_alternate_with_steps():
    notes = Notes()
    fed, trained = made(notes=notes)
    got = walk(fed, trained)
    assert [step for step, _, _ in got] == list(range(1, 25))
    for _, index, _ in got:
        a, p, n = LABELS[index].reshape(3, 6)
        assert (a == p).all()
        assert (a != n).all()
        assert (index[:6] < 60).all()
    rounds = [event for event in notes.events if isinstance(event, Mined)]
    assert [r.round for r in rounds] == list(range(1, len(rounds) + 1))
    assert len(rounds) > 2
    assert rounds[0].step == 0
    assert all(b.step == a.step + a.steps for a, b in itertools.pairwise(rounds))
    assert all(r.triplets <= r.pairs and r.images == 30 * r.bags for r in rounds)
    phases = [event.phase for event in notes.events if isinstance(event, Phase)]
    assert "mining" in phases
    assert phases[-1] == "training"
    assert trained.backbone.training


def test_the_mirror_is_a_fair_coin_and_can_be_left_out():
    fed, trained = made()
    shares = np.concatenate([mirrored for _, _, mirrored in walk(fed, trained)])
    assert 0.35 < shares.mean() < 0.65
    fed, trained = made(mirror=0.0)
    assert not any(mirrored.any() for _, _, mirrored in walk(fed, trained))


@pytest.mark.parametrize("stop", [1, 3, 7, 11])
def test_a_resume_inside_a_round_goes_on_with_it(stop):
    fed, trained = made()
    whole = walk(fed, trained)
    first, trained = made()
    begun = walk(first, trained, stop)
    rest, _ = made(start=stop, kept=first.state(), trained=trained)
    assert same(begun + walk(rest, trained), whole)


def test_a_resume_without_the_state_would_be_noticed():
    fed, trained = made()
    whole = walk(fed, trained)
    first, trained = made()
    begun = walk(first, trained, 3)
    rest, _ = made(start=3, trained=trained)
    assert not same(begun + walk(rest, trained), whole)


def test_each_rank_has_its_own_blocks_of_the_same_triplets():
    fed, trained = made()
    whole = walk(fed, trained, 1)[0]
    for size in (2, 3):
        parts = []
        for rank in range(size):
            part, other = made(World(rank, size), start=0, kept=fed.state())
            parts.append(walk_first(part, other))
        for column in (1, 2):
            blocks = [part[column].reshape(3, -1) for part in parts]
            assert np.array_equal(np.concatenate(blocks, axis=1).ravel(), whole[column])


def walk_first(fed, trained):
    return walk(fed, trained, 1)[0]


class Thread(World):
    """A rank that is a thread; `exchange` holds a slot a rank and a barrier that all pass."""

    def __init__(self, rank, size, slots, barrier):
        super().__init__(rank, size)
        object.__setattr__(self, "exchange", (slots, barrier))

    def _all(self, tensor):
        slots, barrier = self.exchange
        slots[self.rank] = tensor.clone()
        barrier.wait()
        whole = list(slots)
        barrier.wait()
        return whole

    def gather(self, tensor):
        return torch.cat(self._all(tensor))

    def sum(self, tensor):
        return tensor.copy_(torch.stack(self._all(tensor)).sum(0))


@pytest.mark.parametrize("size", [2, 3])
def test_any_number_of_ranks_mines_the_same_rounds(size):
    options = {"loss_options": {"bag": 31, "images_per_identity": 5}}  # 31 images are no whole share
    fed, trained = made(**options)
    whole = walk(fed, trained)
    slots, barrier = [None] * size, threading.Barrier(size, timeout=60)
    with ThreadPoolExecutor(size) as pool:
        # made one after another: threads share the generator that draws the weights
        ranks = [made(Thread(rank, size, slots, barrier), **options) for rank in range(size)]
        parts = list(pool.map(lambda rank: walk(*rank), ranks))
    together = [
        (at[0][0], *(np.concatenate([x[c].reshape(3, -1) for x in at], axis=1).ravel() for c in (1, 2)))
        for at in zip(*parts, strict=True)
    ]
    assert same(together, whole)


def test_mining_goes_by_averaged_statistics_and_leaves_each_rank_its_own(monkeypatch):
    within = []

    @contextmanager
    def averaged(*_):
        within.append(True)
        yield
        within.append(False)

    monkeypatch.setattr(batches, "averaged", averaged)
    fed, trained = made()
    mine = fed._miner.mine
    monkeypatch.setattr(fed._miner, "mine", lambda *given: within.append("mine") or mine(*given))
    walk(fed, trained)
    assert within == [True, "mine", False] * (len(within) // 3)
    assert len(within) > 3


def test_other_losses_are_fed_by_the_sampler():
    c = config(batch_size=8, nproc=1, steps=20)
    head = nn.Linear(1, 1)
    trained = Trained(Colours(), head, None, None)
    fed = batches.make(c, Faces(), trained, World(), Notes(), 5, {})
    got = walk_colours_only(fed)
    sampler = Sampler(60, 8, seed=c.seed)
    for step, index, mirrored in got:
        chosen, drawn = sampler.batch(step, sampler.order(sampler.place(step).epoch))
        assert np.array_equal(index, chosen)
        assert np.array_equal(mirrored, uniform(drawn, 0) < 0.5)
    assert [step for step, _, _ in got] == list(range(6, 21))
    assert fed.state() == {}


def walk_colours_only(fed):
    return walk(fed, Trained(Colours(), None, None, None))


def test_a_broken_record_is_named_by_the_feed():
    class Broken(Labelled):
        def __getitem__(self, index):
            raise DataError(f"record {index} is broken")

    fed, trained = made(dataset=Broken())
    with pytest.raises(DataError, match="is broken"):
        walk(fed, trained)


def test_labels_of_a_dataset_that_does_not_tell_them_are_read_once():
    faces, told = Faces(), []
    assert np.array_equal(read_labels(faces, "x", lambda *at: told.append(at)), LABELS)
    assert sorted(faces.read) == list(range(60))
    assert told[-1] == (60, 60)


def test_labels_that_are_told_cost_no_reading():
    faces = Labelled()
    assert np.array_equal(read_labels(faces, "x", lambda *_: None), LABELS)
    assert faces.read == []


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.arange(12), "one with two images"),
        (np.zeros(9, np.int64), "takes two people"),
        (np.full(4, 12), "numbers from 0 to 11"),
        (np.array([0, 0, -1]), "numbers from 0 to 11"),
    ],
)
def test_data_with_nothing_to_compare_is_refused(labels, said):
    with pytest.raises(DataError, match=said):
        require_pairs(read_labels(Labelled(labels), "x", lambda *_: None), "x")


@st.composite
def crowds(draw):
    """Labels in any order, images per person and people per batch that fit."""
    sizes = draw(st.lists(st.integers(1, 14), min_size=2, max_size=14))
    each = draw(st.integers(2, 5))
    people = draw(st.integers(2, len(sizes)))
    labels = np.repeat(np.arange(len(sizes)) * 3, sizes)
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels), each, people


def together(labels, each, people, ranks, first, last):
    """Global batches of the steps, put together from all ranks."""
    share = people * each // ranks
    parts = [
        list(Identities(labels, each, share, rank, ranks, seed=4).choices(first, last))
        for rank in range(ranks)
    ]
    return [
        (s[0].step, np.concatenate([p.indices for p in s]), np.concatenate([p.keys for p in s]))
        for s in zip(*parts, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(crowds())
def test_a_batch_is_k_images_of_each_of_p_people(crowd):
    labels, each, people = crowd
    made_of = Identities(labels, each, each * people, seed=4)
    sizes = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    for epoch in (0, 1):
        used = []
        for table in made_of.table(epoch):
            whose = labels[table]
            assert (whose == whose[:, :1]).all()
            assert len(set(whose[:, 0])) == people
            used.append(table)
        used = np.concatenate(used)
        for person, size in sizes.items():
            own = used[labels[used[:, 0]] == person].ravel()
            if size >= each:  # no image twice in an epoch
                assert len(set(own)) == len(own)
            elif len(own):  # every image, as evenly as can be
                counts = np.unique(own, return_counts=True)[1]
                assert len(own) == each
                assert len(counts) == size
                assert np.ptp(counts) <= 1


@settings(max_examples=30, deadline=None)
@given(crowds(), st.sampled_from([2, 3]))
def test_any_number_of_ranks_has_the_same_global_batches(crowd, ranks):
    labels, each, people = crowd
    if people * each % ranks:
        return
    assert same(together(labels, each, people, ranks, 2, 9), together(labels, each, people, 1, 1, 9)[1:])


def test_an_even_crowd_is_used_whole_and_epochs_differ():
    made_of = Identities(LABELS, 5, 20)
    assert made_of.steps_per_epoch == 3
    assert sorted(made_of.table(0).ravel().tolist()) == list(range(60))
    assert not np.array_equal(made_of.table(0), made_of.table(1))
    assert not np.array_equal(made_of.table(0), Identities(LABELS, 5, 20, seed=1).table(0))


def test_another_batch_begins_an_epoch_of_its_own():
    begins = Begin(step=2, epoch=0, offset=40, samples=40)
    one = Identities(LABELS, 5, 30, seed=1, begins=begins)
    found = [chosen.indices for chosen in one.choices(3, 4)]
    assert sorted(np.concatenate(found).tolist()) == list(range(60))
    two = [Identities(LABELS, 5, 15, rank, 2, 1, begins) for rank in range(2)]
    for step, whole in zip((3, 4), found, strict=True):
        parts = [next(ranks.choices(step, step)).indices for ranks in two]
        assert np.array_equal(np.concatenate(parts), whole)


def test_more_people_than_there_are_is_refused():
    with pytest.raises(DataError, match="takes 13 people and the data set has images of 12"):
        Identities(LABELS, 2, 26)


def test_batch_hard_is_fed_people_by_people():
    options = {"mining": "batch-hard", "images_per_identity": 3}
    fed, trained = made(loss_options=options, steps=4)
    for _, index, _ in walk(fed, trained):
        assert (LABELS[index].reshape(6, 3) == LABELS[index].reshape(6, 3)[:, :1]).all()
