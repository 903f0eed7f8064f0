"""The sharded head against the plain one in float64, at 1 to 4 ranks."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from arcterm_registry import get, names
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from arcterm.train.head.chunk import chunk_for
from arcterm.train.head.head import Head
from arcterm.train.head.lazy_adamw import LazyAdamW
from arcterm.train.head.partial_fc import LazySGD
from arcterm.train.world import World, shard

from ..ranks import spawn

CLASSES, SIZE, BATCH = 7, 5, 12
LABELS = (0, 0, 0, 1, 2, 6, 6, 5, 4, 4, 1, 2)  # duplicates, and none of class 3
LOSSES = sorted(name for name in names("loss") if ":" not in name and get("loss", name).form == "margin")
VARIANTS = [(name, {}) for name in LOSSES] + [
    ("arcface", {"gradient": "detached"}),
    ("arcface", {"fallback": "none"}),
    ("subcenter", {"over": "curricularface", "centers": 2}),
    ("subcenter", {"over": "softmax", "centers": 2}),
    ("subcenter", {"over": "uniface"}),
]


def problem(margin, dtype=torch.float64, labels=LABELS, classes=CLASSES):
    """Embeddings, labels, and every class-wise tensor that the loss asks for."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    embeddings = normal(BATCH, SIZE) * 3
    rows = {"weight": normal(classes, margin.centers, SIZE) if margin.centers > 1 else normal(classes, SIZE)}
    if margin.bias:
        rows["bias"] = normal(classes)
    for name in margin.class_parameters:
        rows[f"own.{name}"] = torch.rand(classes, generator=generator, dtype=torch.float64).to(dtype)
    return embeddings, torch.tensor(labels), rows


def make(name, options, dtype=torch.float64, classes=CLASSES):
    """The loss, ready for the classes, in the dtype."""
    margin = get("loss", name).make(**options)
    margin = margin.to(dtype) if isinstance(margin, nn.Module) else margin
    margin.prepare(classes, 0)
    return margin


def unit(x):
    return x / (x.square().sum(-1, keepdim=True) + 1e-10).sqrt()


def plain(margin, embeddings, labels, rows, *, limit=None, step=1):
    """The loss with all logits at hand: what `contracts.Margin` says, in order, under autograd."""
    norm = (embeddings.square().sum(1) + 1e-10).sqrt()
    raw = not margin.normalized_features and not margin.normalized_weights
    x = embeddings if raw else unit(embeddings)
    classes = len(rows["weight"])
    weight = rows["weight"].reshape(classes, margin.centers, SIZE)
    weight = unit(weight) if margin.normalized_weights else weight
    c = torch.einsum("bd,ckd->bck", x, weight).amax(2) + rows.get("bias", 0)
    own_class = F.one_hot(labels, classes).bool()
    t = c[own_class]
    with torch.no_grad():
        sums = tuple(
            s.masked_fill(own_class, 0).sum(1) for s in margin.survey(c.detach(), t.detach()[:, None])
        )
        margin.observe(t.detach(), norm.detach(), step, sums)
    factor = margin.scale * (norm if margin.normalized_weights and not margin.normalized_features else 1)
    factor = torch.as_tensor(factor, dtype=c.dtype).expand(BATCH)
    own = {name: rows[f"own.{name}"] for name in margin.class_parameters}
    target = factor * margin.own_target(t, norm, step, {k: v[labels] for k, v in own.items()})
    others = margin.negatives(c, t[:, None])
    if limit is not None:
        others = torch.where(c > limit, 0.0, others)
    others = factor[:, None] * others
    if margin.reduction == "sum":
        rivals = F.softplus(others, threshold=50).masked_fill(own_class, 0).sum(1)
        loss = margin.positive_weight * F.softplus(-target, threshold=50) + margin.negative_weight * rivals
    else:
        loss = F.cross_entropy(torch.where(own_class, target[:, None], others), labels, reduction="none")
    if (extra := margin.penalty(norm)) is not None:
        loss = loss + extra
    if (extra := margin.class_penalty(own)) is not None:
        loss = loss + extra.mean()
    return loss.mean()


def expected(name, options, dtype=torch.float64, labels=LABELS, classes=CLASSES, **how):
    """Loss, and its gradients by the embeddings, the class rows and what the loss learns."""
    margin = make(name, options, dtype, classes)
    embeddings, labels, rows = problem(margin, dtype, labels, classes)
    for tensor in (embeddings, *rows.values()):
        tensor.requires_grad_()
    loss = plain(margin, embeddings, labels, rows, **how)
    loss.backward()
    zeros = {key: row.grad if row.grad is not None else torch.zeros_like(row) for key, row in rows.items()}
    return loss.detach(), embeddings.grad, zeros, margin


def sharded(name, options, world, dtype=torch.float64, labels=LABELS, classes=CLASSES, **how):
    """The head and what it gives for this rank's part of the batch."""
    margin = make(name, options, classes=classes)
    embeddings, labels, rows = problem(margin, dtype, labels, classes)
    head = Head(classes, SIZE, margin, world, seed=0, **how).to(dtype)
    mine = slice(head.classes.start, head.classes.stop)
    with torch.no_grad():
        for key, parameter in head.sharded().items():
            parameter.copy_(rows[key][mine])
    part = shard(BATCH, world.rank, world.size)
    local = embeddings[part.start : part.stop].requires_grad_()
    out = head(local, labels[part.start : part.stop], 1)
    out.loss.backward()
    return head, out, local.grad / world.size, mine, slice(part.start, part.stop)


def check(name, options, world, dtype=torch.float64, tolerance=1e-10, **how):
    loss, by_x, by_rows, remembered = expected(name, options, dtype, **how)
    head, out, local, mine, part = sharded(name, options, world, dtype, **how)
    close = functools.partial(torch.testing.assert_close, rtol=tolerance, atol=tolerance)
    close(out.loss.detach(), loss)
    close(local, by_x[part])
    for key, parameter in head.sharded().items():
        close(parameter.grad, by_rows[key][mine])
    if isinstance(remembered, nn.Module):
        for key, buffer in remembered.named_buffers():
            close(head.margin.get_buffer(key), buffer)
        for key, parameter in remembered.named_parameters():
            close(head.margin.get_parameter(key).grad, parameter.grad)
    return out


def in_rank(rank, folder):
    torch.set_num_threads(1)
    for size in (2, 3, 4):
        if rank < size:
            dist.init_process_group("gloo", init_method=f"file://{folder}/{size}", rank=rank, world_size=size)
            for name, options in VARIANTS:
                check(name, options, World(rank, size))
                check(name, options, World(rank, size), torch.float32, 1e-5)
                # a class a shard, and but one shard that has a target
                check(name, options, World(rank, size), labels=(size - 1,) * BATCH, classes=size)
            check("cosface", {}, World(rank, size), limit=0.4)
            dist.destroy_process_group()


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_one_rank_equals_the_plain_head_in_float64(name, options):
    check(name, options, World())


@pytest.mark.parametrize("name", LOSSES)
def test_tiles_of_one_or_a_few_classes_give_the_same(name, monkeypatch):
    for chunk in (1, 3):
        monkeypatch.setattr("arcterm.train.head.tiled.chunk_for", lambda *_, chunk=chunk: chunk)
        check(name, {}, World())


@pytest.mark.parametrize("name", LOSSES)
def test_other_classes_above_the_limit_count_as_zero(name):
    check(name, {}, World(), limit=0.4)


@pytest.mark.slow
def test_any_number_of_ranks_equals_the_plain_head(tmp_path):
    """Four processes form worlds of 2, 3 and 4 in turn: importing torch is what takes time."""
    spawn(in_rank, (str(tmp_path),), 4)


@pytest.mark.parametrize(("rate", "lazy"), [(1.0, None), (0.5, LazySGD), (0.5, LazyAdamW)])
@pytest.mark.parametrize("name", LOSSES)
def test_no_step_asks_for_a_number(name, rate, lazy, monkeypatch):
    """On tensors without values, whatever would wait for a GPU to know one raises."""
    monkeypatch.setattr("arcterm.train.head.products.has_products", lambda *_: False)  # a CPU may look
    with FakeTensorMode():
        margin = get("loss", name).make()
        head = Head(50, SIZE, margin, World(), 0, sample_rate=rate)
        groups = [{"params": list(head.parameters())}]
        more = {"betas": (0.9, 0.999)} if lazy is LazyAdamW else {"momentum": 0.9}
        how = {"lr": 0.1, "weight_decay": 5e-4, **more}
        sgd = lazy(head.sharded(), groups, **how) if lazy else torch.optim.SGD(groups, **how)
        head.fetch = head.fetch if rate == 1 else sgd.fetch
        loss = head(torch.randn(6, SIZE, requires_grad=True), torch.randint(0, 50, (6,)), 1).loss
        loss.backward()
        sgd.step()
        with pytest.raises(DataDependentOutputException):
            loss.item()


def test_the_comparison_would_notice_a_missing_rival(monkeypatch):
    monkeypatch.setattr("arcterm.train.head.tiled.EPS", 1e-2)
    with pytest.raises(AssertionError):
        check("arcface", {}, World())


def test_accuracy_and_angle_are_without_margin():
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    head = Head(2, 2, get("loss", "arcface").make(), World(), seed=0)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 5.0]]))
    out = head(embeddings, torch.tensor([0, 1, 1]), 1)
    assert out.accuracy.item() == pytest.approx(2 / 3)
    assert out.angle.item() == pytest.approx(30.0, abs=0.1)


def test_a_certain_target_keeps_its_gradient():
    """Late in training softmax − 1 cancels to zero in float32; softplus of the difference does not."""
    head = Head(3, 2, get("loss", "cosface").make(margin=0.0), World(), seed=0)
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


def test_initial_rows_are_the_same_from_many_threads(monkeypatch):
    margin = get("loss", "arcface").make()
    found = []
    for few in (0, 100):
        monkeypatch.setattr("arcterm.train.head.head._FEW_BLOCKS", few)
        found.append(Head(5000, 8, margin, World(1, 2), seed=5).weight.detach())
    assert torch.equal(*found)


def test_initial_rows_do_not_depend_on_the_number_of_ranks():
    margin = get("loss", "arcface").make()
    whole = Head(2500, 8, margin, World(), seed=5).weight.detach()
    parts = [Head(2500, 8, margin, World(rank, 3), seed=5).weight.detach() for rank in range(3)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(Head(2500, 8, margin, World(), seed=6).weight.detach(), whole)
    assert whole.std().item() == pytest.approx(math.sqrt(2 / 2500), rel=0.02)


@pytest.mark.parametrize(
    ("megabytes", "processors", "gibibytes", "classes"),
    [
        (50, 132, 100, 8192),  # an H200: two waves of blocks are more than its cache holds
        (96, 142, 40, 8192),  # an L40S: as many as its cache holds
        (126, 20, 40, 8192),
        (6, 30, 12, 1024),  # an older card
        (50, 132, 1, 4096),  # little memory is free
        (4, 2000, 100, 16384),  # no more than is counted before the start
    ],
)
def test_a_gpus_tile_fits_its_cache_and_fills_its_processors(
    monkeypatch, megabytes, processors, gibibytes, classes
):
    device = SimpleNamespace(L2_cache_size=megabytes << 20, multi_processor_count=processors)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (gibibytes << 30, 0))
    found = chunk_for.__wrapped__(1024, 1, torch.device("cuda", 0))
    assert found == classes
    assert chunk_for.__wrapped__(1024, 4, torch.device("cuda", 0)) == max(512, classes // 4)
