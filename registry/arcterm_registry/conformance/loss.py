"""Checks of a loss over class weights, against `contracts.Margin` and the head that it describes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from arcterm_registry.conformance.findings import Failed, Warned, foundation, require
from arcterm_registry.conformance.plainhead import Problem, at_the_edges, learned, loss_of, problem
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.contracts import Margin

_CLASSES = 9
_FAR = 100_000  # a step late in training, where what is annealed has ended
_COSINES = (-1 - 1e-6, -1.0, -0.999999, -0.7, -0.1, 0.0, 0.3, 0.8, 0.999999, 1.0, 1 + 1e-6)
_PURE = "compute new tensors; what is given belongs to the head"


@foundation
def build(subject: Subject) -> str:
    """The factory takes its options and returns a `Margin` whose attributes the head can use."""
    margin = make(subject)
    scale = float(margin.scale)
    require(math.isfinite(scale) and scale > 0, f"its scale is {scale}", "give a finite scale above 0")
    require(
        isinstance(margin.centers, int) and margin.centers >= 1,
        f"centers is {margin.centers!r}",
        "give a whole number of 1 or more",
    )
    require(
        margin.reduction in ("logsumexp", "sum"),
        f"reduction is {margin.reduction!r}",
        "give 'logsumexp' or 'sum'",
    )
    for name, (low, high) in margin.class_parameters.items():
        require(low <= high, f"class parameter {name!r} starts in {low} … {high}", "give (low, high)")
    return type(margin).__name__


@foundation
def target(subject: Subject) -> str:
    """(B,) → (B,) in the same type, finite with finite gradient from cosine -1 to 1, its input untouched."""
    for dtype in (torch.float32, torch.float64):
        margin, t, norm = _make_observed(subject, dtype)
        given = t.detach().clone()
        for step in (1, _FAR):
            value = _target(margin, t, norm, step)
            _check_mapped("target()", value, t)
            require(value.requires_grad, "target() has no gradient", "compute it from t, not from t.detach()")
            (slope,) = torch.autograd.grad(value.sum(), t)
            _check_finite("target()", value, slope, t)
        require(torch.equal(given, t.detach()), "target() changes the cosines that it is given", _PURE)
    return "finite, with its slope, from cosine -1 to 1"


@foundation
def negatives(subject: Subject) -> str:
    """(B, n) → (B, n), each number from its own cosine and its row's target; finite; repeatable."""
    margin, t, _ = _make_observed(subject, torch.float32)
    column = t.detach()[:, None]
    tile = torch.tensor(_COSINES).expand(len(t), -1).clone()
    given = tile.clone().requires_grad_()
    value = margin.negatives(given, column)
    _check_mapped("negatives()", value, given)
    if value.requires_grad:
        (slope,) = torch.autograd.grad(value.sum(), given, allow_unused=True)
        _check_finite("negatives()", value, torch.zeros_like(given) if slope is None else slope, given)
    require(torch.equal(given.detach(), tile), "negatives() changes the cosines that it is given", _PURE)
    again = margin.negatives(tile.clone(), column)
    require(
        torch.equal(value.detach(), again.detach()),
        "negatives() gives other values when it is called again",
        "it is called once more in the backward pass: remember things in observe()",
    )
    apart = torch.cat([margin.negatives(tile[:, j : j + 1], column) for j in range(tile.shape[1])], 1)
    require(
        torch.allclose(value, apart, rtol=1e-5, atol=1e-6),
        "negatives() of a class depends on the other classes that it is given with",
        "be elementwise: classes come in tiles of any size; sums over all of them are survey()'s",
    )
    return "elementwise and finite"


def survey(subject: Subject) -> str:
    """The terms summed over all classes are elementwise too: (B, n) → (B, n) each."""
    margin, t, _ = _make_observed(subject, torch.float32)
    column = t.detach()[:, None]
    tile = torch.tensor(_COSINES).expand(len(t), -1).clone()
    with torch.no_grad():
        parts = margin.survey(tile.clone(), column)
        require(isinstance(parts, tuple), "survey() gives no tuple", "return a tuple of tensors (B, n)")
        singles = [margin.survey(tile[:, j : j + 1].clone(), column) for j in range(tile.shape[1])]
    for number, part in enumerate(parts):
        _check_mapped("survey()", part, tile)
        require(
            part.isfinite().all(), "survey() is not finite", "shift before exp(), clamp before a division"
        )
        together = torch.cat([single[number] for single in singles], 1)
        require(
            torch.allclose(part, together, rtol=1e-5, atol=1e-6),
            "survey() of a class depends on the other classes that it is given with",
            "be elementwise: the head sums",
        )
    return f"{len(parts)} sum{'s' * (len(parts) != 1)} over the classes"


@foundation
def steps(subject: Subject) -> str:
    """Three steps in a head: the loss, and its gradient by everything that learns, are finite."""
    margin = make(subject)
    given = problem(margin)
    for step in (1, 2, _FAR):
        loss = loss_of(margin, given, step)
        require(loss.shape == (), f"the loss has the shape {tuple(loss.shape)}", "penalty() is (B,)")
        require(loss.isfinite(), f"the loss of step {step} is not finite", "look at scale and exp()")
        _check_gradients(loss, [*given.leaves(), *learned(margin)], f"of step {step}")
    return "loss and gradients are finite"


def edges(subject: Subject) -> str:
    """Embeddings that lie exactly at, and exactly opposite, their class's centre, and one that is zero."""
    margin = make(subject)
    given = at_the_edges(margin)
    for step in (1, _FAR):
        loss = loss_of(margin, given, step)
        require(
            loss.isfinite(),
            "at cosine 1 or -1 or a zero embedding the loss is not finite",
            "clamp the cosine",
        )
        _check_gradients(loss, [*given.leaves(), *learned(margin)], "at cosine 1 or -1 or a zero embedding")
    return "finite at cosine 1 and -1 and at zero"


def falling(subject: Subject) -> str:
    """The nearer an image is to its class, the larger its target logit."""
    margin = make(subject)
    if not margin.normalized_weights:
        return "raw products: no cosine to look at"
    angles = torch.linspace(0, math.pi, 181)
    with torch.no_grad():
        values = torch.cat([_alone(margin, angle.cos()[None]) for angle in angles])
    rises = (values.diff() > 1e-4).nonzero()
    if len(rises):
        at = int(rises[0])
        raise Warned(
            f"the target logit rises between {at} and {at + 1} degrees, from {values[at]:.4f} to "
            f"{values[at + 1]:.4f} → where it rises, images are drawn away from their class"
        )
    return "falls with the angle"


def seed(subject: Subject) -> str:
    """Randomness follows from (seed, step, row), not from torch's global generator."""
    found = []
    for state in (1, 2):
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(state)
            margin = make(subject)
            given = problem(margin)
            found.append(torch.stack([loss_of(margin, given, step).detach() for step in (1, 2)]))
    require(
        torch.equal(*found),
        "one seed and step give different losses",
        "draw from torch.Generator().manual_seed(...) made of prepare()'s seed and the step, for all rows",
    )
    return "the same from the same seed and step"


def state_dict(subject: Subject) -> str:
    """The state dict holds all that three steps changed: a loss that loads it goes on alike."""
    first, second = make(subject), make(subject)
    given = problem(first)
    for step in (1, 2, 3):
        loss_of(first, given, step)
    state: dict[str, Any] = {}
    if isinstance(first, nn.Module) and isinstance(second, nn.Module):
        state = copy.deepcopy(first.state_dict())
        second.load_state_dict(state)
    ours, theirs = _fixed(first, given), _fixed(second, given)
    require(
        torch.allclose(ours, theirs, rtol=1e-6, atol=1e-7),
        f"loaded into another its state dict goes on with a loss of {theirs:.6g} instead of {ours:.6g}",
        "derive from torch.nn.Module too and keep what is remembered in registered buffers",
    )
    return f"{len(state)} tensors" if state else "nothing to remember"


def _fixed(margin: Margin, given: Problem) -> Tensor:
    """The loss of step 4, with torch's global generator as it always is: that is another check's matter."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return loss_of(margin, given, 4)


def learns(subject: Subject) -> str:
    """A hundred steps on a few people bring the loss down."""
    margin = make(subject)
    given = problem(margin)
    adam = torch.optim.Adam([*given.leaves(), *learned(margin)], lr=0.02)
    losses = []
    for step in range(1, 101):
        adam.zero_grad()
        loss = loss_of(margin, given, step)
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        losses.append(loss.item())
    last = sum(losses[-5:]) / 5
    require(
        last < 0.9 * losses[0],
        f"in 100 steps on {_CLASSES - 1} people the loss went from {losses[0]:.4g} to {last:.4g}",
        "let the gradient pass through target(), and let it fall with the angle",
    )
    return f"{losses[0]:.3g} → {last:.3g}"


def options(subject: Subject) -> str:
    """Every option at each of its choices or bounds gives a finite loss and gradient."""
    tried = subject.variations()
    for change in tried:
        words = " ".join(f"{key}={value}" for key, value in change.items())
        try:
            margin = make(subject, **change)
            given = problem(margin)
            loss = loss_of(margin, given, 1)
            _check_gradients(loss, [*given.leaves(), *learned(margin)], f"with {words}")
        except Exception as error:
            raise Failed(
                f"with {words} it fails: {type(error).__name__}: {error}",
                "narrow the option's range, or refuse the value in the declaration's check",
            ) from error
        require(loss.isfinite(), f"with {words} the loss is not finite", "narrow the option's range")
    return f"{len(tried)} settings" if tried else "no option has bounds"


def make(subject: Subject, **changed: Any) -> Margin:
    """The loss, prepared for `_CLASSES` classes and seed 0; raises `Failed` if it is something else."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        made = subject.factory()(**subject.settings(**changed))
    if not isinstance(made, Margin):
        raise Failed(
            f"the factory gives {type(made).__name__}, not a contracts.Margin",
            "subclass Margin, or declare form",
        )
    made.prepare(_CLASSES, 0)
    return made


def _make_observed(subject: Subject, dtype: torch.dtype) -> tuple[Margin, Tensor, Tensor]:
    """Make a loss that has observed a batch; returns it, target cosines (B,), with gradient, and norms."""
    margin = make(subject)
    if isinstance(margin, nn.Module):
        margin.to(dtype)
    t = torch.tensor(_COSINES, dtype=dtype)
    norm = torch.linspace(0.01, 150, len(t), dtype=dtype)
    _observe(margin, t, norm)
    return margin, t.requires_grad_(), norm


def _observe(margin: Margin, t: Tensor, norm: Tensor) -> None:
    with torch.no_grad():
        tile = torch.linspace(-0.9, 0.9, _CLASSES - 1, dtype=t.dtype).expand(len(t), -1).clone()
        sums = tuple(part.sum(1) for part in margin.survey(tile, t[:, None].clone()))
        margin.observe(t.clone(), norm.clone(), 1, sums)


def _target(margin: Margin, t: Tensor, norm: Tensor, step: int) -> Tensor:
    """`own_target` with each class parameter in the middle of where it starts."""
    own = {name: torch.full_like(norm, sum(ends) / 2) for name, ends in margin.class_parameters.items()}
    return margin.own_target(t, norm, step, own)


def _alone(margin: Margin, t: Tensor) -> Tensor:
    """The target logit of a batch of one image of norm 20, of a copy: what it remembers stays."""
    one, norm = copy.deepcopy(margin), torch.full_like(t, 20.0)
    _observe(one, t, norm)
    return _target(one, t, norm, 1)


def _check_mapped(what: str, value: Any, given: Tensor) -> None:
    require(isinstance(value, Tensor), f"{what} gives {type(value).__name__}", "return a tensor")
    require(
        value.shape == given.shape,
        f"{what} gives {tuple(value.shape)} for {tuple(given.shape)}",
        "one number for each that it is given",
    )
    require(
        value.dtype == given.dtype,
        f"{what} gives {value.dtype} for {given.dtype}",
        "keep the type: x.new_tensor",
    )


def _check_finite(what: str, value: Tensor, slope: Tensor, given: Tensor) -> None:
    for part, words in ((value, "value"), (slope, "slope")):
        wrong = given.detach()[~part.detach().isfinite()]
        if len(wrong):
            raise Failed(
                f"the {words} of {what} is not finite at cosine {wrong[0].item():.7g}",
                "clamp the cosine a little inside -1 … 1 before acos() or sqrt()",
            )


def _check_gradients(loss: Tensor, leaves: list[Any], when: str) -> None:
    for slope in torch.autograd.grad(loss, leaves, allow_unused=True):
        require(
            slope is None or slope.isfinite().all(),
            f"the gradient {when} is not finite",
            "clamp before acos(), sqrt() and division; torch.where alone does not stop a nan's gradient",
        )


def scheduled(subject: Subject) -> str:
    """Margin and scale that are declared as `scheduled` take effect when they are set on what was made."""
    for name in subject.declaration.scheduled:  # type: ignore[attr-defined]  # a Loss
        option = subject.declaration.option(name)
        require(option, f"{name!r} is scheduled and no option", "leave it out of scheduled")
        margin = make(subject)
        require(
            isinstance(getattr(margin, name, None), int | float),
            f"what it makes has no number called {name!r}",
            f"keep the option in an attribute of its name, or leave it out of scheduled: {name}",
        )
        before = _logits(margin)
        setattr(margin, name, getattr(margin, name) * 0.7 + 0.0123)
        require(
            not torch.equal(before, _logits(margin)),
            f"{name!r} of what it made was set and nothing changed",
            "read the attribute in target() and negatives(), and work out nothing from it before",
        )
    return ", ".join(subject.declaration.scheduled) or "none"  # type: ignore[attr-defined]


def _logits(margin: Margin) -> Tensor:
    """Target logits, others and the weights of both, of a copy of `margin` that has seen one batch."""
    one, t = copy.deepcopy(margin), torch.linspace(-0.9, 0.9, 7)
    norm = torch.full_like(t, 20.0)
    _observe(one, t, norm)
    target, others = _target(one, t, norm, 1), one.negatives(t[None].expand(7, -1).clone(), t[:, None])
    return torch.cat([one.scale * target, one.scale * others.flatten()]).detach()


CHECKS: tuple[Callable[[Subject], str], ...] = (
    build,
    target,
    negatives,
    survey,
    steps,
    edges,
    falling,
    seed,
    state_dict,
    learns,
    scheduled,
    options,
)
