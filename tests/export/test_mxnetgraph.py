"""Symbols that we write: read back they compute the same, under the names that 2018 gave."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from arcterm_registry import Preprocess, get
from torch import nn

from arcterm.backbones import dpn, mobilefacenet, mobilenet
from arcterm.backbones._heads import OutputLayers
from arcterm.backbones.resnet import IResNet
from arcterm.errors import ConfigError
from arcterm.export import mxnet, mxnetgraph
from arcterm.formats.mxnet import params, symbol

from ..backbones.meta import settings

EMBEDDING = 16
resnet = partial(IResNet, (1, 2, 1, 1), **settings("r18", embedding_size=EMBEDDING))


def headed(output, size=EMBEDDING):
    first = [nn.Conv2d(3, 24, 5, 4, 1, bias=False), nn.PReLU(24)]
    return nn.Sequential(*first, OutputLayers(output, 24, 7, size, dropout=0.4))


SMALL = {
    **{f"head-{output}": partial(headed, output) for output in ("E", "F", "H", "B", "D", "GDC")},
    "head-A": partial(headed, "A", 24),
    "resnet": resnet,
    "resnet-unit1-se": partial(resnet, unit=1, se=True, input=0),
    "resnet-relu": partial(resnet, unit=2, activation="relu"),
    "mobilenet": partial(mobilenet.m1, **settings("m1", embedding_size=EMBEDDING, multiplier=0.125)),
    "mobilefacenet": partial(mobilefacenet.y1, **settings("y1", embedding_size=EMBEDDING, blocks="1,1,1,1")),
    "dpn": partial(
        dpn.DPN, dpn._Shape(32, 8, (1, 2, 1, 1), (4, 8, 4, 8)), **settings("p68", embedding_size=EMBEDDING)
    ),
}


def trained(make, side=112, seed=1):
    """A network with biases, and running statistics by which it tells noise apart."""
    torch.manual_seed(seed)
    network = make()
    for name, array in network.state_dict().items():
        if name.endswith("bias"):
            array.normal_(0, 0.2)
    for module in network.modules():
        module.momentum = 1.0  # of batch norms: what they saw last
    with torch.no_grad():
        network(torch.randn(4, 3, side, side))
    return network.eval()


def written(network, folder, **more):
    """Write the two files of a network into `folder` and read them."""
    made = mxnetgraph.symbol_of(network, Preprocess(), **more)
    (folder / "m-symbol.json").write_bytes(made.json)
    params.write(folder / "m-0001.params", mxnetgraph.arrays_of(made, network.state_dict(), None, None))
    return symbol.read(folder / "m-symbol.json"), params.read(folder / "m-0001.params")


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_what_is_written_and_read_back_computes_the_same(name, tmp_path):
    side = 28 if name.startswith("head") else 112
    network, other, third = (trained(SMALL[name], side, seed) for seed in (1, 2, 2))
    found, arrays = written(network, tmp_path)
    mxnet.load_into(other, found, arrays, (side, side))
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        assert torch.equal(network(images), other(images))
        assert not torch.equal(network(images), third(images))
    assert found.preprocess() == (127.5, 1 / 128)


@pytest.mark.long
@pytest.mark.parametrize("name", ["r50", "r100", "r101", "m1", "m2", "y1", "i2", "p107", "d169", "s20"])
def test_every_array_of_a_network_has_one_name(name):
    with torch.device("meta"):
        network = get("backbone", name).make(**settings(name)).eval()
    made = mxnetgraph.symbol_of(network, Preprocess())
    held = [key for key in network.state_dict() if not key.endswith("num_batches_tracked")]
    assert sorted(made.arrays.values()) == sorted(held)


def test_names_are_those_of_2018():
    def arrays(name):
        with torch.device("meta"):
            network = get("backbone", name).make(**settings(name)).eval()
        found = mxnetgraph.symbol_of(network, Preprocess()).arrays
        return {ours: theirs.partition(":")[2] for theirs, ours in found.items()}

    r100 = arrays("r100")
    assert r100["conv1.weight"] == "conv0_weight"
    assert r100["prelu.weight"] == "relu0_gamma"
    assert r100["layer3.29.prelu.weight"] == "stage3_unit30_relu1_gamma"
    assert r100["layer1.0.downsample.1.running_var"] == "stage1_unit1_sc_moving_var"
    assert (r100["bn2.bias"], r100["fc.weight"], r100["features.bias"]) == (
        "bn1_beta", "pre_fc1_weight", "fc1_beta",
    )  # fmt: skip
    m1 = arrays("m1")
    assert m1["0.weight"] == "conv_1_conv2d_weight"
    assert (m1["15.0.weight"], m1["15.5.weight"]) == ("conv_14_dw_conv2d_weight", "conv_14_relu_gamma")
    p107 = arrays("p107")
    assert p107["stages.1.0.project.2.weight"] == "conv3_x__1_c1x1-w(s/2)__conv_weight"
    assert p107["stages.2.19.b.0.weight"] == "conv4_x__20_c3x3-b__bn__bn_gamma"
    assert p107["stem.reduce.conv2.weight"] == "head_conv2_weight"


def test_the_classes_are_in_the_symbol(tmp_path):
    for loss, fields in (("softmax", {}), ("cosface", {"scale": 64.0, "margin": 0.35})):
        margin = get("loss", loss).make(**fields)
        found, _ = written(headed("E"), tmp_path, margin=margin, rows=(7, EMBEDDING))
        held = [node.name for node in found.nodes if node.op == "null" and node.name.startswith("fc7")]
        assert held == (["fc7_weight", "fc7_bias"] if loss == "softmax" else ["fc7_weight"])
        assert [found.nodes[number].op for number in found.heads] == ["BlockGrad", "SoftmaxOutput"]
        assert found.layers()[-1].name == "fc1"


def test_what_mxnet_lacks_is_refused():
    with pytest.raises(
        ConfigError, match="can't be written as an MXNet symbol: it calls linalg_vector_norm"
    ) as no:
        mxnetgraph.symbol_of(headed("GNAP"), Preprocess())
    assert "mxnet_prefix" in no.value.hint
    with pytest.raises(ConfigError, match="prepared by"):
        mxnetgraph.symbol_of(headed("E"), Preprocess(channels="bgr"))
    with pytest.raises(ConfigError, match="it calls"):
        mxnetgraph.symbol_of(get("backbone", "tiny").make(**settings("tiny")), Preprocess())
