"""Weights of other trainers compute in our networks what they computed in theirs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from arcterm.errors import DataError
from arcterm.export import adaface, layers, torchfile

from .conftest import apart, embedded, of
from .upstream import Adaface, Arcface, Mbf, Vit, stirred

pytestmark = pytest.mark.long

CLOSE = 1e-4


def theirs(network, pixels, order="RGB"):
    """arcface_torch's and AdaFace's input: (image / 255 - 0.5) / 0.5, AdaFace's as BGR."""
    return embedded(network, pixels, 127.5, 1 / 127.5, order)


@pytest.fixture(scope="module")
def arcface():
    return stirred(Arcface())


@pytest.fixture(scope="module")
def ada():
    return stirred(Adaface())


def test_arcface_torch(arcface, pixels, import_):
    found = import_(arcface.state_dict())
    assert (found.facts.backbone, found.facts.embedding_size) == ("r18", 512)
    assert (found.facts.mean, found.facts.scale, found.facts.source) == (127.5, 1 / 127.5, "weights.pth")
    assert (found.fit.missing, found.fit.unexpected, found.head) == ([], [], None)
    wanted = theirs(arcface, pixels)
    assert apart(of(found, pixels), wanted) < CLOSE
    assert apart(embedded(found.network, pixels, 127.5, 1 / 128), wanted) > CLOSE
    assert apart(embedded(found.network, pixels, 127.5, 1 / 127.5, "BGR"), wanted) > CLOSE
    # the weights as they are, in a network whose norms add 2e-5 to the variance, compute something else
    found.network.load_state_dict(arcface.state_dict())
    assert apart(of(found, pixels), wanted) > 100 * CLOSE


def test_adaface(ada, pixels, import_):
    lightning = {f"model.{key}": value for key, value in ada.state_dict().items()} | {
        "head.kernel": torch.randn(512, 7),
        "head.t": torch.zeros(1),
        "head.batch_mean": torch.ones(1) * 20,
        "head.batch_std": torch.ones(1) * 100,
    }
    checkpoint = {"epoch": 3, "state_dict": lightning, "hyper_parameters": {"arch": "ir_18"}}
    found = import_(checkpoint, "adaface.ckpt")
    assert (found.facts.backbone, found.facts.embedding_size) == ("r18", 512)
    assert (found.facts.classes, found.fit.unexpected) == (7, [])
    assert found.head is not None
    assert torch.equal(found.head, lightning["head.kernel"].T)
    wanted = theirs(ada, pixels, "BGR")
    assert apart(of(found, pixels), wanted) < CLOSE
    assert apart(embedded(found.network, pixels, 127.5, 1 / 127.5, "BGR"), wanted) > 100 * CLOSE
    with torch.no_grad():  # the shortcut that takes every other pixel
        found.network.get_parameter("layer1.0.downsample.0.weight").zero_()
    assert apart(of(found, pixels), wanted) > 100 * CLOSE


def test_adaface_with_squeeze_and_excitation_is_not_taken_for_the_network_without(ada):
    state = {key: value.to("meta") for key, value in ada.state_dict().items()}
    state["body.3.res_layer.se_block.fc1.weight"] = torch.empty(8, 128, 1, 1, device="meta")
    with pytest.raises(DataError, match=r"r18 .*se_block"):
        recognised(state)


def recognised(state):
    from arcterm.export import recognise

    named = adaface.rename_arrays(state)
    shapes = {key: tuple(value.shape) for key, value in named.items()}
    return recognise.find(shapes, layers.group_layers(named), ["r18"], {})


@pytest.mark.parametrize("last", ["output_layer", "body"])
def test_adaface_is_known_in_any_order_of_its_parts(ada, last):
    state = {key: value.to("meta") for key, value in ada.state_dict().items()}
    first = {key: value for key, value in state.items() if not key.startswith(last)}
    assert recognised(first | state).candidate.options["embedding_size"] == 512


def test_mobilefacenet_of_twice_the_width(pixels, import_):
    network = stirred(Mbf(scale=2))
    found = import_(network.state_dict(), backbone="y1")
    assert (found.facts.backbone, found.facts.options["scale"]) == ("y1", 2)
    linear = layers.in_order(found.network, (112, 112))[-2][0]
    assert found.fit.missing == [f"{linear}.bias"]
    assert found.fit.unexpected == []
    wanted = theirs(network, pixels)
    assert apart(of(found, pixels), wanted) < CLOSE
    for norm in found.network.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.running_var += 1e-3 - 1e-5
    assert apart(of(found, pixels), wanted) > 100 * CLOSE


def test_vit(pixels, import_):
    network = stirred(Vit())
    found = import_(network.state_dict())
    assert (found.facts.backbone, found.facts.embedding_size) == ("vit_t", 512)
    assert apart(of(found, pixels), theirs(network, pixels)) < CLOSE


@pytest.mark.parametrize(
    ("wrapped", "classes"),
    [
        (lambda s: s, 0),
        (lambda s: {"module." + k: v for k, v in s.items()}, 0),
        (lambda s: {"_orig_mod." + k: v for k, v in s.items()}, 0),
        (lambda s: {"module._orig_mod." + k: v for k, v in s.items()}, 0),
        (lambda s: {"_orig_mod.module." + k: v for k, v in s.items()}, 0),
        (lambda s: {"state_dict_backbone": s, "epoch": 2, "state_optimizer": {"state": {}}}, 0),
        (lambda s: {"model": {"model.net." + k: v for k, v in s.items()}}, 0),
        (lambda s: {"state_dict": {"backbone." + k: v for k, v in s.items()} | {"head.weight": HEAD}}, 5),
        (lambda s: s | {"fc7.weight": HEAD}, 5),
        (lambda s: s | {"head.kernel": HEAD.T, "head.t": torch.zeros(1)}, 5),
    ],
)
def test_what_trainers_wrap_around_weights_is_taken_off(tiny, pixels, import_, wrapped, classes):
    found = import_(wrapped(tiny.network.state_dict()))
    assert (found.facts.backbone, found.facts.options) == ("tiny", tiny.facts.options)
    assert (found.facts.classes, found.fit.unexpected) == (classes, [])
    assert classes == 0 or torch.equal(found.head, HEAD)
    assert apart(of(found, pixels), embedded(tiny.network, pixels, 127.5, 1 / 127.5)) < CLOSE


HEAD = torch.arange(5 * 64.0).reshape(5, 64)


def test_half_precision_is_widened(tiny, pixels, import_):
    state = {key: value.half() for key, value in tiny.network.state_dict().items()}
    found = import_(state)
    assert {p.dtype for p in found.network.parameters()} == {torch.float32}
    assert apart(of(found, pixels), embedded(tiny.network, pixels, 127.5, 1 / 127.5)) < 0.05


def test_what_is_said_of_the_input_is_kept(tiny, import_):
    found = import_(tiny.network.state_dict(), mean=127.0, scale=0.01)
    assert (found.facts.mean, found.facts.scale) == (127.0, 0.01)


def test_a_networks_own_head_is_no_class_weights():
    """A part called head, with layers of its own, belongs to the network."""
    state = {f"{part}.weight": torch.zeros(2) for part in ("stem", "head.fc", "head.bn2")}
    assert torchfile.split_head(state) == (state, None)
