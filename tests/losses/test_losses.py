"""Every registered loss, in the head that trains with it, against its published formula."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from arcterm_registry import get, names
from torch import nn

from arcterm.train.head.head import Head
from arcterm.train.world import World

from .naive import remembered
from .test_formulas import ALL, CLASSES, EXACT, SIZE, problem, title

RENAMED = {"scale": "temperature"}  # AdaCos: what the formula calls a scale
MARGINS = sorted(name for name in names("loss") if ":" not in name and get("loss", name).form == "margin")


def head_for(given):
    """The head, holding what `given` holds."""
    declared = get("loss", given.name)
    options = {k: v for k, v in declared.settings(given.options).items() if v is not None}
    margin = declared.make(**options)
    head = Head(CLASSES, SIZE, margin, World(), seed=0).double()
    values = {"weight": given.weight, "bias": given.bias, **{f"own.{k}": v for k, v in given.own.items()}}
    remembered_now = {RENAMED.get(k, k): v for k, v in given.state.items()}
    with torch.no_grad():
        for name, parameter in head.sharded().items():
            parameter.copy_(values[name])
        for name, value in head.replicated().items():
            value.copy_({**remembered_now, **given.learned}[name])
    return head


def leaves_of(head):
    """The head's parameters under the names of the problem's leaves."""
    own = {name.removeprefix("own."): parameter for name, parameter in head.sharded().items()}
    learned = dict(head.margin.named_parameters()) if isinstance(head.margin, nn.Module) else {}
    return own | learned


def with_own_draw(name, options):
    """The problem; where margins are drawn, those that the loss itself draws."""
    given = problem(name, options)
    if name != "elasticface":
        return given, head_for(given)
    head = head_for(given)
    given.extra["margins"].copy_(head.margin.drawn(len(given.labels), given.step))
    return given, head


@pytest.mark.parametrize(("name", "options"), ALL, ids=title)
def test_value_gradients_and_memory_are_the_formula_s(name, options):
    given, head = with_own_draw(name, options)
    wanted, gradients = given.gradients()
    embeddings = given.embeddings.clone().requires_grad_()
    loss = head(embeddings, given.labels, given.step).loss
    loss.backward()
    torch.testing.assert_close(loss.detach(), wanted, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(embeddings.grad, gradients["embeddings"], rtol=1e-10, atol=1e-9)
    for key, parameter in leaves_of(head).items():
        torch.testing.assert_close(parameter.grad, gradients[key], rtol=1e-10, atol=1e-9)
    after = remembered(name, given.embeddings, given.labels, given.weight, state=given.state, **given.options)
    for key, value in after.items():
        torch.testing.assert_close(head.margin.get_buffer(RENAMED.get(key, key)), value)


@pytest.mark.parametrize("name", [name for name in MARGINS if name not in ("softmax", "adacos")])
def test_another_scale_would_be_noticed(name):
    given, head = with_own_draw(name, {})
    head.margin.scale *= 1.001
    loss = head(given.embeddings, given.labels, given.step).loss
    assert not torch.allclose(loss, given.loss(), rtol=1e-7)


@pytest.mark.parametrize(("name", "options"), EXACT, ids=title)
def test_gradcheck(name, options):
    given, head = with_own_draw(name, options)

    def loss(embeddings, *values):
        held = dict(zip(dict(head.named_parameters()), values, strict=True))
        return torch.func.functional_call(head, held, (embeddings, given.labels, given.step)).loss

    leaves = [p.detach().clone().requires_grad_() for p in (given.embeddings, *head.parameters())]
    assert torch.autograd.gradcheck(loss, leaves, fast_mode=True)


def at_the_edges(dtype):
    """Embeddings at cosine exactly 1 and -1 to their class, at nothing, and weights at nothing."""
    weight = torch.eye(CLASSES, SIZE, dtype=dtype)
    embeddings = torch.cat((weight[:3] * 7, -weight[:3] * 7, torch.zeros(1, SIZE, dtype=dtype)))
    return embeddings, torch.tensor([0, 1, 2, 0, 1, 2, 3]), weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("name", "options"), ALL, ids=title)
def test_finite_at_cosine_one_and_minus_one_and_at_zero_vectors(name, options, dtype):
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    embeddings, labels, weight = at_the_edges(wide)
    declared = get("loss", name)
    margin = declared.make(**{k: v for k, v in declared.settings(options).items() if v is not None})
    head = Head(CLASSES, SIZE, margin, World(), seed=0, dtype=dtype).to(wide)
    with torch.no_grad():
        head.weight.copy_(weight if margin.centers == 1 else weight[:, None])
    embeddings.requires_grad_()
    for step in (1, 100_000):
        out = head(embeddings, labels, step)
        out.loss.backward()
        assert out.loss.isfinite()
    assert embeddings.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.long
def test_every_loss_falls(name):
    """Sixty steps of SGD on a few separable people, embeddings free to move."""
    torch.manual_seed(0)
    declared = get("loss", name)
    labels = torch.arange(32) % 8
    middles = torch.randn(8, 16)
    net = nn.Linear(24, 16)
    pictures = torch.cat((middles[labels], torch.randn(32, 8)), 1)
    made = declared.make(**{k: v for k, v in declared.settings({}).items() if v is not None})
    head = Head(8, 16, made, World(), seed=0)
    # binary losses sum over classes and circle squares its scale: their gradients are far larger
    rate = 0.002 if name in ("circle", "sphereface2", "uniface", "magface") else 0.02
    sgd = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=rate, momentum=0.9)
    losses = []
    for step in range(1, 61):
        sgd.zero_grad()
        loss = head(net(pictures), labels, step).loss
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    assert all(math.isfinite(loss) for loss in losses)
    assert sum(losses[-5:]) / 5 < 0.8 * losses[0], losses


@pytest.mark.parametrize("gradient", ["exact", "detached"])
def test_detached_differs_by_the_slope_alone(gradient):
    head = head_for(problem("arcface", {"gradient": gradient, "fallback": "none"}))
    t = torch.tensor([0.9, 0.1, -0.4], dtype=torch.float64, requires_grad=True)
    value = head.margin.target(t, t, 1)
    value.sum().backward()
    theta = t.detach().acos()
    slope = (theta + 0.5).sin() / theta.sin() if gradient == "exact" else torch.ones_like(theta)
    torch.testing.assert_close(value.detach(), (theta + 0.5).cos())
    torch.testing.assert_close(t.grad, slope)


IDENTITIES = [
    ("combined", {"m1": 1.0, "m2": 0.0, "m3": 0.35}, "cosface", {}),
    ("combined", {"m1": 1.0, "m2": 0.5, "m3": 0.0}, "arcface", {}),
    ("combined", {"m1": 1.0, "m2": 0.5, "m3": 0.0, "fallback": "none"}, "arcface", {"fallback": "none"}),
    ("combined", {"m1": 1.0, "m2": 0.5, "m3": 0.0, "fallback": "clip"}, "arcface", {"fallback": "clip"}),
    ("combined", {"m1": 1.0, "m2": 0.0, "m3": 0.0}, "normface", {}),
    ("sphereface-r", {"margin": 1.0, "scale": 64.0, "gradient": "exact"}, "normface", {}),
    ("adaface", {"h": 0.0}, "cosface", {"margin": 0.4}),
    (
        "magface",
        {"low_margin": 0.5, "high_margin": 0.5, "weight": 0.0, "easy_margin": False},
        "arcface",
        {},
    ),
    ("elasticface", {"sigma": 0.0}, "arcface", {}),
    ("elasticface", {"sigma": 0.0, "base": "cosface", "plus": True}, "cosface", {}),
    ("subcenter", {"centers": 1}, "arcface", {}),
    ("subcenter", {"centers": 1, "over": "curricularface"}, "curricularface", {}),
]


@pytest.mark.parametrize(("name", "options", "other", "others"), IDENTITIES, ids=title)
def test_identities(name, options, other, others):
    """Two heads on one batch, far from cosine ±1: the same loss and the same gradients."""
    found = []
    for one, asked in ((name, options), (other, others), (other, {**others, "scale": 63.9})):
        torch.manual_seed(3)
        declared = get("loss", one)
        values = {k: v for k, v in declared.settings(asked).items() if v is not None}
        head = Head(CLASSES, SIZE, declared.make(**values), World(), seed=0).double()
        embeddings = torch.randn(40, SIZE, dtype=torch.float64).requires_grad_()
        loss = head(embeddings, torch.arange(40) % CLASSES, 1).loss
        loss.backward()
        found.append((loss.detach(), embeddings.grad, head.weight.grad.flatten()))
    for ours, theirs, changed in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
        assert not torch.allclose(ours, changed, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("base", "least"), [("cosface", 0.36), ("arcface", 0.01)])
def test_mv_softmax_without_a_factor_is_its_base_where_the_margin_applies(base, least):
    t = torch.linspace(least, 0.99, 50, dtype=torch.float64)
    ours = get("loss", "mv-softmax").make(tau=1.0, base=base, margin=0.35)
    theirs = get("loss", base).make(margin=0.35)
    torch.testing.assert_close(ours.target(t, t, 1), theirs.target(t, t, 1))
    tile = torch.linspace(-1, 1, 50, dtype=torch.float64).expand(50, 50)
    torch.testing.assert_close(ours.negatives(tile, t[:, None]), tile)
    assert not torch.allclose(ours.target(-t, t, 1), theirs.target(-t, t, 1))


def test_curricularface_without_hard_classes_is_arcface():
    hard = get("loss", "curricularface").make()
    t = torch.linspace(0.8, 1, 20, dtype=torch.float64)
    tile = torch.linspace(-1, 0.3, 20, dtype=torch.float64).expand(20, 20)
    torch.testing.assert_close(hard.target(t, t, 1), get("loss", "arcface").make().target(t, t, 1))
    torch.testing.assert_close(hard.negatives(tile, t[:, None]), tile)
    assert not torch.allclose(hard.negatives(tile + 0.5, t[:, None]), tile + 0.5)


@pytest.mark.parametrize(("k", "wanted"), [(-1.0, "arc"), (0.0, "cos"), (1.0, "opposite")])
def test_adaface_is_arcface_cosface_and_its_opposite(k, wanted):
    ours = get("loss", "adaface").make(margin=0.4).double()
    t = torch.linspace(-0.9, 0.9, 30, dtype=torch.float64)
    theta = t.acos()
    formula = {"arc": (theta + 0.4).cos(), "cos": t - 0.4, "opposite": (theta - 0.4).cos() - 0.8}[wanted]
    ours.mean.fill_(50.0)
    ours.std.fill_(5.0)
    norm = torch.full_like(t, 50.0 + k * 40)  # far enough from the mean for k to be clipped to ±1
    torch.testing.assert_close(ours.target(t, norm, 1), formula)


def test_margins_at_random_follow_from_seed_step_and_row():
    def drawn(seed, step, rows=9):
        margin = get("loss", "elasticface").make()
        margin.prepare(10, seed)
        return margin.drawn(rows, step)

    assert torch.equal(drawn(1, 5), drawn(1, 5))
    assert torch.equal(drawn(1, 5, 4), drawn(1, 5)[:4])
    assert not torch.equal(drawn(1, 5), drawn(1, 6))
    assert not torch.equal(drawn(1, 5), drawn(2, 5))
    assert drawn(1, 5, 4000).std().item() == pytest.approx(0.05, rel=0.05)


def test_the_example_is_sharded_streamed_halved_and_sampled_for_nothing(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples" / "arcterm-loss"))
    from arcterm_fading import fading

    torch.manual_seed(0)
    embeddings, labels = torch.randn(16, 32) * 3, torch.randint(0, 500, (16,))
    losses = []
    for how in ({}, {"dtype": torch.bfloat16}, {"sample_rate": 0.5}):
        head = Head(500, 32, fading.make(margin=0.7), World(), seed=0, **how)
        x = embeddings.clone().requires_grad_()
        loss = head(x, labels, 1).loss
        loss.backward()
        losses.append((loss.item(), x.grad))
    unit, centres = nn.functional.normalize(embeddings), nn.functional.normalize(head.weight.detach())
    cosines = unit @ centres.T
    rows = torch.arange(16)
    cosines[rows, labels] -= 0.7 * (1 - cosines[rows, labels]) / 2
    plain = nn.functional.cross_entropy(64 * cosines, labels).item()
    assert losses[0][0] == pytest.approx(plain, rel=1e-5)
    assert losses[1][0] == pytest.approx(plain, rel=1e-2)
    assert losses[2][0] < plain
    torch.testing.assert_close(
        losses[1][1], losses[0][1], rtol=0.1, atol=0.05 * losses[0][1].abs().max().item()
    )
