"""Where the memory of a GPU or of the host is used up: that is said, and nothing is blamed for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from arcterm.errors import is_out_of_memory
from arcterm.train import build, evaluation
from arcterm.train.checkpoint import reading
from arcterm.train.feed.loader import Loader
from arcterm.train.stepmodel import compile_backbone
from arcterm.train.world import World
from arcterm.verify.embed import _worded
from arcterm.verify.fold import fold_norms
from tests.jobs import Heard

FULL = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError("Unable to allocate 9 GiB for an array"),
)


class Full:
    """Raises `error` whatever is done with it."""

    def __init__(self, error):
        self.error = error

    def __getitem__(self, key):
        raise self.error

    def make(self, *args, **options):
        raise self.error


class Network(nn.Module):
    """Embeds, and once it is traced or compiled raises `error`."""

    def __init__(self, error, fine):
        super().__init__()
        self.error, self.fine, self.norm = error, fine, nn.BatchNorm1d(3)

    def forward(self, x):
        self.fine -= 1
        if self.fine < 0:
            raise self.error
        return self.norm(x.mean((2, 3)))


def load(error, monkeypatch):
    """Decode a record of a training with a quarantine, which it is not for."""
    loader = Loader.__new__(Loader)
    loader._cache, loader._quarantine = None, "none is asked for"
    monkeypatch.setattr(loader, "_decode", Full(error).make)
    return loader._read(0, None)


def make(error, monkeypatch):
    monkeypatch.setattr(build, "get", lambda kind, name: Full(error))
    return build._make("backbone", "x")


def compiled(error, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model, dynamic: model)
    return compile_backbone(Network(error, 0), "x", torch.zeros(2, 3, 8, 8), "float32", Heard())


def restored(error, monkeypatch):
    monkeypatch.setattr(reading.manifests, "read", lambda path: None)
    monkeypatch.setattr(reading, "_load_weights", Full(error).make)
    return reading.restore(Path("step-1"), World(), None)


WORK = {
    "restoring": restored,
    "loading": load,
    "making": make,
    "compiling": compiled,
    "folding": lambda error, _: fold_norms(Network(error, 1), (8, 8)),
    "reading a set": lambda error, _: evaluation._read(Full(error), "lfw"),
    "decoding": lambda error, _: _worded("lfw", Full(error).make),
}


@pytest.mark.parametrize(
    "work", [pytest.param(work, marks=[pytest.mark.long] if work == "compiling" else []) for work in WORK]
)
@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_it_stays_what_it_is(work, error, monkeypatch):
    with pytest.raises(type(error)) as raised:
        WORK[work](error, monkeypatch)
    assert str(raised.value) == str(error)  # a network is copied, and its error with it


@pytest.mark.parametrize("error", [RuntimeError("size mismatch"), ValueError("out of memory"), OSError()])
def test_other_errors_are_none(error):
    assert not is_out_of_memory(error)
