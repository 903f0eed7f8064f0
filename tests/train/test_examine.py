"""Between steps: what a checkpoint of mined training holds, another run's backbone, averaged statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from arcterm_registry import get
from arcterm_registry.contracts import Feeding
from torch import nn

from arcterm.errors import DataError
from arcterm.runs import checkpoints, store
from arcterm.runs.journal import NullJournal
from arcterm.train.checkpoint import contents, reading
from arcterm.train.checkpoint.saver import Saver
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.checkpoint.writing import SavePoint
from arcterm.train.evaluation import Examiner
from arcterm.train.feed.mining import Sequence
from arcterm.train.head.tuples import TupleHead
from arcterm.train.pause import Pause
from arcterm.train.statistics import averaged
from arcterm.train.world import World

from ..runs.conftest import config

CONFIG = config(loss="triplet", nproc=1, batch_size=6)


@pytest.fixture
def run(tmp_path):
    return store.create(tmp_path / "runs", CONFIG, label="x", argv=[], host="h")


def trained(seed=0, world=None):
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4))
    loss = get("loss", "triplet").make()
    head = TupleHead(7, 4, loss, Feeding(kind="triplets", images_per_identity=5), world or World())
    sgd = [
        torch.optim.SGD([{"params": list(m.parameters())}], lr=0.1, momentum=0.9) for m in (backbone, head)
    ]
    return Trained(backbone, head, *sgd)


def train_a_little(made):
    x = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    made.head(made.backbone(x), torch.arange(6), 1).loss.backward()
    made.backbone_optimizer.step()
    made.head_optimizer.step()
    made.backbone_optimizer.zero_grad()


def examiner(run, made):
    pause = Pause(run, 1, CONFIG, World(), NullJournal())
    return Examiner(run, CONFIG, None, made, World(), NullJournal(), pause)


def saver(run, made):
    return Saver(run, CONFIG, made, World(), NullJournal(), Pause(run, 1, CONFIG, World(), NullJournal()))


SEQUENCE = Sequence(np.arange(18).reshape(3, 2, 3), round=4, pool=2, cursor=90, first=11)


def test_a_checkpoint_holds_the_round_and_no_head(run):
    made = trained()
    train_a_little(made)
    saver(run, made).save(SavePoint(12, 2, "stop"), SEQUENCE.tensors())
    path = run.checkpoints / checkpoints.name_of(12)
    manifest = checkpoints.check(path)
    assert (manifest.head, manifest.classes, manifest.embedding_size) == ([], 7, 4)
    assert sorted(manifest.files) == ["backbone.safetensors", "feed.safetensors", "momentum.safetensors"]
    kept = Sequence.of(reading.feed_state(path), 12)
    assert np.array_equal(kept.triplets, SEQUENCE.triplets)
    assert (kept.round, kept.pool, kept.cursor, kept.first, kept.last) == (4, 2, 90, 11, 14)
    assert checkpoints.list_checkpoints(run)[0][0] == path


@pytest.mark.parametrize("size", [1, 2])
def test_it_comes_back_for_any_number_of_ranks(run, size):
    made = trained()
    train_a_little(made)
    saver(run, made).save(SavePoint(12, 2, "stop"), SEQUENCE.tensors())
    other = trained(seed=1)
    reading.restore(run.checkpoints / checkpoints.name_of(12), World(size - 1, size), other)
    for m in (made, other):
        train_a_little(m)
    for name, tensor in made.backbone.state_dict().items():
        assert torch.equal(tensor, other.backbone.state_dict()[name]), name


def test_no_round_is_no_file(run):
    saver(run, trained()).save(SavePoint(3, 1, "stop"), {})
    path = run.checkpoints / checkpoints.name_of(3)
    assert reading.feed_state(path) == {}
    assert len(Sequence.of({}, 3).triplets) == 0


def test_another_runs_backbone_is_the_start_and_nothing_else_of_it(run):
    made, other = trained(), trained(seed=1)
    train_a_little(made)
    saver(run, made).save(SavePoint(12, 2, "stop"), SEQUENCE.tensors())
    examiner(run, other).begin_from(run.checkpoints / checkpoints.name_of(12))
    for name, tensor in made.backbone.state_dict().items():
        assert torch.equal(tensor, other.backbone.state_dict()[name]), name
    assert not other.backbone_optimizer.state


def test_a_backbone_that_does_not_fit_or_is_gone_is_refused(run):
    saver(run, trained()).save(SavePoint(12, 2, "stop"), {})
    path = run.checkpoints / checkpoints.name_of(12)
    made = trained()
    strange = Trained(nn.Linear(3, 4), made.head, made.backbone_optimizer, made.head_optimizer)
    with pytest.raises(DataError, match="can't be loaded"):
        examiner(run, strange).begin_from(path)
    with pytest.raises(DataError, match="can't be loaded"):
        examiner(run, made).begin_from(path.with_name("gone"))


class Echo(World):
    """Ranks that all say the same."""

    def sum(self, tensor):
        return tensor.mul_(self.size)


@pytest.mark.parametrize("size", [2, 3, 5, 7])
def test_the_mean_of_equal_statistics_is_the_same_to_the_last_bit(size):
    made = trained()
    for _ in range(3):
        made.backbone(torch.randn(6, 3, 2, 2))
    before = {name: tensor.clone() for name, tensor in made.backbone.state_dict().items()}
    with averaged(made.backbone, Echo(0, size)):
        for name, tensor in made.backbone.state_dict().items():
            assert torch.equal(tensor, before[name]), name


class Twice(World):
    """A second rank whose statistics are three times as large."""

    def sum(self, tensor):
        return tensor.mul_(4)


def test_a_rank_has_its_own_statistics_again(monkeypatch):
    made = trained()
    made.backbone(torch.randn(6, 3, 2, 2))
    norm = made.backbone[2]
    before = norm.running_var.clone()
    with averaged(made.backbone, Twice(0, 2)) as own:
        torch.testing.assert_close(norm.running_var, 2 * before)
        assert torch.equal(own["2.running_var"], before)
    assert torch.equal(norm.running_var, before)
    with averaged(made.backbone, World()) as own:
        assert own == {}


@pytest.mark.parametrize(("size", "own"), [(2, True), (3, False), (1, False)])
def test_as_many_ranks_go_on_with_their_own_statistics_and_others_with_the_mean(run, monkeypatch, size, own):
    """Rank 1's file is written here by hand: what rank 0 has, and one more."""
    made = trained()
    made.backbone(torch.randn(6, 3, 2, 2))
    mean = made.backbone[2].running_var.clone()
    theirs = {"2.running_var": mean + 1, "2.running_mean": made.backbone[2].running_mean + 1}
    monkeypatch.setattr(
        contents,
        "own",
        lambda *_: {**plain(World(), made), "statistics-00001-of-00002.safetensors": theirs},
    )
    saver(run, made).save(SavePoint(12, 2, "stop"), {})
    other = trained(seed=1)
    rank = min(1, size - 1)
    reading.restore(run.checkpoints / checkpoints.name_of(12), World(rank, size), other)
    assert torch.equal(other.backbone[2].running_var, mean + own)


plain = contents.own
