"""Checks of a loss over embeddings alone, against `contracts.TupleLoss`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from arcterm_registry.conformance.findings import Failed, foundation, require
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.contracts import Feeding, TupleLoss, TupleScores
from arcterm_registry.declare import Loss

_PEOPLE, _SIZE = 4, 8


@foundation
def feeding(subject: Subject) -> str:
    """The declared feeding takes the same options and says how images are chosen."""
    fed = _feeding(subject)
    require(
        fed.kind in ("triplets", "identities"),
        f"feeding kind is {fed.kind!r}",
        "give 'triplets' or 'identities'",
    )
    require(
        fed.images_per_identity >= 2, "a person has one image, so no pair", "images_per_identity of 2 or more"
    )
    require(fed.kind != "triplets" or fed.bag > 0, "a bag holds nothing", "give bag, the images to mine in")
    return f"{fed.kind}, {fed.images_per_identity} images a person"


@foundation
def build(subject: Subject) -> str:
    """The factory takes its options and returns a `TupleLoss`."""
    return type(make(subject)).__name__


def admits(subject: Subject) -> str:
    """Distances of pairs (n, 1) and of others (n, m) → bool (n, m), for mined triplets."""
    if _feeding(subject).kind != "triplets":
        return "nothing is mined"
    positive, negative = torch.linspace(0, 4, 5)[:, None], torch.linspace(0, 4, 7).expand(5, 7)
    found = make(subject).admits(positive, negative.clone())
    require(
        isinstance(found, Tensor) and found.dtype == torch.bool and found.shape == (5, 7),
        f"admits() gives {_described(found)} for 5 pairs and 7 others",
        "return a bool tensor (n, m)",
    )
    return "bool (n, m)"


@foundation
def score(subject: Subject) -> str:
    """Losses and squared distances (T,) of a batch: finite, in 0..4, with a gradient."""
    loss, (x, labels) = make(subject), batch(subject)
    scores = loss.score(x, labels, 1)
    require(
        isinstance(scores, TupleScores),
        f"score() gives {type(scores).__name__}",
        "return contracts.TupleScores",
    )
    shapes = {tuple(part.shape) for part in scores}
    require(
        len(shapes) == 1 and scores.losses.ndim == 1 and len(scores.losses),
        f"losses, positive and negative are {', '.join(str(tuple(p.shape)) for p in scores)}",
        "return three tensors (T,), one number a tuple",
    )
    require(all(p.isfinite().all() for p in scores), "score() is not finite", "add an epsilon inside roots")
    for words, part in (("positive", scores.positive), ("negative", scores.negative)):
        require(
            part.min() > -1e-4 and part.max() < 4 + 1e-4,
            f"{words} is {part.min():.3g} … {part.max():.3g}",
            "give squared distances of normalised embeddings, 0 … 4",
        )
    (slope,) = torch.autograd.grad(scores.losses.mean(), x)
    require(slope.isfinite().all(), "the gradient is not finite", "add an epsilon inside roots")
    return f"{len(scores.losses)} tuples of {len(x)} images"


def edges(subject: Subject) -> str:
    """Equal embeddings and zero embeddings give a finite loss and gradient."""
    loss, (x, labels) = make(subject), batch(subject)
    for words, same in (("equal", torch.ones_like(x)), ("zero", torch.zeros_like(x))):
        given = same.detach().requires_grad_()
        losses = loss.score(given, labels, 1).losses
        (slope,) = torch.autograd.grad(losses.mean(), given, allow_unused=True)
        require(
            losses.isfinite().all() and (slope is None or slope.isfinite().all()),
            f"{words} embeddings give a loss or gradient that is not finite",
            "add an epsilon inside roots: the slope of sqrt(0) is infinite",
        )
    return "finite"


def seed(subject: Subject) -> str:
    """The same batch and step give the same losses on every rank."""
    found = []
    for state in (1, 2):
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(state)
            found.append(make(subject).score(*batch(subject), 5).losses.detach())
    require(
        torch.equal(*found),
        "one batch and step give different losses",
        "draw from torch.Generator().manual_seed(step), not from the global generator",
    )
    return "the same from the same step"


def learns(subject: Subject) -> str:
    """A hundred steps on a few embeddings bring the loss down."""
    loss, (x, labels) = make(subject), batch(subject)
    adam = torch.optim.Adam([x], lr=0.02)
    losses = []
    for step in range(1, 101):
        adam.zero_grad()
        mean = loss.score(x, labels, step).losses.mean()
        mean.backward()  # type: ignore[no-untyped-call]
        adam.step()
        losses.append(mean.item())
    require(
        losses[-1] < 0.9 * losses[0],
        f"in 100 steps the loss went from {losses[0]:.4g} to {losses[-1]:.4g}",
        "let the gradient pass through the distances",
    )
    return f"{losses[0]:.3g} → {losses[-1]:.3g}"


def options(subject: Subject) -> str:
    """Every option at each of its choices or bounds gives finite losses."""
    tried = subject.variations()
    for change in tried:
        words = " ".join(f"{key}={value}" for key, value in change.items())
        try:
            losses = make(subject, **change).score(*batch(subject, **change), 1).losses
        except Exception as error:
            raise Failed(
                f"with {words} it fails: {type(error).__name__}: {error}",
                "narrow the option's range, or refuse the value in the declaration's check",
            ) from error
        require(losses.isfinite().all(), f"with {words} the loss is not finite", "narrow the option's range")
    return f"{len(tried)} settings" if tried else "no option has bounds"


def make(subject: Subject, **changed: Any) -> TupleLoss:
    """The loss; raises `Failed` if the factory gives something else."""
    made = subject.factory()(**subject.settings(**changed))
    if not isinstance(made, TupleLoss):
        raise Failed(
            f"the factory gives {type(made).__name__}, not a contracts.TupleLoss", "subclass TupleLoss"
        )
    return made


def batch(subject: Subject, **changed: Any) -> tuple[Tensor, Tensor]:
    """Embeddings (B, D) that learn and labels (B,), in the order that the feeding promises."""
    fed = _feeding(subject, **changed)
    generator = torch.Generator().manual_seed(0)
    people = torch.arange(_PEOPLE)
    if fed.kind == "triplets":
        labels = torch.cat((people, people, people.roll(1)))
    else:
        labels = people.repeat_interleave(fed.images_per_identity)
    return torch.randn(len(labels), _SIZE, generator=generator).requires_grad_(), labels


def _feeding(subject: Subject, **changed: Any) -> Feeding:
    said = subject.declaration
    assert isinstance(said, Loss)
    require(
        said.feeding, "it declares no feeding", 'a loss of form "tuples" names one: package.module:function'
    )
    fed = said.make_feeding(**subject.settings(**changed))
    require(isinstance(fed, Feeding), f"feeding gives {type(fed).__name__}", "return contracts.Feeding")
    found: Feeding = fed
    return found


def _described(value: Any) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


CHECKS: tuple[Callable[[Subject], str], ...] = (
    feeding,
    build,
    admits,
    score,
    edges,
    seed,
    learns,
    options,
)
