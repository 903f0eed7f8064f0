"""The products of oneDNN that end in a sigmoid, against the plain softmax in float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from arcterm_registry import get

from arcterm.train.head import onednn, products, rowgradients
from arcterm.train.head.head import Head
from arcterm.train.head.products import fast_bfloat16
from arcterm.train.head.rowgradients import Collected
from arcterm.train.world import World

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not onednn.available(CPU), reason="PyTorch has no such product here")
SIZE, BATCH = 32, 6
TYPES = [torch.float32, *([torch.bfloat16] if fast_bfloat16() else [])]


@pytest.fixture(params=["kept", "made again"], autouse=True)
def terms(request, monkeypatch):
    """The way back finds the terms of the way there, or makes them again."""
    if request.param != "kept":
        monkeypatch.setattr(onednn, "_KEPT", 0)
    return request.param


class Problem:
    """Features at random, times a scale; the targets are rows 0 to 5, or elsewhere."""

    def __init__(self, classes, scale, targets=None):
        generator = torch.Generator().manual_seed(classes)
        self.left = F.normalize(torch.randn(BATCH, SIZE, generator=generator)) * scale
        self.weight = torch.randn(classes, SIZE, generator=generator)
        self.targets = torch.arange(BATCH) if targets is None else torch.tensor(targets)
        self.grad = torch.rand(BATCH, generator=generator)

    def ours(self, dtype=torch.float32, chunk=7):
        inverse = 1 / self.weight.norm(dim=1)
        tiles = onednn.Tiles(self.weight, lambda part: inverse[part], chunk, dtype)
        lse, highest = onednn.rivals(self.left, tiles, self.targets)
        rows = Collected(self.weight)
        by_left = onednn.gradients(self.left, tiles, self.targets, lse, self.grad, rows)
        return lse, highest, by_left, rows.weight

    def exact(self):
        left, weight = (x.double().requires_grad_() for x in (self.left, self.weight))
        own = torch.arange(len(weight)) == self.targets[:, None]
        logits = (left @ F.normalize(weight).T).masked_fill(own, -math.inf)
        lse = logits.logsumexp(1)
        return (
            lse.detach(),
            logits.detach().amax(1),
            *torch.autograd.grad((lse * self.grad).sum(), (left, weight)),
        )


def errors(ours, exact):
    return [float((a - b).norm() / b.norm()) for a, b in zip(ours, exact, strict=True)]


@pytest.mark.parametrize("scale", [1.0, 64.0, 500.0])
@pytest.mark.parametrize("targets", [None, [-1] * BATCH, [49] * BATCH])
def test_log_sums_and_gradients_are_exact(scale, targets):
    problem = Problem(50, scale, targets)
    assert max(errors(problem.ours(), problem.exact())) < 3e-5


def test_a_rival_far_above_those_before_raises_the_shift():
    problem = Problem(50, 64.0)
    problem.weight[:7] = -problem.left[0]  # the first tile is as far away as can be
    problem.weight[40] = problem.left[0]
    assert max(errors(problem.ours(), problem.exact())) < 3e-5


@pytest.mark.parametrize("dtype", TYPES)
def test_no_rival_is_no_number_that_spreads(dtype):
    problem = Problem(1, 64.0, [0] * BATCH)
    lse, highest, by_left, by_rows = problem.ours(dtype)
    assert lse.tolist() == highest.tolist() == [-math.inf] * BATCH
    assert not by_left.any()
    assert not by_rows.any()


def test_what_is_no_number_is_seen():
    problem = Problem(50, 64.0)
    problem.weight[30, 3] = math.nan
    assert problem.ours()[0].isnan().all()
    problem.weight[30, 3] = math.inf
    assert problem.ours()[0].isnan().all()


@pytest.mark.skipif(not fast_bfloat16(), reason="this CPU has no instructions for bfloat16")
def test_late_gradients_in_bfloat16_are_good_to_five_thousandths():
    """At a target cosine of 0.8 a few rivals decide, whose logits are large."""
    generator = torch.Generator().manual_seed(1)
    classes, size, batch = 4000, 512, 64
    weight = torch.randn(classes, size, generator=generator)
    labels = torch.arange(batch) * 3
    aside = torch.randn(batch, size, generator=generator)
    own = F.normalize(weight[labels])
    aside = F.normalize(aside - (aside * own).sum(1, keepdim=True) * own)
    embeddings = (0.8 * own + 0.6 * aside) * 20
    found = []
    for dtype, half in ((torch.float64, torch.float32), (torch.float32, torch.bfloat16)):
        head = Head(classes, size, get("loss", "arcface").make(), World(), 0, dtype=half)
        head.weight = torch.nn.Parameter(weight.to(dtype))
        x = embeddings.to(dtype).requires_grad_()
        head(x, labels, 1).loss.backward()
        found.append((x.grad, head.weight.grad))
    assert max(errors(found[1], found[0])) < 5e-3


@pytest.mark.parametrize("loss", ["arcface", "curricularface"])
def test_a_head_without_such_products_is_the_same(loss, monkeypatch):
    found = []
    for has in (True, False):
        if not has:
            monkeypatch.setattr(products, "has_products", lambda *_: False)
        head = Head(40, SIZE, get("loss", loss).make(), World(), 0)
        x = Problem(40, 20.0).left.requires_grad_()
        out = head(x, torch.arange(BATCH), 1)
        out.loss.backward()
        found.append((out.loss.detach()[None], x.grad, head.weight.grad))
    assert max(errors(*found)) < 1e-5


def test_an_operator_that_is_gone_is_done_without(monkeypatch):
    def gone(*_):
        raise AttributeError("_linear_pointwise")

    monkeypatch.setattr(onednn, "multiply", gone)
    onednn.available.cache_clear()
    assert not onednn.available(CPU)
    monkeypatch.undo()
    onednn.available.cache_clear()
    assert onednn.available(CPU)
    assert not onednn.available(torch.device("meta"))


def gradient(head, seed=0, keep=False):
    """The gradient of the rows of a head that is given it anew, or added to the one that it has."""
    if not keep:
        head.zero_grad(set_to_none=True)
    torch.manual_seed(seed)
    head(torch.randn(8, 16), torch.arange(8), 1).loss.backward()
    return head.weight.grad


def test_the_memory_of_the_rows_gradient_is_kept_and_never_shared():
    head = Head(2000, 16, get("loss", "arcface").make(), World(), 0)
    place = gradient(head).data_ptr()
    assert gradient(head, 1).data_ptr() == place
    held = gradient(head, 2)  # someone looks at it for longer than a step
    copied = held.clone()
    assert gradient(head, 3).data_ptr() != held.data_ptr()
    assert torch.equal(held, copied)
    both = gradient(head, 4).clone() + gradient(head, 5).clone()
    gradient(head, 4)
    assert torch.allclose(gradient(head, 5, keep=True), both, atol=1e-7)


def test_without_a_count_of_uses_its_memory_is_fresh(monkeypatch):
    monkeypatch.setattr(rowgradients, "_uses_alone", lambda: None)
    head = Head(2000, 16, get("loss", "arcface").make(), World(), 0)
    first = gradient(head)
    assert gradient(head, 1).data_ptr() != first.data_ptr()
    assert head._room._kept is None


def test_what_is_kept_spares_a_product_a_tile(terms, monkeypatch):
    plain, made = onednn._sigmoid, []

    def counted(a, b, bias):
        made.append(a.shape)
        return plain(a, b, bias)

    monkeypatch.setattr(onednn, "_sigmoid", counted)
    Problem(70, 64.0).ours(chunk=7)
    forward = 11  # of ten tiles the first is made twice
    assert len(made) == forward + (10 if terms == "made again" else 0)


def test_rows_that_are_frozen_are_not_differentiated(monkeypatch):
    made, products = {}, []
    plain = onednn.multiply

    def multiply(a, b):
        products.append(a.shape)
        return plain(a, b)

    for frozen in (False, True):
        head = Head(2000, 16, get("loss", "arcface").make(), World(), 0).requires_grad_(not frozen)
        torch.manual_seed(0)
        x = torch.randn(8, 16).requires_grad_()
        loss = head(x, torch.arange(8), 1).loss
        products.clear()
        with monkeypatch.context() as patched:
            patched.setattr(onednn, "multiply", multiply)
            loss.backward()
        assert head.weight.grad is None or not frozen
        made[frozen] = x.grad, len(products)
    assert torch.equal(made[True][0], made[False][0])
    assert made[True][1] < made[False][1]


def test_the_memory_of_the_terms_is_kept_and_lent_to_one_way_back_alone(terms):
    """A second batch that goes forward before the first comes back has memory of its own."""
    head = Head(2000, 16, get("loss", "arcface").make(), World(), 0)

    def forward(seed):
        torch.manual_seed(seed)
        x = torch.randn(8, 16).requires_grad_()
        return x, head(x, torch.arange(8), 1).loss

    def gradients(batches):
        for _, loss in batches:
            head.zero_grad()
            loss.backward()
        return [x.grad for x, _ in batches]

    alone = [gradients([forward(seed)])[0] for seed in (0, 1)]
    place = head._terms._kept
    assert (place is None) == (terms != "kept")
    assert all(map(torch.equal, gradients([forward(0), forward(1)]), alone))
    assert gradients([forward(0)])[0].equal(alone[0])
