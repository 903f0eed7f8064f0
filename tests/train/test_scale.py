"""float16: gradients are scaled, an overflow lowers the scale and is no failure, what is one still fails."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from arcterm.errors import NotFiniteError
from arcterm.runs import checkpoints
from arcterm.runs.events import Message, Step
from arcterm.train import build, precision
from arcterm.train.guards import scale
from arcterm.train.guards.scale import GradientScale

from . import test_loop
from .faulty import Deviation, Length, OneFlat, network
from .test_finite import BAD
from .test_loop import losses, weights

train = test_loop.train


@pytest.fixture
def half(train, monkeypatch):
    def go(name, first=65536.0, resume_from=None, net=lambda: network(nn.Identity()), **changes):
        monkeypatch.setattr(build, "backbone", lambda config, device: net())
        monkeypatch.setattr(scale, "_FIRST", first)
        return train(name, resume_from, **{"precision": "float16", "lr": 0.02, "keep_last": 99, **changes})

    return go


def steps(heard):
    return [event for event in heard if isinstance(event, Step)]


def test_the_scale_falls_at_an_overflow_and_rises_after_calm_steps():
    made = GradientScale()
    assert (made.value, made.calm, made.can_fall) == (2.0**16, 0, True)
    made.settle(overflowed=True)
    assert (made.value, made.calm) == (2.0**15, 0)
    for _ in range(1999):
        made.settle(overflowed=False)
    assert (made.value, made.calm) == (2.0**15, 1999)
    again = GradientScale(made.value, made.calm)
    again.settle(overflowed=False)
    assert (again.value, again.calm) == (2.0**16, 0)
    low, high = GradientScale(1.0), GradientScale(2.0**24, 1999)
    low.settle(overflowed=True)
    high.settle(overflowed=False)
    assert (low.value, low.can_fall, high.value) == (1.0, False, 2.0**24)


def test_gradients_that_would_vanish_come_through_to_the_bit():
    weight = torch.tensor([[1.0, -2.0]], requires_grad=True)
    embeddings = weight.half() * 1  # below, the gradient passes through float16
    tiny = 3 * 2.0**-30
    made = GradientScale(2.0**16)
    (made.enter(embeddings) * tiny).sum().backward()
    made.undo([weight.grad])
    assert torch.equal(weight.grad, torch.full((1, 2), tiny))
    weight.grad = None
    ((weight.half() * 1).float() * tiny).sum().backward()
    assert torch.equal(weight.grad, torch.zeros(1, 2))  # without the scale


def test_float16_trains_close_to_float32_and_says_where_it_is_slow(half):
    exact, rounded = (half(p, first=256.0, precision=p) for p in ("float32", "float16"))
    assert losses(exact[1]) != losses(rounded[1])
    assert losses(exact[1]) == pytest.approx(losses(rounded[1]), rel=0.02)
    assert [event.gradient_scale for event in steps(rounded[1])] == [256.0] * 6
    assert not any(event.skipped or event.overflow for event in steps(rounded[1]))
    assert all(event.gradient_scale is None for event in steps(exact[1]))
    (said,) = [event.text for event in rounded[1] if isinstance(event, Message)]
    assert said.startswith("this processor has no instructions for float16")
    manifest = checkpoints.list_checkpoints(rounded[0])[-1][1]
    assert (manifest.gradient_scale, manifest.gradient_scale_steps) == (256.0, 6)


@pytest.mark.parametrize("parts", [1, 2])
def test_an_overflow_lowers_the_scale_leaves_the_weights_and_is_no_finding(half, parts):
    how = {"checkpoint_every": 1, "batch_size": 8 // parts, "accumulate": parts, "steps": 10}
    run, heard = half("run", first=8192.0, on_nan="stop", **how)
    over = [event.overflow for event in steps(heard)]
    scales = [event.gradient_scale for event in steps(heard)]
    assert over[0] and not over[-1]
    for before, after, overflow in zip(scales, scales[1:], over, strict=False):
        assert after == (before / 2 if overflow else before)
    assert not any(event.skipped for event in steps(heard))
    kept = [weights(run, step) for step in range(1, 11)]
    learned = [name for name in kept[0] if name.endswith(("safetensors/weight", "safetensors/3.weight"))]
    assert len(learned) == 2
    for before, after, overflow in zip(kept, kept[1:], over[1:], strict=False):
        assert all(torch.equal(before[name], after[name]) == overflow for name in learned)
    manifest = checkpoints.list_checkpoints(run)[-1][1]
    assert (manifest.skipped, manifest.gradient_scale) == (0, scales[-1])
    assert manifest.gradient_scale_steps == over[::-1].index(True)


def test_a_resume_goes_on_with_the_scale_in_the_same_bits(half):
    how = {"first": 2.0**13, "steps": 8}
    whole, heard = half("whole", **how)
    assert steps(heard)[0].overflow
    parts, again = half("parts", resume_from=whole, **how)
    expected, found = weights(whole, 8), weights(parts, 8)
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    assert losses(heard)[3:] == losses(again)
    assert [e.gradient_scale for e in steps(heard)][3:] == [e.gradient_scale for e in steps(again)]


def test_what_no_scale_cures_is_the_guards(half, monkeypatch):
    monkeypatch.setattr(build, "dataset", lambda config, set_aside=(): OneFlat())
    with pytest.raises(NotFiniteError) as caught:
        half("loss", net=lambda: network(Deviation()))
    assert (caught.value.step, caught.value.tensor) == (BAD, "the output of 0 (Deviation)")
    assert "float16" in caught.value.message
    assert "--set precision=float32` computes with larger numbers" in caught.value.hint
    with pytest.raises(NotFiniteError) as caught:
        half("gradient", first=1.0, net=lambda: network(Length()))
    assert (caught.value.step, caught.value.tensor) == (BAD, "the gradient of 0.gain")


def test_a_gpu_without_bfloat16_is_who_float16_is_for():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert precision.dtype("float16", cuda) == torch.float16
    assert precision.is_slow("float16", cpu) and not precision.is_slow("float16", cuda)
