"""Saving and restoring: everything comes back, for any number of ranks, or it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from arcterm_registry import get
from torch import nn

from arcterm.errors import DataError, TrainingError
from arcterm.runs import checkpoints, store
from arcterm.train import build
from arcterm.train.checkpoint import reading, writing
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.checkpoint.writing import SavePoint
from arcterm.train.head import file
from arcterm.train.head.head import Head
from arcterm.train.optim import groups, optimizers
from arcterm.train.optim.averages import Average
from arcterm.train.world import World
from arcterm.verify import ranks

from ..conftest import little_room
from ..runs.conftest import config

CLASSES = 7


@pytest.fixture
def run(tmp_path):
    return store.create(tmp_path / "runs", config(), label="x", argv=[], host="h")


def trained(world=None, classes=CLASSES, seed=0):
    world = world or World()
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = Head(classes, 4, get("loss", "softmax").make(), world, seed=seed)
    learned = [torch.optim.SGD(list(m.parameters()), lr=0.1, momentum=0.9) for m in (backbone, head)]
    return Trained(backbone, head, *learned)


def train_a_little(made):
    for step in range(3):
        for sgd in (made.backbone_optimizer, made.head_optimizer):
            sgd.zero_grad()
        x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        made.head(made.backbone(x), torch.arange(6), step).loss.backward()
        made.backbone_optimizer.step()
        made.head_optimizer.step()


def save(run, made, step=3, unverified=False):
    return writing.save(run, config(), World(), made, SavePoint(step, 1, "test", unverified))


def test_everything_comes_back(run):
    made = trained()
    train_a_little(made)
    event = save(run, made, unverified=True)
    assert event is not None
    path = run.checkpoints / event.name
    manifest = checkpoints.check(path)
    assert (manifest.step, manifest.unverified, manifest.classes) == (3, True, CLASSES)
    writing.put_scores(run, config(), World(), 3, {"lfw": 0.9})
    verified = checkpoints.check(path)
    assert (verified.verification, verified.unverified) == ({"lfw": 0.9}, False)
    assert (verified.files, verified.head, verified.t) == (manifest.files, manifest.head, manifest.t)
    assert event.bytes == sum(f.stat().st_size for f in path.glob("*.safetensors"))
    other = trained(seed=1)
    reading.restore(path, World(), other)
    for a, b in zip(made.backbone.state_dict().values(), other.backbone.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    train_a_little(made)
    train_a_little(other)
    for a, b in zip(made.head.parameters(), other.head.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(made.backbone.parameters(), other.backbone.parameters(), strict=True):
        assert torch.equal(a, b)


def many(loss, rate, world=None, seed=0, **changes):
    """As `trained`, with any loss and with Partial FC, over enough classes to leave some out."""
    made = trained(world, seed=seed)
    head = Head(60, 4, get("loss", loss).make(), world or World(), seed=seed, sample_rate=rate)
    asked = config(loss=loss, sample_rate=rate, lr=0.1, **changes)
    return Trained(made.backbone, head, made.backbone_optimizer, build.head_optimizer(head, asked))


@pytest.mark.parametrize("rate", [1.0, 0.2])
@pytest.mark.parametrize("loss", ["cosface", "uniface", "curricularface", "adaptiveface", "subcenter"])
def test_a_head_goes_on_in_the_same_bits(run, loss, rate):
    made, other = many(loss, rate), many(loss, rate, seed=4)
    train_a_little(made)
    event = save(run, made)
    assert event is not None
    reading.restore(run.checkpoints / event.name, World(), other)
    other.head._seed = made.head._seed
    for one in (made, other):
        train_a_little(one)
    for (name, a), b in zip(made.head.state_dict().items(), other.head.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert set(made.head.replicated()) == {
        "uniface": {"b"}, "curricularface": {"t_mean"}
    }.get(loss, set())  # fmt: skip


def adamw(rate, loss="uniface", world=None, seed=0):
    """As `many`, all of it with AdamW."""
    made = many(loss, rate, world, seed)
    asked = config(loss=loss, sample_rate=rate, optimizer="adamw", lr=0.01, weight_decay=0.1)
    body = optimizers.make(groups.of_backbone(made.backbone, asked), asked)
    return Trained(made.backbone, made.head, body, build.head_optimizer(made.head, asked))


@pytest.mark.parametrize("rate", [1.0, 0.2])
@pytest.mark.parametrize("size", [1, 3])
def test_adamw_goes_on_in_the_same_bits_on_any_number_of_ranks(run, size, rate):
    made, others = adamw(rate), [adamw(rate, world=World(rank, size), seed=7) for rank in range(size)]
    train_a_little(made)
    event = save(run, made)
    assert event is not None
    for rank, other in enumerate(others):
        reading.restore(run.checkpoints / event.name, World(rank, size), other)
    for name in ("backbone_optimizer", "head_optimizer"):
        whole, parts = getattr(made, name), [getattr(other, name) for other in others]
        learned = [p for group in whole.param_groups for p in group["params"]]
        theirs = [[p for group in part.param_groups for p in group["params"]] for part in parts]
        for index, parameter in enumerate(learned):
            rows = name == "head_optimizer" and parameter.ndim > 0 and len(parameter) == 60
            for key, value in whole.state[parameter].items():
                pieces = [part.state[own[index]][key] for part, own in zip(parts, theirs, strict=True)]
                joined = torch.cat(pieces) if rows and value.ndim else pieces[-1]
                assert torch.equal(joined, value), (name, index, key)
    if rate < 1:
        counted = torch.cat([other.head_optimizer.updates for other in others])
        assert torch.equal(counted, made.head_optimizer.updates)
        assert len(counted.unique()) > 2
    if size == 1:
        others[0].head._seed = made.head._seed
        for one in (made, others[0]):
            train_a_little(one)
        for a, b in zip(made.head.state_dict().values(), others[0].head.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_rows_that_partial_fc_owes_are_read_by_any_number_of_ranks(run):
    made = many("cosface", 0.2)
    train_a_little(made)
    event = save(run, made)
    assert event is not None
    parts = [many("cosface", 0.2, World(rank, 3), seed=9) for rank in range(3)]
    for rank, part in enumerate(parts):
        reading.restore(run.checkpoints / event.name, World(rank, 3), part)
        part.head_optimizer.settle()
    held = made.head.weight.clone()
    made.head_optimizer.settle()
    assert torch.equal(torch.cat([part.head.weight for part in parts]), made.head.weight)
    assert not torch.equal(held, made.head.weight)


@pytest.mark.parametrize("rate", [1.0, 0.2])
def test_a_run_that_starts_from_the_rows_has_them_up_to_date(run, rate):
    made, other = many("cosface", rate), many("cosface", rate, seed=5)
    train_a_little(made)
    event = save(run, made)
    assert event is not None
    path = run.checkpoints / event.name
    file.load_rows(path, checkpoints.check(path).head, other.head)
    if rate < 1:
        made.head_optimizer.settle()
    assert torch.equal(other.head.weight, made.head.weight)


def test_rows_of_which_some_decay_are_read_up_to_date(run):
    made, other = (many("softmax", 0.2, seed=seed, decay_on="no-vectors") for seed in (0, 5))
    train_a_little(made)
    event = save(run, made)
    assert event is not None
    path = run.checkpoints / event.name
    file.load_rows(path, checkpoints.check(path).head, other.head)
    parts = [many("softmax", 0.2, World(rank, 3), 9, decay_on="no-vectors") for rank in range(3)]
    for rank, part in enumerate(parts):
        reading.restore(path, World(rank, 3), part)
        part.head_optimizer.settle()
    made.head_optimizer.settle()
    for name in ("weight", "bias"):
        wanted = getattr(made.head, name)
        assert torch.equal(getattr(other.head, name), wanted)
        assert torch.equal(torch.cat([getattr(part.head, name) for part in parts]), wanted)


@pytest.mark.parametrize("size", [1, 3])
def test_an_average_is_read_by_any_number_of_ranks(run, size):
    made = trained()
    made = replace(made, average=Average(made.backbone, 0.9))
    train_a_little(made)
    made.average.follow(1)
    event = save(run, made)
    assert event is not None
    path = run.checkpoints / event.name
    for rank in range(size):
        other = trained(World(rank, size), seed=4)
        other = replace(other, average=Average(other.backbone, 0.9))
        reading.restore(path, World(rank, size), other)
        for ours, theirs in ((made.backbone, other.backbone), (made.average.network, other.average.network)):
            for name, tensor in ours.state_dict().items():
                assert torch.equal(theirs.state_dict()[name], tensor)
    assert not torch.equal(made.backbone[0].weight, made.average.network[0].weight)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_any_number_of_ranks_reads_it(run, size):
    made = trained()
    train_a_little(made)
    event = save(run, made)
    assert event is not None
    parts = [trained(World(rank, size), seed=9) for rank in range(size)]
    for rank, part in enumerate(parts):
        reading.restore(run.checkpoints / event.name, World(rank, size), part)
    for index in (0, 1):
        whole = list(made.head.parameters())[index]
        pieces = [list(part.head.parameters())[index] for part in parts]
        assert torch.equal(torch.cat(pieces), whole)
        moving = [
            part.head_optimizer.state[p]["momentum_buffer"] for part, p in zip(parts, pieces, strict=True)
        ]
        assert torch.equal(torch.cat(moving), made.head_optimizer.state[whole]["momentum_buffer"])


def test_a_step_is_saved_once_and_nothing_is_left_over(run):
    made = trained()
    assert save(run, made) is not None
    assert save(run, made) is None
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-0000000003"]


def test_another_class_count_is_refused(run):
    event = save(run, trained())
    assert event is not None
    with pytest.raises(DataError, match="has 7 classes, the data set 8"):
        reading.restore(run.checkpoints / event.name, World(), trained(classes=8))


def test_another_backbone_is_refused(run):
    event = save(run, trained())
    assert event is not None
    other = trained()
    strange = Trained(
        nn.Sequential(nn.Linear(3, 4)), other.head, other.backbone_optimizer, other.head_optimizer
    )
    with pytest.raises(DataError, match="does not fit this run"):
        reading.restore(run.checkpoints / event.name, World(), strange)


def test_a_full_disk_is_said_and_leaves_nothing(run):
    """Writing safetensors raises an error of its own, which is no OSError."""
    with (
        little_room(),
        pytest.raises(TrainingError, match=r"step 3 could not be written: File too large \(/") as caught,
    ):
        save(run, trained())
    assert "arcterm resume" in caught.value.hint
    assert list(run.checkpoints.iterdir()) == []


def test_a_manifest_that_finds_no_room_leaves_nothing(run, monkeypatch):
    def full(folder, _manifest):
        raise OSError(28, "No space left on device", str(folder / checkpoints.MANIFEST))

    monkeypatch.setattr("arcterm.runs.manifest.create", full)
    with pytest.raises(TrainingError, match=r"No space left on device \(.*manifest"):
        save(run, trained())
    assert list(run.checkpoints.iterdir()) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_every_rank_says_the_cause_of_the_one_that_failed(run, monkeypatch, rank):
    theirs = torch.zeros(ranks._BYTES, dtype=torch.uint8)
    said = b"No space left on device (/runs/x)"
    theirs[: len(said)] = torch.frombuffer(bytearray(said), dtype=torch.uint8)

    def gather(_world, own):
        return torch.cat([own, own, own, theirs])

    monkeypatch.setattr(World, "gather", gather)
    monkeypatch.setattr(World, "any", lambda _world, flag: flag)
    with pytest.raises(TrainingError, match=r"written: rank 3: No space left on device \(/runs/x\)\n"):
        writing.save(run, config(), World(rank, 4), trained(), SavePoint(3, 1, "test"))
    assert len(list(run.checkpoints.iterdir())) == rank  # rank 0 removes it


def poisoned(made, where):
    """`made` with one number that is not finite."""
    train_a_little(made)
    named = {
        "weight": made.backbone[0].weight,
        "buffer": made.backbone[1].running_var,
        "momentum": made.backbone_optimizer.state[made.backbone[0].weight]["momentum_buffer"],
        "head": made.head.weight,
        "head's momentum": made.head_optimizer.state[made.head.weight]["momentum_buffer"],
    }
    with torch.no_grad():
        named[where].view(-1)[-1] = torch.inf if where == "buffer" else torch.nan
    return made


@pytest.mark.parametrize("where", ["weight", "buffer", "momentum", "head", "head's momentum"])
def test_what_is_not_finite_is_never_saved(run, where):
    kept = save(run, trained(), step=2)
    assert kept is not None
    with pytest.raises(TrainingError, match="not finite after step 3, so it was not saved: ") as error:
        save(run, poisoned(trained(), where))
    assert "repeats these steps to the bit" in error.value.hint
    assert [path.name for path in run.checkpoints.iterdir()] == [kept.name]


def test_all_ranks_hear_what_is_not_finite_on_one(run, monkeypatch):
    def gather(_world, own):
        said.append(bytes(own.tolist()).rstrip(b"\0").decode())
        theirs = b"weight in head-00001-of-00002.safetensors" if len(said) == 2 else b""
        other = torch.frombuffer(bytearray(theirs.ljust(ranks._BYTES, b"\0")), dtype=torch.uint8)
        return torch.cat([own, other])

    said = []
    monkeypatch.setattr(World, "gather", gather)
    monkeypatch.setattr(World, "any", lambda _world, flag: flag)
    with pytest.raises(TrainingError, match="not saved: rank 1: weight in head-00001"):
        writing.save(run, config(), World(0, 2), trained(), SavePoint(3, 1, "test"))
    assert list(run.checkpoints.iterdir()) == []


def test_scores_that_find_no_room_leave_the_checkpoint(run, monkeypatch):
    event = save(run, trained(), unverified=True)
    assert event is not None

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(TrainingError, match="accuracies of step 3 could not be written: No space left"):
            writing.put_scores(run, config(), World(), 3, {"lfw": 0.9})
    assert checkpoints.check(run.checkpoints / event.name).unverified
    assert not list((run.checkpoints / event.name).glob(".*"))
