"""Models of weights that were never trained, and images for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from arcterm.export import model
from arcterm.export.model import Model
from arcterm.formats.modelfile import ModelFacts, SetScore

from .upstream import stirred

SCORE = SetScore(
    set="heldout", pairs=60, accuracy=0.975, std=0.012, threshold=1.234, tar=0.875, far_threshold=0.987
)
FACTS = ModelFacts(
    backbone="tiny",
    options={"embedding_size": 64, "dropout": 0.4},
    embedding_size=64,
    source="first/step-0000000100",
    step=100,
    data="demo",
    recipe={"loss": "arcface", "lr": 0.1, "milestones": []},
    scores=[SCORE],
)


@pytest.fixture(scope="session")
def pixels() -> Tensor:
    """Two images of noise as files hold them: uint8 RGB (2, 112, 112, 3), and no channel like another."""
    noise = torch.randint(0, 256, (2, 112, 112, 3), generator=torch.Generator().manual_seed(5))
    return (noise * torch.tensor([1.0, 0.6, 0.2])).to(torch.uint8)


@pytest.fixture(scope="session")
def tiny() -> Model:
    """A model of ours."""
    return Model(FACTS, stirred(model.build(FACTS)))


@pytest.fixture
def import_(tmp_path: Path) -> Callable[..., Model]:
    """``import_(what)``: what torch.save makes of `what`, opened; further keywords are what is known."""

    def run(what: Any, name: str = "weights.pth", **known: Any) -> Model:
        path = tmp_path / name
        torch.save(what, path)
        return model.open_model({"file": str(path)}, known)

    return run


def embedded(network: nn.Module, pixels: Tensor, mean: float, scale: float, order: str = "RGB") -> Tensor:
    """Embeddings of uint8 RGB images fed as ``(image - mean) * scale``, channels in `order`."""
    x = (pixels.permute(0, 3, 1, 2).float() - mean) * scale
    with torch.inference_mode():
        return network(x if order == "RGB" else x.flip(1))


def of(found: Model, pixels: Tensor) -> Tensor:
    """Embeddings by a model, fed as it says itself."""
    return embedded(found.network, pixels, found.facts.mean, found.facts.scale)


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference as a share of the largest number."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max())


def picture(path: Path, size: tuple[int, int] = (112, 112), seed: int = 0) -> Path:
    """A PNG of noise, (height, width)."""
    import cv2

    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))
    return path
