"""The sharded head against the plain one in float64, at 1 to 4 ranks."""

from __future__ import annotations

import functools
import math

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from arcterm_registry import get, names

from arcterm.train.head import Head
from arcterm.train.world import World, shard

CLASSES, SIZE, BATCH = 7, 5, 12
LOSSES = sorted(name for name in names("loss") if ":" not in name)


def problem(dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(BATCH, SIZE, generator=generator, dtype=dtype) * 3
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    weight = torch.randn(CLASSES, SIZE, generator=generator, dtype=dtype)
    bias = torch.randn(CLASSES, generator=generator, dtype=dtype)
    return embeddings, labels, weight, bias


def naive(name, embeddings, labels, weight, bias):
    """Batch × classes logits and torch's own cross entropy."""
    margin = get("loss", name).load()()
    if margin.normalized:
        unit = embeddings / (embeddings.square().sum(1, keepdim=True) + 1e-10).sqrt()
        logits = unit @ (weight / (weight.square().sum(1, keepdim=True) + 1e-10).sqrt()).T
    else:
        logits = embeddings @ weight.T + (bias if margin.bias else 0)
    rows = torch.arange(len(labels))
    target = margin.target(logits[rows, labels], embeddings.norm(dim=1), 1)
    logits = logits.index_put((rows, labels), target) * margin.scale
    return F.cross_entropy(logits, labels)


def expected(name):
    embeddings, labels, weight, bias = problem()
    for tensor in (embeddings, weight, bias):
        tensor.requires_grad_()
    loss = naive(name, embeddings, labels, weight, bias)
    loss.backward()
    return loss.detach(), embeddings.grad, weight.grad, bias.grad


def sharded(name, world):
    """Loss, gradient of this rank's embeddings (averaged as DDP would), weight and bias gradients."""
    embeddings, labels, weight, bias = problem()
    head = Head(CLASSES, SIZE, get("loss", name).load()(), world, seed=0).double()
    rows = slice(head.classes.start, head.classes.stop)
    with torch.no_grad():
        head.weight.copy_(weight[rows])
        if head.bias is not None:
            head.bias.copy_(bias[rows])
    mine = shard(BATCH, world.rank, world.size)
    local = embeddings[mine.start : mine.stop].requires_grad_()
    out = head(local, labels[mine.start : mine.stop], 1)
    out.loss.backward()
    return (
        out,
        local.grad / world.size,
        head.weight.grad,
        None if head.bias is None else head.bias.grad,
        rows,
        mine,
    )


def check(name, world):
    loss, grad_x, grad_w, grad_b = expected(name)
    out, local, weight, bias, rows, mine = sharded(name, world)
    close = functools.partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)
    close(out.loss.detach(), loss)
    close(local, grad_x[mine.start : mine.stop])
    close(weight, grad_w[rows])
    if bias is not None:
        close(bias, grad_b[rows])
    return out


def in_rank(rank, folder):
    torch.set_num_threads(1)
    for size in (2, 3, 4):
        if rank < size:
            dist.init_process_group("gloo", init_method=f"file://{folder}/{size}", rank=rank, world_size=size)
            for name in LOSSES:
                check(name, World(rank, size))
            dist.destroy_process_group()


@pytest.mark.parametrize("name", LOSSES)
def test_one_rank_equals_the_plain_head_in_float64(name):
    check(name, World())


def test_any_number_of_ranks_equals_the_plain_head(tmp_path):
    """Four processes form worlds of 2, 3 and 4 in turn: importing torch is what takes time."""
    mp.spawn(in_rank, (str(tmp_path),), nprocs=4)


def test_the_comparison_would_notice_a_missing_rival(monkeypatch):
    monkeypatch.setattr("arcterm.train.head._EPS", 1e-2)
    with pytest.raises(AssertionError):
        check("arcface", World())


def test_accuracy_and_angle_are_without_margin():
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    head = Head(2, 2, get("loss", "arcface").load()(), World(), seed=0)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 5.0]]))
    out = head(embeddings, torch.tensor([0, 1, 1]), 1)
    assert out.accuracy.item() == pytest.approx(2 / 3)
    assert out.angle.item() == pytest.approx(30.0, abs=0.1)


def test_a_certain_target_keeps_its_gradient():
    """Late in training softmax − 1 cancels to zero in float32; softplus of the difference does not."""
    head = Head(3, 2, get("loss", "cosface").load()(margin=0.0), World(), seed=0)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]))
    x = torch.tensor([[1.0, 0.2]], requires_grad=True)
    out = head(x, torch.tensor([0]), 1)
    out.loss.backward()
    cosine = float(F.normalize(x.detach().double())[0, 0])
    rival = float(F.normalize(x.detach().double())[0] @ torch.tensor([0.6, 0.8], dtype=torch.float64))
    assert out.loss.item() == pytest.approx(math.log1p(math.exp(64 * (rival - cosine))), rel=1e-4)
    assert out.loss.item() > 0


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("count", [1, 2, 7, 93431])
def test_shards_are_all_of_it(count, size):
    parts = [shard(count, rank, size) for rank in range(size)]
    assert [i for part in parts for i in (part.start, part.stop)][1:-1] == [
        edge for part in parts[1:] for edge in (part.start, part.start)
    ]
    assert sum(map(len, parts)) == count
    assert parts[0].start == 0
    assert parts[-1].stop == count


def test_initial_rows_do_not_depend_on_the_number_of_ranks():
    margin = get("loss", "arcface").load()()
    whole = Head(2500, 8, margin, World(), seed=5).weight.detach()
    parts = [Head(2500, 8, margin, World(rank, 3), seed=5).weight.detach() for rank in range(3)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(Head(2500, 8, margin, World(), seed=6).weight.detach(), whole)
    assert whole.std().item() == pytest.approx(math.sqrt(2 / 2500), rel=0.02)
