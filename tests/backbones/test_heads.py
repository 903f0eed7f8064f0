"""The output parts: what follows what, in which order, and the arithmetic of GNAP by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from arcterm.backbones import _heads
from arcterm.backbones.sizes import OUTPUTS, fixed

ORDER = {
    "E": "bn2 dropout flatten fc features",
    "F": "bn2 dropout flatten fc",
    "G": "bn2 flatten fc",
    "H": "flatten fc",
    "I": "bn2 flatten fc features",
    "J": "flatten fc features",
    "A": "bn2 prelu2 pool flatten",
    "B": "bn2 prelu2 pool flatten fc",
    "C": "bn2 prelu2 pool flatten fc features",
    "D": "bn2 prelu2 pool flatten fc features prelu3",
    "AX": "bn2 prelu2 pool flatten dropout",
    "BX": "bn2 prelu2 pool flatten dropout fc",
    "CX": "bn2 prelu2 pool flatten dropout fc features",
    "DX": "bn2 prelu2 pool flatten dropout fc features prelu3",
    "Z": "bn2 dropout flatten",
    "GAP": "bn2 prelu2 pool flatten fc features",
    "GDC": "gdc bn2 flatten fc features",
    "GNAP": "bn2 scale pool flatten bn3 fc features",
}


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def head(
    output: str, size: int = 6, channels: int = 8, side: int = 3, dropout: float = 0.4
) -> _heads.OutputLayers:
    torch.manual_seed(0)
    return _heads.OutputLayers(output, channels, side, fixed(output, channels, side) or size, dropout=dropout)


@pytest.mark.parametrize("output", OUTPUTS)
def test_layers_and_their_order(output: str) -> None:
    network = head(output)
    assert " ".join(name for name, _ in network.named_children()) == ORDER[output]
    x = maps(4, 8, 3, 3).requires_grad_()
    embeddings = network(x)
    assert embeddings.shape == (4, fixed(output, 8, 3) or 6)
    embeddings.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert network.eval()(maps(1, 8, 3, 3)).isfinite().all()


@pytest.mark.parametrize("output", OUTPUTS)
def test_which_gains_stay_one_and_how_much_is_dropped(output: str) -> None:
    network = head(output, dropout=0.25)
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    names = [name for name, _ in network.named_children()]
    wanted = ["bn2", "bn3", "features"] if output == "GNAP" else ["features"]
    assert frozen == [f"{name}.weight" for name in wanted if name in names]
    rates = [layer.p for layer in network if isinstance(layer, nn.Dropout)]
    assert rates == ([0.2] if output.endswith("X") else [0.25] if "dropout" in names else [])


@pytest.mark.parametrize(("output", "size"), [("A", 8), ("AX", 8), ("Z", 72)])
def test_a_size_that_the_map_does_not_give_is_refused(output: str, size: int) -> None:
    with pytest.raises(ValueError, match=rf"output {output} on 8×3×3 gives {size}, not 6; .*={size}"):
        _heads.OutputLayers(output, 8, 3, 6, dropout=0.4)


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(ValueError, match="'K' is unknown; it is one of E, F"):
        _heads.OutputLayers("K", 8, 3, 6, dropout=0.4)


def test_gnap_by_hand() -> None:
    """In float64 and place by place: the length of each, the mean over all images and places, the average."""
    x = maps(3, 8, 2, 2).double()
    network = head("GNAP", side=2).double().train()
    got = network(x)
    values = x.numpy()
    normed = (values - values.mean((0, 2, 3), keepdims=True)) / np.sqrt(
        values.var((0, 2, 3), keepdims=True) + 2e-5
    )
    places = normed.transpose(0, 2, 3, 1).reshape(3, 4, 8)
    lengths = [[np.sqrt(sum(v * v for v in place)) for place in image] for image in places]
    mean = sum(map(sum, lengths)) / 12
    pooled = np.array(
        [
            sum(place * mean / length for place, length in zip(image, own, strict=True)) / 4
            for image, own in zip(places, lengths, strict=True)
        ]
    )
    again = (pooled - pooled.mean(0)) / np.sqrt(pooled.var(0) + 2e-5)
    linear = again @ network.fc.weight.detach().numpy().T
    wanted = (linear - linear.mean(0)) / np.sqrt(linear.var(0) + 2e-5)
    assert np.allclose(got.detach().numpy(), wanted, atol=1e-9)
    per_image = np.array([places[i].mean(0) for i in range(3)])
    assert not np.allclose(pooled, per_image, atol=1e-3), "scaling changes the average"


def test_gnap_depends_on_the_batch_and_bears_an_empty_map() -> None:
    network = head("GNAP").eval()
    x = maps(4, 8, 3, 3)
    x[1:] *= 5
    assert not torch.allclose(network(x)[:1], network(x[:1]), rtol=1e-2)
    other = head("C").eval()
    assert torch.allclose(other(x)[:1], other(x[:1]), rtol=1e-4, atol=1e-5)
    assert network(torch.zeros(2, 8, 3, 3)).isfinite().all()


def test_gnap_widens_the_map_for_a_longer_embedding() -> None:
    network = head("GNAP", size=16)
    wanted = "widen widen_bn widen_prelu bn2 scale pool flatten features"
    assert " ".join(name for name, _ in network.named_children()) == wanted
    assert network(maps(4, 8, 3, 3)).shape == (4, 16)


def test_gnap_of_a_map_as_wide_as_the_embedding_has_no_linear_layer() -> None:
    assert not any(isinstance(layer, nn.Linear) for layer in head("GNAP", size=8))
