"""Partial FC: which classes take part, and that nothing else about the loss or the optimizer changes."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from arcterm_registry import get
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD

from arcterm.train.head.head import Head
from arcterm.train.head.partial_fc import LazySGD, chance, sample
from arcterm.train.world import World, shard

from ..ranks import spawn

CLASSES, SIZE, BATCH = 90, 6, 8
CPU = torch.device("cpu")


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 200),
    first=st.integers(0, 10**9),
    labels=st.lists(st.integers(0, 400), min_size=1, max_size=20),
    more=st.integers(0, 50),
    seed=st.integers(0, 2**31 - 1),
    step=st.integers(1, 10**9),
)
def test_targets_are_always_in_and_no_row_twice(rows, first, labels, more, seed, step):
    local = torch.tensor(labels)
    mine = local < rows
    wanted = set(local[mine].tolist())
    count = min(rows, len(labels) + more)
    chosen = sample(local.clamp(max=rows - 1), mine, range(first, first + rows), count, seed, step)
    assert len(chosen) == count
    assert wanted <= set(chosen.tolist()) <= set(range(rows))
    assert (chosen.diff() > 0).all()


def test_every_class_gets_its_share_and_ranks_agree():
    counts = torch.zeros(500)
    nobody = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.bool)
    for step in range(1, 401):
        counts[sample(*nobody, range(500), 50, 7, step)] += 1
    assert counts.mean().item() == pytest.approx(40)
    assert counts.std().item() == pytest.approx((400 * 0.1 * 0.9) ** 0.5, rel=0.15)  # binomial
    whole = chance(range(500), 7, 3, CPU)
    assert torch.equal(whole[120:300], chance(range(120, 300), 7, 3, CPU))
    assert not torch.equal(whole, chance(range(500), 8, 3, CPU))


def test_the_mixing_is_splitmix64():
    """Its first outputs from state 0, by the integer arithmetic of the published C code."""

    def mixed(x):
        for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
            x = ((x ^ (x >> 31)) * multiplier) % 2**64
        return x ^ (x >> 31)

    ours = chance(range(4), 0, 0, CPU).tolist()
    assert ours == [(mixed(k * 0x9E3779B97F4A7C15 % 2**64) >> 2) & ((1 << 62) - 1) for k in range(4)]


ALONE = World()


def head_of(name, world=ALONE, **how):
    torch.manual_seed(2)
    return Head(CLASSES, SIZE, get("loss", name).make(), world, 5, **how).double()


def batch(step):
    generator = torch.Generator().manual_seed(step)
    embeddings = torch.randn(BATCH, SIZE, generator=generator, dtype=torch.float64)
    return embeddings, torch.randint(0, CLASSES, (BATCH,), generator=generator)


@pytest.mark.parametrize(
    "name", ["cosface", "softmax", "adaptiveface", "subcenter", "uniface", "curricularface"]
)
def test_lazy_training_equals_training_on_dense_gradients(name):
    lazy, dense = head_of(name, sample_rate=0.2), head_of(name, sample_rate=0.2)
    how = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-3}
    ours = LazySGD(lazy.sharded(), [{"params": list(lazy.parameters())}], **how)
    plain = SGD(dense.parameters(), **how)
    lazy.fetch = ours.fetch
    for step in range(1, 41):
        for head, sgd in ((lazy, ours), (dense, plain)):
            sgd.param_groups[0]["lr"] = 0.1 / step
            sgd.zero_grad()
            loss = head(*batch(step), step).loss
            loss.backward()
            sgd.step()
    ours.settle()
    for (key, mine), theirs in zip(lazy.named_parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12, msg=key)


def test_the_loss_is_that_of_the_sampled_classes_alone():
    whole, part = head_of("arcface"), head_of("arcface", sample_rate=0.3)
    embeddings, labels = batch(1)
    taken = part.taken(CLASSES, BATCH)
    assert taken == 27
    chosen = sample(labels, torch.ones(BATCH, dtype=torch.bool), range(CLASSES), taken, 5, 1)
    alone = Head(taken, SIZE, get("loss", "arcface").make(), World(), 5).double()
    with torch.no_grad():
        alone.weight.copy_(part.weight[chosen])
    loss = part(embeddings, labels, 1).loss
    torch.testing.assert_close(loss, alone(embeddings, torch.searchsorted(chosen, labels), 1).loss)
    assert loss < whole(embeddings, labels, 1).loss


def in_rank(rank, folder):
    """Two ranks sample their own shares; the loss is that of all of them, the same on both."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/2", rank=rank, world_size=2)
    world = World(rank, 2)
    head = head_of("cosface", world, sample_rate=0.2)
    embeddings, labels = batch(3)
    mine = shard(BATCH, rank, 2)
    out = head(embeddings[mine.start : mine.stop], labels[mine.start : mine.stop], 3)
    losses = world.gather(out.loss.detach()[None])
    assert losses[0] == losses[1]
    chosen = []
    for part in (shard(CLASSES, r, 2) for r in range(2)):
        local = (labels - part.start).clamp(0, len(part) - 1)
        own = (labels >= part.start) & (labels < part.stop)
        chosen.append(sample(local, own, part, head.taken(len(part), BATCH), 5, 3) + part.start)
    union = torch.cat(chosen)
    alone = Head(len(union), SIZE, get("loss", "cosface").make(), World(), 5).double()
    with torch.no_grad():
        alone.weight.copy_(head_of("cosface").weight[union])
    wanted = alone(embeddings, torch.searchsorted(union, labels), 3).loss
    torch.testing.assert_close(out.loss, wanted, rtol=1e-10, atol=1e-10)
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_compare_with_the_union_of_what_each_samples(tmp_path):
    spawn(in_rank, (str(tmp_path),), 2)
