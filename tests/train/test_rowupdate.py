"""Class rows that are updated within the backward pass are those of the step after it."""

from __future__ import annotations

import math

import msgspec
import pytest
import torch
from arcterm_registry import get

from arcterm.errors import ConfigError
from arcterm.launch import remarks
from arcterm.train import build
from arcterm.train.head import tiled
from arcterm.train.world import World

from ..runs.conftest import config as some
from .faulty import network

CLASSES, BATCH = 60, 8
LABELS = torch.tensor([0, 0, 59, 7, 7, 7, 31, 2])


def trained(row_update, loss="arcface", optimizer="sgd", **how):
    how = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, **how}
    chosen = some(nproc=1, loss=loss, optimizer=optimizer, row_update=row_update, **how)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "backbone", lambda config, device: network(torch.nn.Identity()))
        return build.trained(chosen, CLASSES, World())


def steps(made, count=4, dtype=torch.float32):
    """Take some steps with embeddings drawn at random; returns their gradients."""
    made.head._dtype = dtype
    generator, found = torch.Generator().manual_seed(0), []
    for step in range(1, count + 1):
        made.head_optimizer.zero_grad(set_to_none=True)
        x = torch.randn(BATCH, made.head.weight.shape[-1], generator=generator).mul_(3).requires_grad_()
        if made.head.row_update:
            made.head.row_update.arm()
        made.head(x, LABELS, step).loss.backward()
        assert (made.head.weight.grad is None) == bool(made.head.row_update)
        made.head_optimizer.step()
        found.append(x.grad)
    return found


def close(a, b, tolerance=1e-6):
    assert float((a - b).detach().norm() / b.detach().norm()) < tolerance


@pytest.mark.parametrize("optimizer", ["sgd", "legacy", "adamw"])
@pytest.mark.parametrize(
    "loss", ["arcface", "curricularface", "sphereface", "subcenter", "sphereface2", "npc"]
)
def test_the_same_as_the_step_after(loss, optimizer, monkeypatch):
    for chunk in (1024, 7):
        monkeypatch.setattr(tiled, "chunk_for", lambda *_, chunk=chunk: chunk)
        both = [trained(way, loss, optimizer) for way in ("step", "backward")]
        plain, inside = (steps(made) for made in both)
        for a, b in zip(inside, plain, strict=True):
            close(a, b, 1e-5)
        for name, parameter in both[0].head.named_parameters():
            close(dict(both[1].head.named_parameters())[name], parameter)
        state = [made.head_optimizer.state[made.head.weight] for made in both]
        for key, value in state[0].items():
            close(state[1][key].float(), value.float(), 1e-5)


def test_without_momentum_too():
    both = [trained(way, momentum=0.0) for way in ("step", "backward")]
    for made in both:
        steps(made)
    close(both[1].head.weight, both[0].head.weight)


@pytest.mark.parametrize("optimizer", ["sgd", "legacy", "adamw"])
def test_a_loss_that_is_no_number_changes_no_row(optimizer):
    made = trained("backward", optimizer=optimizer)
    steps(made, 2)
    weight, state = made.head.weight, made.head_optimizer.state[made.head.weight]
    before = [weight.clone(), *(tensor.clone() for tensor in state.values())]
    x = torch.randn(BATCH, weight.shape[1])
    x[3, 1] = math.nan
    made.head.row_update.arm()
    made.head(x.requires_grad_(), LABELS, 3).loss.backward()
    assert all(map(torch.equal, [weight, *state.values()], before))


def test_only_an_armed_pass_updates():
    made = trained("backward")
    before = made.head.weight.clone()
    x = torch.randn(BATCH, before.shape[1])
    made.head(x.requires_grad_(), LABELS, 1).loss.backward()
    assert torch.equal(made.head.weight, before)
    assert made.head.weight.grad is not None


@pytest.mark.parametrize(
    ("how", "obstacle"),
    [
        ({"accumulate": 2}, "accumulate 2"),
        ({"sample_rate": 0.5}, "sample_rate"),
        ({"freeze": "head"}, "freeze"),
        ({"precision": "float16"}, "float16"),
    ],
)
def test_what_needs_the_gradient_as_a_whole_refuses(how, obstacle):
    with pytest.raises(ConfigError, match=obstacle) as refused:
        some(row_update="backward", **how)
    assert "row_update=step" in refused.value.hint


def test_a_gpu_updates_in_the_backward_pass_where_it_can():
    gpu = msgspec.structs.replace(some(), device="cuda", gpus=[0], nproc=1)
    assert gpu.rows_in_backward
    assert not some().rows_in_backward
    for name, value in (("accumulate", 2), ("sample_rate", 0.5), ("on_nan", "skip"), ("row_update", "step")):
        assert not msgspec.structs.replace(gpu, **{name: value}).rows_in_backward
    assert "within the backward pass" in remarks.rows(get("loss", "arcface"), gpu)[0]
    assert not remarks.rows(get("loss", "triplet"), gpu)
    assert not remarks.rows(get("loss", "arcface"), some())
