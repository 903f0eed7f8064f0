"""Parameters as MXNet counted them in 2018, and operations as OpenVINO's model zoo publishes them."""

from __future__ import annotations

import pytest
from arcterm_registry import get
from torch import Tensor, nn

from . import meta

pytestmark = pytest.mark.long

# what infer_shape said of the symbols of 2018 at 112×112, 512 numbers to an embedding, no classes
MXNET = {
    "r18": 24_025_600,
    "r34": 34_139_328,
    "r50": 43_590_848,
    "r74": 55_996_864,
    "r90": 63_677_120,
    "r100": 65_156_160,
    "r101": 93_955_712,
    "r152": 109_637_760,
    "r200": 114_139_264,
    "r269": 151_602_816,
    "m1": 28_911_616,
    "m2": 33_970_256,
    "y1": 1_201_024,
    "i2": 167_723_292,
    "p68": 93_661_152,
    "p92": 102_488_256,
    "p107": 151_696_128,
    "p131": 144_035_904,
    "d121": 32_716_288,
    "d161": 81_890_400,
    "d169": 54_303_232,
    "d201": 66_334_208,
    "s20": 24_501_952,
    "s36": 34_606_400,
    "s60": 47_661_504,
    "s64": 50_021_824,
    "s104": 73_625_024,
}

VARIANTS = [
    ("r50", {"se": True}, 43_820_120),
    ("r50", {"input": 0}, 34_947_776),
    ("r50", {"unit": 1}, 43_585_920),
    ("r50", {"unit": 2}, 43_582_656),
    ("r50", {"unit": 4}, 43_412_800),
    ("r50", {"output": "F"}, 43_589_824),
    ("r50", {"output": "G"}, 43_589_824),
    ("r50", {"output": "H"}, 43_588_800),
    ("r50", {"output": "I"}, 43_590_848),
    ("r50", {"output": "J"}, 43_589_824),
    ("m1", {"input": 0}, 11_610_112),
    ("m1", {"multiplier": 0.5}, 13_671_680),
    ("y1", {"embedding_size": 128}, 1_003_264),
    ("y1", {"embedding_size": 256}, 1_069_184),
    ("y1", {"output": "GNAP", "embedding_size": 128}, 979_200),
    ("y1", {"output": "GNAP", "embedding_size": 256}, 1_045_120),
    ("y1", {"output": "GNAP"}, 913_280),
    ("y1", {"output": "GAP", "embedding_size": 128}, 978_688),
    ("y1", {"output": "GAP", "embedding_size": 256}, 1_044_608),
    ("y1", {"output": "GAP"}, 1_176_448),
]

MILLIONS = [
    ("r50", {"output": "A"}, 30.74),
    ("r50", {"output": "B"}, 31.01),
    ("r50", {"output": "C"}, 31.01),
    ("r50", {"output": "D"}, 31.01),
    ("y1", {"output": "E", "embedding_size": 128}, 4.12),
    ("y1", {"output": "E", "embedding_size": 256}, 7.34),
    ("y1", {"output": "E"}, 13.76),
    # arcface_torch's MobileFaceNet, which its authors and their followers call 2.06 M
    ("y1", {"scale": 2}, 2.06),
]

# GFLOPs of the Open Model Zoo: a multiplication, an addition, a bias and an activation are one operation each
OPENVINO = [
    ("r34", {}, 8.934),
    ("r50", {}, 12.64),
    ("r100", {}, 24.209),
    ("y1", {"embedding_size": 128}, 0.449),
]


@pytest.mark.parametrize("name", MXNET)
def test_declared_as_counted_by_mxnet(name: str) -> None:
    assert get("backbone", name).parameters == MXNET[name]


@pytest.mark.parametrize(("name", "options", "parameters"), VARIANTS)
def test_variants_as_counted_by_mxnet(name: str, options: dict[str, object], parameters: int) -> None:
    assert meta.count(meta.build(name, **options)) == parameters != MXNET[name] or "I" in options.values()


@pytest.mark.parametrize(("name", "options", "millions"), MILLIONS)
def test_variants_as_published_in_millions(name: str, options: dict[str, object], millions: float) -> None:
    assert round(meta.count(meta.build(name, **options)) / 1e6, 2) == millions


def operations(network: nn.Module) -> tuple[float, float]:
    """GFLOPs of one image: of products and sums alone, and with biases (of folded batch norms) and PReLUs."""
    elements = 0

    def add(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal elements
        elements += output.numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.PReLU):
            layer.register_forward_hook(add)
    products = 2 * meta.forward(network, meta.images(1)).multiply_adds
    return products / 1e9, (products + elements) / 1e9


@pytest.mark.parametrize(("name", "options", "published"), OPENVINO)
def test_operations_as_published_by_openvino(name: str, options: dict[str, object], published: float) -> None:
    products, everything = operations(meta.build(name, **options))
    assert everything == pytest.approx(published, rel=0.003)
    assert products < everything
    if name != "y1":  # so small that its activations count
        assert products == pytest.approx(published, rel=0.01)


def test_openvino_counts_the_small_embedding() -> None:
    """It names 0.993 M parameters, gains folded into the convolutions: those of y1 with 128 numbers."""
    counts = {}
    for size in (128, 256):
        network = meta.build("y1", embedding_size=size)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
        counts[size] = meta.count(network) - sum(norm.num_features for norm in norms)
    assert round(counts[128] / 1e6, 3) == 0.993
    assert round(counts[256] / 1e6, 3) != 0.993


def test_arcface_torch_names_the_work_of_its_mobilefacenet() -> None:
    done = meta.forward(meta.build("y1", scale=2), meta.images(1))
    assert done.multiply_adds / 1e9 == pytest.approx(0.438, rel=0.002)
