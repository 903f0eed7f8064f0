"""Networks and optimizers of ours that MXNet itself runs: it computes what we do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from arcterm_registry import Preprocess, get
from torch import nn

from arcterm.export import mxnetgraph
from arcterm.formats.mxnet import params
from arcterm.train.optim import optimizers
from tests.backbones.meta import settings
from tests.export.test_mxnetgraph import trained
from tests.mxnet.conftest import Oracle
from tests.mxnet.test_networks import NETWORKS, OF_2018
from tests.runs.conftest import config

pytestmark = pytest.mark.slow
CLASSES = 10
WRITTEN = [name for name in NETWORKS if "GNAP" not in name and name != "head-Z"]
NAMED = [name for name in OF_2018 if name[0] in "rpd" or name == "m1"]


@pytest.fixture(scope="module")
def computed(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every network that we wrote, and what MXNet makes of two images with them."""
    folder = tmp_path_factory.mktemp("written")
    margin = get("loss", "cosface").make(margin=0.35, scale=64.0)
    for name in WRITTEN:
        side = 28 if name.startswith("head") else 112
        network = trained(NETWORKS[name], side)
        images = (torch.randn(2, 3, side, side) * 128 + 127.5).clamp(0, 255).round()
        with torch.no_grad():
            embeddings = network((images - 127.5) / 128)
        rows = torch.randn(CLASSES, embeddings.shape[1])
        made = mxnetgraph.symbol_of(network, Preprocess(), margin, tuple(rows.shape))
        (folder / f"{name}-symbol.json").write_bytes(made.json)
        params.write(
            folder / f"{name}-0007.params", mxnetgraph.arrays_of(made, network.state_dict(), rows, None)
        )
        cosines = torch.nn.functional.normalize(embeddings) @ torch.nn.functional.normalize(rows).T
        chances = torch.softmax(64 * cosines, 1)
        np.savez(folder / f"{name}.npz", images=images, embeddings=embeddings, chances=chances)
    oracle("symbols", folder)
    return folder


@pytest.mark.parametrize("name", WRITTEN)
def test_mxnet_computes_the_embedding_of_a_symbol_that_we_wrote(computed: Path, name: str) -> None:
    ours, theirs = np.load(computed / f"{name}.npz"), np.load(computed / f"{name}-theirs.npz")
    size = np.abs(ours["embeddings"]).max()
    assert np.abs(theirs["embeddings"] - ours["embeddings"]).max() <= 3e-5 * max(1, size)
    np.testing.assert_allclose(theirs["chances"], ours["chances"], atol=1e-3)
    assert np.abs(ours["embeddings"][0] - ours["embeddings"][1]).max() > 0.02 * size


@pytest.mark.parametrize("name", NAMED)
def test_arrays_are_called_as_in_2018(planned: Path, name: str) -> None:
    with torch.device("meta"):
        network = get("backbone", name).make(**settings(name)).eval()
    ours = {key.partition(":")[2] for key in mxnetgraph.symbol_of(network, Preprocess()).arrays}
    assert ours == set(json.loads((planned / f"{name}.json").read_text())) - {"data"}


@pytest.fixture(scope="module")
def planned(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names of the arrays of the full-size networks."""
    folder = tmp_path_factory.mktemp("plans")
    oracle("plans", folder)
    return folder


def test_the_legacy_optimizer_is_mxnets(oracle: Oracle, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 4)).astype(np.float32)
    gradients = rng.normal(size=(40, 5, 4)).astype(np.float32)
    rates = np.array([0.1] * 20 + [0.01] * 20)
    np.savez(tmp_path / "given.npz", start=start, gradients=gradients, rates=rates)
    oracle("optimizer", tmp_path)
    theirs = np.load(tmp_path / "path.npy")

    def path(kind: str) -> np.ndarray:
        weight, found = nn.Parameter(torch.from_numpy(start.copy())), []
        optimizer = optimizers.make(
            [{"params": [weight]}], config(optimizer=kind, lr=0.1, momentum=0.9, weight_decay=5e-4)
        )
        for rate, gradient in zip(rates, gradients, strict=True):
            optimizer.param_groups[0]["lr"] = float(rate)
            weight.grad = torch.from_numpy(gradient)
            optimizer.step()
            found.append(weight.detach().numpy().copy())
        return np.array(found)

    np.testing.assert_allclose(path("legacy"), theirs, atol=2e-6)
    np.testing.assert_allclose(path("sgd")[:20], theirs[:20], atol=2e-6)
    assert np.abs(path("sgd")[20:] - theirs[20:]).max() > 0.05  # torch's momentum forgets the old rate
