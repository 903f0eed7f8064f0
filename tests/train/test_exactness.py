"""How exactly a process computes: float32 without TF32 where numbers count, cuDNN's choice, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from arcterm_registry import get
from torch import nn

from arcterm.errors import ConfigError
from arcterm.train import precision
from arcterm.train.world import World
from arcterm.verify.embed import Embedder
from arcterm.verify.exact import exact
from arcterm.verify.fold import fold_norms

from ..runs.conftest import config

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")


def flags():
    cudnn = torch.backends.cudnn
    return {
        "convolutions": cudnn.allow_tf32,
        "products": torch.backends.cuda.matmul.allow_tf32,
        "benchmark": cudnn.benchmark,
        "deterministic": cudnn.deterministic and torch.are_deterministic_algorithms_enabled(),
    }


@pytest.fixture(autouse=True)
def _as_before():
    yield
    precision.begin(config(precision="float32"), CPU)
    torch.backends.cudnn.allow_tf32 = True


class Noting(nn.Module):
    """Embeds images, and notes whether TF32 was allowed meanwhile."""

    def __init__(self, seen):
        super().__init__()
        self.seen, self.norm = seen, nn.BatchNorm1d(3)

    def forward(self, x):
        self.seen.append(flags()["convolutions"] or flags()["products"])
        return self.norm(x.mean((2, 3)))

    def __deepcopy__(self, memo):
        return self


@pytest.mark.parametrize("allowed", [True, False])
def test_folding_and_verification_are_exact_and_leave_things_as_they_were(allowed):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    seen: list[bool] = []
    network = Noting(seen)
    fold_norms(network, (8, 8))
    made = Embedder(network.eval(), get("backbone", "tiny").preprocess, (8, 8), 2, World())
    made.collapse_on(np.zeros((2, 8, 8, 3), np.uint8), "noise")
    made._embed(np.zeros((2, 8, 8, 3), np.uint8))
    assert len(seen) >= 4 and not any(seen)
    assert flags()["convolutions"] == flags()["products"] == allowed


def test_an_error_leaves_things_as_they_were_too():
    torch.backends.cudnn.allow_tf32 = True
    with pytest.raises(ValueError, match="x"), exact():
        raise ValueError("x")
    assert flags()["convolutions"]


@pytest.mark.parametrize(("asked", "rounded"), [("float32", False), ("bfloat16", True)])
def test_float32_is_float32_and_what_is_not_is_said(asked, rounded):
    said = precision.begin(config(precision=asked), GPU)
    assert flags() == {
        "convolutions": rounded, "products": False, "benchmark": False, "deterministic": False,
    }  # fmt: skip
    assert ("TF32" in said) == rounded
    assert precision.begin(config(precision=asked), CPU) == ""


def test_deterministic_says_its_price_and_the_next_training_is_free_of_it():
    said = precision.begin(config(deterministic=True, precision="float32"), GPU)
    assert flags()["deterministic"] and "longer" in said
    precision.begin(config(), CPU)
    assert not flags()["deterministic"]


def test_convolutions_are_timed_on_request_and_where_it_makes_sense():
    precision.begin(config(cudnn_benchmark=True, device="cuda"), GPU)
    assert flags()["benchmark"]
    with pytest.raises(ConfigError, match=r"on the CPU\n.*cudnn_benchmark=no"):
        config(cudnn_benchmark=True)
    with pytest.raises(ConfigError, match="not always the same"):
        config(cudnn_benchmark=True, deterministic=True, device="cuda")
